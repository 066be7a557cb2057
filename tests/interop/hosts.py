"""What the tests of ``as_flax``, ``as_equinox`` and ``as_haiku`` share: a network, its data, and fnn's own training."""

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest

import fnn
from fnn.paths import named_leaves
from tests.drawing import drawn

# No bias in front of batch norm: its gradient is 0, and adam would take steps along what rounding leaves of it.
NETWORK = fnn.Serial(
    fnn.Conv(3, (2, 2), use_bias=False), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.3), fnn.Flatten(), head=fnn.Dense(2)
)
X, Y = drawn("images of a host", 4, 3, 3, 2), drawn("targets of a host", 4, 2)
PATHS = {"conv_0/kernel", "batch_norm_0/scale", "batch_norm_0/bias", "head/kernel", "head/bias"}
STATISTICS = {"batch_norm_0/mean", "batch_norm_0/var", "batch_norm_0/count"}
ADAM = optax.adam(0.05)
STEPS = 3

in_both_widths = pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])


@dataclasses.dataclass(frozen=True)
class Planted(fnn.Layer):
    """y = w x, with a hand rule that is wrong on purpose: dw is 10, whatever dy is."""

    def init(self, key: Any, x: Any) -> Any:
        return {"w": np.ones((), x.dtype)}, {}

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return params["w"] * x, state, {"x": x, "w": params["w"]}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {"w": 10 * jax.numpy.ones_like(cache["w"])}, cache["w"] * dy


def data(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(X, dtype), np.asarray(Y, dtype)


def squares(prediction: Any, y: Any) -> Any:
    return ((prediction - y) ** 2).mean()


def trained_by_fnn(params: Any, state: Any, keys: list, dtype: str) -> tuple[Any, Any]:
    """Parameters and state after the steps: the hand rules called by fnn's objective, without ``jax.grad``."""
    x, y = data(dtype)
    objective = fnn.Objective(NETWORK, fnn.MeanSquaredError())

    @jax.jit
    def step(params: Any, state: Any, opt_state: Any, key: Any) -> Any:
        (_, aux), gradients = objective.value_and_grad(params, state, (x, y), key=key, train=True)
        updates, opt_state = ADAM.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), aux.state, opt_state

    opt_state = ADAM.init(params)
    for key in keys:
        params, state, opt_state = step(params, state, opt_state, key)
    return params, state


def agree(mine: Any, theirs: Any, tolerance: float) -> None:
    """Both trees have the same paths, and leaves that are equal to this relative and absolute tolerance."""
    mine, theirs = named_leaves(mine), named_leaves(theirs)
    assert mine.keys() == theirs.keys()
    for path, leaf in mine.items():
        assert leaf.dtype == theirs[path].dtype, path
        np.testing.assert_allclose(leaf, theirs[path], rtol=tolerance, atol=tolerance, err_msg=path)


def example(function: Callable[..., Any], number: int = 0, **names: Any) -> dict[str, Any]:
    """What the indented example of a docstring defines; it runs with these names. Such a one is no doctest, because
    the other library may be missing."""
    blocks = re.findall(r"::\n\n((?: {4}.*\n)+)", inspect.getdoc(function) or "")
    names = {"fnn": fnn, "jax": jax, "x": data("float32")[0], function.__name__: function, **names}
    exec(textwrap.dedent(blocks[number]), names)
    return names
