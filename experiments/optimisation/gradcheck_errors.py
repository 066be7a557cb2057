"""The errors of differences by ε, what a checker makes of them, and their slopes."""

from typing import Any

import numpy as np

EPSILONS = 10 ** np.linspace(-1, -15, 113)
NOTES = 16
"""The place of 1e-3 among them."""


def summary(found: np.ndarray, right: np.ndarray, dtype: str) -> dict[str, Any]:
    """Of differences (draws, ε, entries, formulas): quantiles of the error, the best ε, slopes of the central one."""
    errors = np.linalg.norm(found - right[:, None, :, None], axis=2) / np.linalg.norm(right, axis=1)[:, None, None]
    best = np.median(errors, axis=0).argmin(0)
    one_sided, central, five_point = (errors[:, place, i] for i, place in enumerate(best))
    root, smallest = float(np.finfo(dtype).eps) ** (1 / 3), 100 * float(np.finfo(dtype).eps)
    return {
        "errors": np.vectorize(short)(np.quantile(errors, [0.05, 0.5, 0.95], axis=0).transpose(2, 0, 1)).tolist(),
        "best": int(best[1]),
        "best ε": EPSILONS[best].tolist(),
        "at 1e-3": errors[:, NOTES, 1].tolist(),
        "worse one-sided": float((one_sided > central).mean()),
        "better five-point": float((five_point < central).mean()),
        "below": slopes(errors[..., 1], smallest, root / 5).tolist(),
        "above": slopes(errors[..., 1], 5 * root, 0.1).tolist(),
    }


def slopes(errors: np.ndarray, low: float, high: float) -> np.ndarray:
    """The slope of log error (draws, ε) against log ε from ``low`` to ``high``, by least squares, of every draw."""
    inside = (low <= EPSILONS) & (np.log(EPSILONS) <= np.log(high) + 1e-9)
    return np.polyfit(np.log(EPSILONS[inside]), np.log(errors[:, inside]).T, 1)[0]


def worst(found: np.ndarray, rule: np.ndarray, sizes: list[int]) -> np.ndarray:
    """The largest relative error of a rule's arrays, whose entries lie behind each other, by draw and ε."""
    off, ends = [], np.cumsum(sizes)
    for part in (slice(end - size, end) for end, size in zip(ends, sizes, strict=True)):
        length = np.linalg.norm(rule[:, part], axis=-1)
        off.append(np.linalg.norm(found[..., part] - rule[:, None, part], axis=-1) / length[:, None])
    return np.max(off, axis=0)


def told_apart(right: np.ndarray, wrong: np.ndarray, tolerance: float) -> np.ndarray:
    """The share of draws, by ε, where the right rule's error is within the tolerance and the wrong one's is not."""
    return ((right <= tolerance) & (wrong > tolerance)).mean(0)


def short(value: float) -> float:
    """Four digits, which is more than is drawn."""
    return float(f"{value:.3e}")
