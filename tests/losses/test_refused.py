"""What a loss refuses: labels, weights, shapes and options that are wrong; inside jit they make it NaN."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.losses import Loss
from tests.comparing import close
from tests.losses.compiled import by_both

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN = float("nan")


# ---- labels and weights

SIGNED = [fnn.Hinge(), fnn.PerceptronLoss()]
CLASSED = [fnn.CrossEntropy(), fnn.CrossEntropy(z_loss=0.1), fnn.MultiClassHinge(), fnn.Focal()]


@pytest.mark.parametrize("loss", SIGNED, ids=repr)
@pytest.mark.parametrize(
    "labels", [np.array([0, 1]), np.array([1.0, 0.5]), np.array([NAN, 1.0]), np.array([True, False])]
)
def test_labels_other_than_signs_raise_outside_jit_and_are_nan_inside(loss: Loss, labels: np.ndarray):
    with pytest.raises(ValueError, match=r"labels are -1 or 1, got \[.*\]; convert labels 0 and 1 with 2 \* y - 1"):
        loss(np.zeros(2), labels)
    value, by_hand, automatic = by_both(loss, np.zeros(2), labels)
    assert jnp.isnan(value)
    assert (by_hand == automatic).all()


@pytest.mark.parametrize("loss", CLASSED, ids=repr)
@pytest.mark.parametrize("label", [-1, 3, 200])
def test_classes_that_do_not_exist_raise_outside_jit_and_are_nan_inside(loss: Loss, label: int, random: Any):
    z, labels = random(2, 3), np.array([1, label])
    with pytest.raises(ValueError, match=re.escape(f"labels lie in [0, 3), got [{label}]")):
        loss(z, labels)
    value, by_hand, automatic = by_both(loss, z, labels)
    assert jnp.isnan(value)
    close(by_hand, automatic)
    assert not by_hand[1].any()


@pytest.mark.parametrize("count", [-1, NAN])
def test_counts_below_zero_raise_outside_jit_and_are_nan_inside(count: float):
    z, y = np.zeros(2), np.array([1.0, count])
    with pytest.raises(ValueError, match="targets are counts, at least 0"):
        fnn.Poisson()(z, y)
    assert jnp.isnan(jax.jit(fnn.Poisson())(z, y))


def test_a_distribution_below_zero_raises_outside_jit_and_is_nan_inside():
    z, q = np.zeros((1, 2)), np.log(np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"for log-probabilities pass jnp\.exp\(target\)"):
        fnn.KLDivergence()(z, q)
    assert jnp.isnan(jax.jit(fnn.KLDivergence())(z, q))


@pytest.mark.parametrize("loss", CLASSED, ids=repr)
@pytest.mark.parametrize("label", [2**32, 2**40 + 1, -(2**32)])
def test_labels_of_64_bits_were_wrapped_into_range(loss: Loss, label: int):
    labels = np.array([0, label])
    with (
        jax.enable_x64(False),
        pytest.raises(ValueError, match=r"integers that int32 can hold, got values from .* enable 64"),
    ):
        loss(jnp.zeros((2, 3), jnp.float32), labels)
    with pytest.raises(ValueError, match="labels lie in"):
        loss(jnp.zeros((2, 3)), labels)


def test_labels_of_64_bits_were_wrapped_on_their_way_into_training():
    objective = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())
    data = (np.ones((4, 2), np.float32), np.array([0, 1, 2, 2**32]))
    with jax.enable_x64(False), pytest.raises(ValueError, match="integers that int32 can hold"):
        fnn.fit(objective, fnn.optim.sgd(0.1), data, epochs=1, batch_size=2, key=jax.random.key(0), progress=False)


@pytest.mark.full
def test_large_labels_of_small_integers_pass():
    with jax.enable_x64(False):
        labels = np.array([0, 2], np.uint64)
        assert jnp.isfinite(fnn.CrossEntropy()(jnp.zeros((2, 3), jnp.float32), labels))


@pytest.mark.parametrize("bad", [-0.5, NAN])
def test_weights_below_zero_raise(bad: float):
    weights = np.array([1.0, bad])
    with pytest.raises(ValueError, match=r"weights are at least 0, got \["):
        fnn.MeanSquaredError()(np.zeros(2), np.zeros(2), weights)
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    data = (np.ones((2, 1)), np.ones((2, 1)), weights)
    with pytest.raises(ValueError, match=r"the weights of the data are at least 0, got \["):
        fnn.fit(objective, fnn.optim.sgd(0.1), data, epochs=1, batch_size=2, key=jax.random.key(0), progress=False)


# ---- shapes, dtypes and options


def zeros(*shape: int, dtype: Any = float) -> np.ndarray:
    return np.zeros(shape, dtype)


ELEMENTWISE = [fnn.MeanAbsoluteError(), fnn.RootMeanSquaredError(), fnn.Huber(), fnn.LogCosh(), fnn.CosineSimilarity()]


@pytest.mark.parametrize("loss", [*ELEMENTWISE, *SIGNED, fnn.Poisson(), fnn.KLDivergence()], ids=repr)
def test_nothing_broadcasts(loss: Loss):
    with pytest.raises(ValueError, match=r"the same shape, got float64\[3,1\] and float64\[3\]; nothing is broadcast"):
        loss(zeros(3, 1), zeros(3))


@pytest.mark.parametrize("loss", ELEMENTWISE, ids=repr)
def test_nothing_is_promoted(loss: Loss):
    with pytest.raises(TypeError, match=r"the target has the prediction's dtype, float64, got float32\[3\]"):
        loss(zeros(3), zeros(3, dtype=np.float32))


FAULTS: dict[str, tuple] = {
    "delta": (lambda: fnn.Huber(0.0), ValueError, "delta is above 0, got 0.0"),
    "margin": (lambda: fnn.Triplet(-1.0), ValueError, "margin is above 0, got -1.0"),
    "gamma": (lambda: fnn.Focal(-1.0), ValueError, "gamma is at least 0, got -1.0"),
    "l1": (lambda: fnn.ElasticNet(-1.0, 0.0), ValueError, "l1 is at least 0, got -1.0"),
    "l2": (lambda: fnn.ElasticNet(0.0, NAN), ValueError, "l2 is at least 0, got nan"),
    "strength": (lambda: fnn.L1(-1.0), ValueError, "strength is at least 0, got -1.0"),
    "focal, soft": (lambda: fnn.Focal()(zeros(2, 3), zeros(2, 3)), TypeError, "labels are integers, got float64[2,3]"),
    "focal, shape": (
        lambda: fnn.Focal()(zeros(2, 3), zeros(3, dtype=int)), ValueError, "expected labels (2,) for logits"
    ),
    "hinge of floats": (lambda: fnn.MultiClassHinge()(zeros(2, 3), zeros(2)), TypeError, "labels are integers"),
    "hinge of one class": (
        lambda: fnn.MultiClassHinge()(zeros(2, 1), zeros(2, dtype=int)), ValueError, "of two classes or more"
    ),
    "divergence of integers": (
        lambda: fnn.KLDivergence()(zeros(2, 3), zeros(2, 3, dtype=int)), TypeError, "a distribution of floating dtype"
    ),
    "cosine of scalars": (lambda: fnn.CosineSimilarity()(np.float64(1), np.float64(1)), ValueError, "expected vectors"),
    "normal, shape": (
        lambda: fnn.GaussianNLL()(zeros(2, 3), zeros(2, 3)), ValueError, "got float64[2,3] and float64[2,3]"
    ),
    "normal, broadcast": (lambda: fnn.GaussianNLL()(zeros(3, 2), zeros(3)), ValueError, "means and then logarithms"),
    "normal, dtype": (
        lambda: fnn.GaussianNLL()(zeros(3, 2), zeros(3, 1, dtype=np.float32)), TypeError, "the target has the"
    ),
    "triplet, shape": (lambda: fnn.Triplet(1.0)(zeros(3, 2, 4), None), ValueError, "expected a prediction (…, 3, F)"),
    "triplet, tuple": (lambda: fnn.Triplet(1.0)((zeros(3, 4),) * 3, None), TypeError, "expected one array"),
    "triplet, target": (lambda: fnn.Triplet(1.0)(zeros(2, 3, 4), zeros(2)), ValueError, "triplets have no target"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str):
    call, error, message = FAULTS[name]
    with pytest.raises(error, match=re.escape(message)):
        call()
