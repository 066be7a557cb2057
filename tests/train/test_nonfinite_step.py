"""A NaN made by any one layer, on the way out or back, costs the run that one step and nothing else."""

import dataclasses
import functools
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
# What comes back to the input is no gradient of anything, so a NaN there is none.
PLACES = [*((place, False) for place in range(5)), (1, True), (4, True)]


@dataclasses.dataclass(frozen=True)
class Faulty(fnn.Layer, name="faulty"):
    """The identity, but for one entry that is NaN at the step whose key has these bits, which may be traced."""

    bits: Any
    back: bool

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        bad = jnp.array(False) if key is None else (jax.random.key_data(key) == self.bits).all()
        return x if self.back else spoilt(x, bad), state, {"bad": bad}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, spoilt(dy, cache["bad"]) if self.back else dy


def spoilt(x, bad):
    return x.at[0, 0].set(jnp.where(bad, jnp.nan, x[0, 0]))


def name(place, back):
    return f"{'back' if back else 'out'}_{place}"


def objective(bits):
    """A faulty layer at every place: one program serves them all."""
    layers = {}
    for place in range(5):
        layers |= {name(*each): Faulty(bits[name(*each)], each[1]) for each in PLACES if each[0] == place}
        layers |= {f"layer_{place}": layer for layer in LAYERS[place : place + 1]}
    return fnn.Objective(fnn.Serial(**layers), fnn.CrossEntropy())


@functools.cache
def compiled(steps):
    optimizer = optim.skip_nonfinite(optim.chain(optim.adam(0.05), optim.ema(0.9)))
    return jax.jit(fnn.make_train(objective, optimizer, steps=steps, batch_size=4))


def run(place, back, steps):
    step_key = jax.random.fold_in(jax.random.fold_in(named_key(KEY, "epochs"), BEFORE // 4), BEFORE % 4)
    bits = {name(*each): np.zeros(2, np.uint32) for each in PLACES}  # of no key
    faulty = name(place, back)
    bits[faulty] = np.asarray(jax.random.key_data(named_key(named_key(step_key, "model"), faulty)))
    return compiled(steps)(KEY, DATA, bits)


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
    assert int(later.state["layer_1"]["count"]) == 23
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((later.params, later.state, later.history)))
    assert later.history["loss"][-1] < later.history["loss"][0]
