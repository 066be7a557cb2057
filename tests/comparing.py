"""What tests mean by equal."""

from typing import Any

import chex
import jax
import numpy as np


def close(got: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-14) -> None:
    """Two trees of arrays have one structure, and their numbers agree: |got − expected| ≤ atol + rtol |expected|."""
    got, expected = jax.tree.map(np.asarray, (got, expected))
    chex.assert_trees_all_close(got, expected, rtol=rtol, atol=atol)


def same(got: Any, expected: Any) -> None:
    """Two trees of arrays have one structure, and every leaf the same shape, dtype and bits (NaN equals NaN)."""
    got, expected = jax.tree.map(np.asarray, (got, expected))
    chex.assert_trees_all_equal(got, expected, strict=True)
