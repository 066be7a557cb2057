"""The checker of layers, tested by planting breaches of the contract beside gradients: each is caught and named."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer, Static
from fnn.testing import check_layer
from tests.planted import ROWS, caught, faulty

# ---- structure and dtypes


def gradients(change: Any) -> Any:
    """A dense layer whose ``(dparams, dx)`` are changed."""

    def backward(self: Any, cache: Any, dy: Any) -> Any:
        return change(*fnn.Dense.backward(self, cache, dy))

    return faulty(fnn.Dense, backward=backward)(2)


def test_the_dtype_of_a_gradient():
    layer = gradients(lambda dparams, dx: (dparams, dx.astype(jnp.float32)))
    caught(layer, ROWS, "dx, value: expected float64[5,3], got float32[5,3]")


def test_a_dtype_that_is_right_in_float64_only():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return x * jnp.asarray(2.0, jnp.float64), state, {}

    wide = faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, 2 * dy))()
    with jax.numpy_dtype_promotion("standard"):
        message = caught(
            wide, ROWS, "y, value: expected float32 for an input of float32, got float64", dtypes=["float32"]
        )
        assert "bfloat16" not in message


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda dparams, dx: ({"kernel": dparams["kernel"]}, dx), "dparams, bias: expected float64[2], got nothing"),
        (lambda dparams, dx: (dparams | {"scale": dx}, dx), "dparams, scale: expected nothing here, got float64[5,3]"),
        (lambda dparams, dx: (dparams | {"state": {}}, dx), "dparams: expected the structure"),
        (lambda dparams, dx: (dparams, (dx,)), "dx, value: expected float64[5,3], got nothing"),
        (lambda dparams, dx: (dparams, None), "dx, value: expected float64[5,3], got nothing"),
        (lambda dparams, dx: dparams, "backward: expected (dparams, dx)"),
    ],
)
def test_the_structure_of_the_gradients(change: Any, line: str):
    caught(gradients(change), ROWS, line)


def test_a_gradient_for_an_integer_input():
    def backward(self: Any, cache: Any, dy: Any) -> Any:
        return fnn.Embedding.backward(self, cache, dy)[0], jnp.zeros(cache["x"].shape)

    layer = faulty(fnn.Embedding, backward=backward)(5, 2)
    caught(layer, np.array([[0, 1], [4, 1]]), "dx, value: expected nothing here, got float64[2,2]")


def test_a_state_that_changes_its_structure_shape_or_dtype():
    def counting(start: Any, step: Any) -> Layer:
        def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
            return x, step(state), {}

        init = lambda self, key, x: ({}, start)  # noqa: E731
        return faulty(Layer, init=init, forward=forward, backward=lambda self, cache, dy: ({}, dy))()

    count = {"count": jnp.zeros((), jnp.int32)}
    check_layer(counting(count, lambda state: {"count": state["count"] + 1}), ROWS)
    caught(counting(count, lambda state: {}), ROWS, "count: expected int32[], got nothing")
    wide = counting(count, lambda state: {"count": jnp.zeros((), jnp.int64)})
    caught(wide, ROWS, "state after a step, count: expected int32[], got int64[]")
    caught(counting(count, lambda state: {"count": jnp.zeros(1, jnp.int32)}), ROWS, "expected int32[], got int32[1]")
    caught(counting({}, lambda state: {"new": jnp.zeros(1)}), ROWS, "new: expected nothing here, got float64[1]")


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"shape": (2, 3)}, "cache, shape/0: expected an array (a static fact rides as Static), got int"),
        ({"dtype": np.dtype("float32")}, "cache, dtype: expected an array"),
        ({"name": "x"}, "cache, name: expected an array"),
    ],
)
def test_a_cache_that_holds_something_else_than_arrays(entry: dict, line: str):
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        y, state, cache = fnn.Dense.forward(self, params, state, x)
        return y, state, cache | entry

    caught(faulty(fnn.Dense, forward=forward)(2), ROWS, line)


def test_a_cache_that_is_no_dict():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return 2 * x, state, (x,)

    caught(
        faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, 2 * dy))(),
        ROWS,
        "cache: expected a dict, got tuple",
    )


def test_static_facts_in_a_cache_are_fine():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        y, state, cache = fnn.Dense.forward(self, params, state, x)
        return y, state, cache | {"shape": Static(x.shape), "nothing": None}

    check_layer(faulty(fnn.Dense, forward=forward)(2), ROWS, finite=False)


# ---- purity and configuration


def test_an_impure_layer():
    calls = itertools.count()

    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return x + next(calls), state, {}

    layer = faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, dy))()
    caught(layer, ROWS, "a round trip a second time: expected the same bits, y differ")


def test_a_layer_that_changes_its_arguments():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        y, state, cache = fnn.Dense.forward(self, params, state, x)
        params["kernel"] = params["kernel"] + 0
        return y, state, cache

    caught(faulty(fnn.Dense, forward=forward)(2), ROWS, "expected its arguments left as they were")

    def backward(self: Any, cache: Any, dy: Any) -> Any:
        cache.pop("surplus", None)
        return fnn.Dense.backward(self, cache, dy)

    def surplus(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        y, state, cache = fnn.Dense.forward(self, params, state, x)
        return y, state, cache | {"surplus": x}

    caught(faulty(fnn.Dense, forward=surplus, backward=backward)(2), ROWS, "backward: expected its arguments left")


def test_an_apply_that_is_not_the_forward():
    def apply(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return 1.001 * fnn.Dense.forward(self, params, state, x)[0], state

    caught(faulty(fnn.Dense, apply=apply)(2), ROWS, "apply against forward, y: relative error 1.0e-03")


def test_an_init_that_depends_on_values_or_is_random(draw: np.random.Generator):
    def from_values(self: Any, key: Any, x: Any) -> Any:
        return {"kernel": jnp.full((3, 2), x.mean()), "bias": jnp.zeros(2)}, {}

    caught(faulty(fnn.Dense, init=from_values)(2), ROWS, "init from shapes: raised AttributeError")

    def random(self: Any, key: Any, x: Any) -> Any:
        return {"kernel": jnp.asarray(draw.standard_normal((3, 2))), "bias": jnp.zeros(2)}, {}

    caught(faulty(fnn.Dense, init=random)(2), ROWS, "init a second time with the same key: expected the same bits")


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (({"kernel": [jnp.ones(2)]}, {}), "params: expected a nested dict of arrays, got list"),
        (({"a/b": jnp.ones(2)}, {}), "params: expected names without '/', got 'a/b'"),
        (({}, {"count": 0}), "state: expected a nested dict of arrays, got int"),
        (({"kernel": np.ones(2)}, {}), "params: expected a nested dict of arrays, got ndarray"),
    ],
)
def test_params_and_state_that_are_not_nested_dicts_of_arrays(made: tuple, line: str):
    caught(faulty(fnn.Dense, init=lambda self, key, x: made)(2), ROWS, line)


def test_parameters_of_another_dtype_than_the_input():
    def init(self: Any, key: Any, x: Any) -> Any:
        return {"bias": jnp.zeros(3, jnp.float32)}, {}

    layer = faulty(Layer, init=init, forward=fnn.Relu.forward, backward=fnn.Relu.backward)()
    caught(layer, ROWS, "init, params/bias: expected float64 for an input of float64, got float32")


def test_configuration_that_cannot_be_hashed_compared_or_printed():
    @dataclasses.dataclass(frozen=True)
    class Holding(fnn.Relu):
        value: Any = None

    caught(Holding([1]), ROWS, "hash: raised TypeError")
    caught(Holding(object()), ROWS, "repr: expected no memory address")
    caught(Holding((np.ones(2),)), ROWS, "field 'value': expected configuration, got an array")

    class Plain(fnn.Relu):
        __hash__ = None  # type: ignore[assignment]

    caught(Plain(), ROWS, "hash: raised TypeError")


def test_children_that_do_not_come_back():
    @dataclasses.dataclass(frozen=True)
    class Forgetful(fnn.Remat, name="remat"):
        def with_children(self, children: Any) -> Any:
            return fnn.Remat(*children.values())

    caught(Forgetful(fnn.Relu()), ROWS, "with_children(children()): expected an equal layer, got Remat")


# ---- tracing and samples


def test_a_layer_that_looks_at_values():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return (x if x.sum() > 0 else -x), state, {"sign": jnp.sign(x.sum())}

    layer = faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, cache["sign"] * dy))()
    caught(layer, ROWS, "inside lax.scan: raised TracerBoolConversionError", "under jit: raised TracerBool")


def test_a_layer_that_mixes_samples():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return x - x.mean(0, keepdims=True), state, {}

    def backward(self: Any, cache: Any, dy: Any) -> Any:
        return {}, dy - dy.mean(0, keepdims=True)

    layer = faulty(Layer, forward=forward, backward=backward)()
    check_layer(layer, ROWS)
    caught(layer, ROWS, "train=False: outputs sample by sample against the batch", per_example=True)


def test_both_modes_are_checked_and_named():
    message = caught(gradients(lambda dparams, dx: (dparams, dx[:1])), ROWS, "train=False: dx", "train=True: dx")
    assert message.startswith("Faulty(features=2): 2 violations of the contract\n")
