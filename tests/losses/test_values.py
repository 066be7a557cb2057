"""The losses against numbers worked by hand, NumPy, SciPy and scikit-learn."""

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
from tests.comparing import close
from tests.losses.compiled import by_both, gradient

pytestmark = pytest.mark.usefixtures("strict_numerics")

NAN = float("nan")


def weighted(terms: np.ndarray, w: np.ndarray) -> float:
    """Their weighted mean, a weight a row."""
    w = np.broadcast_to(w.reshape(-1, *(1,) * (terms.ndim - 1)), terms.shape)
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
def test_a_loss_of_differences(name: str, random: Any):
    loss, reference = REGRESSIONS[name]
    p, y, w = random(4, 3), random(4, 3), np.array([1.0, 0.0, 2.0, 3.0])
    close(loss(p, y), reference(p - y).mean())
    close(loss(p, y, w), weighted(reference(p - y), w))
    close(loss(p, y, np.ones((4, 3))), reference(p - y).mean())
    for e in ERRORS:
        close(loss(np.array([e]), np.zeros(1)), reference(e))


def test_differences_worked_by_hand():
    zeros = np.zeros(5)
    close(fnn.MeanAbsoluteError()(ERRORS, zeros), 1.15)
    assert fnn.MeanSquaredError()(ERRORS, zeros) == 2.6625
    assert fnn.RootMeanSquaredError()(np.array([1.0, -7.0]), np.zeros(2)) == 5
    assert fnn.Huber()(ERRORS, zeros) == (2.5 + 0.125 + 0.03125 + 1.5) / 5
    assert gradient(fnn.Huber(), ERRORS, zeros).tolist() == (np.array([-1, -0.5, 0, 0.25, 1]) / 5).tolist()
    assert gradient(fnn.MeanAbsoluteError(), ERRORS, zeros).tolist() == (np.array([-1, -1, 0, 1, 1]) / 5).tolist()
    close(gradient(fnn.RootMeanSquaredError(), np.array([1.0, -7.0]), np.zeros(2)), np.array([0.1, -0.7]))


def test_the_root_of_the_mean_of_squares_is_weighted_inside_the_root(random: Any):
    p, y, w = random(4, 3), random(4, 3), np.array([1.0, 0.0, 2.0, 3.0])
    close(fnn.RootMeanSquaredError()(p, y, w), np.sqrt(weighted((p - y) ** 2, w)))
    assert fnn.RootMeanSquaredError()(p, y, np.zeros(4)) == 0


def test_the_root_of_a_mean_that_is_not_a_number_is_none():
    assert jnp.isnan(fnn.RootMeanSquaredError()(np.array([1.0, NAN]), np.zeros(2)))


@pytest.mark.parametrize("size", [1e-9, 1e-5, 0.5, 0.999999, 1.0, 3.0, 700.0, 1e6, 1e300])
def test_log_cosh_keeps_its_digits_at_every_size(size: float):
    exact = size - np.log(2) if size > 50 else 0.5 * np.log1p(np.sinh(size) ** 2)
    for e in (size, -size):
        close(by_both(fnn.LogCosh(), np.array([e]), np.zeros(1))[0], exact)
        close(gradient(fnn.LogCosh(), np.array([e]), np.zeros(1)), np.tanh([e]))


def test_log_cosh_in_float32_near_zero_and_far_out():
    e = np.array([1e-4, 90.0, 3e38], np.float32)
    got = [float(fnn.LogCosh()(e[i : i + 1], np.zeros(1, np.float32))) for i in range(3)]
    np.testing.assert_allclose(got, [0.5e-8, 90 - np.log(2), 3e38], rtol=1e-6)


# ---- margins


