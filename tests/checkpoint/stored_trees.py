"""Arrays to be stored, and what it means that they came back."""

import jax
import jax.numpy as jnp
import numpy as np

from fnn.checkpoint import stored_leaf, tensor_file
from tests.drawing import generator

DTYPES = [*tensor_file.CODES, *stored_leaf.FLOAT8.values()]


def random_array(dtype, shape, seed=0):
    """An array of random bits, so that floats include NaN payloads, infinities, subnormals and negative zeros."""
    draw = generator(f"{dtype} {shape} {seed}")
    if dtype == np.bool_:
        return draw.integers(0, 2, shape).astype(np.bool_)
    count = int(np.prod(shape)) * dtype.itemsize
    return draw.integers(0, 256, count, dtype=np.uint8).view(dtype).reshape(shape)


def bits(leaf):
    leaf = jax.random.key_data(leaf) if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key) else leaf
    return np.asarray(leaf).reshape(-1).view(np.uint8).tobytes()


def assert_same(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert isinstance(a, type(b)) or isinstance(b, type(a))
        assert getattr(a, "dtype", None) == getattr(b, "dtype", None)
        assert jnp.shape(a) == jnp.shape(b)
        assert bits(a) == bits(b)
