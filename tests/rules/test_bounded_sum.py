"""The sum that private training releases, before its noise, at every kind of contribution."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.rules.clipped import bounded_sum
from tests.comparing import close

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

RANDOM = np.random.default_rng(0)
ROWS, STEPS, IMAGES = (RANDOM.standard_normal(shape) for shape in ((5, 4), (5, 3, 4), (5, 6, 6, 2)))
LABELS = np.array([0, 2, 1, 0, 1])
TIED = fnn.Tied(fnn.Serial(a=fnn.Dense(4), b=fnn.Tanh(), c=fnn.Dense(4)), {"c": "a"})

MODELS = {
    "a kernel that is normalised": (fnn.Serial(fnn.WeightNorm(fnn.Dense(4)), fnn.Dense(3)), ROWS),
    "tied kernels": (fnn.Serial(TIED, fnn.Dense(3)), ROWS),
    "a repeat": (fnn.Serial(fnn.Repeat(fnn.WeightNorm(fnn.Dense(4)), 2), fnn.Tanh(), fnn.Dense(3)), ROWS),
    "a convolution": (fnn.Serial(fnn.Conv(3, 3), fnn.GlobalAvgPool(), fnn.Dense(3)), IMAGES),
    "attention": (
        fnn.Serial(fnn.Remat(fnn.Residual(fnn.MultiHeadAttention(2))), fnn.Flatten(), fnn.Dense(3)),
        STEPS,
    ),
    "an embedding": (fnn.Serial(fnn.Embedding(7, 4), fnn.Flatten(), fnn.Dense(3)), RANDOM.integers(0, 7, (5, 3))),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_is_that_of_the_clipped_gradients_and_one_odd_sample_adds_nothing(name: str):
    model, x = MODELS[name]
    objective = fnn.Objective(model, fnn.CrossEntropy())
    params, state = objective.init(jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.asarray(RANDOM.standard_normal(leaf.shape)), params)
    floating = x.dtype.kind == "f"

    @jax.jit
    def both(x: Any) -> Any:
        batch = x, LABELS, np.array([1.0, 1, 1, 1, 0])
        mean = fnn.clipped_gradients(objective, params, state, batch, max_norm=0.3)[1]
        return mean, bounded_sum(objective, params, state, batch, max_norm=0.3)[1]

    mean, total = both(x)
    close(total, jax.tree.map(lambda leaf: 5 * leaf, mean))
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(total))
    if floating:
        odd = x.copy()
        odd[4] = np.inf  # of weight 0
        close(both(odd)[1], total)
        odd[2] = 1e300
        found = both(odd)[1]
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        norm = np.sqrt(sum(np.vdot(a - b, a - b) for a, b in zip(*map(jax.tree.leaves, (found, total)), strict=True)))
        assert 0 < norm < 2 * 0.3 * (1 + 1e-9)  # one contribution for another


@pytest.mark.parametrize("size", [1e3, 1e8, 1e15])
@pytest.mark.parametrize("kind", ["steps", "windows"])
def test_huge_rows_that_cancel_move_it_by_no_more_than_the_limit(kind: str, size: float):
    """Their gradient is 0 but for rounding, which would drown all others."""
    layer = fnn.Dense(4) if kind == "steps" else fnn.Conv(4, 1)
    model = fnn.Serial(layer, fnn.Lambda(lambda y: y.mean(1)), fnn.Dense(3))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    x = RANDOM.standard_normal((5, 8, 4)).astype(np.float32)
    x[2, 4:] = -x[2, :4]
    x[2] *= np.float32(size)
    params, state = objective.init(jax.random.key(0), x)

    @jax.jit
    def total(weights: Any) -> Any:
        return bounded_sum(objective, params, state, (x, LABELS, weights), max_norm=0.1)[1]

    with_it, without = total(np.ones(5, np.float32)), total(np.array([1, 1, 0, 1, 1], np.float32))
    apart = zip(*map(jax.tree.leaves, (with_it, without)), strict=True)
    assert np.sqrt(sum(np.vdot(a - b, a - b) for a, b in apart)) < 0.1 * 1.001
