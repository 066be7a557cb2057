"""Layers that run at parameters made from others: drop connect, weight norm, spectral norm."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn import Conv, Dense, DropConnect, Remat, Repeat, Serial, SpectralNorm, Tanh, WeightNorm
from fnn.layer import Layer
from fnn.paths import matches, named_leaves
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def two() -> Serial:
    return Serial(Dense(4), Tanh(), head=Dense(2))


MAKERS: dict[str, Callable[[Layer], Layer]] = {
    "drop connect": lambda inner: DropConnect(inner, 0.5),
    "weight norm": WeightNorm,
    "spectral norm": SpectralNorm,
}


# ---- what all have in common


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_the_paths_of_the_parameters(name: str):
    params, _ = MAKERS[name](two()).init(KEY, shape_of(3, 5))
    place = "inner/" if name == "spectral norm" else ""
    expected = [f"{place}{each}" for each in ("dense_0/bias", "dense_0/kernel", "head/bias", "head/kernel")]
    if name == "weight norm":
        expected += [f"{path}_scale" for path in expected if path.endswith("kernel")]
    assert sorted(named_leaves(params)) == sorted(expected)


@dataclasses.dataclass(frozen=True)
class TwoKernels(Dense, name="two_kernels"):
    """x (W + R) + b."""

    def init(self, key: Any, x: Any) -> Any:
        params, state = super().init(key, x)
        return {**params, "recurrent_kernel": params["kernel"] + 1}, state

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        joined = {"kernel": params["kernel"] + params["recurrent_kernel"], "bias": params["bias"]}
        return super().forward(joined, state, x, train=train, key=key)

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "recurrent_kernel": dparams["kernel"]}, dx


@pytest.mark.parametrize("name", MAKERS)
def test_kernels_are_those_of_the_glob(name: str):
    """``scale`` and ``bias`` of the norm stay as they are, and a kernel that is not called ``kernel`` is one."""
    layer = MAKERS[name](Serial(TwoKernels(3), fnn.LayerNorm()))

    def cached(x: Any) -> Any:
        return layer.forward(*layer.init(KEY, x), x, train=True, key=KEY)[2]

    kernels = {"two_kernels_0/kernel", "two_kernels_0/recurrent_kernel"}
    assert set(jax.eval_shape(cached, shape_of(3, 3))["transform"]) == kernels
    assert all(matches("*/kernel", path) for path in kernels)


def tap(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
    return dy, layer.backward(cache, dy)[1]


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "inner",
    [
        pytest.param(Dense(4), id="one"),
        pytest.param(two(), id="two"),
        pytest.param(Remat(two()), id="remat", marks=pytest.mark.full),
    ],
)
def test_a_foreign_report_passes_unchanged(name: str, inner: Layer, random: Any):
    layer = MAKERS[name](inner)

    @jax.jit
    def both(x: Any, dy: Any) -> Any:
        params, state = layer.init(KEY, x)
        _, _, cache = layer.forward(params, state, x, train=True, key=KEY)
        return params, layer.backward(cache, dy), fnn.backprop(layer, cache, dy, tap)

    dy = random(3, 4 if isinstance(inner, Dense) else 2)
    params, (dparams, dx), (reports, tapped_dx) = both(random(3, 5), dy)
    reports = reports["inner"] if name == "spectral norm" else reports
    same(tapped_dx, dx)
    chex.assert_trees_all_equal_shapes_and_dtypes(dparams, params)
    if isinstance(inner, Dense):
        same(reports, dy)
        return
    assert list(reports) == ["dense_0", "head", "tanh_0"]
    same(reports["head"], dy)


def shapes_of_reports(layer: Layer, x: Any, dy: Any, rule: Callable[..., Any]) -> Any:
    def reports(x: Any, dy: Any) -> Any:
        _, _, cache = layer.forward(*layer.init(KEY, x), x, train=True, key=KEY)
        return fnn.backprop(layer, cache, dy, rule)

    return jax.eval_shape(reports, x, dy)


@pytest.mark.parametrize("name", MAKERS)
def test_a_foreign_report_of_repeat_is_stacked(name: str):
    layer = Repeat(MAKERS[name](Dense(4)), 3)
    reports, _ = shapes_of_reports(layer, shape_of(2, 4), shape_of(2, 4), tap)
    (report,) = jax.tree.leaves(reports)
    assert report.shape == (3, 2, 4)


@pytest.mark.parametrize("name", MAKERS)
def test_a_frozen_part_inside_leaves_the_rest_of_the_report(name: str):
    def frozen(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return (None if path.endswith("head") else dparams), dx

    layer = Serial(MAKERS[name](two()), Dense(2))
    reports, dx = shapes_of_reports(layer, shape_of(3, 5), shape_of(3, 2), frozen)
    paths = list(named_leaves(reports))
    assert not [path for path in paths if "head" in path]
    assert [path for path in paths if path.endswith("dense_0/kernel")]
    assert dx.shape == (3, 5)


@pytest.mark.parametrize("name", MAKERS)
def test_with_children_keeps_the_options_and_the_record_compares(name: str):
    layer = MAKERS[name](Dense(4))
    (segment,) = layer.children()
    other = layer.with_children({segment: Dense(5)})
    assert type(other) is type(layer)
    assert other == MAKERS[name](Dense(5)) != layer
    assert hash(layer) == hash(MAKERS[name](Dense(4)))


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_the_manual_gradient_of_a_model_is_the_automatic_one(name: str, random: Any):
    model = Serial(MAKERS[name](Serial(Conv(2, 3), fnn.Relu())), fnn.Flatten(), MAKERS[name](Dense(3)))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    x, labels = random(4, 4, 4, 2), jnp.asarray([0, 2, 1, 1], jnp.int32)
    params, state = objective.init(KEY, x)
    grads = {}
    for method in ("manual", "auto"):
        (_, aux), grads[method] = objective.value_and_grad(
            params, state, (x, labels), key=KEY, train=True, method=method
        )
        assert jax.tree.structure(aux.state) == jax.tree.structure(state)
    close(grads["manual"], grads["auto"], rtol=1e-10)


# ---- errors

CONFIGURATIONS = [
    (lambda: DropConnect(Dense(2), 1.0), ValueError, "rate is the fraction dropped and lies in [0, 1), got 1.0"),
    (lambda: DropConnect(Dense(2), -0.1), ValueError, "rate is the fraction dropped and lies in [0, 1), got -0.1"),
    (
        lambda: DropConnect(Dense, 0.5),
        TypeError,
        "DropConnect is made of layers, got <class 'fnn.layers.linear.dense.Dense'>",
    ),
    (lambda: WeightNorm("dense"), TypeError, "WeightNorm is made of layers, got 'dense'"),
    (lambda: SpectralNorm(Dense(2), iterations=0), ValueError, "iterations is at least 1, got 0"),
    (lambda: SpectralNorm(Dense(2), iterations=1.5), TypeError, "iterations is an integer, got 1.5"),
    (lambda: SpectralNorm(Dense(2), epsilon=-1.0), ValueError, "epsilon is at least 0, got -1.0"),
]


@pytest.mark.parametrize(("make", "error", "message"), CONFIGURATIONS, ids=[row[2] for row in CONFIGURATIONS])
def test_a_wrong_configuration(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", MAKERS)
def test_a_layer_without_kernels_is_refused_by_init(name: str):
    layer = MAKERS[name](fnn.LayerNorm())
    message = f"{type(layer).__name__} acts on parameters named kernel or *_kernel, but the layer inside has only"
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        Serial(Dense(4), Serial(norm=layer)).init(KEY, shape_of(3, 4))
    assert "only ['bias', 'scale']" in str(raised.value)
    (note,) = (each for each in raised.value.__notes__ if each.startswith("in "))
    assert note.startswith(f"in serial_0/norm: {type(layer).__name__}(")


@pytest.mark.full
@pytest.mark.parametrize("name", MAKERS)
def test_a_wrong_input_names_the_inner_layer(name: str, random: Any):
    layer = Serial(body=MAKERS[name](Serial(Dense(4))))
    params, state = compiled.init(layer, KEY, shape_of(3, 5))
    with pytest.raises(ValueError, match="where this input needs") as raised:
        layer.apply(params, state, random(3, 6), train=True, key=KEY)
    (note,) = (each for each in raised.value.__notes__ if each.startswith("in "))
    place = "body/inner/dense_0" if name == "spectral norm" else "body/dense_0"
    assert note.startswith(f"in {place}: Dense(features=4), applied to float64[3,6]")


@pytest.mark.parametrize("name", MAKERS)
def test_parameters_that_are_no_dict_are_refused(name: str, random: Any):
    with pytest.raises(TypeError, match="params is a nested dict as init returns it"):
        MAKERS[name](Dense(4)).apply([1.0], {}, random(3, 4))
    params, _ = MAKERS[name](Dense(4)).init(KEY, shape_of(3, 4))
    with pytest.raises(TypeError, match="state is a nested dict as init returns it"):
        MAKERS[name](Dense(4)).apply(params, None, random(3, 4))
