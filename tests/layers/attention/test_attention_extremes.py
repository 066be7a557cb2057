"""Attention whose scores leave the range of numbers: who must not be seen is not, and what is lost is NaN."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.layers.attention._blockwise import BlockwiseAttention
from fnn.layers.random.dropout import Dropout

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
        return y, attention.backward(q, k, v, lse, jnp.ones_like(y), keys)[0]

    got, dq = run(q[:, :, None], k, v)
    np.testing.assert_allclose(np.ravel(got), y, rtol=1e-6)
    assert (np.isnan(np.ravel(dq)) == np.isnan(y)).all()


@pytest.mark.full
@pytest.mark.parametrize("block", [4, 16])
def test_values_that_are_nearly_the_same_cost_the_gradient_of_the_scores_no_digits(block: int):
    """dp − δ nearly cancels then; δ as dy·y, with y rounded to bfloat16, left 5 % of error where rounding is 0.4 %."""
    draw = np.random.default_rng(0)
    q, k, v, dy = (jnp.asarray(draw.standard_normal((1, 2, 16, 8)), jnp.bfloat16) for _ in range(4))
    v = v + jnp.asarray(30, jnp.bfloat16)
    attention = BlockwiseAttention(True, block, Dropout(0.0))

    def gradients(*operands: jax.Array) -> list[np.ndarray]:
        q, k, v, dy = operands
        _, lse = attention.forward(q[:, :, None], k, v)
        return [np.asarray(each, np.float64) for each in attention.backward(q[:, :, None], k, v, lse, dy[:, :, None])]

    exact = gradients(*(jnp.asarray(each, jnp.float64) for each in (q, k, v, dy)))
    for ours, theirs in zip(gradients(q, k, v, dy), exact, strict=True):
        assert np.linalg.norm(ours - theirs) <= 4e-3 * np.linalg.norm(theirs)
