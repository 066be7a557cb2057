"""A quick run of the autoencoders: what they learn, and that each rule can say no."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.unsupervised.autoencoder_maps import SIZES, Kept, best_cosines, differences, error
from fnn.testing import check_layer

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_the_linear_autoencoder_approaches_pca_from_above(run):
    excess, angle = np.array(run.figures["excess"]), np.array(run.figures["angle"])
    assert excess.shape == angle.shape == (len(SIZES), run.study.seeds)
    assert excess.min() > -1e-12  # none is better than PCA on the training digits
    assert excess.max() < 0.05
    assert angle[0].max() < 0.05  # with two numbers it has nearly arrived
    assert angle.max() < np.pi / 2
    assert run.verdict("principal components") == "does not hold"


def test_errors_fall_with_the_code_size_and_the_non_linear_ones_are_lower_for_small_codes(run):
    pca, non_linear = np.array(run.figures["PCA"]), np.array(run.figures["non-linear"])
    assert (np.diff(pca, axis=0) < 0).all()
    assert (np.diff(non_linear[..., 1].mean(1)) < 0).all()
    assert (non_linear[0, :, 1] < pca[0, 1]).all()


def test_every_rule_can_say_the_opposite(run):
    met = [[0.0, 0.0]] * len(SIZES)
    assert run.verdict("spans the PCA subspace", angle=met, excess=met) == "holds"
    assert run.verdict("spans the PCA subspace", angle=met, excess=[*met[1:], [0.0, 1e-4]]) == "does not hold"
    assert run.verdict("spans the PCA subspace", angle=[*met[1:], [0.0, 0.1]], excess=met) == "does not hold"
    assert run.verdict("are the principal components", cosine=[[[1.0, 0.995]]] * len(SIZES)) == "holds"
    assert run.verdict("are the principal components", cosine=[[[1.0, 0.98]]] * len(SIZES)) == "does not hold"
    assert run.verdict("span is determined", pairs=[[[1e-5, 0.1, 1.0]]] * len(SIZES)) == "holds"
    assert run.verdict("span is determined", pairs=[[[1e-2, 0.1, 1.0]]] * len(SIZES)) == "does not hold"
    assert run.verdict("span is determined", pairs=[[[1e-5, 0.1, 1e-5]]] * len(SIZES)) == "does not hold"
    test = [each[1] for each in run.figures["PCA"]]
    lower, higher = ([[[0.0, factor * each]] * 2 for each in test] for factor in (0.9, 1.1))
    assert run.verdict("non-linear autoencoder", **{"non-linear": lower}) == "holds"
    assert run.verdict("non-linear autoencoder", **{"non-linear": higher}) == "does not hold"
    small = run.verdict("non-linear autoencoder", **{"non-linear": [*lower[:2], *higher[2:]]})
    assert small == "holds only when the code has 2 or 4 numbers"


def test_the_layer_that_keeps_the_first_numbers_of_a_code():
    check_layer(Kept(2), jax.random.normal(jax.random.key(0), (4, 3)))
    y, _, cache = Kept(2).forward({}, {}, jnp.array([[3.0, 4.0, 5.0]]))
    assert y.tolist() == [[3, 4, 0]]
    assert Kept(2).backward(cache, jnp.ones((1, 3)))[1].tolist() == [[1, 1, 0]]


def test_errors_cosines_and_differences_worked_by_hand():
    # Of (3, 4) only the first number is kept: (0² + 4²) / 2.
    assert error(np.array([[3.0, 4.0]]), np.diag([1.0, 0.0])) == 8
    assert best_cosines(np.array([[3.0, 4.0], [0.0, -2.0]]), np.eye(2)) == [0.8, 1]
    outputs, decoders = np.array([[[3.0, 4.0]], [[3.0, 4.0]]]), np.array([[[0.0, 2.0]], [[1.0, 2.0]]])
    assert differences(outputs, decoders) == [[0, 0.5]]
