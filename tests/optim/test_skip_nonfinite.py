"""Steps that are not finite are left out: nothing of them stays, and training goes on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from tests.comparing import same

PARAMS = {
    "a": {"bias": np.array([1.0], np.float32), "kernel": np.array([[2.0]], np.float32)},
    "b": {"kernel": np.array([[3.0]], np.float32)},
}
GRADS = jax.tree.map(lambda w: 10 * w, PARAMS)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_step_that_is_not_finite_leaves_everything_bit_for_bit(bad):
    optimizer = optim.skip_nonfinite(optim.chain(optim.adam(0.1), optim.ema(0.9)))
    opt_state = optimizer.init(PARAMS)
    step = jax.jit(optimizer.update)
    _, opt_state = step(GRADS, opt_state, PARAMS)
    poisoned = {**GRADS, "b": {"kernel": np.array([[bad]], np.float32)}}
    updates, after = step(poisoned, opt_state, PARAMS)
    same(updates, jax.tree.map(np.zeros_like, PARAMS))
    same((after.inner, after.count), (opt_state.inner, opt_state.count))
    assert (int(after.skipped), int(after.in_a_row), bool(optim.accepted(after))) == (1, 1, False)
    _, after = step(poisoned, after, PARAMS)
    _, after = step(GRADS, after, PARAMS)
    assert (int(after.skipped), int(after.in_a_row), bool(optim.accepted(after))) == (2, 0, True)


def test_a_value_that_is_not_finite_is_reason_enough():
    optimizer = optim.skip_nonfinite(optim.sgd(1.0))
    updates, opt_state = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS, value=jnp.array(jnp.nan))
    same(updates, jax.tree.map(np.zeros_like, PARAMS))
    assert not optim.accepted(opt_state)


# The quick proof asks tests/train/test_nonfinite_step.py: a NaN at one step there, of what stays of it to the bit.
@pytest.mark.full
@pytest.mark.parametrize("place", ["input", "first", "last"])
def test_training_recovers_from_a_nan_at_any_layer(random, place):
    x = random(16, 3).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)

    class Poison(fnn.Layer):
        """NaN in one entry every fourth time, as of a layer that overflows now and then."""

        def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
            bad = train and jax.random.bernoulli(key, 0.25)
            return x.at[0, 0].set(jnp.where(bad, jnp.nan, x[0, 0])), state

    poison = Poison()
    layers = {
        "input": (poison, fnn.Dense(4), fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(2)),
        "first": (fnn.Dense(4), poison, fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(2)),
        "last": (fnn.Dense(4), fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(2), poison),
    }
    objective = fnn.Objective(fnn.Serial(*layers[place]), fnn.CrossEntropy())
    optimizer = optim.skip_nonfinite(optim.adam(0.05))
    result = fnn.fit(objective, optimizer, (x, y), epochs=6, batch_size=4, key=jax.random.key(0), progress=False)
    leaves = jax.tree.leaves((result.params, result.state, result.opt_state))
    assert all(np.isfinite(leaf).all() for leaf in map(np.asarray, leaves))
    skipped = int(result.opt_state.skipped)
    assert 0 < skipped < 24
    assert int(result.state["batch_norm_0"]["count"]) == 24 - skipped
    assert np.isfinite(result.history["loss"]).all()
    assert result.history["loss"][-1] < result.history["loss"][0]
