"""Errors by block of time, and the intervals of their ratios."""

import numpy as np

from experiments.sequences.series_problem import HORIZONS

BLOCKS, DRAWS = 10, 2000
"""Blocks of time of the test part, and bootstrap samples."""

NAIVE = "last value", "last season", "drift"


def naive_of(name: str) -> str:
    """The second naive forecast of a series."""
    return "drift" if name == "price" else "last season"


def squares(differences: np.ndarray) -> np.ndarray:
    """The sums of squares (seeds, blocks, horizons) of differences (seeds, N, horizons), in blocks of time."""
    return np.stack([np.square(each).sum(1) for each in np.array_split(differences, BLOCKS, axis=1)], 1)


def ratios(ours: np.ndarray, errors: dict[str, np.ndarray], against: str) -> np.ndarray:
    """Our squared error over that of ``against``, and the ends of its 95 % interval: (3, horizons).

    Blocks of time, the same of both, and seeds are drawn with replacement. ``"naive"`` is the naive forecast with the
    least error, at each horizon.
    """
    if against == "naive":
        candidates = [errors[name] for name in NAIVE if name in errors]
        least = np.argmin([each.sum((0, 1)) for each in candidates], 0)
        theirs = np.stack([candidates[k][..., horizon] for horizon, k in enumerate(least)], -1)
    else:
        theirs = errors[against]
    random = np.random.default_rng(0)
    blocks = random.integers(0, ours.shape[1], (DRAWS, 1, ours.shape[1]))

    def drawn(values: np.ndarray) -> np.ndarray:
        seeds = random.integers(0, len(values), (DRAWS, len(values), 1))
        return values[seeds, blocks].sum(2).mean(1)

    ends = np.quantile(drawn(ours) / drawn(theirs), (0.025, 0.975), axis=0)
    return np.stack([ours.sum(1).mean(0) / theirs.sum(1).mean(0), *ends])


def better(ratio: np.ndarray) -> np.ndarray:
    """At which horizons the whole interval is below 1."""
    return ratio[2] < 1


def listed(chosen: np.ndarray) -> str:
    """The chosen horizons in words."""
    return " or ".join(str(each) for each, there in zip(HORIZONS, chosen, strict=True) if there) or "none"


def shown(found: dict[str, np.ndarray]) -> str:
    """The ratios with their intervals, by name and horizon; below 1 ours is better."""
    texts = (
        f"{name} " + ", ".join(f"{middle:.2f} [{low:.2f}, {high:.2f}]" for middle, low, high in ratio.T)
        for name, ratio in found.items()
    )
    return f"{'; '.join(texts)} at {', '.join(map(str, HORIZONS))} (below 1: better)"
