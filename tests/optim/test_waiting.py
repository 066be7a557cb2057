"""What stands behind an accumulation, or a step left out, makes steps only where there is one."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.waiting import stepped
from tests.comparing import close

optax: Any = importlib.import_module("optax")

pytestmark = pytest.mark.usefixtures("strict_numerics")

PARAMS = {"bias": np.array([0.5, -1.0], np.float64), "kernel": np.array([[1.0, 2.0], [-1.0, 3.0]], np.float64)}
CALLS, STEPS = 7, 3

MEMBERS = {
    "momentum": optim.accumulate_velocity(0.9),
    "decay": optim.decay_weights(0.1),
    "clip": optim.clip_by_norm(0.5),
    "schedule": optim.scale_by_learning_rate(optim.cosine(0.5, 4)),
    "plateau": optim.reduce_on_plateau(0.5, patience=1),
    "ema": optim.ema(0.5),
    "adam": optim.adam(0.1),
    "lookahead": optim.lookahead(optim.sgd(0.3, momentum=0.5), 2),
    "accumulate": optim.accumulate(optim.momentum(0.3), 2),
    "optax": optax.trace(0.9),
}
EVERY = optim.chain(*(MEMBERS[name] for name in ("momentum", "decay", "clip", "schedule", "plateau", "ema", "optax")))


def run(optimizer, bad=()):
    """The updates of some calls, with gradients, weights and values of their own; those at the ``bad`` are NaN."""
    draws = np.random.default_rng(0)
    grads = jax.tree.map(lambda w: draws.standard_normal((CALLS, *w.shape)), PARAMS)
    grads["bias"][list(bad)] = np.nan
    extras = {"weight": draws.uniform(1, 2, CALLS), "value": np.arange(CALLS, dtype=np.float64)}

    def call(carry, each):
        params, opt_state = carry
        updates, opt_state = optimizer.update(each[0], opt_state, params, **each[1])
        return (optim.apply_updates(params, updates), opt_state), updates

    return jax.jit(lambda: jax.lax.scan(call, (PARAMS, optimizer.init(PARAMS)), (grads, extras)))()


NAMES = [pytest.param("every", id="every"), *(pytest.param(name, marks=pytest.mark.full) for name in MEMBERS)]


@pytest.mark.parametrize("name", NAMES)
def test_behind_an_accumulation_it_is_as_inside(name):
    member = MEMBERS.get(name, EVERY)
    (_, behind), updates = run(optim.chain(optim.accumulate(optim.sgd(0.5), STEPS), member))
    (_, inside), expected = run(optim.accumulate(optim.chain(optim.sgd(0.5), member), STEPS))
    close(updates, expected)
    close(behind[1], inside.inner[1])
    assert not any(np.any(np.asarray(leaf)[[0, 1, 3, 4, 6]]) for leaf in jax.tree.leaves(updates))


@pytest.mark.parametrize("name", NAMES)
def test_behind_a_step_left_out_it_is_as_inside(name):
    member = MEMBERS.get(name, EVERY)
    (_, behind), updates = run(optim.chain(optim.skip_nonfinite(optim.sgd(0.5)), member), bad=(1, 4))
    (_, inside), expected = run(optim.skip_nonfinite(optim.chain(optim.sgd(0.5), member)), bad=(1, 4))
    close(updates, expected)
    close(behind[1], inside.inner[1])


# Outside what waits and inside it: the same.
AROUND = {
    "lookahead": (
        optim.lookahead(optim.accumulate(optim.sgd(0.5), STEPS), 2),
        optim.accumulate(optim.lookahead(optim.sgd(0.5), 2), STEPS),
    ),
    "schedule_free": (
        optim.schedule_free(0.5, optim.accumulate(optim.chain(), STEPS)),
        optim.accumulate(optim.schedule_free(0.5), STEPS),
    ),
    "accumulations in a chain": (
        optim.chain(optim.accumulate(optim.chain(), STEPS), optim.accumulate(optim.sgd(0.5), 2), optim.ema(0.5)),
        optim.accumulate(optim.accumulate(optim.chain(optim.sgd(0.5), optim.ema(0.5)), 2), STEPS),
    ),
    "skip_nonfinite and accumulate": (
        optim.chain(optim.skip_nonfinite(optim.accumulate(optim.sgd(0.5), STEPS)), optim.ema(0.5)),
        optim.skip_nonfinite(optim.accumulate(optim.chain(optim.sgd(0.5), optim.ema(0.5)), STEPS)),
    ),
    "MultiSteps of optax": (
        optim.chain(optax.MultiSteps(optax.sgd(0.5), STEPS), optim.ema(0.5)),
        optax.MultiSteps(optim.chain(optim.sgd(0.5), optim.ema(0.5)), STEPS),
    ),
}


@pytest.mark.parametrize("name", ["lookahead", *(pytest.param(n, marks=pytest.mark.full) for n in [*AROUND][1:])])
def test_what_stands_around_an_accumulation_waits_with_it(name):
    outside, inside = AROUND[name]
    with jax.numpy_dtype_promotion("standard"):  # for optax
        (params, _), updates = run(outside)
        (expected_params, _), expected = run(inside)
    close(updates, expected)
    close(params, expected_params)


def test_an_average_behind_an_accumulation_by_hand():
    # Two steps of four batches, to 1 and to 2: (0.9 · 0.1 · 1 + 0.1 · 2) / 0.19; with one for every batch it was 0.895.
    optimizer, w = optim.chain(optim.accumulate(optim.sgd(1.0), 4), optim.ema(0.9)), jnp.zeros(())
    opt_state, update = optimizer.init(w), jax.jit(optimizer.update)
    for _ in range(8):
        updates, opt_state = update(jnp.array(-1.0), opt_state, w)
        w = optim.apply_updates(w, updates)
    close(optim.ema_params(opt_state), np.float32(0.29 / 0.19), rtol=1e-6)


def test_groups_wait_only_if_all_of_them_do():
    def of(*optimizers):
        state = optim.groups(dict(zip(("*/bias", "*"), optimizers, strict=True)), show=False).init(PARAMS)
        return stepped(state)

    waiting, going = optim.accumulate(optim.sgd(0.1), 2), optim.sgd(0.1)
    assert of(going, going) is None
    assert of(going, waiting) is None
    assert of(None, waiting) is not None
    assert of(waiting, waiting) is not None
