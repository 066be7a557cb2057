"""The checkers of hand rules, tested by planting faults: each must be caught, every time, and named."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
from fnn.layer import Layer, Static
from fnn.layers.standardize import normalized
from fnn.losses import Loss
from fnn.testing import check_layer, check_loss, check_penalty

ROWS = np.random.default_rng(1).standard_normal((5, 3))
SEQUENCES = np.random.default_rng(2).standard_normal((3, 4, 3))


def caught(layer: Layer, x: Any, *lines: str, **options: Any) -> str:
    """The message of ``check_layer``, which must fail and say each of these lines' parts."""
    with pytest.raises(AssertionError) as raised:
        check_layer(layer, x, **{"finite": False, "dtypes": ()} | options)
    message = str(raised.value)
    for line in lines:
        assert line in message
    return message


# ---- wrong gradients


@dataclasses.dataclass(frozen=True)
class ScaledLeaf(fnn.Dense, name="dense"):
    """One leaf of dparams off by 1 %."""

    leaf: str = "kernel"

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return dparams | {self.leaf: 1.01 * dparams[self.leaf]}, dx


@pytest.mark.parametrize("leaf", ["kernel", "bias"])
@pytest.mark.parametrize("seed", range(5))
def test_one_percent_on_one_leaf(leaf: str, seed: int):
    x = np.random.default_rng(seed).standard_normal((4, 3))
    message = caught(ScaledLeaf(2, leaf=leaf), x, f"backward against jax.vjp, dparams/{leaf}: relative error 1.0e-02")
    assert "jax.jvp" in message
    assert "dx" not in message


def test_one_percent_is_seen_by_differences_alone():
    message = caught(ScaledLeaf(2), ROWS, "backward against finite differences, dparams/kernel: relative", finite=True)
    assert "finite differences, dparams/bias" not in message


@dataclasses.dataclass(frozen=True)
class Transposed(fnn.Dense, name="dense"):
    """dW transposed, which a square kernel does not show by its shape."""

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return dparams | {"kernel": dparams["kernel"].T}, dx


def test_a_transposed_kernel_gradient():
    caught(Transposed(3), ROWS, "backward against jax.vjp, dparams/kernel")
    caught(Transposed(2), ROWS, "dparams, kernel: expected float64[3,2], got float64[2,3]")


@dataclasses.dataclass(frozen=True)
class FirstSampleOnly(fnn.Dense, name="dense"):
    """A sum over the batch axis left out: the gradient of the first sample alone."""

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return dparams | {"bias": dy[0].sum(tuple(range(dy.ndim - 2)))}, dx


def test_a_missing_sum_over_the_batch():
    caught(FirstSampleOnly(2), SEQUENCES, "backward against jax.vjp, dparams/bias")


@dataclasses.dataclass(frozen=True)
class WithoutMean(fnn.BatchNorm, name="batch_norm"):
    """Batch norm with one of the two mean terms dropped."""

    dropped: str = "one"

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        if cache["train"].value:
            normal = normalized(cache["x"], cache["mean"], cache["inverse"])
            dnormal = dy * cache["scale"][None]
            one, along = dnormal.mean(0, keepdims=True), normal * (dnormal * normal).mean(0, keepdims=True)
            dx = dx + cache["inverse"] * (one if self.dropped == "one" else along)
        return dparams, dx


@pytest.mark.parametrize("dropped", ["one", "normal"])
def test_a_dropped_mean_term_of_batch_norm(dropped: str):
    message = caught(WithoutMean(dropped=dropped), ROWS, "train=True: backward against jax.vjp, dx")
    assert "train=False" not in message


@dataclasses.dataclass(frozen=True)
class WithoutScale(fnn.BatchNorm, name="batch_norm"):
    """dx without the factor γ: at the initial γ = 1 that is no fault."""

    def backward(self, cache: Any, dy: Any) -> Any:
        return super().backward({**cache, "scale": jnp.ones_like(cache["scale"])}, dy)


