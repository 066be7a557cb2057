"""Arrays as text: every number of a small array, a digest of the bytes of a larger one."""

import hashlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

CHUNK = 1 << 22
"""Bytes read at a time, so that no array is copied whole."""

WHOLE = 1 << 32
"""Of a memory-mapped file with more bytes, only ``SAMPLED`` chunks of 1 MiB are read, the first and last included."""

SAMPLED = 1024


FEW = 8
"""An array of at most this many numbers is written out."""


def array_text(array: jax.Array | np.ndarray) -> str:
    """Dtype, shape and the exact numbers; ``~`` marks a weak dtype, which gives way to others in a sum.

    >>> array_text(np.array([0.1, -0.0], np.float32)), array_text(np.arange(100.0))
    ('float32[2](0.10000000149011612, -0.0)', 'float64[100]#df8192236b254cb79863a567b0e09945')
    """
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        return f"{array.dtype}({array_text(jax.random.key_data(array))})"
    if array.dtype.hasobject:
        raise TypeError("an array of objects has no bytes of its own")
    if array.size > FEW:
        return f"{described(array)}#{array_digest(array)}"
    return f"{described(array)}({', '.join(repr(each.item()) for each in np.asarray(array).reshape(-1))})"


def described(array: Any) -> str:
    """Dtype and shape."""
    weak = "~" if getattr(array, "weak_type", False) else ""
    return f"{weak}{array.dtype}[{','.join(map(str, array.shape))}]"


def sha256(text: str) -> str:
    """The first half of the SHA-256 of a text: enough to rule out a chance match."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def array_digest(array: Any) -> str:
    """The first half of the SHA-256 of the bytes in C order; dtype and shape do not enter.

    Takes about a second per GiB. An array on a device is fetched piece by piece, and no copy stays on the host. Of a
    memory-mapped file of more than 4 GiB only 1 GiB is read, spread evenly, with its beginning and its end.

    >>> array_digest(np.arange(3.0)), array_digest(np.arange(6.0)[::2] / 2)
    ('b0c45303f7f11848cb5e6e5b2af2fb2a', 'b0c45303f7f11848cb5e6e5b2af2fb2a')
    """
    digest = hashlib.sha256()
    for part in _parts(array):
        digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:32]


def _parts(array: Any) -> Iterator[np.ndarray]:
    if not isinstance(array, jax.Array) or [device.platform for device in array.devices()] == ["cpu"]:
        array = np.asanyarray(array)  # on the CPU this does not copy
    if array.ndim == 0 or array.size == 0:
        yield np.asarray(array)
        return
    if isinstance(array, np.memmap) and array.nbytes > WHOLE:
        rows = max(1, (1 << 20) // (array.nbytes // len(array) or 1))
        starts = np.linspace(0, max(0, len(array) - rows), SAMPLED).astype(int)
    else:
        rows = max(1, CHUNK // (array.nbytes // len(array) or 1))
        starts = range(0, len(array), rows)
    for start in starts:
        size = min(rows, len(array) - int(start))
        if isinstance(array, jax.Array):
            yield np.asarray(jax.lax.dynamic_slice_in_dim(array, int(start), size))
        else:
            yield array[int(start) : int(start) + size]
