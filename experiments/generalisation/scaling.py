"""Scaling: how does the test error fall with the amount of training data, and which model is best at few and at many?

Claims: the error of a network, of logistic regression and of support vector machines (SVMs), linear and with a radial
kernel, falls with every doubling of the data, as a power of the amount; the network's falls faster than that of the
linear models, so that it needs more data than they do to be better, and is the best with all of it.

Measure: 20 to 1280 digits; for each seed all 1797 are split anew into those to train on, 144 to validate and 360 to
test. Network: 64 ReLUs and a softmax, L2, as many steps of Adam at every amount, in batches of 32, the rate falling to
0 along a cosine. Logistic regression: one dense layer, a softmax and L2 of 1/(C N), by L-BFGS on all its digits until
the objective falls no longer, at most a given number of steps; whether it has converged is checked by the norm of its
gradient in every run, and by scikit-learn's minimum in those of the first split. SVMs: scikit-learn's SVC, one against
one. The strength of L2, or C, is for each model and amount the one of three with the least mean validation error.
Intervals are 95 % ones of Student's t over splits, of differences between models on the same split; the splits share
digits, so they are rather too narrow. The slope is that of a line through the logarithms of the mean error and of the
amount; its interval is a bootstrap over splits.

Result: every model's error falls with every doubling, within 14 % of a line: as N^−0.59 for logistic regression, −0.65
for the network, −0.73 for the linear and −0.96 for the radial SVM. At 20 digits all are alike, at 36 to 38 %; at 1280
the network has 2.4 %, logistic regression 3.2, the linear SVM 1.9 and the radial one 0.8. The network is better than
logistic regression from 160 digits on, by 0.6 to 1.4 points, and never worse; its error falls faster than that one's,
and more slowly than the linear SVM's, which is better from 40 to 640 digits. It is not the best with any amount. The
logistic regression has converged: its gradients have norms up to 2.8e-4, and its objectives are at most 7e-5 above the
minimum. Seeds 0 to 9, 45 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import runs
from experiments.claims import Claim
from experiments.generalisation import scaling_plots
from experiments.generalisation.scaling_claims import LINEAR, LOGISTIC, NETWORK, RADIAL, judged
from experiments.generalisation.scaling_models import (
    BATCH,
    COSTS,
    DECAYS,
    logistic,
    machines,
    minimum,
    networks,
    objective,
    splits,
)
from experiments.study import GRADIENTS, Figures, Study, compared


@dataclasses.dataclass(frozen=True)
class Scaling(Study):
    """The options of the experiment."""

    name = "scaling"
    quick_options: ClassVar = {"amounts": (40, 80, 160), "seeds": 3, "steps": 300, "convex_steps": 100}

    amounts: tuple[int, ...] = (20, 40, 80, 160, 320, 640, 1280)
    """How many digits to train on, in increasing order; there are 1293."""

    seeds: int = 10
    """Splits of the digits, with the seeds seed, seed + 1, …"""

    steps: int = 1000
    """Steps of Adam of the network."""

    convex_steps: int = 300
    """The most steps of L-BFGS of the logistic regression."""

    def measure(self) -> Figures:
        seeds = range(self.seed, self.seed + self.seeds)
        split = splits(seeds, max(self.amounts))
        trained, fitted = (
            networks(seeds, split, self.amounts, self.steps),
            logistic(split, self.amounts, self.convex_steps),
        )
        errors = {
            NETWORK: trained[..., 1:],
            LOGISTIC: fitted.errors,
            LINEAR: machines(split, self.amounts, "linear"),
            RADIAL: machines(split, self.amounts, "rbf"),
        }
        best = {name: found[..., 0].mean(2).argmin(0) for name, found in errors.items()}
        strengths = {name: DECAYS if name == NETWORK else COSTS for name in errors}
        (x, labels), first = (each[0] for each in split.train), jax.random.key(self.seed)
        least = np.array([[minimum(x[:n], labels[:n], cost) for n in self.amounts] for cost in COSTS])
        return {
            "errors": {
                name: [found[i, n, :, 1].astype(float).round(5).tolist() for n, i in enumerate(best[name])]
                for name, found in errors.items()
            },
            "strengths": {name: [strengths[name][i] for i in found] for name, found in best.items()},
            "seen": [trained[i, n, :, 0].astype(float).tolist() for n, i in enumerate(best[NETWORK])],
            "gradients": fitted.norms.max((0, 2)).astype(float).tolist(),
            "above": (fitted.values[..., 0] / least - 1).max(0).tolist(),
            GRADIENTS: compared(objective, *objective.init(first, x), (jnp.asarray(x[:BATCH]), labels[:BATCH])),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures, self.amounts)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        errors = {name: np.array(found) for name, found in figures["errors"].items()}
        scaling_plots.errors(folder / "errors.png", self.amounts, errors)
        return {
            "errors.png": f"Test errors (means of {self.seeds} splits), and how much larger the network's is than the"
            " others'. With 95 % intervals of the mean."
        }

    def tables(self, figures: Figures) -> list[str]:
        rows = [
            (str(n), *(f"{value:g}" for value in each), f"{np.mean(seen):.2%}")
            for n, *each, seen in zip(self.amounts, *figures["strengths"].values(), figures["seen"], strict=True)
        ]
        headings = ("digits", *figures["strengths"], "training error of the network")
        return ["## Chosen strengths\n\nL2 of the network, C of the others.\n\n" + runs.markdown_table(headings, rows)]
