"""Spirals: does depth without activations help, or is it only non-linearity that lowers the loss?

Claims: a deep network without activations is one linear map, the product of its matrices, and separates two spirals no
better than a single linear layer; its loss never gets below the least loss of a linear model. The same network with
ReLU or tanh separates the spirals.

Measure: two interleaved spirals of 1.5 turns with noise, 200 points to train on and 1000 others to test on. Networks of
three dense layers, 2-32-32-1, and a single layer; binary cross-entropy, full batches, Adam; all seeds of a network run
in one program. The least loss of a linear model is that of scikit-learn's logistic regression without a penalty. The
product of the matrices is compared with the network in float64.

Result: the product of the matrices is the network to 4e-16. The deep linear network and the single layer get 67.0 % of
the test points right in every seed, and both end at the least loss of a linear model, 0.5657. With ReLU the same
network gets 99.9 to 100 % right, with tanh 99.8 to 100 %; its loss ends below 0.003. Seeds 0 to 19, 28 s of processor
time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.claims import Claim, judge
from experiments.networks import spirals_plots
from experiments.networks.spirals_measures import (
    accuracies,
    least_linear_loss,
    probabilities,
    product_error,
    spirals,
    summary,
)
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

ACTIVATIONS = {"ReLU": fnn.Relu(), "tanh": fnn.Tanh()}
ONE, DEEP = "one layer", "deep, linear"
SIDE = np.linspace(-1.2, 1.2, 45, dtype=np.float32)

ROUNDING, POINT, SEPARATED, LOWER, SOLVER = 1e-12, 0.01, 0.95, 0.1, 1e-4
"""The bounds of the rules: a rounding error; what counts as no better; the accuracy of a network that separates; the
share of the least linear loss that counts as lower; how exactly that least loss is known."""


@dataclasses.dataclass(frozen=True)
class Spirals(Study):
    """The options of the experiment."""

    name = "spirals"
    quick_options: ClassVar = {"epochs": 800, "seeds": 3, "hidden": 1, "activations": ("ReLU",)}

    epochs: int = 1000
    """Passes over the training points, each of them one step."""

    seeds: int = 20
    """How many networks of each kind to train, with the seeds seed, seed + 1, …"""

    width: int = 32
    """The units of each hidden layer."""

    hidden: int = 2
    """The number of hidden layers."""

    activations: tuple[str, ...] = ("ReLU", "tanh")
    """The activations between the layers of the networks that are not linear."""

    learning_rate: float = 0.01
    """The learning rate of Adam."""

    turns: float = 1.5
    """The turns of each spiral around the origin."""

    def networks(self) -> dict[str, fnn.Layer]:
        """The networks by name."""
        return {ONE: fnn.Dense(1), DEEP: self.deep(None)} | {
            f"deep, {name}": self.deep(name) for name in self.activations
        }

    def deep(self, activation: str | None) -> fnn.Layer:
        """Dense layers, with this activation between them or none."""
        between = [ACTIVATIONS[activation]] if activation else []
        return fnn.Serial(*[fnn.Dense(self.width), *between] * self.hidden, fnn.Dense(1))

    def measure(self) -> Figures:
        train, test = spirals(200, self.turns, [self.seed, 0]), spirals(1000, self.turns, [self.seed, 1])
        grid = np.stack(np.meshgrid(SIDE, SIDE), -1).reshape(-1, 2)
        found, trained = {}, {}
        epochs = np.unique(np.geomspace(1, self.epochs, 60).round().astype(int))
        for name, model in self.networks().items():
            result = self.train(model, train)
            trained[name] = result.params
            found[name] = {
                "losses": summary(np.asarray(result.history["loss"])[:, epochs - 1]),
                "end": result.history["loss"][:, -1].tolist(),
                "accuracy": accuracies(probabilities(model, result.params, test[0]), test[1]).tolist(),
            }
            if name != ONE:
                region = probabilities(model, result.params, grid).mean(0).reshape(SIDE.size, -1)
                found[name]["region"] = region.round(3).tolist()
        last = f"deep, {self.activations[-1]}"
        objective = fnn.Objective(self.networks()[last], fnn.BinaryCrossEntropy())
        start = objective.init(jax.random.key(self.seed), jnp.asarray(train[0]))
        return {
            "points": train[0].tolist(),
            "labels": train[1][:, 0].tolist(),
            "epochs": epochs.tolist(),
            "networks": found,
            "least": least_linear_loss(*train),
            "product_error": product_error(self.deep(None), trained[DEEP], test[0]),
            GRADIENTS: compared(objective, *start, train),
        }

    def train(self, model: fnn.Layer, data: tuple) -> fnn.TrainResult:
        """Trains every seed."""
        run = fnn.make_train(
            fnn.Objective(model, fnn.BinaryCrossEntropy()),
            fnn.optim.adam(self.learning_rate),
            epochs=self.epochs,
            batch_size=len(data[0]),
            shuffle=False,
        )
        operands = jax.tree.map(jnp.asarray, data)
        return jax.jit(jax.vmap(run, in_axes=(0, None)))(seeds_of(self.seed, self.seeds), operands)

    def claims(self, figures: Figures) -> list[Claim]:
        networks, least = figures["networks"], figures["least"]
        accuracy = {name: np.array(each["accuracy"]) for name, each in networks.items()}
        ends = {name: np.array(each["end"]) for name, each in networks.items()}
        bent = [name for name in networks if name not in (ONE, DEEP)]
        gain = accuracy[DEEP].max() - accuracy[ONE].max()
        separating = [name for name in bent if accuracy[name].min() >= SEPARATED]
        return [
            judge(
                "A deep network without activations is the product of its matrices",
                rule=f"the outputs differ by at most {ROUNDING:.0e} of the largest, in every seed",
                figure=f"{figures['product_error']:.1e} in the worst of {len(ends[DEEP])} seeds",
                holds=figures["product_error"] <= ROUNDING,
            ),
            judge(
                "It separates the spirals no better than one linear layer",
                rule=f"the test accuracy of its best seed is at most {POINT:.0%} above that of one layer's best",
                figure=f"{accuracy[DEEP].max():.1%} against {accuracy[ONE].max():.1%} (higher is better)",
                holds=gain <= POINT,
            ),
            judge(
                "Only non-linearity lowers the loss",
                rule=f"in every seed, no linear network ends more than {SOLVER:.0e} below the least loss of a linear"
                f" model, and every other one ends below {LOWER:.0%} of it",
                figure=f"least {least:.4f}; at the end "
                + ", ".join(f"{name} {span(ends[name], '.2g')}" for name in ends),
                holds=min(ends[ONE].min(), ends[DEEP].min()) >= least - SOLVER
                and all(ends[name].max() < LOWER * least for name in bent),
            ),
            judge(
                "With an activation the same network separates the spirals",
                rule=f"the test accuracy is at least {SEPARATED:.0%} in every seed, with every activation",
                figure=", ".join(f"{name} {span(accuracy[name], '.1%')}" for name in bent),
                holds=len(separating) == len(bent),
                only_when=f"the network is {' or '.join(separating)}",
                there=separating,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        seeds = len(figures["networks"][ONE]["end"])
        spirals_plots.regions(folder / "regions.png", figures, SIDE)
        spirals_plots.losses(folder / "losses.png", figures)
        return {
            "regions.png": f"The probability of class 1, mean of {seeds} seeds, the training points, and ½ as a line.",
            "losses.png": f"Left: training loss, median and range of {seeds} seeds. Right: test accuracy of each seed.",
        }


def span(values: np.ndarray, form: str) -> str:
    """The lowest and the highest in words."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