def test_parameters_are_moved_off_their_initial_values():
    caught(WithoutScale(), ROWS, "backward against jax.vjp, dx")


@dataclasses.dataclass(frozen=True)
class FreshStatistics(fnn.BatchNorm, name="batch_norm"):
    """Running statistics ignored in inference by the backward: as good as right with those that init returns."""

    def backward(self, cache: Any, dy: Any) -> Any:
        if not cache["train"].value:
            cache = {**cache, "inverse": jnp.full_like(cache["inverse"], (1 + self.epsilon) ** -0.5)}
        return super().backward(cache, dy)


def test_the_state_is_one_that_training_returns():
    caught(FreshStatistics(), ROWS, "train=False: backward against jax.vjp, dx")


@dataclasses.dataclass(frozen=True)
class OpenAtZero(fnn.Relu, name="relu"):
    """A slope of 1 at the kink."""

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, jnp.where(cache["y"] < 0, 0, dy)


def test_the_wrong_slope_on_a_kink():
    at_zero = np.array([[0.0, 1.0], [2.0, 3.0]])
    caught(OpenAtZero(), at_zero, "backward against jax.vjp, dx", "worst at (0, 0): expected 0, got")
    check_layer(fnn.Relu(), at_zero, finite=False)


@dataclasses.dataclass(frozen=True)
class WithoutFactor(fnn.Dropout, name="dropout"):
    """dx without 1/(1 − rate)."""

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, jnp.where(cache["mask"], dy, 0) if "mask" in cache else dy


def test_a_missing_factor():
    caught(WithoutFactor(0.25), ROWS, "train=True: backward against jax.vjp, dx: relative error 2.5e-01")


@dataclasses.dataclass(frozen=True)
class Nonlinear(fnn.Dense, name="dense"):
    """A backward that clips: equal to the right one for small output gradients."""

    def backward(self, cache: Any, dy: Any) -> Any:
        return super().backward(cache, jnp.clip(dy, -4, 4))


def test_a_backward_that_is_not_linear():
    caught(Nonlinear(2), np.ones((40, 3)), "backward of a combination of output gradients")


@dataclasses.dataclass(frozen=True)
class RoundedSlope(Layer):
    """A backward whose values are right and whose own derivative is not."""

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x * x, state, {"x": x}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, 2 * lax.stop_gradient(cache["x"]) * dy


def test_a_backward_whose_own_derivative_is_wrong():
    message = caught(RoundedSlope(), ROWS, "the derivative of backward against that of jax.vjp, dx")
    assert message.count("\n") == 1


# ---- structure and dtypes


def faulty(base: type, **methods: Any) -> type:
    """A subclass with these methods, as a frozen dataclass."""
    return dataclasses.dataclass(frozen=True)(type("Faulty", (base,), methods))


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


def test_an_init_that_depends_on_values_or_is_random():
    def from_values(self: Any, key: Any, x: Any) -> Any:
        return {"kernel": jnp.full((3, 2), x.mean()), "bias": jnp.zeros(2)}, {}

    caught(faulty(fnn.Dense, init=from_values)(2), ROWS, "init from shapes: raised AttributeError")
    draw = np.random.default_rng(0)

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


# ---- what is right passes, at any setting of the caller


@pytest.mark.parametrize("x64", [False, True])
def test_the_callers_precision_does_not_matter(x64: bool):
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        agreement = check_layer(fnn.Dense(2), jnp.ones((4, 3), jnp.float32))
        assert jnp.zeros(()).dtype == (jnp.float64 if x64 else jnp.float32)
    assert max(agreement) < 1e-9
    assert agreement.finite > 0


def test_the_worst_errors_are_returned():
    agreement = check_layer(fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2)), ROWS)
    assert agreement.reverse < 1e-13
    assert 0 < agreement.finite < 1e-9


