"""What weighs nothing, what is ignored and what does not exist: none of it reaches a loss or its gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.losses import Loss
from tests.cases import LOSSES, LossCase
from tests.comparing import close
from tests.drawing import drawn
from tests.losses.compiled import by_both, gradient

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN = float("nan")

# ---- a weight of zero


def poisoned(tree: Any, keep: np.ndarray) -> Any:
    """NaN, infinity and huge numbers in the rows that are not kept."""
    bad = np.array([NAN, np.inf, -np.inf, 1e300])

    def one(leaf: np.ndarray) -> np.ndarray:
        rows = bad[np.arange(leaf.size).reshape(leaf.shape) % 4]
        floating = np.issubdtype(leaf.dtype, np.floating)
        return np.where(keep.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, rows) if floating else leaf

    return jax.tree.map(one, tree)


ARRAYS = [case for case in LOSSES if isinstance(case.batch()[0], np.ndarray)]
FIRST = {type(case.loss): case.name for case in reversed(ARRAYS)}
"""A case of every loss, for the quick proof."""


def quick(case: LossCase) -> bool:
    return case.name in FIRST.values() or case.name in ("Gaussian, a weight an entry", "cross-entropy, some ignored")


@pytest.mark.full
@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=() if quick(case) else pytest.mark.full) for case in ARRAYS],
)
def test_a_weight_of_zero_hides_whatever_stands_there(case: LossCase, draw: np.random.Generator):
    prediction, target, *rest = case.batch()
    keep = np.arange(len(prediction)) % 2 == 0
    weights = rest[0] if rest else draw.uniform(0.5, 1.5, len(prediction))
    weights = np.where(keep.reshape(-1, *(1,) * (weights.ndim - 1)), weights, 0)
    clean = by_both(case.loss, prediction, target, weights)
    close(by_both(case.loss, poisoned(prediction, keep), target, weights), clean)
    assert not clean[1][~keep].any()


def test_a_nan_that_weighs_nothing_has_no_gradient():
    prediction, weights = jnp.array([1.0, NAN, 4.0]), jnp.array([1.0, 0.0, 2.0])
    _, cache = fnn.MeanSquaredError().forward(prediction, jnp.zeros(3), weights)
    close(fnn.MeanSquaredError().backward(cache), np.array([2 / 3, 0, 16 / 3]))
    # The selection on the way out is the last word: what terms_backward makes of a row that does not count is nothing.
    cache["terms"] = {**cache["terms"], **{name: poison(leaf) for name, leaf in cache["terms"].items()}}
    assert jnp.isfinite(fnn.MeanSquaredError().backward(cache)).all()


def poison(leaf: Any) -> Any:
    """NaN in the second entry of an array."""
    return leaf.at[1].set(NAN) if isinstance(leaf, jax.Array) else leaf


@pytest.mark.full
@pytest.mark.parametrize(
    "loss", [fnn.MeanSquaredError(), fnn.MeanAbsoluteError(), fnn.Huber(), fnn.RootMeanSquaredError()]
)
def test_a_target_that_is_missing_may_be_nan_if_it_weighs_nothing(loss: Loss):
    p, y, w = np.array([1.0, 2.0, 4.0]), np.array([0.0, NAN, 1.0]), np.array([1.0, 0.0, 2.0])
    kept = [0, 2]
    value, by_hand, automatic = by_both(loss, p, y, w)
    expected = np.zeros(3)
    expected_value, expected[kept], _ = by_both(loss, p[kept], y[kept], w[kept])
    close(value, expected_value)
    close([by_hand, automatic], [expected] * 2)


def test_a_weight_an_entry_is_one_of_its_mean_and_of_its_variance():
    loss, z, y = fnn.GaussianNLL(), jnp.asarray(drawn("two means a place", 2, 3, 4)), drawn("their targets", 2, 3, 2)
    w = np.ones((2, 3, 2))
    y[0, 1, 1], w[0, 1, 1] = NAN, 0
    expected = loss.backward(loss.forward(z, np.nan_to_num(y), w)[1])
    assert (np.argwhere(np.asarray(expected) == 0) == [[0, 1, 1], [0, 1, 3]]).all()
    close(loss.backward(loss.forward(z, y, w)[1]), expected)
    close(jax.jit(jax.grad(lambda z: loss(z, y, w)))(z), expected)


def test_what_counts_is_not_hidden():
    p = np.array([1.0, NAN])
    assert jnp.isnan(fnn.MeanSquaredError()(p, np.zeros(2), np.array([0.0, 1.0])))
    assert jnp.isnan(fnn.CrossEntropy()(np.array([[NAN, 1.0]]), np.array([0])))


def test_weights_may_be_booleans_or_integers(random: Any):
    p, y, keep = random(3), random(3), np.array([True, False, True])
    expected = np.abs(p - y)[keep].mean()
    close(fnn.MeanAbsoluteError()(p, y, keep), expected)
    close(fnn.MeanAbsoluteError()(p, y, keep.astype(int)), expected)


# ---- labels that are ignored, do not exist or are sure


@pytest.mark.full
@pytest.mark.parametrize("loss", [fnn.CrossEntropy(ignore_index=-1), fnn.Focal(ignore_index=-1)], ids=repr)
def test_ignored_places_may_be_anything(loss: Loss, random: Any):
    z, labels = random(4, 3), np.array([0, -1, 2, -1])
    bad = z.copy()
    bad[1], bad[3, 0] = NAN, np.inf
    close(by_both(loss, bad, labels)[0], by_both(loss, z, labels)[0])
    close(gradient(loss, bad, labels), gradient(loss, z, labels))


def test_a_sure_label_without_focus_is_that_of_cross_entropy():
    logits, label = jnp.array([[40.0, 0.0]]), jnp.array([0])
    gradients = [loss.backward(loss.forward(logits, label)[1]) for loss in (fnn.Focal(0.0), fnn.CrossEntropy())]
    assert (gradients[0] == gradients[1]).all()
    assert float(gradients[0][0, 1]) > 0


def test_a_class_that_does_not_exist_has_no_gradient_by_its_log_sum_either():
    loss, z, labels = fnn.CrossEntropy(z_loss=0.5), drawn("logits of a class that is none", 3, 3), np.array([1, -1, 3])
    by_hand = jax.jit(lambda z, y: loss.backward(loss.forward(z, y)[1]))(z, labels)
    assert by_hand[0].all()
    assert not by_hand[1:].any()
