"""A layer of fnn as a module of equinox: parameters, state, keys and gradients, in training loops written for it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.interop import as_equinox
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

eqx: Any = pytest.importorskip("equinox", reason="equinox is not installed (nor is it in CI)")
pytestmark = [pytest.mark.full, pytest.mark.usefixtures("float64")]


def made(seed: int = 0, x: Any = X) -> tuple[Any, Any]:
    return eqx.nn.make_with_state(as_equinox(NETWORK))(x, key=jax.random.key(seed))


@in_both_widths
def test_three_steps_of_adam_are_those_of_fnn_with_the_same_keys(dtype: str, tolerance: float):
    x, y = data(dtype)
    module, state = made(0, x)
    keys = list(jax.random.split(jax.random.key(1), STEPS))
    start = module.params, state.get(module.index)

    @eqx.filter_jit
    def step(module: Any, state: Any, opt_state: Any, key: Any) -> Any:
        def loss(module: Any) -> Any:
            prediction, new_state = module(x, state, train=True, key=key)
            return squares(prediction, y), new_state

        gradients, state = eqx.filter_grad(loss, has_aux=True)(module)
        updates, opt_state = ADAM.update(gradients, opt_state, module)
        return eqx.apply_updates(module, updates), state, opt_state

    opt_state = ADAM.init(eqx.filter(module, eqx.is_inexact_array))
    for key in keys:
        module, state, opt_state = step(module, state, opt_state, key)
    agree((module.params, state.get(module.index)), trained_by_fnn(*start, keys, dtype), tolerance)


def test_parameters_and_state_have_the_paths_of_fnn_and_are_those_of_init():
    module, state = made()
    assert named_leaves(module.params).keys() == PATHS
    assert named_leaves(state.get(module.index)).keys() == STATISTICS
    agree((module.params, state.get(module.index)), NETWORK.init(jax.random.key(0), X), 0)
    assert len(jax.tree.leaves(eqx.filter(module, eqx.is_inexact_array))) == len(PATHS)


def test_the_state_changes_in_training_only():
    module, state = made()
    _, state = module(X, state, train=True, key=jax.random.key(1))
    before = jax.tree.map(np.asarray, state.get(module.index))
    assert before["batch_norm_0"]["count"] == 1
    y, state = module(X, state)
    agree(state.get(module.index), before, 0)
    np.testing.assert_allclose(y, NETWORK.apply(module.params, before, X)[0], rtol=1e-12)


def test_the_gradient_is_the_one_of_the_hand_rule_also_inside_another_module():
    class Outer(eqx.Module):
        first: Any
        norm: Any
        inner: Any

        def __init__(self, key: Any) -> None:
            self.first = eqx.nn.Linear(2, 2, key=key)
            self.norm = as_equinox(fnn.BatchNorm())(X, key=key)
            self.inner = as_equinox(Planted())(X, key=key)

        def __call__(self, x: Any, state: Any) -> Any:
            x, state = self.norm(x @ self.first.weight, state, train=True)
            return self.inner(x), state

    module, state = eqx.nn.make_with_state(Outer)(key=jax.random.key(0))
    gradients, state = eqx.filter_grad(
        lambda module: (lambda y, state: (squares(y, X), state))(*module(X, state)), has_aux=True
    )(module)
    assert gradients.inner.params["w"] == 10
    assert np.any(gradients.first.weight)
    assert state.get(module.norm.index)["count"] == 1


def test_a_layer_without_state_is_called_with_and_without_one():
    module, state = eqx.nn.make_with_state(as_equinox(fnn.Dense(2)))(X, key=jax.random.key(0))
    y, same = module(X, state)
    assert same is state
    np.testing.assert_array_equal(module(X), y)


def test_the_leaves_survive_equinox_s_serialisation(tmp_path: Path):
    kept, other = made(0), made(1)
    eqx.tree_serialise_leaves(tmp_path / "model.eqx", kept)
    module, state = eqx.tree_deserialise_leaves(tmp_path / "model.eqx", other)
    agree((module.params, state.get(module.index)), (kept[0].params, kept[1].get(kept[0].index)), 0)


def test_the_example_runs():
    made = example(as_equinox, eqx=eqx)
    assert made["state"].get(made["module"].index)["batch_norm_0"]["count"] == 1


def test_a_missing_state_and_a_missing_key_say_what_to_do():
    module, state = made()
    with pytest.raises(ValueError, match=r"has state: write y, state = module\(x, state\)"):
        module(X)
    with pytest.raises(TypeError, match=r"state is an eqx.nn.State, got {mean: float32\[2\]}; module, state = "):
        module(X, {"mean": np.zeros(2, "float32")})
    assert repr(module).startswith("FnnLayer(")
    with pytest.raises(ValueError, match="needs a key") as raised:
        module(X, state, train=True)
    assert "here the key comes from module(x, state, train=True, key=key)" in raised.value.__notes__
