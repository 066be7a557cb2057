"""Batch norm: does it allow larger learning rates, and why?

Claims: batch norm widens the range of usable learning rates, because it lessens the shift of the layers' inputs; it may
stand before or after the activation; scaling the weights before it by c changes no output and divides their gradient by
c; it needs ε; training and evaluation mode differ more, the smaller the batch.

Measure: four hidden layers of 64 units on 1280 digits, 144 more to choose the rate and 360 to test; gradient descent in
batches of 64, 8 epochs, at 13 rates in four decades. ReLU starts from He's weights, tanh and sigmoid from Glorot's. A
rate is usable if it leads to 90 % of the test digits, and counts for the third of a decade to the next. The shift is
that of the units' means from epoch to epoch, in standard deviations; a fourth network gets shifts and scales added
after its batch norms, anew at every step (Santurkar et al. 2018). Scales and ε are measured in float64 on one hidden
layer. For the two modes, networks with ReLU train in batches of 2 to 128, each at the best of three rates, and are
tested with the statistics of the batch, with running averages and with those of all training digits. All share first
weights and the order of the digits.

Result: with ReLU, tanh and sigmoid 2.3 decades of rates are usable with batch norm, 1, 1.3 and 0 without (sigmoid
does not learn in 8 epochs). The shift is 0.008 with it and 0.26 to 0.29 without; but with shifts of 0.66 and 0.76
added, only 0.33 of the 1.7 decades (ReLU) and of the 1 decade (tanh) gained are lost: the shift is not why. After the
activation, it is as good. Scaling changes nothing to 6e-16 with ε = 0; with ε = 1e-5 up to all of it, but under 0.1 %
where variances exceed 1e-3. The gap in loss is 0.31, 0.30, 0.068 and 0.002 for batches of 2, 8, 32 and 128; with 2,
running averages read 36 % of the digits. Seeds 0 to 4, 98 s of processor time, two CPU cores, Python 3.11.7, jax
0.9.2.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim
from experiments.depth import batchnorm_plots
from experiments.depth.batchnorm_claims import EPSILON, SCALES, of_modes, of_scaling
from experiments.depth.batchnorm_measures import KINDS, Modes, constant, finite, scaling, swept
from experiments.depth.batchnorm_networks import WAYS, WITHOUT, shifts, starts
from experiments.depth.batchnorm_rates import LEVEL, of_rates
from experiments.depth.one_of import OneOf
from experiments.depth.pretraining_networks import BATCH, DIGITS, PIXELS, classifier, draws, given
from experiments.study import GRADIENTS, Figures, Study, compared

ACTIVATIONS = {"ReLU": fnn.Relu(), "tanh": fnn.Tanh(), "sigmoid": fnn.Sigmoid()}
SIGMAS = {"ReLU": 2**0.5, "tanh": 1.0, "sigmoid": 1.0}
"""The weights start with the variance σ² over the number of inputs: He's for ReLU, Glorot's for the others."""

COUNTED = 256
"""How many test digits are read in batches."""

RATES = 0.02, 0.1, 0.5
"""The learning rates of which each batch size has its best."""


@dataclasses.dataclass(frozen=True)
class BatchNormalisation(Study):
    """The options of the experiment."""

    name = "batchnorm"
    quick_options: ClassVar = {
        "seeds": 2,
        "epochs": 4,
        "depth": 2,
        "per_decade": 1,
        "activations": ("tanh",),
        "batch_sizes": (2, 64),
    }

    seeds: int = 5
    """Networks of each kind, with the seeds seed, seed + 1, …"""

    epochs: int = 8
    """Passes over the training digits."""

    depth: int = 4
    """Hidden layers."""

    per_decade: int = 3
    """Learning rates in each decade, from 10^(−7/3) to 10^(5/3)."""

    strength: float = 1.0
    """How far the added shifts move a standardised unit at most, at each step anew."""

    activations: tuple[str, ...] = tuple(ACTIVATIONS)
    """ReLU, tanh or sigmoid."""

    batch_sizes: tuple[int, ...] = (2, 8, 32, 128)
    """The batches of which training and evaluation mode are compared; they divide 256 and the 1280 training digits."""

    @property
    def rates(self) -> np.ndarray:
        """The learning rates of the map."""
        return np.logspace(-7 / 3, 5 / 3, 4 * self.per_decade + 1)

    def measure(self) -> Figures:
        parts = [
            (jnp.asarray(each.images.reshape(-1, PIXELS)), jnp.asarray(each.labels)) for each in data.load_digits()
        ]
        parts[0] = parts[0][0][:DIGITS], parts[0][1][:DIGITS]
        seeds = range(self.seed, self.seed + self.seeds)
        drawn = [draws(seed, self.depth, self.epochs) for seed in seeds]
        tiny, _, orders = jax.tree.map(lambda *each: np.stack(each), *drawn)
        batch = tuple(each[:BATCH] for each in parts[0])
        pixels = np.asarray(batch[0])
        varied = pixels, pixels[:, ~constant(pixels)]
        objective = classifier(self.depth, fnn.BatchNorm(), fnn.Tanh())
        weights = jax.tree.map(lambda leaf: leaf[0], starts(tiny, 1.0))
        params, state = jax.jit(lambda weights: given(objective, weights))(weights)
        return {
            **self.map(tiny, orders, parts),
            "modes": self.modes(tiny, orders, parts),
            "scaled": scaling((0.0, EPSILON), SCALES, tiny, batch),
            "finite": {f"{epsilon:g}": [finite(epsilon, x) for x in varied] for epsilon in (0.0, EPSILON)},
            "constant": int(constant(pixels).sum()),
            GRADIENTS: compared(objective, params, state, batch),
        }

    def map(self, tiny: Any, orders: Any, parts: Any) -> Figures:
        """Test accuracies by way and activation, (rates, seeds), and shifts of the layers' inputs, by seed."""
        layers, rates = tuple(ACTIVATIONS[name] for name in self.activations), jnp.array(self.rates, jnp.float32)
        program = jax.jit(lambda number, *given: swept(OneOf(layers, number), *given))
        found, tables = {}, {moved: shifts(self.seed, self.strength * moved) for moved in (False, True)}
        for way, (before, after, moved) in WAYS.items():
            for number, name in enumerate(self.activations):
                given = (before, after, tables[moved]), rates, starts(tiny, SIGMAS[name]), orders, parts
                found[way, name] = [np.asarray(each, np.float64).round(4) for each in program(number, *given)]
        best = {key: int(validated.mean(1).argmax()) for key, (_, validated, _) in found.items()}

        def table(of: Callable[[str, str], Any]) -> dict[str, dict[str, Any]]:
            return {way: {name: of(way, name) for name in self.activations} for way in WAYS}

        return {
            "rates": self.rates.tolist(),
            "tested": table(lambda *key: found[key][0].tolist()),
            "best": table(lambda *key: best[key]),
            "shift": table(lambda way, name: found[way, name][2][best[WITHOUT, name]].tolist()),
        }

    def modes(self, tiny: Any, orders: Any, parts: Any) -> Figures:
        """By size of the batches: loss and accuracy by seed with each kind of statistics, at the best rate."""
        parts = [*parts[:2], tuple(each[:COUNTED] for each in parts[2])]
        networks, figures = Modes(self.depth, jnp.array(RATES), parts), {}
        for size in self.batch_sizes:
            found = networks.measure(starts(tiny, SIGMAS["ReLU"]), orders.reshape(*orders.shape[:2], -1, size))
            best = int(found["validated"].mean(1).argmax())
            scores = {kind: found[kind][best].astype(float).round(5).T.tolist() for kind in KINDS}
            named = {kind: dict(zip(("loss", "accuracy"), each, strict=True)) for kind, each in scores.items()}
            figures[str(size)] = {"rate": RATES[best]} | named
        return figures

    def claims(self, figures: Figures) -> list[Claim]:
        return [*of_rates(figures, self.per_decade), *of_scaling(figures), *of_modes(figures["modes"])]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        batchnorm_plots.rates(folder / "rates.png", figures, LEVEL)
        batchnorm_plots.scales_and_batches(folder / "scales_and_batches.png", figures, SCALES)
        seeds = f"of {self.seeds} seeds, shaded from the lowest to the highest"
        return {
            "rates.png": f"Test accuracy against the learning rate, medians {seeds}; dotted: the level from which a"
            " rate is usable.",
            "scales_and_batches.png": "Left: what scaling the weights before a batch norm changes (the most of all"
            f" seeds). Right: the loss on test digits with three kinds of statistics, medians {seeds}.",
        }
