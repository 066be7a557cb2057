"""The checkers of losses and penalties, tested by planting faults: each must be caught and named."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import pytest

import fnn
from fnn.losses import Loss
from fnn.testing import check_loss, check_penalty
from tests.drawing import drawn
from tests.planted import faulty


@dataclasses.dataclass(frozen=True)
class Squares(Loss):
    """A right loss for faults to be planted in."""

    def terms(self, prediction: Any, target: Any) -> Any:
        return jnp.square(prediction - target), {"difference": prediction - target}

    def terms_backward(self, cache: Any, dterms: Any) -> Any:
        return 2 * cache["difference"] * dterms


PREDICTION, TARGET = drawn("a prediction", 6, 2), drawn("its target", 6, 2)


def caught_loss(line: str, target: Any = TARGET, **methods: Any) -> str:
    with pytest.raises(AssertionError) as raised:
        check_loss(faulty(Squares, **methods)(), PREDICTION, target)
    assert line in str(raised.value)
    return str(raised.value)


@pytest.mark.full
def test_a_right_loss_passes():
    assert check_loss(Squares(), PREDICTION, TARGET).reverse < 1e-14


@pytest.mark.full
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


def test_a_loss_that_cannot_be_compiled():
    def terms(self: Any, prediction: Any, target: Any) -> Any:
        sign = 1 if prediction.sum() > 0 else 2
        return sign * jnp.square(prediction - target), {"difference": sign * (prediction - target)}

    message = caught_loss("under jit: raised TracerBoolConversionError", terms=terms)
    for step in ("gradients in float64", "under vmap", "finite differences", "weights"):
        assert f"- {step}: raised" in message


def test_a_loss_that_some_dtype_does_not_suit():
    def terms(self: Any, prediction: Any, target: Any) -> Any:
        if prediction.dtype == jnp.bfloat16:
            raise TypeError("bfloat16 is too narrow")
        return Squares.terms(self, prediction, target)

    message = caught_loss("gradients in bfloat16: raised TypeError: bfloat16 is too narrow", terms=terms)
    assert "float32" not in message


def test_a_batch_too_small_for_micro_batches():
    with pytest.raises(AssertionError, match=r"expected a prediction of at least 4 examples, got float64\[3,2\]"):
        check_loss(Squares(), PREDICTION[:3], TARGET[:3])


def test_faults_of_a_penalty():
    @dataclasses.dataclass(frozen=True)
    class Wrong(fnn.L2):
        def value(self, w: Any) -> Any:
            return self.strength * jnp.vdot(w, w)

        def slope(self, w: Any) -> Any:
            return self.strength * w

    with pytest.raises(AssertionError, match=r"backward against jax\.vjp, dparams/kernel: relative error 5\.0e-01"):
        check_penalty(Wrong(0.1), {"kernel": jnp.ones(3), "bias": jnp.ones(2)})

    @dataclasses.dataclass(frozen=True)
    class Partial(fnn.L2):
        def backward(self, cache: Any, dvalue: Any = 1.0) -> Any:
            return {"kernel": super().backward(cache, dvalue)["kernel"]}

    with pytest.raises(AssertionError, match=r"dparams, bias: expected float64\[2\], got nothing"):
        check_penalty(Partial(0.1), {"kernel": jnp.ones(3), "bias": jnp.ones(2)})
