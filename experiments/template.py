"""Template: is a sine learned better with more hidden units? Copy this file to begin an experiment of your own.

Claim: the error of a network with one hidden layer on a sine falls as its width grows.

Measure: networks of three widths are trained by Adam on 128 points of sin(3x), each from several seeds in one program.
The figure is the root of the mean squared error on 200 other points.

Result: 0.1, 0.055 and 0.021 with 2, 8 and 32 units (medians of 5 seeds, 0 to 4), 18 s beside other jobs; two CPU cores,
Python 3.11.7, jax 0.9.2.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import plots
from experiments.claims import Claim, judge
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of


@dataclasses.dataclass(frozen=True)
class Template(Study):
    """The options of the experiment: every field is one, and its docstring is its help."""

    name = "template"
    quick_options: ClassVar = {"epochs": 60, "seeds": 2}

    epochs: int = 400
    """Passes over the training data."""

    seeds: int = 5
    """How many networks of each width, with the seeds seed, seed + 1, …"""

    widths: tuple[int, ...] = (2, 8, 32)
    """Hidden units."""

    def measure(self) -> Figures:
        """Computes the figures: plain numbers, strings, lists and dicts, which are written to results.json."""
        x = jnp.linspace(-1, 1, 128)[:, None]
        data, between = (x, jnp.sin(3 * x)), np.linspace(-1, 1, 200, dtype=np.float32)[:, None]
        errors = {}
        for width in self.widths:
            objective = fnn.Objective(self.model(width), fnn.MeanSquaredError())
            train = fnn.make_train(objective, fnn.optim.adam(1e-2), epochs=self.epochs, batch_size=32)
            result = jax.jit(jax.vmap(train, in_axes=(0, None)))(seeds_of(self.seed, self.seeds), data)
            fitted = jax.vmap(lambda params, model=objective.model: model.apply(params, {}, between)[0])(result.params)
            errors[str(width)] = np.sqrt(np.mean((fitted - np.sin(3 * between)) ** 2, axis=(1, 2))).tolist()
        objective = fnn.Objective(self.model(8), fnn.MeanSquaredError())
        start = objective.init(jax.random.key(self.seed), x)
        return {"errors": errors, GRADIENTS: compared(objective, *start, data)}

    def model(self, width: int) -> fnn.Layer:
        """One hidden layer."""
        return fnn.Serial(fnn.Dense(width), fnn.Tanh(), fnn.Dense(1))

    def claims(self, figures: Figures) -> list[Claim]:
        """What is claimed, and what the figures say: nothing else is read here, so that a test can change them."""
        medians = [float(np.median(each)) for each in figures["errors"].values()]
        return [
            judge(
                "More hidden units learn a sine better",
                rule="the median error falls with every step in width",
                figure=", ".join(f"{median:.2g}" for median in medians),
                holds=all(wide < narrow for narrow, wide in itertools.pairwise(medians)),
            )
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        """Writes the pictures, and returns their captions."""
        figure = plots.new_figure(5.5, 3.8)
        axes = figure.add_subplot()
        for place, errors in enumerate(figures["errors"].values()):
            axes.scatter([place] * len(errors), errors, color=plots.BLUE, alpha=0.6)
            axes.plot([place - 0.2, place + 0.2], [np.median(errors)] * 2, color=plots.INK)
        axes.set_xticks(range(len(figures["errors"])), list(figures["errors"]))
        axes.set(yscale="log", xlabel="hidden units", ylabel="error on other points")
        plots.clean(axes)
        plots.save(figure, folder / "errors.png")
        return {"errors.png": "The error of each seed by width; a line marks the median."}
