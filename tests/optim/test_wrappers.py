"""Transformations around optimisers: groups, freezing, micro-batches, averages."""

import importlib
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from tests.comparing import close, same

optax: Any = importlib.import_module("optax")

PARAMS = {
    "a": {"bias": np.array([1.0], np.float32), "kernel": np.array([[2.0]], np.float32)},
    "b": {"kernel": np.array([[3.0]], np.float32)},
}
GRADS = jax.tree.map(lambda w: 10 * w, PARAMS)
KEY = jax.random.key(0)
ROUNDED = {"rtol": 1e-6, "atol": 0.0}


# ---- groups and freezing


def test_the_first_glob_that_matches_decides_and_the_table_says_so(capsys):
    optimizer = optim.groups({"*/bias": optim.sgd(0.5), "b/*": None, "*": optim.sgd(0.1)})
    opt_state = optimizer.init(PARAMS)
    assert capsys.readouterr().out.splitlines() == [
        "a/bias    */bias",
        "a/kernel  *",
        "b/kernel  b/*     frozen",
    ]
    updates, opt_state = optimizer.update(GRADS, opt_state, PARAMS)
    expected = {"a": {"bias": np.array([-5.0]), "kernel": np.array([[-2.0]])}, "b": {"kernel": np.array([[0.0]])}}
    close(updates, expected, **ROUNDED)
    assert list(opt_state.groups) == ["*/bias", "*"]


def test_every_group_keeps_a_state_of_its_own_and_its_rates_can_be_set():
    optimizer = optim.groups({"a/*": optim.adam(0.1), "b/*": optim.sgd(0.2, momentum=0.9)}, show=False)
    opt_state = optimizer.init(PARAMS)
    assert sorted(optim.hyperparams(opt_state))[-1].endswith("momentum")
    alone = {"a/*": optim.adam(0.1), "b/*": optim.sgd(0.2, momentum=0.9)}
    states = {name: alone[f"{name}/*"].init(PARAMS[name]) for name in "ab"}

    @jax.jit
    def step(opt_state, states):
        apart = {name: alone[f"{name}/*"].update(GRADS[name], states[name], PARAMS[name]) for name in "ab"}
        return optimizer.update(GRADS, opt_state, PARAMS), apart

    for _ in range(3):
        (updates, opt_state), apart = step(opt_state, states)
        states = {name: state for name, (_, state) in apart.items()}
        close(updates, {name: expected for name, (expected, _) in apart.items()}, **ROUNDED)


def test_a_clip_inside_a_group_is_that_of_the_group():
    clipped = optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(1.0))
    optimizer = optim.groups({"b/*": clipped, "*": optim.sgd(1.0)}, show=False)
    updates, _ = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS)
    close(updates["b"], {"kernel": np.array([[-1.0]])}, **ROUNDED)
    close(updates["a"], jax.tree.map(np.negative, GRADS["a"]), **ROUNDED)


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="'b/kernel' is in none of the groups"):
        optim.groups({"a/*": optim.sgd(0.1)}).init(PARAMS)
    with pytest.raises(
        ValueError, match=r"the group 'a/\*' is empty: the groups before it take \['a/bias', 'a/kernel'\]"
    ):
        optim.groups({"*": optim.sgd(0.1), "a/*": None}).init(PARAMS)
    with pytest.raises(ValueError, match="the group 'c' is empty: it matches none of"):
        optim.groups({"c": None, "*": optim.sgd(0.1)}).init(PARAMS)


def test_frozen_leaves_do_not_move_and_the_others_do():
    optimizer = optim.chain(optim.adamw(0.1, weight_decay=1.0), optim.freeze(("a/*",)))
    updates, _ = optimizer.update(GRADS, optimizer.init(PARAMS), PARAMS)
    same(updates["a"], jax.tree.map(np.zeros_like, PARAMS["a"]))
    assert float(updates["b"]["kernel"][0, 0]) != 0
    with pytest.raises(ValueError, match=r"the glob 'c/\*' matches none of the paths"):
        optim.freeze("c/*").init(PARAMS)


# ---- clipping


def test_clipping_by_value_and_by_the_norm_of_a_leaf_agree_with_optax():
    grads = {"a": np.array([3.0, -4.0, 0.1], np.float32), "b": np.array([0.5], np.float32)}
    updates, _ = optim.clip_by_value(0.7).update(grads, optim.clip_by_value(0.7).init(grads))
    close(updates, optax.clip(0.7).update(grads, optax.EmptyState())[0], **ROUNDED)
    updates, _ = optim.clip_by_norm(1.0).update(grads, optim.clip_by_norm(1.0).init(grads))
    close(updates, {"a": grads["a"] / np.sqrt(25.01), "b": grads["b"]}, **ROUNDED)


# ---- micro-batches


