"""A layer of fnn as a module of NNX: parameters, state, keys and gradients, in training loops written for flax."""

import copy
from typing import Any

import jax
import numpy as np
import pytest

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

nnx: Any = pytest.importorskip("flax.nnx", reason="flax is not installed (nor is it in CI)")
pytestmark = [pytest.mark.full, pytest.mark.usefixtures("float64")]

MAKE = as_flax(NETWORK, api="nnx")


def arrays(variables: Any) -> Any:
    return nnx.to_pure_dict(variables)


@in_both_widths
def test_three_steps_of_adam_are_those_of_fnn_with_the_same_keys(dtype: str, tolerance: float):
    x, y = data(dtype)
    module = MAKE(x, rngs=nnx.Rngs(params=0, dropout=1))
    start = arrays(nnx.state(module, nnx.Param))["params"], arrays(nnx.state(module, nnx.BatchStat))["state"]
    (params, state), stream = jax.tree.map(np.asarray, start), copy.deepcopy(module.rngs)
    optimizer = nnx.Optimizer(module, ADAM, wrt=nnx.Param)

    @nnx.jit
    def step(module: Any, optimizer: Any) -> None:
        gradients = nnx.grad(lambda module: squares(module(x, train=True), y))(module)
        optimizer.update(module, gradients)

    for _ in range(STEPS):
        step(module, optimizer)
    mine = trained_by_fnn(params, state, [stream() for _ in range(STEPS)], dtype)
    theirs = arrays(nnx.state(module, nnx.Param))["params"], arrays(nnx.state(module, nnx.BatchStat))["state"]
    agree(theirs, mine, tolerance)


def test_parameters_and_state_are_variables_by_the_paths_of_fnn():
    module = MAKE(X, rngs=nnx.Rngs(0))
    params, state = nnx.state(module, nnx.Param), nnx.state(module, nnx.BatchStat)
    assert named_leaves(arrays(params)).keys() == {f"params/{path}" for path in PATHS}
    assert named_leaves(arrays(state)).keys() == {f"state/{path}" for path in STATISTICS}


def test_the_state_changes_in_training_only():
    module = MAKE(X, rngs=nnx.Rngs(0))
    module(X, train=True)
    before = jax.tree.map(np.asarray, arrays(nnx.state(module, (nnx.Param, nnx.BatchStat))))
    assert before["state"]["batch_norm_0"]["count"] == 1
    y = jax.jit(lambda x: module(x))(X)  # NNX raises if a variable or a stream changes in here
    agree(arrays(nnx.state(module, (nnx.Param, nnx.BatchStat))), before, 0)
    np.testing.assert_allclose(y, NETWORK.apply(before["params"], before["state"], X)[0], rtol=1e-12)


def test_the_gradient_is_the_one_of_the_hand_rule_also_inside_another_module():
    class Outer(nnx.Module):
        def __init__(self, rngs: Any) -> None:
            self.first = nnx.Linear(2, 2, rngs=rngs)
            self.inner = as_flax(Planted(), api="nnx")(X, rngs=rngs)

        def __call__(self, x: Any) -> Any:
            return self.inner(self.first(x.astype(np.float32)))

    gradients = arrays(nnx.grad(lambda module: squares(module(X), 0))(Outer(nnx.Rngs(0))))
    assert gradients["inner"]["params"]["w"] == 10
    assert np.any(gradients["first"]["kernel"])


def test_the_keys_of_the_call_go_before_those_of_the_module():
    module = MAKE(X, rngs=nnx.Rngs(params=0))
    with pytest.raises(ValueError, match="needs a key") as raised:
        module(X, train=True)
    assert any("the stream dropout" in note for note in raised.value.__notes__)
    y = module(X, train=True, rngs=nnx.Rngs(5))
    np.testing.assert_array_equal(y, MAKE(X, rngs=nnx.Rngs(params=0, dropout=7))(X, train=True, rngs=nnx.Rngs(5)))


def test_the_arrays_survive_a_split_a_dict_and_a_merge():
    module, other = MAKE(X, rngs=nnx.Rngs(0)), MAKE(X, rngs=nnx.Rngs(1))
    module(X, train=True)
    graph, state = nnx.split(other)
    nnx.replace_by_pure_dict(state, arrays(nnx.state(module)))
    np.testing.assert_array_equal(nnx.merge(graph, state)(X), module(X))


def test_the_example_runs():
    made = example(as_flax, 1, nnx=nnx, layer=NETWORK)
    assert made["y"].shape == (4, 2)


def test_the_options_are_checked():
    with pytest.raises(ValueError, match=r"api is one of \['linen', 'nnx'\], got 'flax'"):
        as_flax(NETWORK, api="flax")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="a module of NNX has no name, got name='encoder'"):
        as_flax(NETWORK, api="nnx", name="encoder")
