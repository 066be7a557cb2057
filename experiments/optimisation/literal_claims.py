"""The claims of the experiment on the printed algorithms, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.optimisation.literal_right import LOGITS, RIGHT
from experiments.study import Figures

RATES = (0.1, 1.0, 10.0)
"""The learning rates at which the orders of updates are compared."""

SAME, REMAINS, MOST = 1e-9, 0.05, 0.95
"""How far apart equal values may be in float64; the excess loss that may remain; the share of networks asked for."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    ends = {kind: {k: np.array(v["last"]) for k, v in each.items()} for kind, each in figures["signs"].items()}
    least = np.array(figures["least"])
    excess = {name: max(((e[name] - least) / (1 - least)).max() for e in ends.values()) for name in ("δ", "fnn")}
    smallest = min(each["printed"].min() for each in ends.values())
    order = {name: np.array(each) for name, each in figures["order"].items()}
    lower = (order["losses"][..., 1] < order["losses"][..., 0]).mean(1)
    adagrad, batches, sums = figures["adagrad"], figures["minibatches"], figures["softmax"]
    reach, slopes, decay = figures["reach"], figures["slopes"], figures["decay"]
    limits = {kind: min(each[kind]["right up to"] for each in reach.values()) for kind in ("printed", "fnn")}
    m = -(-100 // 32)
    off = {name: max(abs(bound - 1) for bound in each) for name, each in sums.items()}
    return [
        judge(
            "w ← w + α ∂L/∂w descends: in batch, stochastic and mini-batch descent",
            rule="the loss ends lower than that of the first weights, with every kind of batch, in every seed",
            figure=f"the loss grows at least {smallest:.1e}-fold; with δ = target − output for ∂L/∂w,"
            f" {excess['δ']:.1%} of the excess remains at most",
            holds=smallest < 1 and max(each["printed"].max() for each in ends.values()) < 1,
            only_when="δ = target − output stands for the gradient",
            there=max(each["δ"].max() for each in ends.values()) < 1,
        ),
        judge(
            "w ← w − α ∂L/∂w does",
            rule=f"at most {REMAINS:.0%} of the excess over least squares remains, everywhere",
            figure=f"{excess['fnn']:.1%} remains at most",
            holds=excess["fnn"] <= REMAINS,
        ),
        judge(
            "Weights may be updated before the error passes back through them",
            rule=f"the hidden weights' direction is their gradient within {SAME:g}, at every rate and network",
            figure="; ".join(
                f"at rate {rate:g} {np.median(off):.1%} off in the median, cosine at least {cosine.min():.4f}"
                for rate, off, cosine in zip(RATES, order["off"], order["cosine"], strict=True)
            ),
            holds=order["off"].max() <= SAME,
        ),
        judge(
            "Updating them first costs loss",
            rule=f"training by the gradient ends lower in at least {MOST:.0%} of the networks, at every rate",
            figure=", ".join(f"at rate {rate:g} in {share:.0%}" for rate, share in zip(RATES, lower, strict=True)),
            holds=lower.min() >= MOST,
        ),
        judge(
            "AdaGrad may sum the squares up to the step before",
            rule="no entry of the first step is infinite, or longer than η, which bounds AdaGrad's steps",
            figure=f"{adagrad['printed']['infinite']} of 10000 infinite; with ε = 1e-8 up to"
            f" {adagrad['ε']['largest']:.0f} η; with the step's own square {adagrad['fnn']['largest']:g} η",
            holds=adagrad["printed"]["infinite"] == 0 and adagrad["printed"]["largest"] <= 1 + RIGHT,
            only_when="ε stands under the root",
            there=adagrad["ε"]["infinite"] == 0 and adagrad["ε"]["largest"] <= 1 + RIGHT,
        ),
        judge(
            "Softmax, sigmoid and their losses are computed by their formulas",
            rule=f"each is finite and within {RIGHT:g} of the exact value in float32, up to ±{LOGITS[-1]:g}",
            figure="right up to "
            + ", ".join(f"±{each['printed']['right up to']:g} ({name})" for name, each in reach.items()),
            holds=limits["printed"] >= LOGITS[-1],
            only_when=f"no logit exceeds ±{limits['printed']:g}",
            there=limits["printed"] > 0,
        ),
        judge(
            "Those of fnn are right for any logit up to a million",
            rule="by the same rule",
            figure=f"up to ±{limits['fnn']:g}",
            holds=limits["fnn"] >= LOGITS[-1],
        ),
        judge(
            "A mini-batch loop over 0 … m makes m updates",
            rule=f"{m} turns for 100 samples in batches of 32, none of them without samples",
            figure=f"{len(batches['printed'])} turns, of {batches['printed']} samples; fnn makes {batches['fnn']}",
            holds=len(batches["printed"]) == m and min(batches["printed"]) > 0,
        ),
        judge(
            "A softmax with a sum over 0 … K gives probabilities",
            rule=f"they add up to 1 within {RIGHT:g} for every draw of 10 logits",
            figure=f"{sums['printed'][0]:.2f} to {sums['printed'][1]:.4f}; over K terms 1 within {off['fnn']:.0e}",
            holds=off["printed"] <= RIGHT,
        ),
        judge(
            "The gradient of λ‖w‖² is λ w",
            rule="by differences it is 1 λ w, within 1e-6",
            figure=f"{slopes['‖w‖²']:.6f} λ w; of ½ λ‖w‖², which is fnn.L2, {slopes['L2']:.6f} λ w",
            holds=abs(slopes["‖w‖²"] - 1) <= RIGHT,
            only_when="½ stands before it",
            there=abs(slopes["L2"] - 1) <= RIGHT,
        ),
        judge(
            "w ← w − η d − λ w equals a penalty of strength λ/η",
            rule=f"the weights end within {SAME:g} of each other, relatively, for descent and for Adam",
            figure=f"{decay['descent'][0]:.0e} apart for descent, {decay['Adam'][0]:.2g} for Adam",
            holds=max(decay["descent"][0], decay["Adam"][0]) <= SAME,
            only_when="d is the gradient itself",
            there=decay["descent"][0] <= SAME,
        ),
        judge(
            "It is decoupled decay of strength λ/η",
            rule=f"the weights end within {SAME:g} of those of decay_weights and adamw, relatively",
            figure=f"{decay['descent'][1]:.0e} and {decay['Adam'][1]:.0e} apart",
            holds=max(decay["descent"][1], decay["Adam"][1]) <= SAME,
        ),
    ]
