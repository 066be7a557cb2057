"""The values of losses and penalties against references that are not this library: by hand, NumPy and SciPy."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.signal
import scipy.special
import scipy.stats

import fnn
from tests.comparing import close


@partial(jax.jit, static_argnums=0)
def value(loss: Any, prediction: Any, target: Any, weights: Any = None) -> Any:
    return loss(prediction, target, weights)


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - scipy.special.logsumexp(z, -1, keepdims=True)


def test_cross_entropy(random: Any):
    z, labels, w = random(6, 4), np.array([0, 3, 1, 1, 2, 0]), np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])
    terms = -log_softmax(z)[np.arange(6), labels]
    one_hot, kept = np.eye(4)[labels], labels != 1
    close(value(fnn.CrossEntropy(), z, labels), terms.mean())
    close(value(fnn.CrossEntropy(), z, one_hot), terms.mean())
    close(value(fnn.CrossEntropy(), z, labels, w), (w * terms).sum() / w.sum())
    close(value(fnn.CrossEntropy(ignore_index=1), z, labels), terms[kept].mean())
    smooth = 0.8 * np.eye(4)[labels] + 0.2 / 4
    expected = -(smooth * log_softmax(z)).sum(-1).mean()
    close(value(fnn.CrossEntropy(label_smoothing=0.2), z, labels), expected)
    close(value(fnn.CrossEntropy(label_smoothing=0.2), z, one_hot), expected)


def test_the_gradient_of_cross_entropy_is_p_minus_y_over_n(random: Any):
    z, labels = random(5, 3), np.array([0, 2, 1, 1, 0])
    loss = fnn.CrossEntropy()
    gradient = jax.jit(lambda z, labels: loss.backward(loss.forward(z, labels)[1]))(z, labels)
    close(gradient, (scipy.special.softmax(z, -1) - np.eye(3)[labels]) / 5)


def test_cross_entropy_of_sequences_weighs_places_and_examples(random: Any, draw: Any):
    z, labels, w = random(4, 3, 5), draw.integers(0, 5, (4, 3)), draw.uniform(0, 1, (4, 3))
    terms = -np.take_along_axis(log_softmax(z), labels[..., None], -1)[..., 0]
    close(value(fnn.CrossEntropy(), z, labels, w), (w * terms).sum() / w.sum())
    each = np.repeat(w[:, :1], 3, 1)
    close(value(fnn.CrossEntropy(), z, labels, w[:, 0]), (each * terms).sum() / each.sum())


def test_losses_of_extreme_logits_are_finite_and_right():
    z = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    close(value(fnn.CrossEntropy(), z, jnp.array([0, 0])), 1e4)
    close(value(fnn.BinaryCrossEntropy(), jnp.array([1e4, -1e4]), jnp.array([0, 0])), 5e3)


def test_binary_cross_entropy(random: Any, draw: Any):
    z, y = random(5, 2), draw.uniform(0, 1, (5, 2))
    p = scipy.special.expit(z)
    expected = -(y * np.log(p) + (1 - y) * np.log1p(-p)).mean()
    close(value(fnn.BinaryCrossEntropy(), z, y), expected)


def test_mean_squared_error(random: Any):
    p, y, w = random(4, 3), random(4, 3), np.array([1.0, 0.0, 2.0, 3.0])
    close(value(fnn.MeanSquaredError(), p, y), ((p - y) ** 2).mean())
    expected = (w[:, None] * (p - y) ** 2).sum() / (3 * w.sum())
    close(value(fnn.MeanSquaredError(), p, y, w), expected)


def test_penalties():
    params = {"dense_0": {"kernel": jnp.array([[3.0, -4.0]]), "bias": jnp.array([7.0])}, "scale": jnp.array([2.0])}
    close(fnn.L1(0.1)(params), 0.7)
    close(fnn.L2(0.1)(params), 0.5 * 0.1 * 25)
    close(fnn.L2(0.1, paths=("*/bias", "scale"))(params), 0.5 * 0.1 * 53)
