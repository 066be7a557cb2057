"""The lines of support vector machines: scikit-learn's, and what is measured of a line."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SUPPORT = 1.01
"""Samples up to this margin are support vectors."""


def hinge(z: Any) -> jax.Array:
    """max(0, 1 − z), which knows no label."""
    return jnp.maximum(0, 1 - z)


def reference(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """The lines of scikit-learn's SVC, which leaves the bias alone, and of its LinearSVC, which penalises it."""
    from sklearn.svm import SVC, LinearSVC

    free = SVC(kernel="linear", C=strength, tol=1e-8)
    penalised = LinearSVC(loss="hinge", C=strength, tol=1e-8, max_iter=10**7, random_state=0)
    found = [machine.fit(x.astype(np.float64), y) for machine in (free, penalised)]
    one, other = (np.append(machine.coef_[0], machine.intercept_) for machine in found)
    return one, other


def margins(line: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y (x·w + b), for w and b behind each other, in float64."""
    return y * (x.astype(np.float64) @ line[:-1] + line[-1])


def value(line: np.ndarray, x: np.ndarray, y: np.ndarray, strength: float, *, bias: bool = False) -> float:
    """The mean hinge loss + ‖w‖² / (2 C N), with b² beside ‖w‖² if the bias is penalised."""
    squares = line @ line if bias else line[:-1] @ line[:-1]
    return float(np.maximum(0, 1 - margins(line, x, y)).mean() + squares / (2 * strength * len(y)))


def shared(own: np.ndarray, theirs: np.ndarray) -> float:
    """The share of the support vectors of either that both have, from the margins."""
    one, other = own <= SUPPORT, theirs <= SUPPORT
    return float((one & other).sum() / (one | other).sum())
