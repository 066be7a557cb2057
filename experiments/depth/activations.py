"""Activations: how do fnn's activations differ in shape and slope, in what they learn, and in the units that die?

Claims: the slopes by hand are those of the curves. The slope of tanh is larger than that of the sigmoid (as one of the
notes says). A sigmoid shrinks every delta at least fourfold. ReLUs die at a high learning rate; leaky ReLUs do not, and
so still learn. Every activation learns more than none.

Measure: all elementwise activations of fnn, at 81 points from −5 to 5, in float64; where the slopes of tanh and sigmoid
cross is the root of their difference. Each is the hidden layer, of 64 units, of a network that learns the colours of a
board of 3 × 3 fields, from 500 points, with Adam, batches of 50 and four learning rates; accuracy is that on 1000 other
points at the rate with the least training loss. A unit is dead if its slope is 0 for all points. One compiled program
trains them all.

Result: the slope of tanh is the larger one between −1.6629 and 1.6629 alone. At a learning rate of 1, 95 to 98 % of the
ReLUs are dead, and no leaky ReLU; yet leaky ReLUs learn little more at that rate: 46 to 65 % are right, 29 to 49 points
less than at their best one (ReLU: 42 to 58 %). Without an activation 58 % are right, the share of the more frequent
colour; with any activation at least 84 %, except with the step, which has no slope. Seeds 0 to 4, 61 s beside other
jobs, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.claims import Claim
from experiments.depth import activations_plots
from experiments.depth.activations_claims import best_rate, judged
from experiments.depth.activations_shapes import ACTIVATIONS, NONE, STEP, X, crossing, curves
from experiments.depth.one_of import OneOf
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of


@dataclasses.dataclass(frozen=True)
class Activations(Study):
    """The options of the experiment."""

    name = "activations"
    quick_options: ClassVar = {"epochs": 20, "seeds": 2, "trained": (NONE, STEP, "tanh", "ReLU", "leaky ReLU")}

    epochs: int = 150
    """Passes over the 500 training points."""

    seeds: int = 5
    """Networks for every activation and learning rate, with the seeds seed, seed + 1, …"""

    rates: tuple[float, ...] = (0.01, 0.03, 0.1, 1.0)
    """The learning rates of Adam; the last is the one at which units die."""

    width: int = 64
    """Units of the hidden layer."""

    trained: tuple[str, ...] = tuple(ACTIVATIONS)
    """The activations to train with."""

    def measure(self) -> Figures:
        train, validation = chequerboard(500, 1), chequerboard(1000, 2)
        objective = self.objective(self.trained.index("tanh"))
        untrained = objective.init(jax.random.key(self.seed), train[0])
        return {
            "curves": curves(),
            "crossing": crossing(),
            "outcomes": self.outcomes(train, validation),
            GRADIENTS: compared(objective, *untrained, train),
        }

    def objective(self, number: Any) -> fnn.Objective:
        """A network with one hidden layer that has the activation with this number."""
        activation = OneOf(tuple(ACTIVATIONS[name] for name in self.trained), number)
        return fnn.Objective(fnn.Serial(fnn.Dense(self.width), activation, fnn.Dense(2)), fnn.CrossEntropy())

    def outcomes(self, train: tuple, validation: tuple) -> dict[str, Any]:
        """The last training loss, the validation accuracy and the share of dead units, by activation.

        Each is a list over rates of lists over seeds; a loss that is not finite counts as 1e9.
        """
        run = fnn.make_train(
            lambda hyperparams: self.objective(hyperparams["number"]),
            lambda hyperparams: fnn.optim.adam(hyperparams["rate"]),
            epochs=self.epochs,
            batch_size=50,
        )

        def one(number: jax.Array, rate: jax.Array, key: jax.Array, train: tuple, validation: tuple) -> Any:
            result, model = run(key, train, {"number": number, "rate": rate}), self.objective(number).model
            logits, _, cache = model.forward(result.params, {}, jnp.concatenate([train[0], validation[0]]))
            right = logits[len(train[0]) :].argmax(-1) == validation[1]
            dead = fnn.backprop(model, cache, jnp.ones_like(logits), dead_units)[0]
            return {"loss": result.history["loss"][-1], "accuracy": right.mean(), "dead": dead["one_of_0"]}

        @jax.jit
        def every(numbers: jax.Array, rates: jax.Array, keys: jax.Array, *data: tuple) -> Any:
            seeds = jax.vmap(one, in_axes=(None, None, 0, None, None))
            grid = jax.vmap(seeds, in_axes=(None, 0, None, None, None))
            # One after the other: under vmap a switch computes all of its branches.
            return jax.lax.map(lambda number: grid(number, rates, keys, *data), numbers)

        operands = jnp.arange(len(self.trained)), jnp.array(self.rates), seeds_of(self.seed, self.seeds)
        found = jax.tree.map(np.asarray, every(*operands, train, validation))
        found["loss"] = np.where(np.isfinite(found["loss"]), found["loss"], 1e9)
        return {name: {key: each[i].tolist() for key, each in found.items()} for i, name in enumerate(self.trained)}

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures, self.rates)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        outcomes = figures["outcomes"]
        accuracies = {name: each["accuracy"][best_rate(each)] for name, each in outcomes.items()}
        dead, fast = {name: each["dead"][-1] for name, each in outcomes.items()}, f"{self.rates[-1]:g}"
        activations_plots.curves(folder / "curves.png", X, figures["curves"])
        activations_plots.outcomes(folder / "outcomes.png", accuracies, dead, fast)
        return {
            "curves.png": "The activations, and their slopes by the hand-derived rules.",
            "outcomes.png": f"Each dot is one of {self.seeds} seeds, the bar their mean. A unit is dead if its slope is"
            " 0 for every sample.",
        }


def chequerboard(count: int, seed: int) -> tuple[jax.Array, jax.Array]:
    """Points (count, 2) on a board of 3 × 3 fields, with mean 0 and variance about 1, and the colour of their field."""
    fields = jax.random.uniform(jax.random.key(seed), (count, 2), maxval=3)
    return (fields - 1.5) / 0.87, (jnp.floor(fields).sum(1) % 2).astype(int)


def dead_units(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> tuple[Any, Any]:
    """A rule of ``fnn.backprop`` that reports the share of units whose slope is 0 for every sample."""
    if not isinstance(layer, OneOf):
        return None, layer.backward(cache, dy)[1]
    slope = layer.backward(cache, jnp.ones_like(dy))[1]
    return (slope == 0).all(0).mean(), slope * dy
