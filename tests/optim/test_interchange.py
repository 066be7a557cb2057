"""Transformations of optax inside runs and chains of fnn, and those of fnn inside optax's wrappers."""

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim

optax: Any = importlib.import_module("optax")

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
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


@pytest.mark.parametrize("name", OPTAX_IN_RUNS)
def test_a_run_with_optax_is_that_with_fnn(name):
    theirs, ours = (
        jax.jit(fnn.make_train(OBJECTIVE, make(), epochs=3, batch_size=6))(KEY, DATA) for make in OPTAX_IN_RUNS[name]
    )
    for a, b in zip(jax.tree.leaves(theirs.params), jax.tree.leaves(ours.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)
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


@pytest.mark.parametrize("name", FNN_IN_OPTAX)
def test_fnn_inside_optax_is_fnn_alone(name):
    start = {"dense": {"bias": jnp.array([0.5, -1.0]), "kernel": jnp.array([[1.0, 2.0], [3.0, -4.0]])}}

    def run(optimizer):
        def step(carry, _):
            params, opt_state = carry
            grads = jax.tree.map(lambda w: w - 0.3, params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), None

        return jax.jit(lambda: jax.lax.scan(step, (start, optimizer.init(start)), None, length=6)[0][0])()

    wrapped, alone = (run(make()) for make in FNN_IN_OPTAX[name])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), wrapped, alone)
    assert not np.allclose(alone["dense"]["kernel"], start["dense"]["kernel"])


def test_optax_leaves_out_the_step_that_is_not_finite_with_the_state_of_fnn():
    params = {"dense": {"kernel": jnp.ones((2, 2))}}
    optimizer = optax.apply_if_finite(ours(), 3)
    opt_state = optimizer.init(params)
    updates, after = jax.jit(optimizer.update)(jax.tree.map(lambda w: w * jnp.nan, params), opt_state, params)
    assert not updates["dense"]["kernel"].any()
    jax.tree.map(np.testing.assert_array_equal, after.inner_state, opt_state.inner_state)