# ---- losses and penalties


@dataclasses.dataclass(frozen=True)
class Squares(Loss):
    """A right loss for faults to be planted in."""

    def terms(self, prediction: Any, target: Any) -> Any:
        return jnp.square(prediction - target), {"difference": prediction - target}

    def terms_backward(self, cache: Any, dterms: Any) -> Any:
        return 2 * cache["difference"] * dterms


PREDICTION = np.random.default_rng(3).standard_normal((6, 2))
TARGET = np.random.default_rng(4).standard_normal((6, 2))


def caught_loss(line: str, target: Any = TARGET, **methods: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        check_loss(faulty(Squares, **methods)(), PREDICTION, target)
    assert line in str(raised.value)
    return str(raised.value)


def test_a_right_loss_passes():
    assert check_loss(Squares(), PREDICTION, TARGET).reverse < 1e-14


def test_faults_of_the_gradient_of_a_loss():
    def off(self: Any, cache: Any, dterms: Any) -> Any:
        return 2.02 * cache["difference"] * dterms

    message = caught_loss("backward against jax.vjp, dprediction: relative error 1.0e-02", terms_backward=off)
    assert "jax.jvp" in message
    assert "finite differences" in message

    def without_dvalue(self: Any, cache: Any, dvalue: Any = 1.0) -> Any:
        return self.terms_backward(cache["terms"], cache["share"])

    caught_loss("backward of dvalue=-2.5 against -2.5 times that of 1", backward=without_dvalue)

    def narrow(self: Any, cache: Any, dterms: Any) -> Any:
        return (2 * cache["difference"] * dterms).astype(jnp.float32)

    caught_loss("dprediction, value: expected float64[6,2], got float32[6,2]", terms_backward=narrow)


def test_faults_of_the_weighting_of_a_loss():
    def over_the_batch(self: Any, terms: Any, target: Any, weights: Any) -> Any:
        each, total = self._weights(terms, target, weights)
        return 1 / total if each is None else each / terms.size

    message = caught_loss("weights of zero against rows left out: value", _share=over_the_batch)
    assert "the whole against its micro-batches: value" in message

    def unguarded(self: Any, terms: Any, target: Any, weights: Any) -> Any:
        each, total = self._weights(terms, target, weights)
        return 1 / total if each is None else each / total

    caught_loss("a zero sum of weights: expected the value 0, got nan", _share=unguarded)

    def squared(self: Any, terms: Any, target: Any, weights: Any) -> Any:
        return Squares._share(self, terms, target, None if weights is None else jnp.square(weights))

    caught_loss("the whole against its micro-batches", _share=squared)


def test_a_value_that_is_not_a_scalar():
    def forward(self: Any, prediction: Any, target: Any, weights: Any = None) -> Any:
        value, cache = Squares.forward(self, prediction, target, weights)
        return value[None], cache

    caught_loss("value, value: expected float64[], got float64[1]", forward=forward)


def test_faults_of_a_penalty():
    @dataclasses.dataclass(frozen=True)
    class Wrong(fnn.L2):
        def value(self, w: Any) -> Any:
            return self.strength * jnp.vdot(w, w)

        def slope(self, w: Any) -> Any:
            return self.strength * w

    with pytest.raises(AssertionError, match=r"backward against jax\.grad, kernel: relative error 5\.0e-01"):
        check_penalty(Wrong(0.1), {"kernel": jnp.ones(3), "bias": jnp.ones(2)})

    @dataclasses.dataclass(frozen=True)
    class Partial(fnn.L2):
        def backward(self, cache: Any, dvalue: Any = 1.0) -> Any:
            return {"kernel": super().backward(cache, dvalue)["kernel"]}

    with pytest.raises(AssertionError, match=r"dparams, bias: expected float64\[2\], got nothing"):
        check_penalty(Partial(0.1), {"kernel": jnp.ones(3), "bias": jnp.ones(2)})
