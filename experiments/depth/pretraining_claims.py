"""The claims of the experiment on pre-training, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.pretraining_networks import (
    SMALL,
)
from experiments.depth.pretraining_ways import ADAM, NORMED, PLAIN, PRETRAINED, RECTIFIED
from experiments.study import Figures

STUCK, LEARNED, CLOSE, VANISHED = 0.2, 0.8, 0.01, 1e-4
"""The accuracies up to which a network is stuck and from which it has learned, where guessing gives 0.1; how far apart
accuracies are equally good; the share of a gradient below which another one has vanished."""


def judged(figures: Figures, depth: int) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures; ``depth`` counts hidden layers."""
    ways, norms = figures["ways"], np.array(figures["first"])
    highest = {name: max(map(max, ways[name]["tested"])) for name in (PLAIN, ADAM) if name in ways}
    at_best = {name: np.array(found["tested"])[found["best"]] for name, found in ways.items()}
    cures = [name for name in (PRETRAINED, NORMED, RECTIFIED) if name in ways]
    means = {name: at_best[name].mean() for name in cures}
    ratio = (norms[:, 0] / norms[:, -1]).max()
    return [
        judge(
            f"A sigmoid network of {depth} hidden layers that starts from N(0, {SMALL}²) is stuck",
            rule=f"at every rate and in every seed, at most {STUCK:.0%} of the test digits are read, with momentum"
            " and with Adam",
            figure=", ".join(f"{name}: at most {each:.1%}" for name, each in highest.items()),
            holds=max(highest.values()) <= STUCK,
            only_when="it is trained by gradient descent with momentum",
            there=highest[PLAIN] <= STUCK,
        ),
        judge(
            "At the start, the gradient of its first layer has vanished",
            rule=f"its norm is below {VANISHED:g} of that of the last hidden layer, in every seed",
            figure=f"at most {ratio:.1g} of it",
            holds=ratio < VANISHED,
        ),
        *(
            judge(
                f"It learns with {name}",
                rule=f"at the best rate, at least {LEARNED:.0%} of the test digits are read in every seed",
                figure=f"{at_best[name].min():.1%} to {at_best[name].max():.1%}",
                holds=at_best[name].min() >= LEARNED,
            )
            for name in cures
        ),
        judge(
            "In as many epochs, pre-training gets as far as the other cures",
            rule=f"its mean accuracy is at most {100 * CLOSE:g} point below that of the best",
            figure=", ".join(f"{name} {mean:.1%}" for name, mean in means.items()),
            holds=means[PRETRAINED] >= max(means.values()) - CLOSE,
        ),
    ]