def test_the_hinge(random: Any, draw: np.random.Generator):
    z, y, w = random(4, 3), np.sign(random(4, 3)), draw.uniform(0, 1, 4)
    terms = np.maximum(0, 1 - y * z)
    close(fnn.Hinge()(z, y), terms.mean())
    close(fnn.Hinge()(z, y, w), weighted(terms, w))
    close(fnn.Hinge()(z[:, 0], y[:, 0]), sklearn.metrics.hinge_loss(y[:, 0], z[:, 0]))
    assert gradient(fnn.Hinge(), np.array([0.5, -2.0, 3.0]), np.array([1, -1, -1])).tolist() == [-1 / 3, 0, 1 / 3]


def test_the_perceptrons_criterion_sums_over_the_misclassified_alone():
    z, y = np.array([2.0, -1.0, 0.5, -4.0]), np.array([1, 1, -1, -1])
    assert 4 * fnn.PerceptronLoss()(z, y) == 1.0 + 0.5
    assert (4 * gradient(fnn.PerceptronLoss(), z, y)).tolist() == [0, -1, 1, 0]


def test_the_perceptron_learns_from_zero_weights_by_rosenblatts_rule():
    objective = fnn.Objective(fnn.Dense(1), fnn.PerceptronLoss())
    params = {"kernel": np.zeros((2, 1)), "bias": np.zeros(1)}
    batch = np.array([[3.0, -2.0]]), np.array([[-1]])
    _, grads = jax.jit(lambda *batch: objective.value_and_grad(params, {}, batch))(*batch)
    assert grads["kernel"].tolist() == [[3.0], [-2.0]]  # w − α dw = w + α y x
    assert grads["bias"].tolist() == [1.0]


def test_the_hinge_of_classes_is_crammer_and_singers(random: Any, draw: np.random.Generator):
    loss, z, labels, w = fnn.MultiClassHinge(), random(6, 4), draw.integers(0, 4, 6), draw.uniform(0, 1, 6)
    close(by_both(loss, z, labels)[0], sklearn.metrics.hinge_loss(labels, z, labels=range(4)))
    expected = sklearn.metrics.hinge_loss(labels, z, labels=range(4), sample_weight=w)
    close(by_both(loss, z, labels, w)[0], expected)
    z, labels = np.array([[2.0, 1.5, -1.0], [0.0, 3.0, 0.0], [1.0, 0.0, 4.0]]), np.array([0, 1, 0])
    close(3 * by_both(loss, z, labels)[0], 0.5 + 0 + 4)
    close(3 * gradient(loss, z, labels), np.array([[-1.0, 1, 0], [0, 0, 0], [-1, 0, 1]]))


def test_the_hinge_of_two_classes_is_the_hinge_of_their_difference(random: Any, draw: np.random.Generator):
    z, labels = random(6, 2), draw.integers(0, 2, 6)
    two = by_both(fnn.MultiClassHinge(), z, labels)[0]
    close(two, by_both(fnn.Hinge(), z[:, 1] - z[:, 0], 2 * labels - 1)[0])


def test_a_class_that_cannot_be_is_no_rival():
    z = np.array([[0.5, -np.inf, 0.0]])
    assert by_both(fnn.MultiClassHinge(), z, np.array([0]))[0] == 0.5
    assert gradient(fnn.MultiClassHinge(), z, np.array([0])).tolist() == [[-1, 0, 1]]


@pytest.mark.parametrize("loss", [fnn.Hinge(), fnn.PerceptronLoss()])
def test_an_output_that_is_not_a_number_is_no_margin(loss: Loss):
    assert jnp.isnan(loss(np.array([NAN, 1.0]), np.array([1, 1])))
    assert jnp.isnan(fnn.MultiClassHinge()(np.array([[NAN, 1.0]]), np.array([1])))


# ---- distributions


@pytest.mark.parametrize(
    "gamma", [0.0, 0.5, *(pytest.param(gamma, marks=pytest.mark.full) for gamma in (1.0, 2.0, 5.0))]
)
def test_the_focal_loss(gamma: float, random: Any, draw: np.random.Generator):
    z, labels, w = random(6, 4), draw.integers(0, 4, 6), draw.uniform(0, 1, 6)
    p = scipy.special.softmax(z, -1)[np.arange(6), labels]
    terms = -((1 - p) ** gamma) * np.log(p)
    close(fnn.Focal(gamma)(z, labels), terms.mean())
    close(fnn.Focal(gamma)(z, labels, w), weighted(terms, w))
    kept = labels != 1
    close(fnn.Focal(gamma, ignore_index=1)(z, labels, w), weighted(terms[kept], w[kept]))


