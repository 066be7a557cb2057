"""A layer of fnn as a module of linen: parameters, state, keys and gradients, in training loops written for flax."""

from typing import Any

import jax
import numpy as np
import optax
import pytest

import fnn
from fnn.interop import as_flax
from fnn.paths import named_leaves
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

nn: Any = pytest.importorskip("flax.linen", reason="flax is not installed (nor is it in CI)")
serialization: Any = pytest.importorskip("flax.serialization", reason="flax is not installed (nor is it in CI)")
pytestmark = [pytest.mark.full, pytest.mark.usefixtures("float64")]

MODULE = as_flax(NETWORK)


@in_both_widths
def test_three_steps_of_adam_are_those_of_fnn_with_the_same_keys(dtype: str, tolerance: float):
    x, y = data(dtype)
    variables = MODULE.init(jax.random.key(0), x)
    keys = list(jax.random.split(jax.random.key(1), STEPS))

    @jax.jit
    def step(params: Any, statistics: Any, opt_state: Any, key: Any) -> Any:
        def loss(params: Any) -> Any:
            prediction, changed = MODULE.apply(
                {"params": params, "batch_stats": statistics},
                x,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            return squares(prediction, y), changed["batch_stats"]

        gradients, statistics = jax.grad(loss, has_aux=True)(params)
        updates, opt_state = ADAM.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), statistics, opt_state

    params, statistics = variables["params"], variables["batch_stats"]
    opt_state = ADAM.init(params)
    for key in keys:
        params, statistics, opt_state = step(params, statistics, opt_state, key)
    # The key that a root module draws from a stream is not the stream's own.
    drawn = [MODULE.apply({}, rngs={"dropout": key}, method="dropout_key") for key in keys]
    mine = trained_by_fnn(variables["params"], variables["batch_stats"], drawn, dtype)
    agree((params, statistics), mine, tolerance)


def test_the_collections_have_the_paths_of_fnn_and_the_state_that_init_makes():
    variables = MODULE.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, X, train=True)
    assert named_leaves(variables["params"]).keys() == PATHS
    assert named_leaves(variables["batch_stats"]).keys() == STATISTICS
    assert variables["batch_stats"]["batch_norm_0"]["count"] == 0
    agree(variables, MODULE.init(jax.random.key(0), X), 0)


def test_the_gradient_is_the_one_of_the_hand_rule_also_inside_another_module():
    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return as_flax(Planted(), name="inner")(nn.Dense(2)(x))

    variables = Outer().init(jax.random.key(0), X)
    gradients = jax.grad(lambda variables: squares(Outer().apply(variables, X), 0))(variables)
    assert gradients["params"]["inner"]["w"] == 10
    assert np.any(gradients["params"]["Dense_0"]["kernel"])
    assert list(nn.Sequential([as_flax(Planted())]).init(jax.random.key(0), X)["params"]) == ["layers_0"]


def test_the_state_changes_in_training_only_and_where_it_is_mutable():
    variables, rngs = MODULE.init(jax.random.key(0), X), {"dropout": jax.random.key(1)}
    _, changed = MODULE.apply(variables, X, train=True, mutable=["batch_stats"], rngs=rngs)
    assert changed["batch_stats"]["batch_norm_0"]["count"] == 1
    trained = {**variables, **changed}
    evaluated, unchanged = jax.jit(lambda trained: MODULE.apply(trained, X, mutable=["batch_stats"]))(trained)
    agree(unchanged, changed, 0)
    expected, _ = NETWORK.apply(trained["params"], trained["batch_stats"], X)
    np.testing.assert_allclose(evaluated, expected, rtol=1e-12)
    with pytest.raises(Exception, match='Cannot update variable "batch_norm_0"'):
        MODULE.apply(variables, X, train=True, rngs=rngs)


def test_a_module_that_is_called_twice_has_one_set_of_parameters_and_counts_both():
    class Twice(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            module = as_flax(fnn.Serial(fnn.BatchNorm(), fnn.Dense(2)))
            return module(module(x, train=True), train=True)

    variables = Twice().init(jax.random.key(0), X)
    assert variables["params"].keys() == {"FnnLayer_0"}
    _, changed = Twice().apply(variables, X, mutable=["batch_stats"])
    assert changed["batch_stats"]["FnnLayer_0"]["batch_norm_0"]["count"] == 2


def test_the_variables_survive_flax_s_serialisation():
    variables = MODULE.init(jax.random.key(0), X)
    read = serialization.from_bytes(jax.tree.map(np.zeros_like, variables), serialization.to_bytes(variables))
    agree(read, variables, 0)


def test_a_missing_key_and_a_wrong_shape_say_what_to_do():
    variables = MODULE.init(jax.random.key(0), X)
    with pytest.raises(ValueError, match="needs a key") as raised:
        MODULE.apply(variables, X, train=True, mutable=["batch_stats"])
    assert 'here the key comes from rngs={"dropout": key}' in raised.value.__notes__
    with pytest.raises(TypeError, match="train must be a Python bool"):
        jax.jit(lambda train: MODULE.apply(variables, X, train=train))(True)
    with pytest.raises(Exception, match="expected to generate shape"):
        MODULE.apply(variables, np.repeat(X, 2, axis=-1))
    with pytest.raises(Exception, match='from collection "params" in "/" but the collection is empty'):
        MODULE.apply({}, X)


NAMES = {name: fnn.Dense(2) for name in ("layer", "name", "parent", "scope", "dropout_key")}


@pytest.mark.parametrize("layer", [fnn.Relu(), fnn.Dense(2), fnn.Serial(**NAMES)], ids=["none", "own", "linen's names"])
def test_any_names_of_parameters_are_taken_and_none(layer: Any):
    variables = as_flax(layer).init(jax.random.key(0), X)
    params = variables.get("params", {})
    assert named_leaves(params).keys() == named_leaves(layer.init(jax.random.key(0), X)[0]).keys()
    np.testing.assert_allclose(as_flax(layer).apply(variables, X), layer.apply(params, {}, X)[0], rtol=1e-12)


def test_batch_norm_that_was_never_trained_raises_as_in_fnn_but_not_in_init():
    variables = MODULE.init(jax.random.key(0), X)
    with pytest.raises(ValueError, match="this batch norm has no statistics yet"):
        MODULE.apply(variables, X)


def test_the_example_runs():
    made = example(as_flax, nn=nn)
    assert made["y"].shape == (4, 3, 3, 2)
    assert made["changed"]["batch_stats"]["batch_norm_0"]["count"] == 1
