"""Stand-ins for modules of PyTorch, so that the quick proof needs none: a state dict of NumPy arrays is enough."""

from typing import Any

import jax
import numpy as np

import fnn
from fnn.interop import load_torch, store_torch


class Module:
    """What the functions of ``fnn.interop`` see of a module: its arrays, and its modules by their prefixes."""

    def __init__(self, arrays: dict[str, np.ndarray], **modules: Any) -> None:
        self.arrays, self.modules = arrays, modules

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.arrays

    def named_modules(self) -> list[tuple[str, Any]]:
        return [("", self), *self.modules.items()]


def spec(*shape: int, dtype: Any = np.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def numbered(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Arrays of which no two numbers are equal; ``__`` in a name stands for a dot."""
    start, arrays = 1, {}
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        arrays[name.replace("__", ".")] = np.arange(start, start + size, dtype=np.float32).reshape(shape)
        start += size
    return arrays


def linear(*prefixes: str, sizes: tuple[tuple[int, int], ...] = ((4, 3), (4, 4), (2, 4))) -> dict[str, np.ndarray]:
    """The arrays of ``nn.Linear`` at each prefix; sizes are (outputs, inputs)."""
    arrays = {}
    for prefix, (features, inputs) in zip(prefixes, sizes, strict=True):
        arrays |= numbered(**{f"{prefix}__weight": (features, inputs), f"{prefix}__bias": (features,)})
    return arrays


def there_and_back(model: fnn.Layer, arrays: dict[str, np.ndarray], x: Any, **options: Any) -> tuple[Any, Any]:
    """What ``load_torch`` gives; storing it must give back the arrays, in the same module and in an empty one."""
    params, state = load_torch(model, arrays, x, **options)
    names = options.get("names")
    for start in (arrays, {key: np.zeros_like(array) for key, array in arrays.items()}):
        module = Module({key: array.copy() for key, array in start.items()})
        store_torch(model, params, state, module, names=names, x=x)
        if start is arrays:
            for key, array in arrays.items():
                np.testing.assert_array_equal(module.arrays[key], array, err_msg=key)
        again, state_again = load_torch(model, module, x, names=names)
        jax.tree.map(np.testing.assert_array_equal, (again, state_again), (params, state))
    return params, state
