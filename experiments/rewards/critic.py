"""Critic: can a network learn from "50 % of the output is correct", and what does it cost against the full targets?

Claims: a network learns from the fraction of correct output bits alone; it needs more samples than with the targets,
and the more output bits, the more times as many; a baseline lowers the variance of the gradient estimate, and with it
the samples needed.

Measure: bit k of the target says whether x·w_k > 0; x has ten normal numbers, w_k is random and differs from seed to
seed. A network of 16 tanhs gives the logits z of 1, 2, 4 or 8 bits. With the critic, it draws bits a from
Bernoulli(σ(z)) and is told the fraction r of them that is correct, no more; the gradient estimate (REINFORCE) is that
of −(r − b) log p(a), by the hand rules. The baseline b is 0, or the running mean of r in the batches before, which the
bits do not depend on. With the targets y, the loss is −log p(y), the cross-entropy. Every batch of 16 samples is new.
Counted are the samples until 90 % of the bits [z > 0] of 500 other samples are correct (chance: 50 %), looked at every
32 samples; a run that never gets there counts as if it did at the next look, so its ratios are lower bounds. Each way
has, for each number of bits, its own best of six learning rates of Adam: the one with the least median of samples, or
of equals the one that ends with the highest accuracy. Teacher, first weights and inputs of a seed are the same for all
ways. The variance is the trace of the covariance of the gradient of one sample, at the first weights, with and without
b = the mean of r there.

Result: with a baseline it learns in every one of 9 seeds, from 224, 384, 960 and 2,688 samples (medians for 1, 2, 4 and
8 bits). That is 1.8, 2.3, 4.3 and 7.1 times as many as with the targets; with one bit, the targets are not ahead in
every seed. At the first weights, the variance without a baseline is 2.0, 3.0, 5.1 and 9.1 times that with it, near
the bits + 1 that fair coins would give. Without a baseline it takes 2.0, 3.1, 6.7 and at least 17 times the samples:
with 8 bits, only 3 of 9 seeds get there within 51,200. Seeds 0 to 8, 40 s of processor time, two CPU cores, Python
3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments.claims import Claim, judge
from experiments.rewards import critic_plots
from experiments.rewards.critic_training import BATCH, BITS, EVERY, objective, run_of, start, variances_of
from experiments.study import GRADIENTS, Figures, Study, compared

WAYS = "targets", "critic with a baseline", "critic alone"
LEVEL = 0.9
"""The share of correct bits from which the task counts as learned."""


@dataclasses.dataclass(frozen=True)
class Critic(Study):
    """The options of the experiment."""

    name = "critic"
    quick_options: ClassVar = {"seeds": 2, "samples": 12800, "rates": (0.03,)}

    seeds: int = 9
    """Runs of every combination, with the seeds seed, seed + 1, …"""

    samples: int = 51200
    """How many samples a run may use."""

    rates: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """The learning rates of which each way has its best."""

    def measure(self) -> Figures:
        each = [start(self.seed + i, self.checks * EVERY) for i in range(self.seeds)]
        starts, used = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each), np.tri(max(BITS))[np.array(BITS) - 1] > 0
        run = jax.vmap(run_of, in_axes=(None, None, None, 0))
        for axes in ((None, None, 0, None), (None, 0, None, None), (0, None, None, None)):
            run = jax.vmap(run, in_axes=axes)
        accuracies = np.asarray(jax.jit(run)(used, jnp.arange(len(WAYS)), jnp.array(self.rates), starts))
        needed = EVERY * BATCH * checks_until(accuracies >= LEVEL)  # (bits, ways, rates, seeds)
        # Of rates with the same median, the one that ends with the highest accuracy.
        best = (np.median(needed, -1) - accuracies[..., -1].mean(-1)).argmin(-1)
        variances = jax.vmap(jax.vmap(variances_of, in_axes=(None, 0)), in_axes=(0, None))
        params, _, x, chance, _ = each[0]
        batch = x[0], {"bits": chance[0] < 0.5, "advantages": chance[1] - 0.5}
        return {
            "rates": np.array(self.rates)[best].tolist(),
            "needed": chosen(needed, best).tolist(),
            "possible": self.checks * EVERY * BATCH,
            "accuracies": chosen(accuracies, best)[..., self.shown].round(4).tolist(),
            "samples": (EVERY * BATCH * (self.shown + 1)).tolist(),
            "variances": np.asarray(jax.jit(variances)(used, starts)).tolist(),
            GRADIENTS: compared(objective, params, {}, batch),
        }

    @property
    def checks(self) -> int:
        """How often the held-out bits are looked at."""
        return self.samples // (EVERY * BATCH)

    @property
    def shown(self) -> np.ndarray:
        """Those checks that the picture shows."""
        return np.unique(np.logspace(0, np.log10(self.checks), 48).astype(int)) - 1

    def claims(self, figures: Figures) -> list[Claim]:
        needed, variances = np.array(figures["needed"]), np.array(figures["variances"])
        reached, within = needed <= figures["possible"], f"within {figures['possible']:,} samples"
        targets, critic, alone = needed.transpose(1, 0, 2)
        ratios, saved, lowered = critic / targets, np.median(alone / critic, 1), variances[..., 1] / variances[..., 0]
        medians, helped = np.median(ratios, 1), [bits for bits, each in zip(BITS, saved, strict=True) if each > 1]
        costly = [bits for bits, each in zip(BITS, ratios, strict=True) if each.min() > 1]
        return [
            judge(
                "It learns from the fraction of correct bits alone",
                rule=f"with the baseline, {LEVEL:.0%} of the bits of new samples are correct {within}, in every seed,"
                " for every number of bits",
                figure=f"{listed(reached[:, 1].sum(1), '{:d}')} of {needed.shape[-1]} seeds; samples (median):"
                f" {listed(np.median(critic, 1), '{:,.0f}')}",
                holds=reached[:, 1].all(),
            ),
            judge(
                "It needs more samples than with the targets",
                rule="the ratio of samples is above 1 (then the targets are better) in every seed, for every number of"
                " bits",
                figure=f"at least {listed(ratios.min(1), '{:.1f} times')}; at most {ratios.max():.1f} times",
                holds=len(costly) == len(BITS),
                only_when=f"there are {' or '.join(map(str, costly))} bits",
                there=costly,
            ),
            judge(
                "The more output bits, the more times as many",
                rule="the median over the seeds of that ratio grows from each number of bits to the next",
                figure=listed(medians, "{:.1f} times"),
                holds=(np.diff(medians) > 0).all(),
                only_when="there are 2 bits or more",
                there=(np.diff(medians[1:]) > 0).all(),
            ),
            judge(
                "A baseline lowers the variance of the gradient estimate",
                rule="without it the variance is more than that with it, in every seed, for every number of bits",
                figure=f"median {listed(np.median(lowered, 1), '{:.1f} times')}; at least {lowered.min():.1f} times",
                holds=lowered.min() > 1,
            ),
            judge(
                "A baseline lowers the samples needed",
                rule="without it, the median over the seeds of the ratio of samples is above 1 (then the baseline is"
                " better), for every number of bits",
                figure=f"{listed(saved, '{:.1f} times')}; {listed(reached[:, 2].sum(1), '{:d}')} of {needed.shape[-1]}"
                f" seeds learn {within} without",
                holds=len(helped) == len(BITS),
                only_when=f"there are {' or '.join(map(str, helped))} bits",
                there=helped,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        critic_plots.learning(folder / "learning.png", figures)
        critic_plots.samples(folder / "samples.png", figures)
        seeds = f"of {self.seeds} seeds, shaded from the lowest to the highest"
        return {
            "learning.png": f"Correct bits against samples, each way at its best rate. Medians {seeds}; dotted: the"
            " level that counts as learned.",
            "samples.png": f"Samples needed (medians {seeds}; dotted: all that a run may use) and what the baseline"
            " saves in variance (medians). Bits drawn by fair coins would give a ratio of E r² / Var r = bits + 1.",
        }


def checks_until(reached: np.ndarray) -> np.ndarray:
    """The number of the first check (on the last axis, from 1) that is true; one more than there are if none is."""
    return np.where(reached.any(-1), reached.argmax(-1), reached.shape[-1]) + 1


def chosen(values: np.ndarray, best: np.ndarray) -> np.ndarray:
    """The values (bits, ways, rates, …) at the index (bits, ways) of the best rate."""
    return np.array([[of_way[i] for of_way, i in zip(*pair, strict=True)] for pair in zip(values, best, strict=True)])


def listed(values: Any, form: str) -> str:
    """The values for each number of bits, with these numbers."""
    return ", ".join(form.format(value) for value in values) + f" for {', '.join(map(str, BITS))} bits"
