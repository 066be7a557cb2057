"""The checker of layers, tested by planting wrong gradients: each must be caught, every time, and named."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
from fnn.layer import Layer
from fnn.layers.norm._standardize import normalized
from fnn.testing import check_layer
from tests.drawing import drawn
from tests.planted import ROWS, caught

SEQUENCES = drawn("three sequences", 3, 4, 3)


@dataclasses.dataclass(frozen=True)
class ScaledLeaf(fnn.Dense, name="dense"):
    """One leaf of dparams off by 1 %."""

    leaf: str = "kernel"

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return dparams | {self.leaf: 1.01 * dparams[self.leaf]}, dx


@pytest.mark.parametrize("leaf", ["kernel", "bias"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 5))])
def test_one_percent_on_one_leaf(leaf: str, seed: int, random: Any):
    message = caught(
        ScaledLeaf(2, leaf=leaf), random(5, 3), f"backward against jax.vjp, dparams/{leaf}: relative error 1.0e-02"
    )
    assert "jax.jvp" in message
    assert "dx" not in message
    assert re.search(r"worst at .* got \S+: it is 1.01 × the reference", message)


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


@pytest.mark.parametrize("dropped", ["one", pytest.param("normal", marks=pytest.mark.full)])
def test_a_dropped_mean_term_of_batch_norm(dropped: str):
    message = caught(WithoutMean(dropped=dropped), ROWS, "train=True: backward against jax.vjp, dx")
    assert "train=False" not in message


@dataclasses.dataclass(frozen=True)
class WithoutScale(fnn.BatchNorm, name="batch_norm"):
    """dx without the factor γ: at the initial γ = 1 that is no fault."""

    def backward(self, cache: Any, dy: Any) -> Any:
        return super().backward({**cache, "scale": jnp.ones_like(cache["scale"])}, dy)


@pytest.mark.full
def test_parameters_are_moved_off_their_initial_values():
    caught(WithoutScale(), ROWS, "backward against jax.vjp, dx")


@dataclasses.dataclass(frozen=True)
class FreshStatistics(fnn.BatchNorm, name="batch_norm"):
    """Running statistics ignored in inference by the backward: as good as right with those that init returns."""

    def backward(self, cache: Any, dy: Any) -> Any:
        if not cache["train"].value:
            cache = {**cache, "inverse": jnp.full_like(cache["inverse"], (1 + self.epsilon) ** -0.5)}
        return super().backward(cache, dy)


@pytest.mark.full
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


# ---- what is right passes, at any setting of the caller


@pytest.mark.full
@pytest.mark.parametrize("x64", [False, True])
def test_the_callers_precision_does_not_matter(x64: bool):
    with jax.enable_x64(x64), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        agreement = check_layer(fnn.Dense(2), jnp.ones((4, 3), jnp.float32))
        assert jnp.zeros(()).dtype == (jnp.float64 if x64 else jnp.float32)
    assert max(agreement) < 1e-9
    assert agreement.finite > 0


@pytest.mark.full
def test_the_worst_errors_are_returned():
    agreement = check_layer(fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2)), ROWS)
    assert agreement.reverse < 1e-13
    assert 0 < agreement.finite < 1e-9


# ---- what was not judged is no number


@dataclasses.dataclass(frozen=True)
class Rowwise(fnn.Layer):
    """A layer without a rule by hand."""

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x**3, state


OPTIONS: dict[str, Any] = {"dtypes": (), "train": False, "seeds": 1}


def test_a_rule_that_is_jax_vjp_is_not_judged_by_it():
    agreement = check_layer(Rowwise(), ROWS, **OPTIONS)
    assert np.isnan([agreement.reverse, agreement.second]).all()
    assert agreement.forward < 1e-12
    assert 0 < agreement.finite < 1e-8


def test_differences_stand_aside_from_a_straight_through_slope():
    agreement = check_layer(fnn.Serial(fnn.Dense(2), fnn.Step(straight_through=True)), ROWS, **OPTIONS)
    assert agreement.reverse < 1e-12
    assert np.isnan(agreement.finite)


def test_an_oracle_that_was_not_asked_gives_no_number():
    aside = check_layer(fnn.Tanh(), ROWS, **OPTIONS, finite=False, forward_mode=False)
    assert aside.reverse < 1e-12
    assert np.isnan(aside[1:]).all()
    assert np.isnan(check_layer(fnn.Lambda(lambda x: x > 0), ROWS, **OPTIONS)).all()
