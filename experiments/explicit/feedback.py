"""Feedback: does a network learn if its deltas do not go back through its own weights?

Claims: hidden layers learn under feedback alignment (deltas go back through fixed random matrices), direct feedback
alignment (the error goes to every layer through one) and sign symmetry (through the signs of the weights). What random
matrices give at first has nothing to do with the gradient, and turns towards it as the weights adapt to the matrices
(Lillicrap et al. 2016). Each of the three is as accurate as backpropagation.

Measure: perceptrons of three hidden layers with 64 tanh units on scikit-learn's digits, by plain descent in batches of
32, 30 epochs; backpropagation, the three rules, and hidden layers that stay as they were drawn. Every way gets the rate
of six, half a decade apart, at which the mean accuracy on the validation digits is highest at the end; judged are the
test digits, and the angle between what a rule gives and the true gradient of 512 training digits, for every hidden
layer. A seed has its own weights, batches and random matrices; it starts all five ways from the same weights.

Result: fixed hidden layers read 93.9 % of the test digits, feedback alignment 96.4 %, direct feedback alignment 96.3 %,
sign symmetry 97.2 % and backpropagation 97.3 %: all three learn hidden layers, but only sign symmetry is as accurate
(−0.1 ± 0.4 points); random matrices cost 0.9 ± 0.5 and 1.0 ± 0.5. Their angles to the gradient begin within 2° of 90°
and end at 62°, 62° and 45° from the first hidden layer to the last (direct: 60°, 53° and 44°), more than half of it
within four epochs; those of the signs begin at 56°, 48° and 35°, and end near 25°. Seeds 0 to 11, 71 s of processor
time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from experiments import data, runs
from experiments.claims import Claim, judge
from experiments.explicit import feedback_plots
from experiments.explicit import feedback_training as training
from experiments.explicit.feedback_training import BACKPROPAGATION, FIXED, RULES, WAYS
from experiments.intervals import interval, points
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
TRAINED = 1280
"""Training digits: 40 whole batches; the other parts have fewer."""

MARGIN = 0.01
"""As accurate: within one percentage point."""

RANDOM = ("feedback alignment", "direct feedback alignment")
"""The rules whose matrices are random."""


@dataclasses.dataclass(frozen=True)
class Feedback(Study):
    """The options of the experiment."""

    name = "feedback"
    quick_options: ClassVar = {"stages": 4, "seeds": 2, "width": 32, "layers": 2}

    stages: int = 15
    """How often to measure."""

    epochs: int = 2
    """Passes over the training digits between two measurements."""

    seeds: int = 12
    """Networks of every way at every rate, with the seeds seed, seed + 1, …"""

    width: int = 64
    """Units of a hidden layer."""

    layers: int = 3
    """Hidden layers."""

    def measure(self) -> Figures:
        parts = [
            (jnp.asarray(part.images.reshape(len(part.images), -1))[:TRAINED], jnp.asarray(part.labels)[:TRAINED])
            for part in data.load_digits()
        ]
        plain, seeds = training.network(self.width, self.layers), self.seed + jnp.arange(self.seeds)
        params = jax.jit(jax.vmap(lambda key: plain.init(key, parts[0][0][:1])[0]))(seeds_of(self.seed, self.seeds))
        found = {
            way: training.trained(
                way,
                plain,
                self.layers,
                (seeds, params),
                jnp.array(RATES),
                parts,
                stages=self.stages,
                epochs=self.epochs,
            )
            for way in WAYS
        }
        judged = {way: each["validation"][..., -1].mean(1) for way, each in found.items()}
        best = {way: int(each.argmax()) for way, each in judged.items()}
        first = jax.tree.map(lambda leaf: leaf[0], params)
        return {
            "history": {way: each["test"][best[way]].tolist() for way, each in found.items()},
            "angles": {way: np.moveaxis(found[way]["angles"][best[way]], -1, 0).tolist() for way in RULES},
            "rates": {way: RATES[place] for way, place in best.items()},
            "validation": {way: each.tolist() for way, each in judged.items()},
            GRADIENTS: compared(plain, first, {}, tuple(part[:8] for part in parts[0])),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        last = {way: np.array(each)[:, -1] for way, each in figures["history"].items()}
        gained = {rule: interval(last[rule] - last[FIXED]) for rule in RULES}
        learns = {rule: middle - half > 0 for rule, (middle, half) in gained.items()}
        angles = {rule: np.array(figures["angles"][rule]) for rule in RANDOM}
        turns = {rule: all(turned(layer) for layer in angles[rule]) for rule in RANDOM}
        apart = {rule: interval(last[rule] - last[BACKPROPAGATION]) for rule in RULES}
        return [
            judge(
                "Hidden layers learn under every rule",
                rule="the mean test accuracy is above that with fixed hidden layers, by the 95 % interval of the"
                " difference over the seeds, for every rule",
                figure=f"{100 * last[FIXED].mean():.1f} % with fixed layers; points above it: "
                + ", ".join(f"{points(*each)} ({rule})" for rule, each in gained.items()),
                holds=all(learns.values()),
                only_when="the rule is " + " or ".join(rule for rule, each in learns.items() if each),
                there=any(learns.values()),
            ),
            judge(
                "What random matrices give turns towards the gradient",
                rule="in every hidden layer the mean angle ends below 90° and below where it began, by the 95 %"
                " intervals over the seeds, for both rules",
                figure="; ".join(
                    f"{rule}: "
                    + ", ".join(f"{layer[:, 0].mean():.0f}° to {layer[:, -1].mean():.0f}°" for layer in each)
                    for rule, each in angles.items()
                ),
                holds=all(turns.values()),
                only_when="the rule is " + " or ".join(rule for rule, each in turns.items() if each),
                there=any(turns.values()),
            ),
            *(
                judge(
                    f"{rule.capitalize()} is as accurate as backpropagation",
                    rule=f"the 95 % interval of the difference of test accuracies over the seeds lies within"
                    f" ±{100 * MARGIN:g} point",
                    figure=f"{100 * last[rule].mean():.1f} % against {100 * last[BACKPROPAGATION].mean():.1f} %:"
                    f" {points(*apart[rule])} points",
                    holds=abs(apart[rule][0]) + apart[rule][1] <= MARGIN,
                )
                for rule in RULES
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        epochs = range(0, self.stages * self.epochs + 1, self.epochs)
        feedback_plots.errors(folder / "errors.png", epochs, figures["history"])
        feedback_plots.angles(folder / "angles.png", epochs, figures["angles"])
        return {
            "errors.png": "Test digits misread, every way at its own rate: the means over training, and at the end"
            " every network with the mean and its 95 % interval.",
            "angles.png": "The angle between what a rule gives and the true gradient; at 90° (dotted) they have nothing"
            " in common. Means, shaded from the lowest to the highest network.",
        }

    def tables(self, figures: Figures) -> list[str]:
        headings = ("way", *(f"rate {rate:g}" for rate in RATES), "chosen")
        rows = [
            (way, *(f"{100 * each:.1f}" for each in found), f"{figures['rates'][way]:g}")
            for way, found in figures["validation"].items()
        ]
        return ["Accuracy on the validation digits at the end, %:", runs.markdown_table(headings, rows)]


def turned(angles: np.ndarray) -> bool:
    """Whether the angles of a layer (seeds, points) end below 90° and below where they began, by 95 % intervals."""
    last, change = interval(angles[:, -1]), interval(angles[:, -1] - angles[:, 0])
    return sum(last) < 90 and sum(change) < 0
