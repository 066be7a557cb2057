"""The claims of the experiment on saturation, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.saturation_measures import LOSSES, OUTPUTS
from experiments.study import Figures

MANY = 5
"""How many times the steps count as many times."""

RIGHT = 0.95
"""The share of training samples from which the answers count as right."""

WAYS = {
    "at a learning rate of 1": lambda steps, rates: steps[..., np.argmin(abs(np.log(rates)))],
    "each at its best rate": lambda steps, rates: steps.min(-1),
    "each at its best rate for all starts together": lambda steps, rates: steps[..., steps.mean((0, 1)).argmin()],
}
"""The steps (starts, seeds, rates) at the learning rate that each way chooses."""


def judged(figures: Figures, starts: tuple[float, ...]) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures; ``starts`` are biases of the wrong answer."""
    gradients, scaling = figures["by_logit"], figures["scaling"]
    ratio, formula = np.array(gradients["sigmoid"]["ratio"]), np.array(gradients["formula"])
    wrong, low = np.array(gradients["logits"]) <= 0, gradients["logits"].index(-10)
    error = np.max(abs(ratio / formula - 1)[wrong])
    unscaled, scaled = np.array(scaling["r2"])
    return [
        judge(
            "With squares, the gradient of a confidently wrong sigmoid's logit vanishes",
            rule="at the logit −10 it is below 0.001 of that with cross-entropy; at all logits z up to 0 it is"
            " 2σ′(z) times that, to 1e-12",
            figure=f"{ratio[low]:.2e} of it; 2σ′(−10) = {formula[low]:.2e}; off by {error:.0e} at most",
            holds=ratio[low] < 1e-3 and error < 1e-12,
        ),
        judge(
            "So do those of a softmax's logits",
            rule="at the logit −10 their norm is below 0.001 of that with cross-entropy",
            figure=f"{gradients['softmax']['ratio'][low]:.2e} of it",
            holds=gradients["softmax"]["ratio"][low] < 1e-3,
        ),
        *(slower(figures, starts, output, way) for output in OUTPUTS for way in WAYS),
        judge(
            "A sigmoid output does not fit targets from 0 to 10",
            rule="R² is below 0 in every seed, as it is for the best output within 0 to 1",
            figure=f"R² {unscaled.min():.2f} to {unscaled.max():.2f}; best possible: {scaling['best']:.2f}",
            holds=max(unscaled.max(), scaling["best"]) < 0,
        ),
        judge(
            "It fits them once they are scaled to its range",
            rule="R² is above 0.95 in every seed, in the units of the unscaled targets",
            figure=f"R² {scaled.min():.4f} to {scaled.max():.4f}",
            holds=scaled.min() > 0.95,
        ),
    ]


def slower(figures: Figures, starts: tuple[float, ...], output: str, way: str) -> Claim:
    """The claim that squares take many times the steps."""
    steps = {loss: np.array(found["steps"]) for loss, found in figures["descents"][output].items()}
    squares, entropy = (WAYS[way](steps[loss], np.array(figures["rates"])) for loss in LOSSES)
    ratios = dict(sorted(zip(starts, (squares / entropy).min(1), strict=True)))
    confident = [start for start in ratios if min(ratios[each] for each in ratios if each >= start) >= MANY]
    return judge(
        f"A wrong {output} takes many times the steps with squares, {way}",
        rule=f"at least {MANY} times those with cross-entropy until {RIGHT:.0%} are right, from every start, in"
        " every seed",
        figure="at least: " + ", ".join(f"{ratio:.1f} × from −{start:g}" for start, ratio in ratios.items()),
        holds=len(confident) == len(ratios),
        only_when=f"the logit starts at −{min(confident, default=0):g} or below",
        there=confident,
    )