@pytest.mark.full
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_ragged_weighted_micro_batches_equal_the_full_batch(draw, random, dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        x, y, w = (part.astype(dtype) for part in (random(12, 3), random(12, 2), draw.uniform(0.0, 2.0, 12)))
        objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(2)), fnn.MeanSquaredError())

        def moved(optimizer, parts):
            def updates():
                params, _ = objective.init(KEY, x)
                opt_state = optimizer.init(params)
                for part in parts:
                    batch = (x[part], y[part], w[part])
                    (value, aux), grads = objective.value_and_grad(params, {}, batch)
                    weight = objective.loss.weight(aux.outputs, *batch[1:])
                    updates, opt_state = optimizer.update(grads, opt_state, params, value=value, weight=weight)
                return updates

            return jax.jit(updates)()

        whole = moved(optim.adam(0.1, eps=1e-3), [slice(None)])
        ragged = moved(optim.accumulate(optim.adam(0.1, eps=1e-3), 3), [slice(0, 7), slice(7, 8), slice(8, 12)])
        for one, other in zip(jax.tree.leaves(ragged), jax.tree.leaves(whole), strict=True):
            assert np.linalg.norm(one - other) <= tolerance * np.linalg.norm(other)


def test_the_smallest_example_of_a_mean_of_means():
    # Samples 1, 2 | 3 with weights 1, 1 | 4 … the gradient of the mean is Σ w g / Σ w = (1 + 2 + 12)/6 = 2.5.
    optimizer = optim.accumulate(optim.sgd(1.0), 2)
    opt_state = optimizer.init(jnp.zeros(()))
    _, opt_state = optimizer.update(jnp.array(1.5), opt_state, weight=jnp.array(2.0))
    updates, _ = optimizer.update(jnp.array(3.0), opt_state, weight=jnp.array(4.0))
    assert float(updates) == -2.5


def test_nothing_moves_between_and_the_sums_start_anew():
    optimizer = optim.accumulate(optim.sgd(1.0), 2)
    step, opt_state, seen = jax.jit(optimizer.update), optimizer.init(jnp.zeros(())), []
    for gradient in (2.0, 4.0, 6.0, 8.0):
        updates, opt_state = step(jnp.array(gradient), opt_state)
        seen.append(float(updates))
    assert seen == [0, -3, 0, -7]


def test_a_batch_of_weight_zero_counts_nothing_whatever_its_gradient():
    optimizer = optim.accumulate(optim.sgd(1.0), 2)
    opt_state = optimizer.init(jnp.zeros(()))
    _, opt_state = optimizer.update(jnp.array(jnp.nan), opt_state, weight=jnp.array(0.0), value=jnp.array(jnp.nan))
    updates, _ = optimizer.update(jnp.array(3.0), opt_state, weight=jnp.array(5.0), value=jnp.array(1.0))
    assert float(updates) == -3


def test_a_line_search_over_one_of_several_batches_is_refused():
    optimizer, w = optim.accumulate(optim.lbfgs(), 2), jnp.array(3.0)
    with pytest.raises(ValueError, match="the line search of lbfgs evaluates the objective"):
        optimizer.update(w, optimizer.init(w), w, value=w**2, value_fn=lambda w: w**2)


def test_accumulation_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="steps is at least 1, got 0"):
        optim.accumulate(optim.sgd(0.1), 0)


# ---- averages


def test_ema_is_the_corrected_mean_of_the_parameters_after_each_step():
    optimizer, w, seen = optim.chain(optim.sgd(1.0), optim.ema(0.8)), np.array([4.0, 1.0], np.float32), []
    opt_state = optimizer.init(w)
    for gradient in (1.0, -2.0, 0.5):
        updates, opt_state = optimizer.update(np.full(2, gradient, np.float32), opt_state, w)
        w = optim.apply_updates(w, updates)
        seen.append(np.asarray(w))
    weights = 0.2 * 0.8 ** np.arange(3)[::-1]
    expected = sum(weight * each for weight, each in zip(weights, seen, strict=True)) / weights.sum()
    close(optim.ema_params(opt_state), expected, **ROUNDED)


def test_an_average_needs_params_and_is_looked_up_where_there_is_one():
    with pytest.raises(ValueError, match="an average of the params needs them"):
        optim.ema(0.9).update(GRADS, optim.ema(0.9).init(PARAMS))
    with pytest.raises(ValueError, match="expected one ema in this optimiser state, found 0"):
        optim.ema_params(optim.sgd(0.1).init(PARAMS))
    with pytest.raises(ValueError, match="decay is a number in"):
        optim.ema(1.0)


