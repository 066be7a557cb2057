"""Sweep: which learning rate and momentum, over several seeds, all in one compiled program?

Claim: a grid of learning rates and momenta, each with several seeds, is one compiled program whose runs equal the same
runs alone. It shows where training diverges, and that momentum lowers both the best rate and that limit. On a CPU a
small perceptron is faster with all runs side by side (``vmap``), a convolutional network with one run after the other
(``lax.map``); ``fnn.sweep`` chooses accordingly.

Measure: a perceptron with one hidden layer, trained by gradient descent with momentum on the digits (1280 to train on,
which are 20 batches, 144 to validate on); the score is the validation loss of the last epoch. Then a perceptron and a
convolutional network are trained over seeds, in both layouts, compiled once and run in turn in one process; the figures
are medians.

Result: validation loss 0.164 ± 0.008 (96.1 % accuracy) at rate 0.03 with momentum 0.9, 0.166 ± 0.003 at rate 1 without;
training diverges from rate 1 with momentum and 3.2 without. 90 runs in one program. One run after the other takes 9 %
more time than side by side for the perceptron (40 runs), 32 % less for the convolutional network (5 runs), in five
turns. Seeds 0 to 4, 77 s of processor time, two CPU cores beside other jobs; Python 3.11.7, jax 0.9.2.
"""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data, runs
from experiments.claims import Claim, judge
from experiments.digits import Digits
from experiments.in_turn import against
from experiments.study import GRADIENTS, Figures, Study, compared
from experiments.sweep_layouts import HEADINGS, chosen, row, timed


