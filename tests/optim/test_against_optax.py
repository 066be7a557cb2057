"""Whole runs against optax, and each library's transformations inside the other's chains."""

import functools
import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim

optax: Any = importlib.import_module("optax")  # Any: its annotations ask for its own record, its functions do not

STEPS = 100

# name: (ours, optax's, a small and a large learning rate); each takes the rate.
CASES = {
    "sgd": (optim.sgd, optax.sgd, (1e-3, 0.5)),
    "momentum": (optim.momentum, functools.partial(optax.sgd, momentum=0.9), (1e-3, 0.2)),
    "nesterov": (optim.nesterov, functools.partial(optax.sgd, momentum=0.9, nesterov=True), (1e-3, 0.2)),
    "adam": (optim.adam, optax.adam, (1e-4, 0.1)),
    "adam with other constants": (
        lambda rate: optim.adam(rate, 0.8, 0.95, 1e-3, 1e-4),
        lambda rate: optax.adam(rate, 0.8, 0.95, 1e-3, 1e-4),
        (1e-4, 0.1),
    ),
    "adamw": (
        lambda rate: optim.adamw(rate, weight_decay=0.1),
        lambda rate: optax.adamw(rate, weight_decay=0.1, mask={"dense": {"bias": False, "kernel": True}}),
        (1e-4, 0.1),
    ),
    "adamw on everything": (
        lambda rate: optim.adamw(rate, weight_decay=0.1, paths="*"),
        lambda rate: optax.adamw(rate, weight_decay=0.1),
        (1e-4, 0.1),
    ),
    "clipped sgd": (
        lambda rate: optim.chain(optim.clip_by_global_norm(0.3), optim.sgd(rate)),
        lambda rate: optax.chain(optax.clip_by_global_norm(0.3), optax.sgd(rate)),
        (1e-2, 0.5),
    ),
    "adam on a schedule": (
        lambda rate: optim.adam(optim.cosine(rate, 80, rate / 10)),
        lambda rate: optax.adam(optax.cosine_decay_schedule(rate, 80, 0.1)),
        (1e-4, 0.1),
    ),
}


def problem(dtype):
    """Parameters and the loss of a logistic regression whose optimum is finite."""
    random = np.random.default_rng(0)
    inputs = jnp.asarray(random.normal(size=(20, 4)), dtype)
    labels = jnp.asarray(random.integers(0, 2, size=(20, 3)) * 2 - 1, dtype)
    params = {"dense": {"bias": jnp.full(3, 0.1, dtype), "kernel": jnp.asarray(random.normal(size=(4, 3)), dtype)}}

    def loss(params):
        logits = inputs @ params["dense"]["kernel"] + params["dense"]["bias"]
        return jnp.sum(jnp.logaddexp(jnp.zeros((), dtype), -labels * logits)) / 20

    return params, loss


@functools.cache
def runner(which, name, dtype):
    make = CASES[name][which]

    def run(rate):
        params, loss = problem(dtype)
        optimizer = make(rate)

        def step(carry, _):
            params, opt_state = carry
            updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
            return ((optim, optax)[which].apply_updates(params, updates), opt_state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, length=STEPS)[0][0]

    return jax.jit(run)


def run(which, name, rate, dtype):
    with jax.enable_x64(dtype == "float64"):
        return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), runner(which, name, dtype)(rate))


def error(tree, reference):
    """The largest difference of a leaf, relative to the norm of the reference's leaf."""
    errors = jax.tree.map(lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b), tree, reference)
    return max(jax.tree.leaves(errors))


@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_in_float64_agree_with_optax(name):
    for rate in CASES[name][2]:
        assert error(run(0, name, rate, "float64"), run(1, name, rate, "float64")) <= 1e-12


@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_in_float32_agree_with_optax(name):
    for rate in CASES[name][2]:
        exact = run(1, name, rate, "float64")
        ours, theirs = run(0, name, rate, "float32"), run(1, name, rate, "float32")
        assert error(ours, exact) <= 1e-6
        # optax keeps 1 − b2 to float32 and divides by 1 − float32(b2)ᵗ: at 0.999 its mean of squares is 1.3e-5 off.
        assert error(ours, theirs) <= 1e-6 + error(theirs, exact)


def test_the_runs_went_somewhere():
    start = jax.tree.map(np.asarray, problem("float32")[0])
    for name, (*_, rates) in CASES.items():
        assert error(run(0, name, rates[1], "float32"), start) > 0.1


GRADS = {"kernel": jnp.array([3.0, -4.0])}
PARAMS = {"kernel": jnp.array([1.0, 2.0])}


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
    params = {"a": jnp.ones(2), "b": jnp.ones(2)}
    grads = {"a": jnp.ones(2), "b": jnp.ones(2)}
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


def test_hyperparameters_of_optax_inject_hyperparams_are_found_too():
    injected = optax.inject_hyperparams(optax.sgd)(learning_rate=0.5)
    opt_state = optim.set_hyperparams(injected.init(PARAMS), learning_rate=0.25)
    updates, opt_state = injected.update(GRADS, opt_state, PARAMS)
    np.testing.assert_allclose(updates["kernel"], -0.25 * GRADS["kernel"])
    driven = optax.inject_hyperparams(optax.sgd)(learning_rate=optax.constant_schedule(0.5)).init(PARAMS)
    with pytest.raises(ValueError, match="learning_rate is driven by a schedule"):
        optim.set_hyperparams(driven, learning_rate=0.25)
