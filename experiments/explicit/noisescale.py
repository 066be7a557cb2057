"""Noisescale: does the noise of the gradients tell how large a batch is worth while?

Claims: as McCandlish et al. 2018 have it, steps S and examples E = batch × S that descent takes to a loss lie on a
hyperbola (S/S_min − 1)(E/E_min − 1) = 1, so that doubling a small batch nearly halves the steps, and doubling a large
one hardly helps. The critical batch size between them, E_min/S_min, is about the noise scale tr Σ / ‖G‖² of
``fnn.gradient_noise_scale``, and both grow as the loss falls. One more is ours: a single point of a run is enough.

Measure: perceptrons 64-64-10 with tanh on the 1293 training digits of scikit-learn, by plain descent in batches of 4 to
512, drawn with replacement. Counted are the steps to two losses of all the training digits, at the one of twelve rates,
half an octave apart, that needs the fewest in the mean over the seeds. The hyperbola is fitted to log S. Signal ‖G‖²
and noise tr Σ are taken at up to 100 points of the same runs, from all the digits, and averaged from the start until
the loss is reached, each by itself; the noise scale is their ratio, and counts as the geometric mean over batch sizes.

Result: to a loss of 0.1 batches of 4 need 762 steps, of 32 143 and of 512 73; doubling 4 leaves 54 % of the steps,
doubling 256 leaves 94 %. The hyperbolas fit to 13 %, with critical batch sizes of 24 to a loss of 0.3 and 39 to 0.1.
The averaged noise scales are 17 and 21 (12 to 28, and 10 to 28, by batch size), within a factor of two. At the end of a
run alone the noise scale is 78 and 310, 3 and 8 times too large: it grows as the loss falls, while the average is made
where gradients are large. Seeds 0 to 4, 73 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data, runs
from experiments.claims import Claim
from experiments.explicit import noisescale_plots
from experiments.explicit import noisescale_training as training
from experiments.explicit.noisescale_claims import geometric, judged
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

TARGETS = (0.3, 0.1)
"""The losses to reach."""


@dataclasses.dataclass(frozen=True)
class NoiseScale(Study):
    """The options of the experiment."""

    name = "noisescale"
    quick_options: ClassVar = {"seeds": 2, "batches": (4, 8, 128, 256), "width": 32, "octaves": 1.0, "points": 40}

    seeds: int = 5
    """Runs of every batch size at every rate, with the seeds seed, seed + 1, …"""

    batches: tuple[int, ...] = (4, 8, 16, 32, 64, 128, 256, 512)
    """Batch sizes; the first two and the last two are judged by what doubling does."""

    width: int = 64
    """Hidden units."""

    octaves: float = 0.5
    """From one rate to the next, between 2⁻⁴ and 2¹·⁵."""

    points: int = 100
    """How often the loss of all digits is taken in a run."""

    def measure(self) -> Figures:
        part = data.load_digits().train
        digits = jnp.asarray(part.images.reshape(len(part.images), -1)), jnp.asarray(part.labels)
        objective = fnn.Objective(fnn.Serial(fnn.Dense(self.width), fnn.Tanh(), fnn.Dense(10)), fnn.CrossEntropy())
        keys = seeds_of(self.seed, self.seeds)
        params = jax.jit(jax.vmap(lambda key: objective.init(key, digits[0][:1])[0]))(keys)
        noise = training.noise_of(objective, digits)
        found = [self.of_batch(objective, batch, digits, (keys, params), noise) for batch in self.batches]
        first = jax.tree.map(lambda leaf: leaf[0], params)
        return {
            "batches": list(self.batches),
            "reached": {
                str(target): {name: [each[target][name] for each in found] for name in found[0][target]}
                for target in TARGETS
            },
            "curves": [each["curve"] for each in found],
            GRADIENTS: compared(objective, first, {}, tuple(each[:8] for each in digits)),
        }

    def of_batch(self, objective: fnn.Objective, batch: int, digits: Any, starts: Any, noise: Any) -> dict[Any, Any]:
        """By target the best rate, and by seed its steps and the noise scale; and that on the way to the last."""
        rates, every = 2.0 ** np.arange(-4, 1.6, self.octaves), training.interval_of(batch, self.points)
        shape = self.points, every
        losses, params = training.descents(objective, batch, digits, starts, jnp.asarray(rates, jnp.float32), shape)
        found: dict[Any, Any] = {}
        for target in TARGETS:
            steps = training.steps_to(losses, target, every)
            best = int(steps.mean(1).argmin())
            if not np.isfinite(steps[best]).all():
                raise ValueError(
                    f"with batches of {batch} no rate brings every seed to a loss of {target} within"
                    f" {self.points * every} steps"
                )
            signal, spread = noise(jax.tree.map(lambda leaf, best=best: leaf[best], params))
            points = np.ceil(steps[best] / every).astype(int)
            until = np.arange(self.points) < points[:, None]
            found[target] = {
                "rate": float(rates[best]),
                "steps": steps[best].tolist(),
                "scale": ((spread * until).sum(1) / (signal * until).sum(1)).tolist(),
                "end": [float(spread[run, last] / signal[run, last]) for run, last in enumerate(points - 1)],
            }
            shown = slice(int(points.min()))
            scale = spread.mean(0) / signal.mean(0)
            found["curve"] = {"loss": losses[best].mean(0)[shown].tolist(), "scale": scale[shown].tolist()}
        return found

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        noisescale_plots.hyperbolas(folder / "hyperbolas.png", figures)
        noisescale_plots.scales(folder / "scales.png", figures)
        return {
            "hyperbolas.png": "Steps and examples to two losses, every batch size at its best rate: means, their range"
            " over the seeds, and the fitted hyperbolas.",
            "scales.png": "The noise scale as the loss falls: at every point of the runs (means over the seeds, darker"
            " for smaller batches); averaged up to either loss, with the range over batch sizes; and the critical batch"
            " size, with the range over the seeds.",
        }

    def tables(self, figures: Figures) -> list[str]:
        headings = (
            "batch",
            *(f"{word} to {target}" for target in figures["reached"] for word in ("rate", "steps", "noise scale")),
        )
        rows = [
            (
                str(batch),
                *(
                    shown
                    for each in figures["reached"].values()
                    for shown in (
                        f"{each['rate'][i]:.2g}",
                        f"{np.mean(each['steps'][i]):.0f}",
                        f"{geometric(each['scale'][i]):.0f}",
                    )
                ),
            )
            for i, batch in enumerate(figures["batches"])
        ]
        return [runs.markdown_table(headings, rows)]
