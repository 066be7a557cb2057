"""Regularization: what helps a network that is trained on 100 digits, and what does it do to the weights?

Claims: L1, L2, dropout, DropConnect, noise on the inputs, augmentation, early stopping, batch norm and weight tying
each raise the test accuracy, augmentation most; L1 sets weights to exactly 0; L1 and DropConnect leave most weights
near 0, and most can be removed; dropout makes hidden units redundant; for a linear neuron with squares, noise on the
inputs is ridge regression.

Measure: 100 random digits, another draw for each seed, to train on; Adam in batches of 25, its rate decayed to 0 along
a cosine. Every way has three strengths and two rates (no strength: two rates) and is taken at those with the highest
mean accuracy on 144 validation digits; reported is the accuracy on 360 test digits, and its difference from the network
without any of the ways at the same seed (95 % intervals of Student's t over seeds, for all nine ways at once). The
network has 64 ReLUs. L1, L2, dropout of hidden units, DropConnect of all kernels, noise and small motions are settings
of one network, drawn from the same keys; early stopping watches the validation loss, so that it alone gets the
validation digits of every run. Weight tying: eight units look at each of the 36 windows of 3×3 pixels, with the same
weights at each place, which is a convolution, or with weights of their own. A weight is near 0 below 1 % of the largest
of the hidden layer; weights are removed from the smallest on, units at random. Ridge: the diabetes data, standardised,
and σ = 0.5. The expectation over the noise of a quadratic is the mean over x ± √D σ eᵢ, so the identity is tested to
rounding. Distances of weights are in units of that between ridge with λ = N σ² and least squares.

Result: noise on the inputs helps, by 1.0 ± 0.8 points to 89.7 %. No other way does, for certain: the means are −0.1 to
+0.4 points from the 88.7 % of none, L1 and L2 are best at their weakest, and augmentation is 0.6 ± 0.5 points behind
noise. Tied windows are 0.5 ± 0.6 points behind windows of their own, with 80 parameters for 2,880. L1 sets no weight to
exactly 0 (steps along a subgradient jump over it) but leaves 56 to 71 % near 0, in every seed more than half from a
strength of 0.0003 on; DropConnect leaves 4 %, none 3 %. Without the smallest 80 % of the hidden layer's weights, L1
loses 1.5 points, none 3.6 and DropConnect 5.1. Without half of the hidden units, dropout loses 9 points, DropConnect 10
and none 20. The expected loss under noise is the loss + σ²‖w‖² to 2e-16; least squares of K noisy copies tend to ridge
as K^−0.51, and trained neurons end within 0.01 of it. Seeds 0 to 29, 73 s of processor time, two CPU cores, Python
3.11.7, jax 0.9.2. The number of seeds and the strengths of L1, L2 and noise were settled after first runs with seeds
from 0 on, so other seeds were run once: 1000 to 1029 lead to the same verdicts (noise: 1.0 ± 0.7 points) but for those
on L1. At the strength and rate that are best there, 39 % of the weights are near 0, more than half in every seed only
from 0.001 on, and without the smallest 80 % it loses 2.7 points, none 3.4: a difference of 0.7 ± 0.7.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments import data, runs
from experiments.claims import Claim
from experiments.generalisation import regularization_plots
from experiments.generalisation.regularization_claims import SHARES, listed, of_accuracy, of_ridge, of_units, of_weights
from experiments.generalisation.regularization_removal import exactly_zero, near_zero, without_units, without_weights
from experiments.generalisation.regularization_ridge import COPIES, ridge_figures
from experiments.generalisation.regularization_training import (
    BATCH,
    DROPOUT,
    L1,
    NONE,
    OTHERS,
    STRENGTHS,
    UNTIED,
    WHOLE,
    choices,
    trained,
)
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

WAYS = *STRENGTHS, *OTHERS


@dataclasses.dataclass(frozen=True)
class Regularization(Study):
    """The options of the experiment."""

    name = "regularization"
    quick_options: ClassVar = {
        "seeds": 3,
        "epochs": 30,
        "rates": (0.01,),
        "ways": WHOLE,
        "ridge_seeds": 2,
        "ridge_steps": 300,
    }

    seeds: int = 30
    """Networks of each kind, with the seeds seed, seed + 1, …"""

    digits: int = 100
    """Training digits of each seed."""

    epochs: int = 60
    """Passes over them."""

    rates: tuple[float, ...] = (0.01, 0.03)
    """The learning rates of Adam of which each way has its best."""

    ways: tuple[str, ...] = WAYS
    """What is tried; none, L1, L2, dropout and DropConnect are among them."""

    ridge_seeds: int = 5
    """Linear neurons in the comparison with ridge regression."""

    ridge_steps: int = 1000
    """Steps of the linear neurons in it."""

    def __post_init__(self) -> None:
        if missing := [way for way in WHOLE if way not in self.ways]:
            raise ValueError(f"ways must have {', '.join(WHOLE)} among them; it lacks {', '.join(missing)}")

    def measure(self) -> Figures:
        train, *held_out = ((part.images.reshape(len(part.labels), -1), part.labels) for part in data.load_digits())
        seeds = range(self.seed, self.seed + self.seeds)
        drawn = np.stack([np.random.default_rng(i).permutation(len(train[1]))[: self.digits] for i in seeds])
        samples, keys = (train[0][drawn], train[1][drawn]), seeds_of(self.seed, self.seeds)
        names, settings = choices(self.ways, self.rates)
        accuracies, params = jax.device_get(trained(self.epochs, self.digits)(settings, keys, samples, held_out))
        rows = {way: [i for i, name in enumerate(names) if name == way] for way in dict.fromkeys(names)}
        ways = {
            way: best(accuracies[:, each], settings["rate"][each], settings[way][each] if way != NONE else None)
            for way, each in rows.items()
        }
        for way in (each for each in OTHERS if each in self.ways):
            rates = {"rate": np.array(self.rates, np.float32)}
            found, ran = trained(self.epochs, self.digits, way)(rates, keys, samples, held_out)
            ways[way] = best(np.asarray(found), rates["rate"]) | {"epochs": float(np.mean(ran))}
        chosen = {way: each[ways[way]["index"]] for way, each in rows.items()}
        objective = fnn.Objective(OTHERS[UNTIED], fnn.CrossEntropy())
        batch = samples[0][0][:BATCH], samples[1][0][:BATCH]
        return {
            "ways": ways,
            **self.parts_removed(params, chosen, held_out[1]),
            "by strength": self.by_strength(params, rows, accuracies[..., 0].mean(0), held_out[1]),
            "ridge": ridge_figures(self.seed, self.ridge_seeds, self.ridge_steps),
            GRADIENTS: compared(objective, *objective.init(keys[0], batch[0]), batch),
        }

    def parts_removed(self, params: Any, chosen: dict[str, int], test: tuple) -> dict[str, Any]:
        """By way, as it was chosen: accuracies (seeds, shares) without units and without weights, and weights of 0."""
        # The networks of a way lie behind each other.
        networks = jax.tree.map(lambda leaf: np.concatenate([leaf[:, chosen[way]] for way in WHOLE]), params)
        found = {
            "without units": without_units(networks, test, SHARES).round(4),
            "without weights": without_weights(networks, test, SHARES).round(4),
            "near zero": near_zero(networks),
            "zero": exactly_zero(networks),
        }
        return {
            name: dict(zip(WHOLE, values.reshape(len(WHOLE), self.seeds, *values.shape[1:]).tolist(), strict=True))
            for name, values in found.items()
        }

    def by_strength(self, params: Any, rows: dict[str, list[int]], validated: np.ndarray, test: tuple) -> dict:
        """At each strength's best rate: weights near 0 under L1; dropout's accuracies with all and half the units."""
        found = {}
        for way in (L1, DROPOUT):
            of_strength = np.array(rows[way]).reshape(len(STRENGTHS[way]), -1)
            picked = [int(each[validated[each].argmax()]) for each in of_strength]
            networks = jax.tree.map(lambda leaf, picked=picked: np.concatenate([leaf[:, i] for i in picked]), params)
            values = near_zero(networks) if way == L1 else without_units(networks, test, (0, 0.5))
            found[way] = values.reshape(len(picked), self.seeds, *values.shape[1:]).tolist()
        return found

    def claims(self, figures: Figures) -> list[Claim]:
        return [
            *of_accuracy(figures["ways"]),
            *of_weights(figures),
            of_units(figures["without units"], figures["by strength"][DROPOUT]),
            *of_ridge(figures["ridge"]),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        regularization_plots.accuracies(folder / "accuracy.png", figures["ways"])
        regularization_plots.removed(folder / "removed.png", SHARES, figures)
        regularization_plots.ridge(folder / "ridge.png", COPIES, figures["ridge"])
        return {
            "accuracy.png": f"Each way at its best strength and rate: {self.seeds} seeds, the mean as a bar; and the"
            " mean gain over none at the same seed, with the 95 % interval for all ways at once.",
            "removed.png": "Test accuracy without hidden units, removed at random, and without weights of the hidden"
            " layer, the smallest first. Means over seeds with 95 % intervals.",
            "ridge.png": "How far least squares of noisy copies and neurons trained with noise are from ridge"
            " regression, in units of the distance between ridge and least squares without noise.",
        }

    def tables(self, figures: Figures) -> list[str]:
        rows = [
            (way, listed(found["strengths"]), f"{rate:g}", f"{val:.1%}", f"{np.mean(found['tested']):.1%}")
            for way, found in figures["ways"].items()
            for rate, val in [(found["rate"], found["validated"])]
        ]
        headings = ("way", "strengths, the best first", "rate", "validation", "test")
        return ["## Choices\n\n" + runs.markdown_table(headings, rows)]


def best(accuracies: np.ndarray, rates: np.ndarray, strengths: np.ndarray | None = None) -> dict[str, Any]:
    """The figures of a way, from accuracies (seeds, choices, 2) on the validation and the test digits."""
    validated = accuracies[..., 0].mean(0)
    i = int(validated.argmax())
    tried = [] if strengths is None else sorted(set(strengths.tolist()), key=lambda s: (s != strengths[i], s))
    return {
        "index": i,
        "tested": accuracies[:, i, 1].astype(float).round(4).tolist(),
        "validated": float(validated[i]),
        "rate": float(rates[i]),
        "strength": None if strengths is None else float(strengths[i]),
        "strengths": tried,
    }