def test_lookahead_agrees_with_optax():
    slow = np.array([4.0, -1.0], np.float32)
    theirs = optax.lookahead(optax.sgd(0.3, momentum=0.9), sync_period=3, slow_step_size=0.4)
    ours = optim.lookahead(optim.sgd(0.3, momentum=0.9), sync_period=3, slow_step=0.4)
    pair = optax.LookaheadParams.init_synced(slow)
    w, their_state, our_state = slow, theirs.init(pair), ours.init(slow)

    @jax.jit
    def step(w, our_state, pair, their_state):
        updates, their_state = theirs.update(2 * pair.fast, their_state, pair)
        our_updates, our_state = ours.update(2 * w, our_state, w)
        return optim.apply_updates(w, our_updates), our_state, optax.apply_updates(pair, updates), their_state

    for _ in range(8):
        w, our_state, pair, their_state = step(w, our_state, pair, their_state)
        close(w, pair.fast, rtol=1e-5, atol=0.0)


def test_lookahead_needs_params_and_a_period():
    with pytest.raises(ValueError, match="lookahead needs the params"):
        optim.lookahead(optim.sgd(0.1)).update(GRADS, optim.lookahead(optim.sgd(0.1)).init(PARAMS))
    with pytest.raises(ValueError, match="sync_period is at least 1, got 0"):
        optim.lookahead(optim.sgd(0.1), 0)


# ---- whole runs


@pytest.mark.full
def test_all_of_them_together_in_one_compiled_run(random):
    x = random(20, 3).astype(np.float32)
    y = (x.sum(1) > 0).astype(np.int32)
    inner = optim.chain(
        optim.clip_by_norm(1.0),
        optim.groups({"*/bias": optim.sgd(0.1), "*": optim.adamw(0.05)}, show=False),
        optim.ema(0.9),
    )
    optimizer = optim.skip_nonfinite(optim.accumulate(optim.lookahead(inner, 2), 2))
    objective = fnn.Objective(fnn.Serial(fnn.Dense(8), fnn.Relu(), fnn.Dense(2)), fnn.CrossEntropy())
    train = jax.jit(fnn.make_train(objective, optimizer, epochs=10, batch_size=6, evaluate_averaged=False))
    result = train(KEY, (x, y))
    assert result.history["loss"][-1] < 0.7 * result.history["loss"][0]
    chex.assert_trees_all_equal_shapes_and_dtypes(optim.ema_params(result.opt_state), result.params)


def test_an_average_under_a_schedule_is_a_mean_too():
    optimizer, w = optim.ema(lambda t: jnp.where(t == 0, 0.0, jnp.minimum(0.9, (1 + t) / (10 + t)))), jnp.array(1.0)
    opt_state = optimizer.init(w)
    step = jax.jit(optimizer.update)
    for _ in range(5):
        _, opt_state = step(jnp.zeros_like(w), opt_state, w)
        close(optim.ema_params(opt_state), w, **ROUNDED)
    changed = optim.ema(0.9)
    opt_state = optim.set_hyperparams(changed.update(0 * w, changed.init(w), w)[1], decay=0.999)
    close(optim.ema_params(changed.update(0 * w, opt_state, w)[1]), w, **ROUNDED)


EVERY = {
    "accumulate": optim.accumulate(optim.adam(0.1), 2),
    "skip_nonfinite": optim.skip_nonfinite(optim.adam(0.1)),
    "lookahead": optim.lookahead(optim.sgd(0.1, momentum=0.9)),
    "ema": optim.chain(optim.sgd(0.1), optim.ema(0.9)),
    "groups": optim.groups({"a/*": optim.amsgrad(0.1), "*": optim.lamb(0.1)}, show=False),
    "rmsprop": optim.rmsprop(0.1, centered=True, momentum=0.9),
    "adadelta": optim.adadelta(0.1),
}


@pytest.mark.full
@pytest.mark.parametrize("name", EVERY)
def test_params_and_state_can_be_given_to_jit_to_overwrite(name):
    optimizer = EVERY[name]
    params = jax.tree.map(jnp.array, PARAMS)

    def step(params, opt_state):
        updates, opt_state = optimizer.update(GRADS, opt_state, params)
        return optim.apply_updates(params, updates), opt_state

    step = jax.jit(step, donate_argnums=(0, 1))
    moved, opt_state = step(params, optimizer.init(params))
    step(moved, opt_state)


def test_skipping_stands_outside():
    skipping = optim.skip_nonfinite(optim.sgd(0.1))
    with pytest.raises(ValueError, match=r"write skip_nonfinite\(accumulate\(…\)\)"):
        optim.accumulate(skipping, 2).init(PARAMS)
    with pytest.raises(ValueError, match=r"write skip_nonfinite\(groups\(…\)\)"):
        optim.groups({"*": skipping}, show=False).init(PARAMS)


def test_an_error_from_inside_a_group_names_it():
    with pytest.raises(ValueError, match=r"matches none of the paths \[a/bias\]") as caught:
        optim.groups({"*/bias": optim.adamw(0.1), "*": optim.sgd(0.1)}, show=False).init(PARAMS)
    assert "in the group '*/bias'" in caught.value.__notes__