@dataclasses.dataclass(frozen=True)
class Sweep(Study):
    """The options of the experiment."""

    name = "sweep"
    quick_options: ClassVar = {"epochs": 2, "seeds": 2, "rates": 3, "width": 4, "turns": 1}

    epochs: int = 20
    """Passes over the training data."""

    seeds: int = 5
    """Runs of every combination."""

    rates: int = 9
    """How many learning rates, from 0.001 to 10."""

    momenta: tuple[float, ...] = (0.0, 0.9)
    """The momenta."""

    batch_size: int = 64
    """Images in a step."""

    width: int = 16
    """Channels of the convolutional network; the perceptron has four times as many hidden units."""

    turns: int = 5
    """How often each layout is measured."""

    def measure_in(self, folder: Path) -> Figures:
        began, digits = time.perf_counter(), data.load_digits()
        train, validation = (
            tuple(jnp.asarray(each) for each in part[:2]) for part in (digits.train, digits.validation)
        )
        result = self.sweep(whole_batches(train, self.batch_size), validation)
        took = time.perf_counter() - began
        runs.wide_console().print(result)
        result.to_csv(folder / "runs.csv")
        result.plot(folder / "learning_rate.png")
        result.plot(folder / "accuracy.png", score="validation_accuracy")
        accuracy, objective = result.table("validation_accuracy"), fnn.Objective(self.perceptron(), fnn.CrossEntropy())
        batch = tuple(part[: self.batch_size] for part in validation)
        cases = {
            "perceptron": (self.perceptron(), train, 8 * self.seeds),
            "convolutional network": (Digits(width=self.width).model(), validation, self.seeds),
        }
        return {
            "seconds": took,
            "layout": str(result.layout),
            "combinations": [
                {**each.hyperparams, "loss": finite(each.mean), "accuracy": finite(mean_of(accuracy, each.hyperparams))}
                for each in result.table().combinations
            ],
            "table": result.to_markdown(),
            "layouts": [{"model": name, **self.layouts(*case)} for name, case in cases.items()],
            GRADIENTS: compared(objective, *objective.init(jax.random.key(self.seed), batch[0]), batch),
        }

    def claims(self, figures: Figures) -> list[Claim]:
        best = {momentum: best_rate(figures["combinations"], momentum) for momentum in self.momenta}
        plain, heavy = (best[each] for each in (min(best), max(best)))
        layouts, sides = figures["layouts"], {"perceptron": "vmap", "convolutional network": "map"}
        return [
            judge(
                "Momentum lowers the best learning rate",
                rule="the rate with the lowest mean validation loss is lower with the largest momentum than without",
                figure=f"{heavy:.3g} with momentum {max(best):g}, {plain:.3g} with {min(best):g}",
                holds=heavy < plain,
            ),
            judge(
                "On a CPU a perceptron's runs are faster side by side, a convolutional network's one after another",
                rule="the median ratio of the two layouts says so for each of the two",
                figure="; ".join(
                    f"{each['model']}: one after another {against(each['map_over_vmap'], 1)}" for each in layouts
                ),
                holds=all((each["map_over_vmap"] > 1) == (sides[each["model"]] == "vmap") for each in layouts),
            ),
            judge(
                "The sweep chooses the faster layout by itself",
                rule="what it chose is what was faster, for each of the two",
                figure=", ".join(f"{each['model']}: {each['chosen']}" for each in layouts),
                holds=all((each["map_over_vmap"] > 1) == (each["chosen"] == "vmap") for each in layouts),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        # ``measure_in`` draws them, as the result of the sweep knows how.
        return {"learning_rate.png": "Validation loss", "accuracy.png": "Validation accuracy"}

    def tables(self, figures: Figures) -> list[str]:
        rows = [row(each) for each in figures["layouts"]]
        return [
            figures["table"],
            "## Side by side or one after the other\n\n" + runs.markdown_table(HEADINGS, rows),
        ]

    def sweep(self, train: tuple, validation: tuple) -> fnn.SweepResult:
        """Runs the grid."""
        return fnn.sweep(
            self.runner(self.perceptron()),
            jax.random.key(self.seed),
            train,
            validation=validation,
            seeds=self.seeds,
            learning_rate=np.logspace(-3, 1, self.rates),
            momentum=self.momenta,
        )

    def layouts(self, model: fnn.Layer, samples: tuple, count: int) -> dict[str, Any]:
        """What the two layouts of so many runs take, and the one that is chosen."""
        key, first = jax.random.key(self.seed), tuple(part[: self.batch_size] for part in samples)
        keys, short = jax.random.split(key, count), dataclasses.replace(self, epochs=1)
        found = timed(self.runner(model), keys, whole_batches(samples, self.batch_size), self.turns)
        return {**found, "chosen": chosen(short.runner(model), key, first)}

    def perceptron(self) -> fnn.Layer:
        """One hidden layer."""
        return fnn.Serial(fnn.Flatten(), fnn.Dense(4 * self.width), fnn.Relu(), fnn.Dense(10))

    def runner(self, model: fnn.Layer) -> Callable[..., fnn.TrainResult]:
        """The function that trains a model by gradient descent with momentum."""
        return fnn.make_train(
            fnn.Objective(model, fnn.CrossEntropy()),
            lambda hyperparams: fnn.optim.sgd(hyperparams["learning_rate"], momentum=hyperparams["momentum"]),
            epochs=self.epochs,
            batch_size=self.batch_size,
            metrics=(fnn.Accuracy(),),
        )


def whole_batches(samples: tuple, size: int) -> tuple:
    """The samples without a last batch that is smaller, whose step would have to be compiled, too."""
    return tuple(part[: len(part) // size * size or len(part)] for part in samples)


def finite(value: float) -> float | None:
    """The number, or nothing for the mean of runs that diverged."""
    return float(value) if np.isfinite(value) else None


def best_rate(combinations: list[dict[str, Any]], momentum: float) -> float:
    """The learning rate with the lowest mean validation loss at this momentum."""
    found = [each for each in combinations if each["momentum"] == momentum and each["loss"] is not None]
    return min(found, key=lambda each: each["loss"])["learning_rate"]


def mean_of(table: Any, hyperparams: dict[str, Any]) -> float:
    """The mean score of a combination of hyper-parameters."""
    return next(each.mean for each in table.combinations if each.hyperparams == hyperparams)