def test_the_focal_loss_of_gamma_0_is_cross_entropy(random: Any, draw: np.random.Generator):
    z, labels = 5 * random(6, 4), draw.integers(0, 4, 6)
    focal, plain = (by_both(loss, z, labels) for loss in (fnn.Focal(0.0), fnn.CrossEntropy()))
    close(focal, (*plain[:2], focal[2]), rtol=0, atol=0)
    close(focal[2], plain[2])


@pytest.mark.parametrize("gamma", [0.5, *(pytest.param(gamma, marks=pytest.mark.full) for gamma in (0.0, 1.0, 2.0))])
@pytest.mark.parametrize("size", [30.0, 1e3, 1e30])
def test_the_focal_loss_of_extreme_logits(gamma: float, size: float):
    sure, wrong = np.array([[size, -size, 0.0]]), np.array([[-size, size, 0.0]])
    label = np.array([0])
    assert 0 <= by_both(fnn.Focal(gamma), sure, label)[0] < 1e-12
    assert abs(gradient(fnn.Focal(gamma), sure, label)).max() < 1e-12
    close(by_both(fnn.Focal(gamma), wrong, label)[0], 2 * size)
    # The third class keeps e⁻³⁰ of the probability.
    np.testing.assert_allclose(gradient(fnn.Focal(gamma), wrong, label), [[-1, 1, 0]], atol=1e-12)


def test_the_divergence(random: Any, draw: np.random.Generator):
    z, q, w = random(6, 4), draw.dirichlet(np.ones(4), 6), draw.uniform(0, 1, 6)
    terms = scipy.special.rel_entr(q, scipy.special.softmax(z, -1)).sum(-1)
    close(by_both(fnn.KLDivergence(), z, q)[0], terms.mean())
    close(by_both(fnn.KLDivergence(), z, q, w)[0], weighted(terms, w))
    close(gradient(fnn.KLDivergence(), z, q), (scipy.special.softmax(z, -1) - q) / 6)


def test_the_divergence_of_a_certain_target_is_the_cross_entropy_and_absent_classes_cost_nothing(
    random: Any, draw: np.random.Generator
):
    z, labels = random(6, 4), draw.integers(0, 4, 6)
    close(by_both(fnn.KLDivergence(), z, np.eye(4)[labels])[0], fnn.CrossEntropy()(z, labels))
    z[:, 3], q = -np.inf, np.array([[0.5, 0.25, 0.25, 0.0]] * 6)
    terms = scipy.special.rel_entr(q, scipy.special.softmax(z, -1)).sum(-1)
    close(by_both(fnn.KLDivergence(), z, q)[0], terms.mean())
    assert jnp.isfinite(gradient(fnn.KLDivergence(), z, q)).all()


def test_the_divergence_takes_log_probabilities_and_is_zero_where_they_are_the_targets(draw: np.random.Generator):
    q = draw.dirichlet(np.ones(4), 6)
    assert abs(by_both(fnn.KLDivergence(), np.log(q), q)[0]) < 1e-15


# ---- likelihoods


def test_poisson(random: Any, draw: np.random.Generator):
    z, y, w = random(4, 3), draw.integers(0, 6, (4, 3)), draw.uniform(0, 1, 4)
    terms = -scipy.stats.poisson.logpmf(y, np.exp(z))
    close(fnn.Poisson(full=True)(z, y), terms.mean())
    close(fnn.Poisson(full=True)(z, y, w), weighted(terms, w))
    close(fnn.Poisson()(z, y), (terms - scipy.special.gammaln(y + 1)).mean())
    close(gradient(fnn.Poisson(), z, y), (np.exp(z) - y) / 12)


