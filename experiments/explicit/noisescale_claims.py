"""The claims of the experiment ``noisescale``."""

from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.explicit.noisescale_training import fitted

HALVES, HELPS = 0.65, 0.9
"""The share of the steps that a doubled batch needs: nearly half of them at most; nearly all of them at least."""

CLOSE, FACTOR = 0.2, 3.0
"""How far steps may lie from the hyperbola, relatively; and the factor within which two batch sizes agree."""


def judged(figures: dict[str, Any]) -> list[Claim]:
    """All six, from steps and noise scales by loss, batch size and seed."""
    batches = figures["batches"]
    reached = {float(target): each for target, each in figures["reached"].items()}
    steps = {target: np.array(each["steps"]).mean(1) for target, each in reached.items()}
    small, large = ({t: each[at + 1] / each[at] for t, each in steps.items()} for at in (0, len(batches) - 2))
    apart, critical, scale, end = {}, {}, {}, {}
    for target, each in reached.items():
        least, critical[target] = fitted(batches, steps[target])
        apart[target] = steps[target] / (least * (1 + critical[target] / np.array(batches))) - 1
        scale[target] = geometric(each["scale"])
        end[target] = float(np.median(each["end"]))
    high, low = reached
    by_seed = [
        [np.array([fitted(batches, run)[1] for run in np.transpose(reached[t]["steps"])]) for t in (high, low)],
        [geometric(reached[t]["scale"], axis=0) for t in (high, low)],
    ]
    losses = " and ".join(f"{target:g}" for target in reached)
    return [
        judge(
            "Doubling a small batch nearly halves the steps",
            rule=f"batches of {batches[1]} need at most {HALVES:g} of the steps of {batches[0]}, to both losses",
            figure=f"{listed(small, '.2f')} of the steps, to losses of {losses}",
            holds=max(small.values()) <= HALVES,
        ),
        judge(
            "Doubling a large batch hardly helps",
            rule=f"batches of {batches[-1]} need at least {HELPS:g} of the steps of {batches[-2]}, to both losses",
            figure=f"{listed(large, '.2f')} of the steps, to losses of {losses}",
            holds=min(large.values()) >= HELPS,
        ),
        judge(
            "Steps and examples lie on a hyperbola",
            rule=f"the mean steps of every batch size are within {100 * CLOSE:.0f} % of it, for both losses",
            figure=f"at most {listed({t: 100 * abs(each).max() for t, each in apart.items()}, '.0f')} % away",
            holds=max(abs(each).max() for each in apart.values()) <= CLOSE,
        ),
        judge(
            "The noise scale of a run tells the critical batch size",
            rule=f"they are within a factor of {FACTOR:g} of each other, for both losses",
            figure=f"noise scales {listed(scale, '.0f')}, critical batch sizes {listed(critical, '.0f')}",
            holds=all(agree(scale[target], critical[target]) for target in reached),
        ),
        judge(
            "Both grow as the loss falls",
            rule=f"both are larger to a loss of {low:g} than to {high:g}, in every seed",
            figure=f"critical batch sizes {low_to_high(by_seed[0])} times as large, noise scales"
            f" {low_to_high(by_seed[1])} times",
            holds=all((after > before).all() for before, after in by_seed),
        ),
        judge(
            "The noise scale at one point of a run tells it too",
            rule="where the loss is reached, its median over seeds and batch sizes is within a factor of"
            f" {FACTOR:g} of the critical batch size, for both losses",
            figure=f"noise scales {listed(end, '.0f')}, critical batch sizes {listed(critical, '.0f')}",
            holds=all(agree(end[target], critical[target]) for target in reached),
        ),
    ]


def geometric(values: Any, axis: int | None = None) -> Any:
    """The geometric mean."""
    return np.exp(np.mean(np.log(values), axis=axis))


def agree(one: float, other: float) -> bool:
    """Whether two batch sizes are within ``FACTOR`` of each other."""
    return 1 / FACTOR <= one / other <= FACTOR


def listed(values: dict[float, float], spec: str) -> str:
    """The values of the targets, in words."""
    return " and ".join(format(value, spec) for value in values.values())


def low_to_high(pair: list[np.ndarray]) -> str:
    """The range of the ratios of the second to the first."""
    ratios = pair[1] / pair[0]
    return f"{ratios.min():.2g} to {ratios.max():.2g}"
