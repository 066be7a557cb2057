"""Attention whose scores leave the range of numbers: who must not be seen is not, and what is lost is NaN."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.layers.blockwise_attention import BlockwiseAttention
from fnn.layers.dropout import Dropout

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN = float("nan")

# Queries and keys of one feature, the mask of the keys or "causal", and the outputs: the values are 1 and 2.
ROWS = {
    "a score of −∞ beside a masked key": ([1e20, 0.0], [-1e20, 1.0], [True, False], [NAN, 1.0]),
    "a score of −∞ before a key to come": ([1e20, 0.0], [-1e20, 1.0], "causal", [NAN, 1.5]),
    "a score of ∞": ([1e20, 0.0], [1e20, 1.0], [True, True], [NAN, 1.5]),
    "a score of −∞ beside another": ([1e20, 0.0], [-1e20, 1.0], [True, True], [2.0, 1.5]),
    "nothing but −∞": ([1e20, 0.0], [-1e20, -1e20], [True, True], [NAN, 1.5]),
    "large scores": ([-1e19, 1e19], [1e19, 1e19], "causal", [1.0, 1.5]),
    "large scores, masked": ([-1e19, 1e18], [1e19, -1e19], [True, False], [1.0, 1.0]),
    "no key": ([1.0, 1e20], [1.0, 1e20], [False, False], [0.0, 0.0]),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_query_of_extreme_scores(name: str):
    """A score of −∞ lay below the fill of masked ones: the query saw the keys to come, or was said to have none."""
    q, k, mask, y = ROWS[name]
    q, k = (np.array(each, np.float32).reshape(1, 1, -1, 1) for each in (q, k))
    v = np.array([1.0, 2.0], np.float32).reshape(1, 1, -1, 1)
    attention = BlockwiseAttention(mask == "causal", 128, Dropout(0.0))
    keys = None if mask == "causal" else np.array(mask).reshape(1, 1, 1, 1, -1)

    @jax.jit
    def run(q: Any, k: Any, v: Any) -> tuple:
        y, lse = attention.forward(q, k, v, keys)
        return y, attention.backward(q, k, v, y, lse, jnp.ones_like(y), keys)[0]

    got, dq = run(q[:, :, None], k, v)
    np.testing.assert_allclose(np.ravel(got), y, rtol=1e-6)
    assert (np.isnan(np.ravel(dq)) == np.isnan(y)).all()
