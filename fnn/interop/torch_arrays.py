"""The arrays of PyTorch: read as NumPy arrays, and written back into a module, without importing PyTorch here."""

import importlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe


class Held(NamedTuple):
    """A state dict: its tensors or arrays by key, and the modules by their prefix, if a module was given."""

    arrays: dict[str, Any]
    modules: dict[str, Any]

    def read(self, key: str) -> np.ndarray:
        """The array at a key."""
        return as_numpy(self.arrays[key])


def held(module_or_state_dict: Any, function: str = "load_torch") -> Held:
    """What a module or a state dict holds; ``TypeError`` for anything else."""
    given = module_or_state_dict
    if hasattr(given, "state_dict") and hasattr(given, "named_modules"):
        return Held(dict(given.state_dict()), dict(given.named_modules()))
    if not isinstance(given, dict) or function == "store_torch":
        kind = "a torch.nn.Module" if function == "store_torch" else "a torch.nn.Module or its state_dict()"
        raise TypeError(f"{function} takes {kind}, got {describe(given)}")
    for key, each in given.items():
        if not isinstance(key, str) or not hasattr(each, "shape"):
            hint = f"; give its entry {key!r}" if isinstance(each, dict) else ""
            raise TypeError(
                f"a state dict has names and tensors, got {key!r}: {describe(each)}{hint}; a checkpoint often holds"
                f" the state dict beside the optimiser's state"
            )
    return Held(dict(given), {})


def shape_of(array: Any) -> tuple[int, ...]:
    """The shape of a tensor or array."""
    return tuple(int(size) for size in array.shape)


def is_whole(array: Any) -> bool:
    """Whether it holds integers or booleans, as no parameter does."""
    return any(kind in str(array.dtype) for kind in ("int", "bool"))


def as_numpy(array: Any) -> np.ndarray:
    """A tensor as a NumPy array with the same numbers, on whatever device it is; bfloat16 included."""
    if not hasattr(array, "detach"):
        return np.asarray(array)
    tensor = array.detach().cpu()
    try:
        return np.array(tensor.numpy())
    except TypeError:  # NumPy lacks bfloat16, and float32 holds every number of 16 or 8 bits
        return np.array(tensor.float().numpy()).astype(_dtype(str(array.dtype).removeprefix("torch.")))


def input_of(x: Any) -> Any:
    """An input with its tensors as NumPy arrays; of a tensor on the device ``meta``, which has no numbers, the shape.

    Tuples, lists and dicts are looked into.
    """
    if isinstance(x, dict):
        return {name: input_of(each) for name, each in x.items()}
    if isinstance(x, tuple | list):
        members = [input_of(each) for each in x]
        if all(new is old for new, old in zip(members, x, strict=True)):
            return x
        return type(x)(*members) if hasattr(x, "_fields") else type(x)(members)
    if not hasattr(x, "detach"):
        return x
    if getattr(x, "is_meta", False):
        return jax.ShapeDtypeStruct(shape_of(x), str(x.dtype).removeprefix("torch."))
    return as_numpy(x)


def _dtype(name: str) -> Any:
    return getattr(jnp, name, np.float32)


def write(tensor: Any, array: np.ndarray) -> None:
    """Copies an array into a tensor, or into an array; a wider dtype is rounded to the tensor's."""
    if isinstance(tensor, np.ndarray):
        np.copyto(tensor, array)
        return
    torch = importlib.import_module("torch")
    wide = array.astype(np.float32) if array.dtype.kind == "V" else np.array(array)
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(np.ascontiguousarray(wide)).reshape(tensor.shape))
