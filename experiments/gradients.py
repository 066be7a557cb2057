"""Gradients: do the hand-derived rules give what reverse mode, forward mode and finite differences give?

Claim: on a multi-layer perceptron, a convolutional network with batch norm and a residual network of ``Repeat``, every
parameter's gradient and every layer's delta by hand equals ``jax.grad`` to 1e-12 in float64, and five-point differences
to 1e-8.

Measure: each model is trained on digits for some epochs, so that its weights are those of a real run, and
``fnn.compare_gradients`` compares the four methods on a fresh batch, in training.

Result: by hand equals ``jax.grad`` to 4.5e-16, 1.3e-15 and 5.3e-16 on the three models, and differences to 4.6e-10, on
46 leaves; the two biases before a batch norm have gradient zero by every method, and three deltas lie on kinks of the
max pool, where differences are not judged. Seed 0, 47 s, two CPU cores, Python 3.11.7, jax 0.9.2. The exit code is 1 if
a report fails.
"""

import dataclasses
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data, runs
from experiments.claims import Claim, judge
from experiments.study import Figures, Study


@dataclasses.dataclass(frozen=True)
class Gradients(Study):
    """The options of the experiment."""

    name = "gradients"
    quick_options: ClassVar = {"epochs": 1, "batch_size": 8, "width": 4, "training_images": 64, "cost": False}

    epochs: int = 2
    """Passes over the training data before the gradients are compared."""

    batch_size: int = 32
    """Images in the batch that is compared, and in a training step."""

    width: int = 16
    """Channels of the convolutions; dense layers have four times as many features."""

    training_images: int = 1293
    """Images to train on."""

    cost: bool = True
    """Whether to measure the cost of each method."""

    def models(self) -> dict[str, fnn.Layer]:
        """The three models by name."""
        features, channels = 4 * self.width, self.width
        block = fnn.Serial(fnn.LayerNorm(), fnn.Dense(features), fnn.Gelu(), fnn.Dropout(0.1))
        return {
            "mlp": fnn.Serial(
                fnn.Flatten(), fnn.Dense(features), fnn.Tanh(), fnn.Dense(features), fnn.Silu(), fnn.Dense(10)
            ),
            "cnn": fnn.Serial(
                *(fnn.Conv(channels, (3, 3)), fnn.BatchNorm(), fnn.Relu(), fnn.MaxPool(2)),
                *(fnn.Conv(2 * channels, (3, 3), strides=2), fnn.BatchNorm(), fnn.LeakyRelu()),
                *(fnn.GlobalAvgPool(), fnn.Dense(10)),
            ),
            "residual": fnn.Serial(
                fnn.Flatten(), fnn.Dense(features), fnn.Repeat(fnn.Residual(block), 4), head=fnn.Dense(10)
            ),
        }

    def measure_in(self, folder: Path) -> Figures:
        reports, console = {}, runs.wide_console()
        for name, model in self.models().items():
            console.rule(name)
            reports[name] = self.compare(model)
            console.print(reports[name])
            save(folder, name, reports[name])
        return {
            name: {"ok": report.ok, "verdict": report.verdict, "report": report.to_markdown(), "errors": errors(report)}
            for name, report in reports.items()
        }

    def passed(self, figures: Figures) -> bool:
        return all(found["ok"] for found in figures.values())

    def claims(self, figures: Figures) -> list[Claim]:
        return [
            judge(
                f"By hand, the gradient of the {name} is what jax.grad and differences give",
                rule="on every leaf and delta, to 1e-12 of jax.grad's norm by hand and to 1e-8 by differences",
                figure=found["verdict"],
                holds=found["ok"],
            )
            for name, found in figures.items()
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        # ``save`` draws them, as the reports know how.
        return {f"{name}.png": f"Errors of every leaf and delta of the {name}, and the costs" for name in figures}

    def tables(self, figures: Figures) -> list[str]:
        return [f"## {name}\n\n{found['report']}" for name, found in figures.items()]

    def compare(self, model: fnn.Layer) -> fnn.GradientReport:
        """Trains a model briefly and compares its gradients on a validation batch."""
        digits, key = data.load_digits(), jax.random.key(self.seed)
        objective = fnn.Objective(model, fnn.CrossEntropy(label_smoothing=0.1), (fnn.L2(1e-4),))
        train = fnn.make_train(objective, fnn.optim.adam(1e-3), epochs=self.epochs, batch_size=self.batch_size)
        images, labels = (jnp.asarray(part[: self.training_images]) for part in digits.train[:2])
        result = jax.jit(train)(key, (images, labels))
        batch = tuple(jnp.asarray(part[: self.batch_size]) for part in digits.validation[:2])
        return fnn.compare_gradients(
            objective, result.params, result.state, batch, key=jax.random.fold_in(key, 1), cost=self.cost
        )


def save(folder: Path, name: str, report: fnn.GradientReport) -> None:
    """Writes a report as JSON and as a picture."""
    (folder / f"{name}.json").write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    report.plot(folder / f"{name}.png")


def errors(report: fnn.GradientReport) -> dict[str, float | None]:
    """The largest relative error of each method; ``None`` where it has no number, as in a report that fails."""
    found = {method: report.error_of(method) for method in report.compared}
    return {method: error if np.isfinite(error) else None for method, error in found.items()}
