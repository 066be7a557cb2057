"""Data as people have them: tables, series, tensors, lists of numbers and batches by name become arrays.

They are recognised by their attributes, so that no other library is imported. What cannot be an array of numbers stays
as it is, for ``fnn.guards.foreign`` to refuse with what to write.
"""

from typing import Any

import jax
import numpy as np

from fnn.guards.foreign import foreign

NAMES = ("inputs", "targets", "weights")


def converted(part: Any, name: str) -> Any:
    """The part with arrays in the place of tables, series, tensors and lists of numbers.

    A table (pandas, polars) becomes an array (N, columns) of floating numbers, a series a vector of its dtype, a tensor
    of PyTorch what ``.detach().cpu().numpy()`` gives. A list of arrays stays a tree of them.

    Errors: ``TypeError`` for a table with columns that are not numbers, which it names.
    """
    return jax.tree.map(lambda leaf: _array(leaf, name), part, is_leaf=_is_leaf)


def named(data: Any) -> Any:
    """``{"inputs": …, "targets": …}``, with ``"weights"`` if there are any, as a tuple; anything else unchanged."""
    if not isinstance(data, dict):
        return data
    if not is_named(data):
        raise TypeError(
            f"a batch is (inputs, targets) or (inputs, targets, weights), got a dict of {list(data)}; name its entries"
            f" inputs, targets and weights, or take them out: (batch[…], batch[…])"
        )
    return tuple(data[name] for name in NAMES if name in data)


def is_named(data: Any) -> bool:
    """Whether it is a dict of inputs, targets and perhaps weights."""
    return isinstance(data, dict) and set(NAMES[:2]) <= set(data) <= set(NAMES)


def is_numbers(x: Any) -> bool:
    """Whether x is a list of numbers, or of lists of numbers."""
    while isinstance(x, list) and x:
        x = x[0]
    return isinstance(x, int | float | np.generic)


def check_rows(data: Any, name: str) -> None:
    """Raises for a dataset of Hugging Face, which iterates over single rows."""
    if hasattr(data, "column_names") and hasattr(data, "with_format"):
        raise TypeError(
            f"the {name} are a {type(data).__name__}, which gives single rows; give a function of the epoch that"
            f" returns batches by name: lambda epoch: data.rename_columns({{'…': 'inputs', '…': 'targets'}})"
            f".with_format('numpy').shuffle(seed=epoch).iter(batch_size=…)"
        )


def _is_leaf(x: Any) -> bool:
    return (isinstance(x, list) and is_numbers(x)) or hasattr(x, "to_numpy") or foreign(x) is not None


def _array(leaf: Any, name: str) -> Any:
    if isinstance(leaf, list):
        return _of_list(leaf)
    if hasattr(leaf, "to_numpy"):
        if hasattr(leaf, "columns"):
            return _of_table(leaf, name)
        found = _numbers(leaf)
        return np.asarray(leaf) if found is None else found
    if callable(getattr(leaf, "detach", None)):
        try:
            return leaf.detach().cpu().numpy()
        except (TypeError, RuntimeError):  # a dtype that NumPy lacks
            return leaf
    return leaf


def _of_list(rows: list) -> Any:
    try:
        return np.asarray(rows) if is_numbers(rows) else rows
    except ValueError:  # rows of different lengths
        return rows


def _of_table(table: Any, name: str) -> np.ndarray:
    columns = _columns(table)
    if not columns:
        return table.to_numpy()
    found = [_numbers(values) for _, values in columns]
    if others := [column for (column, _), values in zip(columns, found, strict=True) if values is None]:
        raise TypeError(
            f"{name} are numbers, and of the {type(table).__name__} the columns {others} are not; encode them as"
            f" numbers, or leave them out"
        )
    arrays = [values for values in found if values is not None]
    dtype = np.result_type(*arrays)
    if not np.issubdtype(dtype, np.floating):
        dtype = jax.dtypes.canonicalize_dtype(np.float64)
    return np.stack([values.astype(dtype) for values in arrays], -1)


def _columns(table: Any) -> list[tuple[Any, Any]] | None:
    """The columns with their names; ``None`` if it is not known how to get them."""
    names = list(table.columns)
    if hasattr(table, "iloc"):  # pandas: two columns may have one name
        return [(name, table.iloc[:, place]) for place, name in enumerate(names)]
    if hasattr(table, "get_columns"):  # polars
        return list(zip(names, table.get_columns(), strict=True))
    return None


def _numbers(column: Any) -> np.ndarray | None:
    """A series as an array of numbers, NaN where one is missing; ``None`` if it holds something else."""
    values = np.asarray(column)
    if values.dtype.kind in "biuf":
        return values
    if getattr(getattr(column, "dtype", None), "_is_numeric", False):  # pandas: integers that may be missing
        return column.to_numpy(dtype="float64", na_value=np.nan)
    return None
