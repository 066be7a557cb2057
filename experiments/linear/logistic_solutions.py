"""What logistic regression is measured by: scikit-learn's solution, bounds, formulas, and how reliable it is."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

import fnn


def reference(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    """scikit-learn's coefficients (D + 1,), the bias last."""
    from sklearn.linear_model import LogisticRegression

    machine = LogisticRegression(C=strength, solver="newton-cholesky", tol=1e-10).fit(x, y)
    return np.append(machine.coef_[0], machine.intercept_)


def sigmoid(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """σ(x·w + b) of samples (N, D), for coefficients (…, D + 1), the bias last: (…, N)."""
    return expit(coefficients[..., :-1] @ x.T + coefficients[..., -1:])


def bound(own: np.ndarray, theirs: np.ndarray, penalty: float, x: np.ndarray, y: np.ndarray) -> float:
    """How far apart two near minima can be: the norms of their gradients over the least curvature."""
    wide, strengths = np.column_stack([x, np.ones(len(x))]), np.append(np.full(x.shape[1], penalty), 0)
    p, q = sigmoid(theirs, x), sigmoid(own, x)
    gradients = [wide.T @ (each - y) / len(y) + strengths * w for each, w in ((p, theirs), (q, own))]
    hessian = (wide.T * (p * (1 - p))) @ wide / len(y) + np.diag(strengths)
    return float(sum(np.linalg.norm(each) for each in gradients) / np.linalg.eigvalsh(hessian)[0])


def formulas_error(seed: int) -> float:
    """The largest difference between a softmax of two logits and a sigmoid of their difference, with their losses."""

    def gaps(key: jax.Array) -> tuple[jax.Array, ...]:
        scales = jnp.repeat(jnp.array([1.0, 10.0, 1000.0]), 100)[:, None]
        z, labels = scales * jax.random.normal(key, (300, 2)), jnp.arange(300) % 2
        two, two_cache = fnn.CrossEntropy().forward(z, labels)
        one, one_cache = fnn.BinaryCrossEntropy().forward(z[:, 1] - z[:, 0], labels.astype(z.dtype))
        slopes = fnn.CrossEntropy().backward(two_cache)[:, 1] - fnn.BinaryCrossEntropy().backward(one_cache)
        # Both losses are means: times their number, these are the slopes of single samples.
        return fnn.Softmax()(z)[:, 1] - fnn.Sigmoid()(z[:, 1] - z[:, 0]), (two - one) / one, len(z) * slopes

    with jax.enable_x64(True):
        return max(float(np.abs(gap).max()) for gap in jax.jit(gaps)(jax.random.key(seed)))


def interval(values: np.ndarray) -> float:
    """Half the 95 % interval of a mean."""
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))


def reliability(probabilities: np.ndarray, ones: np.ndarray) -> list[tuple[float, float, float]]:
    """Of each tenth with samples: the mean prediction, the share of ones, and half the 95 % interval of that share.

    Rows are splits, and what varies is taken to be the split: the share is a ratio of two sums over rows.
    """
    found, rows = [], len(probabilities)
    for i in range(10):
        inside = np.minimum(10 * probabilities, 9).astype(int) == i
        counts, hits = inside.sum(1), (inside & ones).sum(1)
        if counts.any():
            share = hits.sum() / counts.sum()
            spread = np.sqrt(rows / (rows - 1) * np.square(hits - share * counts).sum()) / counts.sum()
            found.append((float(probabilities[inside].mean()), float(share), float(1.96 * spread)))
    return found
