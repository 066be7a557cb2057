"""A layer of fnn as a module of haiku: parameters, state, keys and gradients, in training loops written for it."""

import pickle
from typing import Any

import jax
import numpy as np
import optax
import pytest

import fnn
from fnn.interop import as_haiku
from tests.interop.hosts import (
    ADAM,
    NETWORK,
    PATHS,
    STATISTICS,
    STEPS,
    Planted,
    X,
    agree,
    data,
    example,
    in_both_widths,
    squares,
    trained_by_fnn,
)

hk: Any = pytest.importorskip("haiku", reason="dm-haiku is not installed (nor is it in CI)")
pytestmark = [pytest.mark.full, pytest.mark.usefixtures("float64")]


def network(x: Any, train: bool) -> Any:
    return as_haiku(NETWORK)(x, train=train)


HOSTED = hk.transform_with_state(network)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The nested dict of fnn from the names that haiku holds."""
    tree: dict[str, Any] = {}
    for path, leaf in flat["serial"].items():
        layer, name = path.split("/")
        tree.setdefault(layer, {})[name] = leaf
    return tree


@in_both_widths
def test_three_steps_of_adam_are_those_of_fnn_with_the_same_keys(dtype: str, tolerance: float):
    x, y = data(dtype)
    params, state = start = HOSTED.init(jax.random.key(0), x, False)
    keys = list(jax.random.split(jax.random.key(1), STEPS))

    @jax.jit
    def step(params: Any, state: Any, opt_state: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            prediction, new_state = HOSTED.apply(params, state, key, x, True)
            return squares(prediction, y), new_state

        gradients, state = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = ADAM.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), state, opt_state

    opt_state = ADAM.init(params)
    for key in keys:
        params, state, opt_state = step(params, state, opt_state, key)
    drawn = [hk.transform(hk.next_rng_key).apply({}, key) for key in keys]  # the first key that a function draws
    mine = trained_by_fnn(nested(start[0]), nested(start[1]), drawn, dtype)
    agree((nested(params), nested(state)), mine, tolerance)


@pytest.mark.parametrize("train", [False, True])
def test_parameters_and_state_have_the_paths_of_fnn_for_names(train: bool):
    params, state = HOSTED.init(jax.random.key(0), X, train)
    assert params["serial"].keys() == PATHS
    assert state["serial"].keys() == STATISTICS
    assert state["serial"]["batch_norm_0/count"] == 0
    key = hk.transform(hk.next_rng_key).apply({}, jax.random.key(0))
    agree((nested(params), nested(state)), NETWORK.init(key, X), 0)


def test_the_state_changes_in_training_only():
    params, state = HOSTED.init(jax.random.key(0), X, False)
    _, state = HOSTED.apply(params, state, jax.random.key(1), X, True)
    assert state["serial"]["batch_norm_0/count"] == 1
    y, after = HOSTED.apply(params, state, None, X, False)
    agree(after, state, 0)
    np.testing.assert_allclose(y, NETWORK.apply(nested(params), nested(state), X)[0], rtol=1e-12)


def test_the_gradient_is_the_one_of_the_hand_rule_also_inside_another_module():
    class Outer(hk.Module):
        def __call__(self, x: Any) -> Any:
            return as_haiku(Planted(), name="inner")(hk.Linear(2)(x))

    outer = hk.transform(lambda x: Outer()(x))
    params = outer.init(jax.random.key(0), X)
    gradients = jax.grad(lambda params: squares(outer.apply(params, None, X), 0))(params)
    assert gradients["outer/inner"]["w"] == 10
    assert np.any(gradients["outer/linear"]["w"])


def test_a_module_that_is_called_twice_has_one_set_of_parameters_and_counts_both():
    def twice(x: Any) -> Any:
        module = as_haiku(fnn.Serial(fnn.BatchNorm(), fnn.Dense(2)))
        return module(module(x, train=True), train=True)

    hosted = hk.transform_with_state(twice)
    params, state = hosted.init(jax.random.key(0), X)
    assert params["serial"].keys() == {"batch_norm_0/scale", "batch_norm_0/bias", "dense_0/kernel", "dense_0/bias"}
    assert hosted.apply(params, state, None, X)[1]["serial"]["batch_norm_0/count"] == 2


def test_the_parameters_survive_pickling_as_haiku_s_users_keep_them():
    kept = HOSTED.init(jax.random.key(0), X, False)
    agree(pickle.loads(pickle.dumps(jax.tree.map(np.asarray, kept))), kept, 0)


def test_the_example_runs():
    made = example(as_haiku, hk=hk)
    assert made["state"]["serial"]["batch_norm_0/count"] == 1


def test_a_missing_key_and_a_wrong_shape_say_what_to_do():
    params, state = HOSTED.init(jax.random.key(0), X, False)
    with pytest.raises(ValueError, match="needs a key") as raised:
        HOSTED.apply(params, state, None, X, True)
    assert "here the key comes from the rng that apply is given" in raised.value.__notes__
    with pytest.raises(ValueError, match="does not match shape"):
        HOSTED.apply(params, state, None, np.repeat(X, 2, axis=-1), False)
