"""A NaN made by any one layer, on the way out or back, costs the run that one step and nothing else."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.layer import named_key
from tests.comparing import same
from tests.drawing import drawn

KEY = jax.random.key(0)
X = drawn("inputs of a run with a NaN", 16, 3).astype(np.float32)
DATA = (X, (X[:, 0] > 0).astype(np.int32))
LAYERS = (fnn.Dense(4), fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(2))
BEFORE = 5  # good steps, four an epoch, before the one that is not


@dataclasses.dataclass(frozen=True)
class Faulty(fnn.Layer, name="faulty"):
    """The identity, but for one entry that is NaN at the step whose key has these bits."""

    bits: tuple[int, ...]
    back: bool

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        bad = jnp.array(False) if key is None else (jax.random.key_data(key) == jnp.array(self.bits, jnp.uint32)).all()
        return x if self.back else spoilt(x, bad), state, {"bad": bad}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, spoilt(dy, cache["bad"]) if self.back else dy


def spoilt(x, bad):
    return x.at[0, 0].set(jnp.where(bad, jnp.nan, x[0, 0]))


def run(place, back, steps):
    step_key = jax.random.fold_in(jax.random.fold_in(named_key(KEY, "epochs"), BEFORE // 4), BEFORE % 4)
    bits = jax.random.key_data(named_key(named_key(step_key, "model"), "faulty_0"))
    model = fnn.Serial(*LAYERS[:place], Faulty(tuple(bits.tolist()), back), *LAYERS[place:])
    optimizer = optim.skip_nonfinite(optim.chain(optim.adam(0.05), optim.ema(0.9)))
    train = fnn.make_train(fnn.Objective(model, fnn.CrossEntropy()), optimizer, steps=steps, batch_size=4)
    return jax.jit(train)(KEY, DATA)


# What comes back to the input is no gradient of anything, so a NaN there is none.
PLACES = [*((place, False) for place in range(5)), (1, True), (4, True)]


@pytest.mark.full  # the quick proof: tests/optim, by steps of one gradient
@pytest.mark.parametrize(("place", "back"), PLACES)
def test_a_nan_at_any_layer_costs_one_step(place, back):
    before, after, later = (run(place, back, steps) for steps in (BEFORE, BEFORE + 1, 24))
    skips = after.opt_state
    assert (int(skips.skipped), int(skips.in_a_row), bool(skips.accepted)) == (1, 1, False)
    assert int(before.opt_state.skipped) == 0
    # The parameters, the batch statistics, Adam's moments and count, the average: as they were.
    same(
        (after.params, after.state, skips.inner, skips.count),
        (before.params, before.state, before.opt_state.inner, before.opt_state.count),
    )
    # The loss of the epoch is that of its good steps.
    same(after.history["loss"], before.history["loss"])
    assert (int(later.opt_state.skipped), int(later.opt_state.count)) == (1, 23)
    assert int(later.state["batch_norm_0"]["count"]) == 23
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((later.params, later.state, later.history)))
    assert later.history["loss"][-1] < later.history["loss"][0]
