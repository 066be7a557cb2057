"""Checks of a run's options where they are given: wrong ones would be misread, or fail much later."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import instance_hint


def flag(name: str, value: Any) -> None:
    """Raises unless value is True or False: the string "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} is True or False, got {value!r}")


def path_of(name: str, value: Any) -> Path:
    """Returns the value as a path, or raises ``TypeError``."""
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} is the name of a file or folder, got {value!r}{instance_hint(value)}")
    return Path(value)


def one_key(key: Any, name: str = "key") -> None:
    """Raises unless key is one random key, from ``jax.random.key`` or ``jax.random.PRNGKey``; it may be traced."""
    if not isinstance(key, jax.Array | np.ndarray):
        number = key if type(key) is int else 0
        raise TypeError(f"{name} is a random key, got {key!r}; write jax.random.key({number})")
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not typed and (key.dtype != np.uint32 or key.ndim == 0):
        raise TypeError(f"{name} is a random key, got an array of {key.dtype}; write jax.random.key(0)")
    if key.ndim != (0 if typed else 1):
        raise ValueError(
            f"{name} is one random key, got an array of keys of shape {key.shape}; take one, or map over them with"
            f" jax.vmap"
        )
