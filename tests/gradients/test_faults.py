"""Every planted fault is caught, and the report names the place."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.gradients.compare import compare_gradients
from fnn.gradients.diagnosis import diagnose
from tests.drawing import generator


def compared(model, inputs, targets, *, loss=None, seed=0, methods=("manual", "reverse"), **options):
    objective = fnn.Objective(model, loss or fnn.CrossEntropy())
    params, state = objective.init(jax.random.key(seed), inputs)
    return compare_gradients(
        objective, params, state, (inputs, targets), methods=methods, key=jax.random.key(1), cost=False, **options
    )


def data(seed, features=4, classes=4, n=5):
    draw = generator(f"samples {seed}")
    return draw.normal(size=(n, features)).astype(np.float32), draw.integers(0, classes, n)


@dataclasses.dataclass(frozen=True)
class ScaledKernel(fnn.Dense, name="dense"):
    """dW is 1 % too large."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "kernel": dparams["kernel"] * 1.01}, dx


@dataclasses.dataclass(frozen=True)
class ScaledBias(fnn.Dense, name="dense"):
    """db is 1 % too large."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "bias": dparams["bias"] * 1.01}, dx


@dataclasses.dataclass(frozen=True)
class TransposedKernel(fnn.Dense, name="dense"):
    """dW is transposed."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "kernel": dparams["kernel"].T}, dx


@dataclasses.dataclass(frozen=True)
class UnsummedBias(fnn.Dense, name="dense"):
    """db is not summed over the batch."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "bias": dy}, dx


@dataclasses.dataclass(frozen=True)
class OneSampleBias(fnn.Dense, name="dense"):
    """db is that of the first sample alone: the right shape, the sum missing."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "bias": dy[0]}, dx


@dataclasses.dataclass(frozen=True)
class UntransposedInput(fnn.Dense, name="dense"):
    """dx multiplies by W and not by its transpose."""

    def backward(self, cache, dy):
        return super().backward(cache, dy)[0], dy @ cache["kernel"]


@dataclasses.dataclass(frozen=True)
class MeanlessBatchNorm(fnn.BatchNorm, name="batch_norm"):
    """dx lacks the term mean(dx̂)."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        mean = (dy * cache["scale"].reshape(1, -1)).mean(tuple(range(dy.ndim - 1)), keepdims=True)
        return dparams, dx + cache["inverse"] * mean


@dataclasses.dataclass(frozen=True)
class VariancelessBatchNorm(fnn.BatchNorm, name="batch_norm"):
    """dx lacks the term x̂ · mean(dx̂ ⊙ x̂)."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        normal, dnormal = (cache["x"] - cache["mean"]) * cache["inverse"], dy * cache["scale"].reshape(1, -1)
        mean = (dnormal * normal).mean(tuple(range(dy.ndim - 1)), keepdims=True)
        return dparams, dx + cache["inverse"] * normal * mean


@dataclasses.dataclass(frozen=True)
class KinkedRelu(fnn.Relu, name="relu"):
    """The slope at 0 is 1: caches x, and passes dy where x ≥ 0."""

    def forward(self, params, state, x, *, train=False, key=None):
        y, state, _ = super().forward(params, state, x, train=train, key=key)
        return y, state, {"x": x}

    def backward(self, cache, dy):
        return {}, jnp.where(cache["x"] >= 0, dy, 0)


SEEDS = range(5)

SYMMETRIC = np.array([[1.0, 2.0], [2.0, 3.0]])
GRADIENT = np.arange(1.0, 13.0).reshape(3, 4) ** 2

