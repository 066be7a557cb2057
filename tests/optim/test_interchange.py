"""Transformations of optax inside runs and chains of fnn, and those of fnn inside optax's wrappers."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from tests.comparing import close, same
from tests.drawing import drawn

optax: Any = importlib.import_module("optax")

KEY = jax.random.key(0)
X = drawn("inputs of a regression", 24, 3).astype(np.float32)
DATA = (X, X @ np.array([[1.0], [-2.0], [0.5]], np.float32))
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(1)), fnn.MeanSquaredError())


def is_kernel(params):
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


# eps: a moment near 0 would blow up the rounding of a clipped gradient.
OPTAX_IN_RUNS = {
    "clip and adamw with a schedule": (
        lambda: optax.chain(
            optax.clip_by_global_norm(0.5),
            optax.adamw(optax.cosine_decay_schedule(0.05, 12), eps=1e-4, weight_decay=0.1, mask=is_kernel),
        ),
        lambda: optim.chain(
            optim.clip_by_global_norm(0.5), optim.adamw(optim.cosine(0.05, 12), eps=1e-4, weight_decay=0.1)
        ),
    ),
    "hyperparameters in the state": (
        lambda: optax.inject_hyperparams(optax.adam)(learning_rate=optax.linear_schedule(0.1, 0.0, 12), eps=1e-4),
        lambda: optim.adam(lambda step: 0.1 * jnp.maximum(0, 1 - step / 12), eps=1e-4),
    ),
    "masked": (
        lambda: optax.chain(optax.masked(optax.add_decayed_weights(0.1), is_kernel), optax.sgd(0.1, momentum=0.9)),
        lambda: optim.chain(optim.decay_weights(0.1), optim.momentum(0.1)),
    ),
    "micro-batches": (
        lambda: optax.MultiSteps(optax.adam(0.05, eps=1e-4), 2),
        lambda: optim.accumulate(optim.adam(0.05, eps=1e-4), 2),
    ),
    "optax in a chain of fnn": (
        lambda: optim.chain(optax.clip(0.2), optim.skip_nonfinite(optax.adam(0.05, eps=1e-4))),
        lambda: optim.chain(optim.clip_by_value(0.2), optim.adam(0.05, eps=1e-4)),
    ),
}


# The quick proof: the records of both libraries inside one another.
IN_RUNS = [
    pytest.param(name, marks=() if name == "optax in a chain of fnn" else pytest.mark.full) for name in OPTAX_IN_RUNS
]


@pytest.mark.full
@pytest.mark.parametrize("name", IN_RUNS)
def test_a_run_with_optax_is_that_with_fnn(name):
    theirs, ours = (
        jax.jit(fnn.make_train(OBJECTIVE, make(), epochs=3, batch_size=6))(KEY, DATA) for make in OPTAX_IN_RUNS[name]
    )
    close(theirs.params, ours.params, rtol=2e-4, atol=1e-5)
    np.testing.assert_allclose(theirs.history["loss"], ours.history["loss"], rtol=1e-4)


def test_hyperparameters_of_optax_are_read_and_set():
    optimizer = optim.chain(optim.clip_by_value(0.2), optax.inject_hyperparams(optax.adam)(learning_rate=0.1))
    opt_state = optimizer.init({"kernel": jnp.ones((2, 2))})
    assert float(optim.hyperparams(opt_state)["learning_rate"]) == pytest.approx(0.1)
    changed = optim.hyperparams(optim.set_hyperparams(opt_state, learning_rate=0.5))
    assert float(changed["learning_rate"]) == 0.5


def labels(params):
    return jax.tree.map(lambda leaf: "kernels" if leaf.ndim > 1 else "rest", params)


def ours():
    return optim.adamw(optim.cosine(0.1, 8), weight_decay=0.1)


FNN_IN_OPTAX = {
    "chain": (
        lambda: optax.chain(optax.clip_by_global_norm(0.5), ours()),
        lambda: optim.chain(optim.clip_by_global_norm(0.5), ours()),
    ),
    "masked": (
        lambda: optax.masked(optim.clip_by_value(0.01), is_kernel),
        lambda: optim.groups({"*/kernel": optim.clip_by_value(0.01), "*": optim.chain()}, show=False),
    ),
    "multi_transform": (
        lambda: optax.multi_transform({"kernels": ours(), "rest": optim.sgd(0.2)}, labels),
        lambda: optim.groups({"*/kernel": ours(), "*": optim.sgd(0.2)}, show=False),
    ),
    "apply_if_finite": (lambda: optax.apply_if_finite(ours(), 3), ours),
    "MultiSteps": (lambda: optax.MultiSteps(ours(), 2), lambda: optim.accumulate(ours(), 2)),
    "lookahead inside": (lambda: optax.chain(optim.lookahead(ours(), 2)), lambda: optim.lookahead(ours(), 2)),
}


@pytest.mark.full
@pytest.mark.parametrize("name", FNN_IN_OPTAX)
def test_fnn_inside_optax_is_fnn_alone(name):
    start = {
        "dense": {"bias": np.array([0.5, -1.0], np.float32), "kernel": np.array([[1.0, 2.0], [3.0, -4.0]], np.float32)}
    }

    def run(optimizer):
        def step(carry, _):
            params, opt_state = carry
            grads = jax.tree.map(lambda w: w - 0.3, params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.jit(lambda: jax.lax.scan(step, (start, optimizer.init(start)), None, length=6)[0][0])()

    wrapped, alone = (run(make()) for make in FNN_IN_OPTAX[name])
    close(wrapped, alone, rtol=1e-5, atol=1e-6)
    assert not np.allclose(alone["dense"]["kernel"], start["dense"]["kernel"])


def test_optax_leaves_out_the_step_that_is_not_finite_with_the_state_of_fnn():
    params = {"dense": {"kernel": jnp.ones((2, 2))}}
    optimizer = optax.apply_if_finite(ours(), 3)
    opt_state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(jax.tree.map(lambda w: w * jnp.nan, params), opt_state, params)
    assert not updates["dense"]["kernel"].any()
    same(after.inner_state, opt_state.inner_state)


GRADS = {"kernel": np.array([3.0, -4.0], np.float32)}
PARAMS = {"kernel": np.array([1.0, 2.0], np.float32)}


def test_optax_transformations_stand_in_our_chain():
    ours = optim.chain(optax.clip_by_global_norm(1.0), optim.adam(0.1), optax.scale(0.5))
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1), optax.scale(0.5))
    updates, opt_state = ours.update(
        GRADS, ours.init(PARAMS), PARAMS, value=jnp.array(1.0), value_fn=lambda params: 0.0
    )
    expected, _ = theirs.update(GRADS, theirs.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["kernel"], expected["kernel"], rtol=2e-5)
    assert optim.hyperparams(opt_state)["learning_rate"] == np.float32(0.1)


def test_our_optimisers_stand_in_optax_chain():
    ours = optax.chain(optim.clip_by_global_norm(1.0), optim.adamw(0.1), optax.scale(0.5))
    theirs = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(0.1), optax.scale(0.5))
    updates, opt_state = ours.update(GRADS, ours.init(PARAMS), PARAMS, value=jnp.array(1.0))
    expected, _ = theirs.update(GRADS, theirs.init(PARAMS), PARAMS)
    np.testing.assert_allclose(updates["kernel"], expected["kernel"], rtol=2e-5)
    changed = optim.set_hyperparams(opt_state, learning_rate=0.2)
    doubled, _ = ours.update(GRADS, changed, PARAMS)
    again, _ = ours.update(GRADS, opt_state, PARAMS)
    np.testing.assert_allclose(doubled["kernel"], 2 * again["kernel"], rtol=1e-6)


def test_our_optimisers_stand_in_optax_masked_multi_transform_and_multi_steps():
    params = grads = {"a": np.ones(2, np.float32), "b": np.ones(2, np.float32)}
    masked = optax.masked(optim.adam(0.1), {"a": True, "b": False})
    updates, _ = masked.update(grads, masked.init(params), params)
    np.testing.assert_allclose(updates["a"], -0.1, rtol=1e-6)
    np.testing.assert_array_equal(updates["b"], grads["b"])
    groups = optax.multi_transform({"slow": optim.sgd(0.1), "fast": optim.sgd(1.0)}, {"a": "slow", "b": "fast"})
    opt_state = groups.init(params)
    updates, _ = groups.update(grads, opt_state, params)
    np.testing.assert_allclose(updates["a"], -0.1, rtol=1e-6)
    np.testing.assert_allclose(updates["b"], -1.0)
    assert [key.rpartition("/")[2] for key in optim.hyperparams(opt_state)] == ["learning_rate"] * 2
    averaged = optax.MultiSteps(optim.sgd(1.0), every_k_schedule=2)
    opt_state = averaged.init(params)
    updates, opt_state = averaged.update(grads, opt_state, params)
    np.testing.assert_array_equal(updates["a"], 0)
    updates, _ = averaged.update(jax.tree.map(lambda g: 3 * g, grads), opt_state, params)
    np.testing.assert_allclose(updates["a"], -2.0)


def test_optax_transformations_get_the_extras_that_they_take():
    plateau = optim.chain(optim.sgd(1.0), optax.contrib.reduce_on_plateau(factor=0.5, patience=1))
    opt_state = plateau.init(PARAMS)
    for scale in (1.0, 0.5, 0.25):  # no progress after the first value
        updates, opt_state = plateau.update(GRADS, opt_state, PARAMS, value=jnp.array(1.0), weight=jnp.array(8.0))
        np.testing.assert_allclose(updates["kernel"], -scale * GRADS["kernel"])


@pytest.mark.full
def test_hyperparameters_of_optax_inject_hyperparams_are_found_too():
    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)
    opt_state = optim.set_hyperparams(injected.init(PARAMS), learning_rate=0.25)
    updates, opt_state = injected.update(GRADS, opt_state, PARAMS)
    np.testing.assert_allclose(updates["kernel"], -0.25 * GRADS["kernel"])
    driven = optax.inject_hyperparams(optax.sgd)(learning_rate=optax.constant_schedule(0.5)).init(PARAMS)
    with pytest.raises(ValueError, match="learning_rate is driven by a schedule"):
        optim.set_hyperparams(driven, learning_rate=0.25)
