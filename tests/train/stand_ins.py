"""Stand-ins for what other libraries give: what fnn looks at, and no more."""

from typing import Any

import numpy as np


class Frame:
    """A table of pandas."""

    def __init__(self, **columns: Any) -> None:
        self._series = [Column(values) for values in columns.values()]
        self.columns, self.shape = list(columns), (len(self._series[0]), len(columns))
        self.iloc = self

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: tuple[slice, int]) -> "Column":
        return self._series[place[1]]

    def to_numpy(self) -> np.ndarray:
        raise AssertionError("columns of several kinds would become objects")


class Column:
    """A series, of pandas or polars."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)
        self.shape, self.dtype = self.values.shape, self.values.dtype

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values

    def __getitem__(self, place: Any) -> Any:
        raise KeyError(place)  # a series may go by its index

    def to_numpy(self) -> np.ndarray:
        return self.values


class Wide:
    """A table of polars."""

    def __init__(self, **columns: Any) -> None:
        self._series = [Column(values) for values in columns.values()]
        self.columns, self.shape = list(columns), (len(self._series[0]), len(columns))

    def to_numpy(self) -> np.ndarray:
        raise AssertionError("columns of several kinds would become objects")

    def get_columns(self) -> list[Column]:
        return self._series


class Tensor:
    """A tensor of PyTorch that has a gradient, on another device."""

    shape, dtype = (8, 2), "torch.float32"

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    def detach(self) -> "Tensor":
        return self

    cpu = detach

    def numpy(self) -> np.ndarray:
        return self._values