# A gradient, the reference, and the reading of the two.
READINGS = {
    "twice": (2 * GRADIENT, GRADIENT, "it is 2 × the reference"),
    "a number": (np.array(3.0), np.array(-1.5), "it is -2 × the reference"),
    "a little too large": ((1 + 3e-9) * GRADIENT, GRADIENT, "it is (1 + 3.0e-09) × the reference"),
    "zero": (0 * GRADIENT, GRADIENT, "it is zero everywhere"),
    "not zero": (GRADIENT, 0 * GRADIENT, "it is not zero, the reference is"),
    "one column": (GRADIENT + np.array([0, 0, 5, 0]), GRADIENT, "only 3 of 12 entries differ, all at 2 of axis 1"),
    "one column, a little": (
        GRADIENT + np.array([0, 0, 5e-9, 0]),
        GRADIENT,
        "only 3 of 12 entries differ, all at 2 of axis 1",
    ),
    # Small and without a pattern: once read as 1 ×, as a transpose, as a mean.
    "noise": (GRADIENT + 1e-9 * np.random.default_rng(0).normal(size=(3, 4)), GRADIENT, ""),
    "noise on a symmetric one": (SYMMETRIC + 1e-9 * np.array([[1, -3], [2, 1]]), SYMMETRIC, ""),
    "nothing to read": (np.zeros((0, 2)), np.zeros((0, 2)), ""),
    "not a number": (GRADIENT * np.nan, GRADIENT, ""),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_reading_accounts_for_the_difference_or_is_not_given(name):
    found, expected, reading = READINGS[name]
    assert diagnose("it", found, expected) == reading


def mlp(faulty, *, square=True):
    return fnn.Serial(fnn.Dense(4), fnn.Tanh(), middle=faulty, act=fnn.Tanh(), head=fnn.Dense(4 if square else 3))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_scale_of_one_percent_on_a_kernel_is_caught_every_time(seed):
    report = compared(mlp(ScaledKernel(4)), *data(seed), seed=seed)
    assert [row.path for row in report.failures] == ["middle/kernel"]
    assert report["middle/kernel"]["manual"].note == "manual is 1.01 × the reference"
    assert report.max_error == pytest.approx(0.01)
    assert report.suspect == "every delta agrees: look at the dparams of middle"


def test_a_scale_of_one_percent_on_a_bias_is_caught():
    assert [row.path for row in compared(mlp(ScaledBias(4)), *data(0)).failures] == ["middle/bias"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_square_transposed_kernel_gradient_is_caught_and_named(seed):
    report = compared(mlp(TransposedKernel(4)), *data(seed), seed=seed)
    assert [row.path for row in report.failures] == ["middle/kernel"]
    assert report["middle/kernel"]["manual"].note == "manual is the transpose of the reference"


def test_a_transposed_gradient_of_another_shape_is_caught_by_its_shape():
    report = compared(mlp(TransposedKernel(3)), *data(0))
    assert [row.path for row in report.failures] == ["middle/kernel"]
    assert report["middle/kernel"]["manual"].note == "the gradient has the shape (3, 4), not (4, 3)"
    assert np.isnan(report.max_error)
    assert "(3, 4), not (4, 3)" in str(report)


def test_a_sum_over_the_batch_that_is_missing_is_caught_by_its_shape():
    report = compared(mlp(UnsummedBias(4)), *data(0))
    assert [row.path for row in report.failures] == ["middle/bias"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sum_over_the_batch_that_is_missing_is_caught_in_the_right_shape(seed):
    report = compared(mlp(OneSampleBias(4)), *data(seed), seed=seed)
    assert [row.path for row in report.failures] == ["middle/bias"]


def test_a_wrong_input_gradient_spoils_what_lies_before_and_the_report_names_the_layer():
    report = compared(mlp(UntransposedInput(4)), *data(0))
    assert [row.path for row in report.failures] == ["dense_0/bias", "dense_0/kernel", "dense_0", "tanh_0"]
    assert report.suspect == (
        "on the way back, the delta of tanh_0 is the first wrong one: look at the dx of middle, which runs next"
    )


@pytest.mark.full
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("faulty", [MeanlessBatchNorm(), VariancelessBatchNorm()], ids=["mean", "variance"])
def test_a_dropped_term_of_batch_norm_is_caught_every_time(seed, faulty):
    model = fnn.Serial(fnn.Dense(4), faulty, fnn.Tanh(), fnn.Dense(4))
    report = compared(model, *data(seed), seed=seed)
    assert not report["dense_0/kernel"].ok
    assert report["batch_norm_0"].ok
    assert "look at the dx of batch_norm_0" in report.suspect
    delta = next(row for row in report.rows if row.kind == "delta" and row.path == "dense_0")
    assert not delta.ok
    if isinstance(faulty, MeanlessBatchNorm):
        assert delta["manual"].note.endswith("as if a mean were not subtracted")
        # The bias in front is zero by cancellation, and the manual one is not.
        assert not report["dense_0/bias"].ok
        assert report["dense_0/bias"].zero


@pytest.mark.parametrize("seed", SEEDS)
def test_a_wrong_slope_of_relu_at_zero_is_caught_every_time_the_input_stands_there(seed):
    inputs, targets = data(seed)
    inputs[0] = 0  # with zero biases, a sample of zeros puts every unit of the first layer exactly on the kink
    model = fnn.Serial(fnn.Dense(4), KinkedRelu(), fnn.Dense(4))
    report = compared(model, inputs, targets, seed=seed)
    assert not report.ok
    assert "dense_0/bias" in [row.path for row in report.failures]
    assert "look at the dx of relu_0" in report.suspect
    assert "relu_0: 4 of 20 inputs are exactly 0" in [str(kink) for kink in report.kinks]
    delta = next(row for row in report.rows if row.kind == "delta" and row.path == "dense_0")
    assert "all at 0 of axis 0" in delta["manual"].note


def test_the_same_relu_off_its_kink_is_right_and_passes():
    report = compared(fnn.Serial(fnn.Dense(4), KinkedRelu(), fnn.Dense(4)), *data(0))
    assert report.ok
    assert not report.kinks


@pytest.mark.full
def test_a_fault_inside_repeat_is_placed_at_its_layer():
    block = fnn.Serial(fnn.Dense(4), UntransposedInput(4), fnn.Tanh())
    report = compared(fnn.Serial(blocks=fnn.Repeat(block, 3), head=fnn.Dense(4)), *data(0))
    assert not report.ok
    assert report.suspect.endswith("the delta of blocks/dense_0[2] is the first wrong one: look at the dx of"
                                   " blocks/dense_1[2], which runs next")  # fmt: skip


def test_with_manual_vjp_does_not_blind_the_automatic_gradient():
    model = fnn.Serial(fnn.Dense(4), wrapped=fnn.with_manual_vjp(ScaledKernel(4)))
    report = compared(model, *data(0), methods=("manual", "reverse", "forward"))
    assert [row.path for row in report.failures] == ["wrapped/kernel"]
    assert report["wrapped/kernel"]["forward"].ok


def test_a_wrong_loss_is_placed_behind_the_last_layer():
    @dataclasses.dataclass(frozen=True)
    class Doubled(fnn.MeanSquaredError):
        def terms_backward(self, cache, dterms):
            return 2 * super().terms_backward(cache, dterms)

    inputs, _ = data(0)
    report = compared(fnn.Dense(2), inputs, np.ones((5, 2), np.float32), loss=Doubled())
    assert {row.kind for row in report.failures} == {"parameter", "delta"}
    assert "look at the loss" in report.suspect
    assert report.rows[-1].name == "(model)"


def test_a_faulty_combinator_is_caught():
    @dataclasses.dataclass(frozen=True)
    class Forgetful(fnn.Residual, name="residual"):
        def fold(self, cache, dy, visit):
            return visit("", self.inner, cache["inner"], dy)

    model = fnn.Serial(fnn.Dense(4), Forgetful(fnn.Tanh()), fnn.Dense(4))
    report = compared(model, *data(0))
    assert "dense_0/kernel" in [row.path for row in report.failures]


@pytest.mark.full
def test_faults_are_caught_by_forward_mode_and_by_differences_alone():
    for reference in ("forward", "finite"):
        for entrywise in (64, 4):
            report = compared(mlp(ScaledKernel(4)), *data(0), methods=("manual", reference), entrywise=entrywise)
            assert [row.path for row in report.failures] == ["middle/kernel"], (reference, entrywise)
            assert 0.005 < report.max_error < 0.02


def test_faults_are_caught_in_float32():
    report = compared(mlp(ScaledKernel(4)), *data(0), dtype="float32")
    assert report.reference == "reverse in float64"
    assert [row.path for row in report.failures] == ["middle/kernel"]
    assert report["middle/kernel"]["reverse"].ok


def test_a_gradient_that_is_not_finite_fails():
    @dataclasses.dataclass(frozen=True)
    class Broken(fnn.Dense, name="dense"):
        def backward(self, cache, dy):
            dparams, dx = super().backward(cache, dy)
            return {**dparams, "bias": dparams["bias"] / 0}, dx

    report = compared(mlp(Broken(4)), *data(0))
    assert [row.path for row in report.failures] == ["middle/bias"]
    assert report["middle/bias"]["manual"].note == "not finite"
