"""The losses against numbers worked by hand, NumPy and SciPy; what weighs nothing; and what is refused."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import sklearn.metrics

import fnn
from fnn.losses import Loss
from tests.cases import LOSSES, LossCase

pytestmark = pytest.mark.usefixtures("strict_numerics")

DRAW = np.random.default_rng(21)
NAN = float("nan")


def random(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def gradient(loss: Loss, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
    """By the hand rule; ``jax.grad`` must agree."""
    prediction = jnp.asarray(prediction)
    by_hand = loss.backward(loss.forward(prediction, target, weights)[1])
    close(jax.grad(lambda prediction: loss(prediction, target, weights))(prediction), by_hand)
    return by_hand


def weighted(terms: np.ndarray, w: np.ndarray) -> float:
    return (w * terms).sum() / w.sum()


# ---- differences

ERRORS = np.array([-3.0, -0.5, 0.0, 0.25, 2.0])
REGRESSIONS = {
    "mean absolute error": (fnn.MeanAbsoluteError(), np.abs),
    "mean squared error": (fnn.MeanSquaredError(), np.square),
    "Huber": (fnn.Huber(), lambda e: scipy.special.huber(1, e)),
    "Huber of 0.3": (fnn.Huber(0.3), lambda e: scipy.special.huber(0.3, e)),
    "log-cosh": (fnn.LogCosh(), lambda e: np.log(np.cosh(e))),
}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_loss_of_differences(name: str):
    loss, reference = REGRESSIONS[name]
    p, y, w = random(4, 3), random(4, 3), np.array([1.0, 0.0, 2.0, 3.0])
    close(loss(p, y), reference(p - y).mean())
    close(loss(p, y, w), weighted(reference(p - y), np.repeat(w[:, None], 3, 1)))
    close(loss(p, y, np.ones((4, 3))), reference(p - y).mean())
    close([loss(np.array([e]), np.zeros(1)) for e in ERRORS], reference(ERRORS))


def test_differences_worked_by_hand():
    zeros = np.zeros(5)
    close(fnn.MeanAbsoluteError()(ERRORS, zeros), 1.15)
    assert fnn.MeanSquaredError()(ERRORS, zeros) == 2.6625
    assert fnn.RootMeanSquaredError()(np.array([1.0, -7.0]), np.zeros(2)) == 5
    assert fnn.Huber()(ERRORS, zeros) == (2.5 + 0.125 + 0.03125 + 1.5) / 5
    assert gradient(fnn.Huber(), ERRORS, zeros).tolist() == (np.array([-1, -0.5, 0, 0.25, 1]) / 5).tolist()
    assert gradient(fnn.MeanAbsoluteError(), ERRORS, zeros).tolist() == (np.array([-1, -1, 0, 1, 1]) / 5).tolist()
    close(gradient(fnn.RootMeanSquaredError(), np.array([1.0, -7.0]), np.zeros(2)), [0.1, -0.7])


def test_the_root_of_the_mean_of_squares_is_weighted_inside_the_root():
    p, y, w = random(4, 3), random(4, 3), np.array([1.0, 0.0, 2.0, 3.0])
    expected = np.sqrt(weighted((p - y) ** 2, np.repeat(w[:, None], 3, 1)))
    close(fnn.RootMeanSquaredError()(p, y, w), expected)
    assert fnn.RootMeanSquaredError()(p, y, np.zeros(4)) == 0


def test_the_root_of_a_mean_that_is_not_a_number_is_none():
    assert jnp.isnan(fnn.RootMeanSquaredError()(np.array([1.0, NAN]), np.zeros(2)))


@pytest.mark.parametrize("size", [1e-9, 1e-5, 0.5, 0.999999, 1.0, 3.0, 700.0, 1e6, 1e300])
def test_log_cosh_keeps_its_digits_at_every_size(size: float):
    exact = size - np.log(2) if size > 50 else 0.5 * np.log1p(np.sinh(size) ** 2)
    for e in (size, -size):
        close(fnn.LogCosh()(np.array([e]), np.zeros(1)), exact)
        close(gradient(fnn.LogCosh(), np.array([e]), np.zeros(1)), np.tanh([e]))


def test_log_cosh_in_float32_near_zero_and_far_out():
    e = np.array([1e-4, 90.0, 3e38], np.float32)
    got = [float(fnn.LogCosh()(e[i : i + 1], np.zeros(1, np.float32))) for i in range(3)]
    np.testing.assert_allclose(got, [0.5e-8, 90 - np.log(2), 3e38], rtol=1e-6)


# ---- margins


def test_the_hinge():
    z, y, w = random(5, 2), np.sign(random(5, 2)), DRAW.uniform(0, 1, 5)
    terms = np.maximum(0, 1 - y * z)
    close(fnn.Hinge()(z, y), terms.mean())
    close(fnn.Hinge()(z, y, w), weighted(terms, np.repeat(w[:, None], 2, 1)))
    close(fnn.Hinge()(z[:, 0], y[:, 0]), sklearn.metrics.hinge_loss(y[:, 0], z[:, 0]))
    assert gradient(fnn.Hinge(), np.array([0.5, -2.0, 3.0]), np.array([1, -1, -1])).tolist() == [-1 / 3, 0, 1 / 3]


def test_the_perceptrons_criterion_sums_over_the_misclassified_alone():
    z, y = np.array([2.0, -1.0, 0.5, -4.0]), np.array([1, 1, -1, -1])
    assert 4 * fnn.PerceptronLoss()(z, y) == 1.0 + 0.5
    assert (4 * gradient(fnn.PerceptronLoss(), z, y)).tolist() == [0, -1, 1, 0]


def test_the_perceptron_learns_from_zero_weights_by_rosenblatts_rule():
    objective = fnn.Objective(fnn.Dense(1), fnn.PerceptronLoss())
    params = {"kernel": jnp.zeros((2, 1)), "bias": jnp.zeros(1)}
    x, y = jnp.array([[3.0, -2.0]]), jnp.array([[-1]])
    _, grads = objective.value_and_grad(params, {}, (x, y))
    assert grads["kernel"].tolist() == [[3.0], [-2.0]]  # w − α dw = w + α y x
    assert grads["bias"].tolist() == [1.0]


def test_the_hinge_of_classes_is_crammer_and_singers():
    z, labels, w = random(7, 4), DRAW.integers(0, 4, 7), DRAW.uniform(0, 1, 7)
    close(fnn.MultiClassHinge()(z, labels), sklearn.metrics.hinge_loss(labels, z, labels=range(4)))
    expected = sklearn.metrics.hinge_loss(labels, z, labels=range(4), sample_weight=w)
    close(fnn.MultiClassHinge()(z, labels, w), expected)
    z, labels = np.array([[2.0, 1.5, -1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 4.0]]), np.array([0, 1, 0])
    close(3 * fnn.MultiClassHinge()(z, labels), 0.5 + 0 + 4)
    close(3 * gradient(fnn.MultiClassHinge(), z, labels), [[-1, 1, 0], [0, 0, 0], [-1, 0, 1]])


def test_the_hinge_of_two_classes_is_the_hinge_of_their_difference():
    z, labels = random(6, 2), DRAW.integers(0, 2, 6)
    close(fnn.MultiClassHinge()(z, labels), fnn.Hinge()(z[:, 1] - z[:, 0], 2 * labels - 1))


def test_a_class_that_cannot_be_is_no_rival():
    z = np.array([[0.5, -np.inf, 0.0]])
    assert fnn.MultiClassHinge()(z, np.array([0])) == 0.5
    assert gradient(fnn.MultiClassHinge(), z, np.array([0])).tolist() == [[-1, 0, 1]]


@pytest.mark.parametrize("loss", [fnn.Hinge(), fnn.PerceptronLoss()])
def test_an_output_that_is_not_a_number_is_no_margin(loss: Loss):
    assert jnp.isnan(loss(np.array([NAN, 1.0]), np.array([1, 1])))
    assert jnp.isnan(fnn.MultiClassHinge()(np.array([[NAN, 1.0]]), np.array([1])))


# ---- distributions


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_the_focal_loss(gamma: float):
    z, labels, w = random(6, 4), DRAW.integers(0, 4, 6), DRAW.uniform(0, 1, 6)
    p = scipy.special.softmax(z, -1)[np.arange(6), labels]
    terms = -((1 - p) ** gamma) * np.log(p)
    close(fnn.Focal(gamma)(z, labels), terms.mean())
    close(fnn.Focal(gamma)(z, labels, w), weighted(terms, w))
    kept = labels != 1
    close(fnn.Focal(gamma, ignore_index=1)(z, labels, w), weighted(terms[kept], w[kept]))


def test_the_focal_loss_of_gamma_0_is_cross_entropy():
    z, labels = 5 * random(6, 4), DRAW.integers(0, 4, 6)
    assert fnn.Focal(0.0)(z, labels) == fnn.CrossEntropy()(z, labels)
    assert (gradient(fnn.Focal(0.0), z, labels) == gradient(fnn.CrossEntropy(), z, labels)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("size", [30.0, 1e3, 1e30])
def test_the_focal_loss_of_extreme_logits(gamma: float, size: float):
    sure, wrong = np.array([[size, -size, 0.0]]), np.array([[-size, size, 0.0]])
    label = np.array([0])
    assert 0 <= fnn.Focal(gamma)(sure, label) < 1e-12
    assert abs(gradient(fnn.Focal(gamma), sure, label)).max() < 1e-12
    close(fnn.Focal(gamma)(wrong, label), 2 * size)
    # The third class keeps e⁻³⁰ of the probability.
    np.testing.assert_allclose(gradient(fnn.Focal(gamma), wrong, label), [[-1, 1, 0]], atol=1e-12)


def test_the_divergence():
    z, q, w = random(5, 4), DRAW.dirichlet(np.ones(4), 5), DRAW.uniform(0, 1, 5)
    terms = scipy.special.rel_entr(q, scipy.special.softmax(z, -1)).sum(-1)
    close(fnn.KLDivergence()(z, q), terms.mean())
    close(fnn.KLDivergence()(z, q, w), weighted(terms, w))
    close(gradient(fnn.KLDivergence(), z, q), (scipy.special.softmax(z, -1) - q) / 5)


def test_the_divergence_of_a_certain_target_is_the_cross_entropy_and_absent_classes_cost_nothing():
    z, labels = random(5, 4), DRAW.integers(0, 4, 5)
    close(fnn.KLDivergence()(z, np.eye(4)[labels]), fnn.CrossEntropy()(z, labels))
    z[:, 3], q = -np.inf, np.array([[0.5, 0.25, 0.25, 0.0]] * 5)
    terms = scipy.special.rel_entr(q, scipy.special.softmax(z, -1)).sum(-1)
    close(fnn.KLDivergence()(z, q), terms.mean())
    assert jnp.isfinite(gradient(fnn.KLDivergence(), z, q)).all()


def test_the_divergence_takes_log_probabilities_and_is_zero_where_they_are_the_targets():
    q = DRAW.dirichlet(np.ones(4), 5)
    assert abs(fnn.KLDivergence()(np.log(q), q)) < 1e-15


# ---- likelihoods


def test_poisson():
    z, y, w = random(5, 2), DRAW.integers(0, 6, (5, 2)), DRAW.uniform(0, 1, 5)
    terms = -scipy.stats.poisson.logpmf(y, np.exp(z))
    close(fnn.Poisson(full=True)(z, y), terms.mean())
    close(fnn.Poisson(full=True)(z, y, w), weighted(terms, np.repeat(w[:, None], 2, 1)))
    close(fnn.Poisson()(z, y), (terms - scipy.special.gammaln(y + 1)).mean())
    close(gradient(fnn.Poisson(), z, y), (np.exp(z) - y) / 10)


def test_a_rate_of_zero_is_right_for_a_count_of_zero():
    assert fnn.Poisson()(np.array([-np.inf]), np.array([0])) == 0
    assert fnn.Poisson()(np.array([-np.inf]), np.array([1])) == np.inf
    assert gradient(fnn.Poisson(), np.array([-np.inf]), np.array([0])).tolist() == [0]


def test_a_normal_distribution():
    mean, log_variance, y, w = random(5, 3), random(5, 3), random(5, 3), DRAW.uniform(0, 1, 5)
    prediction = np.concatenate([mean, log_variance], -1)
    terms = -scipy.stats.norm.logpdf(y, mean, np.exp(0.5 * log_variance))
    close(fnn.GaussianNLL(full=True)(prediction, y), terms.mean())
    close(fnn.GaussianNLL(full=True)(prediction, y, w), weighted(terms, np.repeat(w[:, None], 3, 1)))
    close(fnn.GaussianNLL()(prediction, y), (terms - 0.5 * np.log(2 * np.pi)).mean())


def test_a_normal_distribution_by_hand():
    prediction, y = np.array([[1.0, np.log(4.0)]]), np.array([[4.0]])
    close(fnn.GaussianNLL()(prediction, y), 0.5 * (np.log(4) + 9 / 4))
    close(gradient(fnn.GaussianNLL(), prediction, y), [[-3 / 4, 0.5 * (1 - 9 / 4)]])


def test_a_model_of_mean_and_variance_trains():
    x, noise = DRAW.uniform(-1, 1, (400, 1)), random(400, 1)
    data = (x, 2 * x + np.exp(x) * noise)
    model = fnn.Parallel(mean=fnn.Dense(1), log_variance=fnn.Dense(1), merge="concatenate")
    objective = fnn.Objective(model, fnn.GaussianNLL())
    train = jax.jit(fnn.make_train(objective, fnn.optim.adam(0.05), epochs=60, batch_size=50))
    params = train(jax.random.key(0), data).params
    np.testing.assert_allclose(params["mean"]["kernel"], [[2.0]], atol=0.3)
    np.testing.assert_allclose(params["log_variance"]["kernel"], [[2.0]], atol=0.3)


# ---- directions and distances


def test_the_cosine():
    p, y, w = random(5, 4), random(5, 4), DRAW.uniform(0, 1, 5)
    terms = np.array([scipy.spatial.distance.cosine(*pair) for pair in zip(p, y, strict=True)])
    close(fnn.CosineSimilarity()(p, y), terms.mean())
    close(fnn.CosineSimilarity()(p, y, w), weighted(terms, w))
    close(fnn.CosineSimilarity()(np.array([3.0, 0.0]), np.array([0.0, -2.0])), 1)
    close(fnn.CosineSimilarity()(p, -2 * p), 2)
    close(gradient(fnn.CosineSimilarity(), np.array([[3.0, 0.0]]), np.array([[0.0, -2.0]])), [[0, 1 / 3]])


def test_a_zero_vector_has_no_direction():
    p, y = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 0.0], [4.0, -3.0]])
    close(fnn.CosineSimilarity()(p, y), 1)
    expected = [[0, 0], [0, 0], [-4 / 75, 3 / 75]]
    close(gradient(fnn.CosineSimilarity(), p, y), expected)


def test_triplets():
    x = random(6, 3, 4)
    near, far = np.linalg.norm(x[:, 0] - x[:, 1], axis=-1), np.linalg.norm(x[:, 0] - x[:, 2], axis=-1)
    close(fnn.Triplet(0.7)(x, None), np.maximum(0, near - far + 0.7).mean())
    x = np.array([[[0.0, 0.0], [3.0, 4.0], [0.0, 5.5]]])
    close(fnn.Triplet(1.0)(x, None), 0.5)
    close(gradient(fnn.Triplet(1.0), x, None), [[[-0.6, 0.2], [0.6, 0.8], [0, -1]]])


def test_points_that_coincide_have_no_direction_between_them():
    x = np.zeros((1, 3, 2))
    assert fnn.Triplet(0.5)(x, None) == 0.5
    assert not gradient(fnn.Triplet(0.5), x, None).any()


def test_a_model_of_triplets_trains():
    points = random(200, 3, 4)
    points[:, 1, 0] = points[:, 0, 0]  # the first coordinate says what belongs together
    objective = fnn.Objective(fnn.Dense(2), fnn.Triplet(1.0))
    result = fnn.fit(
        objective, fnn.optim.adam(0.02), (points, None), epochs=8, batch_size=20, key=jax.random.key(0), progress=False
    )
    assert result.history["loss"][-1] < 0.6 * result.history["loss"][0]


# ---- what weighs nothing


def poisoned(tree: Any, keep: np.ndarray) -> Any:
    """NaN, infinity and huge numbers in the rows that are not kept."""
    bad = np.array([NAN, np.inf, -np.inf, 1e300])

    def one(leaf: np.ndarray) -> np.ndarray:
        rows = bad[np.arange(leaf.size).reshape(leaf.shape) % 4]
        floating = np.issubdtype(leaf.dtype, np.floating)
        return np.where(keep.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, rows) if floating else leaf

    return jax.tree.map(one, tree)


ARRAYS = [case for case in LOSSES if isinstance(case.batch()[0], np.ndarray)]


@pytest.mark.parametrize("case", ARRAYS, ids=lambda case: case.name)
def test_a_weight_of_zero_hides_whatever_stands_there(case: LossCase):
    prediction, target, *rest = case.batch()
    keep = np.arange(len(prediction)) % 2 == 0
    weights = rest[0] if rest else DRAW.uniform(0.5, 1.5, len(prediction))
    weights = np.where(keep.reshape(-1, *(1,) * (weights.ndim - 1)), weights, 0)

    def run(prediction: Any) -> tuple:
        value, cache = case.loss.forward(prediction, target, weights)
        return value, case.loss.backward(cache), jax.grad(lambda p: case.loss(p, target, weights))(prediction)

    value, by_hand, automatic = run(jnp.asarray(prediction))
    bad_value, bad_by_hand, bad_automatic = run(jnp.asarray(poisoned(prediction, keep)))
    close(bad_value, value)
    close(bad_by_hand, by_hand)
    close(bad_automatic, automatic)
    assert not by_hand[~keep].any()


def test_a_nan_that_weighs_nothing_has_no_gradient():
    prediction, weights = jnp.array([1.0, NAN, 4.0]), jnp.array([1.0, 0.0, 2.0])
    _, cache = fnn.MeanSquaredError().forward(prediction, jnp.zeros(3), weights)
    close(fnn.MeanSquaredError().backward(cache), np.array([2 / 3, 0, 16 / 3]))
    # The selection on the way out is the last word: what terms_backward makes of a row that does not count is nothing.
    cache["terms"] = {**cache["terms"], **{name: poison(leaf) for name, leaf in cache["terms"].items()}}
    assert jnp.isfinite(fnn.MeanSquaredError().backward(cache)).all()


def test_a_sure_label_without_focus_is_that_of_cross_entropy():
    logits, label = jnp.array([[40.0, 0.0]]), jnp.array([0])
    gradients = [loss.backward(loss.forward(logits, label)[1]) for loss in (fnn.Focal(0.0), fnn.CrossEntropy())]
    assert (gradients[0] == gradients[1]).all()
    assert float(gradients[0][0, 1]) > 0


def poison(leaf: Any) -> Any:
    """NaN in the second entry of an array."""
    return leaf.at[1].set(NAN) if isinstance(leaf, jax.Array) else leaf


@pytest.mark.parametrize(
    "loss", [fnn.MeanSquaredError(), fnn.MeanAbsoluteError(), fnn.Huber(), fnn.RootMeanSquaredError()]
)
def test_a_target_that_is_missing_may_be_nan_if_it_weighs_nothing(loss: Loss):
    p, y, w = np.array([1.0, 2.0, 4.0]), np.array([0.0, NAN, 1.0]), np.array([1.0, 0.0, 2.0])
    kept = [0, 2]
    close(jax.jit(loss)(p, y, w), loss(p[kept], y[kept], w[kept]))
    expected = np.zeros(3)
    expected[kept] = gradient(loss, p[kept], y[kept], w[kept])
    close(gradient(loss, p, y, w), expected)


def test_a_weight_an_entry_is_one_of_its_mean_and_of_its_variance():
    z, y, w = random(2, 3, 4), random(2, 3, 2), np.ones((2, 3, 2))
    y[0, 1, 1], w[0, 1, 1] = NAN, 0
    expected = gradient(fnn.GaussianNLL(), z, np.nan_to_num(y), w)
    assert (np.argwhere(np.asarray(expected) == 0) == [[0, 1, 1], [0, 1, 3]]).all()
    close(gradient(fnn.GaussianNLL(), z, y, w), expected)


def test_ignored_places_may_be_anything():
    z, labels = random(4, 3), np.array([0, -1, 2, -1])
    bad = z.copy()
    bad[1], bad[3, 0] = NAN, np.inf
    for loss in (fnn.CrossEntropy(ignore_index=-1), fnn.Focal(ignore_index=-1)):
        close(loss(bad, labels), loss(z, labels))
        close(gradient(loss, bad, labels), gradient(loss, z, labels))


def test_what_counts_is_not_hidden():
    p = np.array([1.0, NAN])
    assert jnp.isnan(fnn.MeanSquaredError()(p, np.zeros(2), np.array([0.0, 1.0])))
    assert jnp.isnan(fnn.CrossEntropy()(np.array([[NAN, 1.0]]), np.array([0])))


# ---- labels and weights

SIGNED = [fnn.Hinge(), fnn.PerceptronLoss()]
CLASSED = [fnn.CrossEntropy(), fnn.CrossEntropy(z_loss=0.1), fnn.MultiClassHinge(), fnn.Focal()]


@pytest.mark.parametrize("loss", SIGNED, ids=repr)
@pytest.mark.parametrize(
    "labels", [np.array([0, 1]), np.array([1.0, 0.5]), np.array([NAN, 1.0]), np.array([True, False])]
)
def test_labels_other_than_signs_raise_outside_jit_and_are_nan_inside(loss: Loss, labels: np.ndarray):
    with pytest.raises(ValueError, match=r"labels are -1 or 1, got \[.*\]; 2 \* y - 1 makes them"):
        loss(np.zeros(2), labels)
    run = jax.jit(lambda z, y: (loss(z, y), loss.backward(loss.forward(z, y)[1]), jax.grad(loss)(z, y)))
    value, by_hand, automatic = run(np.zeros(2), labels)
    assert jnp.isnan(value)
    assert (by_hand == automatic).all()


@pytest.mark.parametrize("loss", CLASSED, ids=repr)
@pytest.mark.parametrize("label", [-1, 3, 200])
def test_classes_that_do_not_exist_raise_outside_jit_and_are_nan_inside(loss: Loss, label: int):
    z, labels = random(2, 3), np.array([1, label])
    with pytest.raises(ValueError, match=re.escape(f"labels lie in [0, 3), got [{label}]")):
        loss(z, labels)
    run = jax.jit(lambda z, y: (loss(z, y), loss.backward(loss.forward(z, y)[1]), jax.grad(loss)(z, y)))
    value, by_hand, automatic = run(z, labels)
    assert jnp.isnan(value)
    close(by_hand, automatic)
    assert not by_hand[1].any()


def test_a_class_that_does_not_exist_has_no_gradient_by_its_log_sum_either():
    loss, z, labels = fnn.CrossEntropy(z_loss=0.5), random(3, 3), np.array([1, -1, 3])
    by_hand = jax.jit(lambda z, y: loss.backward(loss.forward(z, y)[1]))(z, labels)
    assert by_hand[0].all()
    assert not by_hand[1:].any()


@pytest.mark.parametrize("count", [-1, NAN])
def test_counts_below_zero_raise_outside_jit_and_are_nan_inside(count: float):
    z, y = np.zeros(2), np.array([1.0, count])
    with pytest.raises(ValueError, match="targets are counts, at least 0"):
        fnn.Poisson()(z, y)
    assert jnp.isnan(jax.jit(fnn.Poisson())(z, y))


def test_a_distribution_below_zero_raises_outside_jit_and_is_nan_inside():
    z, q = np.zeros((1, 2)), np.log(np.array([[0.5, 0.5]]))
    with pytest.raises(ValueError, match=r"of log-probabilities give jnp\.exp\(target\)"):
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


def test_weights_may_be_booleans_or_integers():
    p, y, keep = random(3), random(3), np.array([True, False, True])
    expected = fnn.MeanAbsoluteError()(p[keep], y[keep])
    close(fnn.MeanAbsoluteError()(p, y, keep), expected)
    close(fnn.MeanAbsoluteError()(p, y, keep.astype(int)), expected)


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


# ---- penalties


def test_an_elastic_net_is_the_sum_of_both():
    params = {"dense_0": {"kernel": jnp.array([[3.0, -4.0, 0.0]]), "bias": jnp.array([7.0])}}
    penalty = fnn.ElasticNet(0.1, 0.2)
    close(penalty(params), 0.1 * 7 + 0.5 * 0.2 * 25)
    _, cache = penalty.forward(params)
    close(penalty.backward(cache)["dense_0"]["kernel"], [[0.1 + 0.6, -0.1 - 0.8, 0]])
    assert not penalty.backward(cache)["dense_0"]["bias"].any()


def test_strengths_may_be_traced():
    params = {"kernel": jnp.array([3.0, -4.0])}

    @jax.jit
    def run(l1: Any, l2: Any) -> Any:
        penalty = fnn.ElasticNet(l1, l2)
        return penalty(params), penalty.backward(penalty.forward(params)[1])["kernel"], fnn.L1(l1)(params)

    value, slope, absolute = run(0.1, 0.2)
    close(value, 0.7 + 2.5)
    close(slope, [0.7, -0.9])
    close(absolute, 0.7)


def test_a_loss_takes_traced_numbers():
    e = np.array([0.1, 2.0, -3.0])
    close(jax.jit(lambda delta: fnn.Huber(delta)(e, np.zeros(3)))(0.5), fnn.Huber(0.5)(e, np.zeros(3)))
    z, labels = random(4, 3), DRAW.integers(0, 3, 4)
    for gamma in (0.0, 2.0):
        close(jax.jit(lambda gamma: fnn.Focal(gamma)(z, labels))(gamma), fnn.Focal(gamma)(z, labels))


@pytest.mark.parametrize("scale", [1e20, 1e-20])
def test_a_cosine_needs_no_square_in_range(scale: float):
    with jax.enable_x64(False):
        a, b = scale * jnp.array([[3.0, 4.0]], jnp.float32), jnp.array([[4.0, 3.0]], jnp.float32)
        value, cache = fnn.CosineSimilarity().forward(a, b)
        np.testing.assert_allclose(value, 1 - 24 / 25, rtol=1e-5)
        gradient = fnn.CosineSimilarity().backward(cache)
        np.testing.assert_allclose(gradient * scale, [[-0.0448, 0.0336]], rtol=1e-4)