def test_a_rate_of_zero_is_right_for_a_count_of_zero():
    assert fnn.Poisson()(np.array([-np.inf]), np.array([0])) == 0
    assert fnn.Poisson()(np.array([-np.inf]), np.array([1])) == np.inf
    assert gradient(fnn.Poisson(), np.array([-np.inf]), np.array([0])).tolist() == [0]


def test_a_normal_distribution(random: Any, draw: np.random.Generator):
    mean, log_variance, y, w = random(4, 3), random(4, 3), random(4, 3), draw.uniform(0, 1, 4)
    prediction = np.concatenate([mean, log_variance], -1)
    terms = -scipy.stats.norm.logpdf(y, mean, np.exp(0.5 * log_variance))
    close(fnn.GaussianNLL(full=True)(prediction, y), terms.mean())
    close(fnn.GaussianNLL(full=True)(prediction, y, w), weighted(terms, w))
    close(fnn.GaussianNLL()(prediction, y), (terms - 0.5 * np.log(2 * np.pi)).mean())


def test_a_normal_distribution_by_hand():
    prediction, y = np.array([[1.0, np.log(4.0)]]), np.array([[4.0]])
    close(by_both(fnn.GaussianNLL(), prediction, y)[0], 0.5 * (np.log(4) + 9 / 4))
    close(gradient(fnn.GaussianNLL(), prediction, y), np.array([[-3 / 4, 0.5 * (1 - 9 / 4)]]))


# ---- directions and distances


def test_the_cosine(random: Any, draw: np.random.Generator):
    loss, p, y, w = fnn.CosineSimilarity(), random(6, 4), random(6, 4), draw.uniform(0, 1, 6)
    terms = np.array([scipy.spatial.distance.cosine(*pair) for pair in zip(p, y, strict=True)])
    close(by_both(loss, p, y)[0], terms.mean())
    close(by_both(loss, p, y, w)[0], weighted(terms, w))
    close(by_both(loss, p, -2 * p)[0], 2.0)
    right, down = np.array([[3.0, 0.0]]), np.array([[0.0, -2.0]])
    close(loss(right[0], down[0]), 1.0)
    close(gradient(loss, right, down), np.array([[0, 1 / 3]]))


def test_a_zero_vector_has_no_direction():
    p, y = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [0.0, 0.0], [4.0, -3.0]])
    close(by_both(fnn.CosineSimilarity(), p, y)[0], 1.0)
    close(gradient(fnn.CosineSimilarity(), p, y), np.array([[0, 0], [0, 0], [-4 / 75, 3 / 75]]))


@pytest.mark.parametrize("scale", [1e20, 1e-20])
def test_a_cosine_needs_no_square_in_range(scale: float):
    with jax.enable_x64(False):
        a, b = np.array([[3 * scale, 4 * scale]], np.float32), np.array([[4, 3]], np.float32)
        value, by_hand, _ = by_both(fnn.CosineSimilarity(), a, b)
        np.testing.assert_allclose(value, 1 - 24 / 25, rtol=1e-5)
        np.testing.assert_allclose(by_hand * scale, [[-0.0448, 0.0336]], rtol=1e-4)


def test_triplets(random: Any):
    x = random(6, 3, 4)
    near, far = np.linalg.norm(x[:, 0] - x[:, 1], axis=-1), np.linalg.norm(x[:, 0] - x[:, 2], axis=-1)
    close(fnn.Triplet(0.7)(x, None), np.maximum(0, near - far + 0.7).mean())
    x = np.array([[[0.0, 0.0], [3.0, 4.0], [0.0, 5.5]]])
    close(by_both(fnn.Triplet(1.0), x, None)[0], 0.5)
    close(gradient(fnn.Triplet(1.0), x, None), np.array([[[-0.6, 0.2], [0.6, 0.8], [0, -1]]]))


def test_points_that_coincide_have_no_direction_between_them():
    x = np.zeros((1, 3, 2))
    assert by_both(fnn.Triplet(0.5), x, None)[0] == 0.5
    assert not gradient(fnn.Triplet(0.5), x, None).any()
