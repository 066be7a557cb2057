"""Kinks and ties that a comparison finds: those of layers, losses and penalties of a user's own, and of sequences."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.corners import Kinks
from fnn.layers import Elementwise
from tests.gradients.reports import normal, report_of

TWO = ("manual", "reverse")


@dataclasses.dataclass(frozen=True)
class Hardshrink(Elementwise):
    corners = (-0.5, 0.5)

    def f(self, x):
        return jnp.where(abs(x) <= 0.5, 0, x)

    def derivative(self, value):
        return jnp.where(abs(value) <= 0.5, 0, 1).astype(value.dtype)


@dataclasses.dataclass(frozen=True)
class SortedPair(fnn.Layer):
    """A user's layer that chooses between equals, and counts them in a plain tuple."""

    def apply(self, params, state, x, *, train=False, key=None):
        return jnp.sort(x, -1), state

    def kinks_at(self, x):
        return int((x[..., 0] == x[..., 1]).sum()), x[..., 0].size, "pairs are equal"


@dataclasses.dataclass(frozen=True)
class Pinball(fnn.MeanAbsoluteError):
    def kinks_at(self, prediction, target):
        return int((prediction == target).sum()), prediction.size, "predictions are the quantile itself"


@dataclasses.dataclass(frozen=True)
class Box(fnn.L2):
    def kinks_at(self, w):
        return int((abs(w) == 1).sum()), w.size, "parameters are at the wall"


def notes(model: fnn.Layer, x: Any, target: Any, **options: Any) -> list[str]:
    report = report_of(model, x, target, loss=options.pop("loss", fnn.MeanSquaredError()), methods=TWO, **options)
    return [str(kink) for kink in report.kinks]


def test_a_corner_is_met_in_the_dtype_that_is_compared():
    """0.1 of float32 lies beside a corner at 0.1 in float64, where the other slope holds: that must not go unsaid."""
    x = np.array([[0.1, 2.0]], np.float32)
    assert notes(fnn.Softshrink(0.1), x, x, dtype="float32") == ["(model): 1 of 2 inputs are exactly -0.1 or 0.1"]
    assert notes(fnn.Softshrink(0.1), x, x) == []


def test_kinks_of_a_users_layers_are_in_the_report():
    x = np.array([[0.5, -0.5, 2.0, 0.1]], np.float32)
    assert notes(Hardshrink(), x, x) == ["(model): 2 of 4 inputs are exactly -0.5 or 0.5"]
    x = np.array([[1.0, 1.0], [2.0, 3.0]], np.float32)
    assert notes(fnn.Serial(fnn.Identity(), pair=SortedPair()), x, x) == ["pair: 1 of 2 pairs are equal"]


def test_kinks_inside_repeat_are_counted_in_every_round():
    x = np.array([[1.0, 1.0], [2.0, 3.0]], np.float32)
    assert notes(fnn.Repeat(SortedPair(), 3), x, x) == ["(model): 3 of 6 pairs are equal"]


def test_kinks_of_a_users_loss_and_penalty_are_in_the_report():
    x = np.ones((2, 1), np.float32)
    model = fnn.Dense(1, use_bias=False)
    ones = lambda params: {"kernel": jnp.ones_like(params["kernel"])}  # noqa: E731
    found = notes(model, x, x, loss=Pinball(), penalties=(Box(0.1),), change=ones)
    assert found == [
        "loss: 2 of 2 predictions are the quantile itself",
        "Box(strength=0.1, paths='*/kernel'): 1 of 1 parameters are at the wall",
    ]


def test_a_layer_without_kinks_says_nothing():
    assert fnn.Dense(2).kinks_at(np.zeros(3)) is None
    assert fnn.Tanh().kinks_at(np.zeros(3)) is None
    assert fnn.MeanSquaredError().kinks_at(np.zeros(3), np.zeros(3)) is None
    assert fnn.L2(1.0).kinks_at(np.zeros(3)) is None
    assert fnn.Relu().kinks_at(np.array([-0.0, 0.0, 1.0])) == Kinks(2, 3, "inputs are exactly 0")


def test_kinks_that_are_not_counted_in_three_parts_are_refused():
    @dataclasses.dataclass(frozen=True)
    class Bent(fnn.Identity):
        def kinks_at(self, x):
            return 3

    with pytest.raises(TypeError, match=r"Bent\.kinks_at returns \(count, total, words\) or None, got int"):
        notes(Bent(), normal(2, 3), normal(2, 3))


def test_steps_past_the_lengths_stand_on_no_kink():
    """A prediction with lengths beside it was compared with its targets as one array, and raised."""
    x, lengths = normal(2, 3, 1), np.array([3, 1], np.int32)
    objective = fnn.Objective(fnn.Serial(fnn.Identity()), fnn.MeanAbsoluteError())
    target = np.where(np.arange(3)[None, :, None] == 0, x, 0)
    report = fnn.compare_gradients(objective, {}, {}, ((x, lengths), target), methods=TWO, cost=False)
    assert [str(kink) for kink in report.kinks] == ["loss: 2 of 4 predictions equal the target"]
