"""How a leaf is stored in a checkpoint, and restored from it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checkpoint.tensor_file import CODES

FLOAT8 = {str(dtype): dtype for dtype in map(np.dtype, (jnp.float8_e4m3fn, jnp.float8_e5m2))}
"""The dtypes that are stored as uint8, because the safetensors library cannot read float8 into NumPy."""

ON_HOST = (np.ndarray, np.generic, bool, int, float)
"""The leaves that ``load`` does not turn into JAX arrays."""


class Spec(NamedTuple):
    """The stored form of a leaf; ``random`` names the implementation of a random key, whose data the array holds."""

    dtype: np.dtype
    shape: tuple[int, ...]
    random: str | None = None

    def __str__(self) -> str:
        described = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        return f"{self.random} key as {described}" if self.random else described


def spec_of(name: str, leaf: Any) -> Spec:
    """The stored form of the leaf at a path; ``TypeError`` if it cannot be stored."""
    if isinstance(leaf, bool):
        return Spec(np.dtype(np.bool_), ())
    if isinstance(leaf, int):
        if not -(2**63) <= leaf < 2**63:
            raise ValueError(f"the integer at {name!r} does not fit into 64 bits: {leaf}; put it into the metadata")
        return Spec(np.dtype(np.int64), ())
    # NumPy's float64 scalar is a Python float too; both are stored the same way.
    if isinstance(leaf, float):
        return Spec(np.dtype(np.float64), ())
    dtype, shape = getattr(leaf, "dtype", None), getattr(leaf, "shape", None)
    if dtype is None or shape is None:
        raise TypeError(
            f"a checkpoint holds arrays, numbers and random keys, got {type(leaf).__name__} at {name!r};"
            f" text and settings go into the metadata, static values into fnn.Static"
        )
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return _key_spec(name, leaf)
    if dtype not in CODES and dtype not in FLOAT8.values():
        raise TypeError(
            f"a checkpoint does not hold {dtype!r} (at {name!r}); it holds"
            f" {', '.join(map(str, [*CODES, *FLOAT8]))}, in little-endian order"
        )
    return Spec(np.dtype(dtype), tuple(shape))


def _key_spec(name: str, key: Any) -> Spec:
    implementations = []

    def data(key: jax.Array) -> jax.Array:
        implementations.append(jax.random.key_impl(key))
        return jax.random.key_data(key)

    # Traced, because ``key`` may be a ShapeDtypeStruct, and only a traced key tells its implementation.
    array = jax.eval_shape(data, key)
    if not isinstance(implementations[0], str):
        raise TypeError(
            f"the random key at {name!r} has an implementation without a name, {implementations[0]!r};"
            f" save jax.random.key_data of it"
        )
    return Spec(np.dtype(array.dtype), tuple(array.shape), implementations[0])


def stored(leaf: Any, spec: Spec) -> np.ndarray:
    """The array to write for a leaf; not a copy if its memory already has the layout of the file."""
    array = np.asarray(jax.random.key_data(leaf) if spec.random else leaf, dtype=spec.dtype, order="C")
    return array.view(np.uint8) if str(spec.dtype) in FLOAT8 else array


def restored(array: np.ndarray, spec: Spec, like: Any) -> Any:
    """The leaf stored as this array, of the same kind as in ``like``."""
    array = array.view(spec.dtype)
    if spec.random:
        return jax.random.wrap_key_data(jax.device_put(array), impl=spec.random)
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, np.ndarray):
        return array
    return array.item() if isinstance(like, ON_HOST) else jax.device_put(array)


def narrowed(spec: Spec, like: Any) -> bool:
    """Whether JAX, with its current settings, would narrow this leaf from 64 to 32 bits."""
    return not isinstance(like, ON_HOST) and jax.dtypes.canonicalize_dtype(spec.dtype) != spec.dtype
