"""Saturation: how long does a confidently wrong output stay wrong, with squares and with cross-entropy?

Claims: with squares, the gradient of the logit of a confidently wrong sigmoid vanishes, as does that of a softmax's
logits; so the way to the right answers takes many times the steps that it takes with cross-entropy. A sigmoid output
cannot fit targets from 0 to 10, until they are scaled to its range.

Measure: gradients of one sample by the hand rules, float64; squares are the mean (p − y)², whose gradient is 2σ′(z)
times that of cross-entropy. Then gradient descent on all samples, from a bias that gives every sample the same answer,
wrong for most of them: a sigmoid on the tumours, a softmax on the irises. What counts are the steps until 95 % are
right for the first time, at most 1000, with 15 learning rates from 0.01 to 100,000: at rate 1; each loss at the rate
that is best for it from that start; and each at the rate that is best for it from all starts together. The regression
is 5 + 5 sin x, by 32 tanhs and Adam.

Result: at the logit −10, squares have 9.08e-5 of the gradient of cross-entropy, as the formula says, and 2.3e-5 for the
softmax. At rate 1 they take 2.6 to 22 times the steps or more (from −10 they never get there), at least 5 times from −6
on. This does not hold of the best rates: with rates up to 100,000 squares make up for small gradients, and take 1 to 9
times the steps in the mean, 1 to 4 times in the best seed. What they do not have is one rate for all starts: with that,
they take at least 42 times the steps from −10 for the sigmoid, 10 times for the softmax. R² of the unscaled regression
is −1.23 (the best output within 0 to 1 has −1.22), and 0.999 once the targets are scaled. Seeds 0 to 4, 19 s beside
other jobs, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim
from experiments.depth import saturation_plots
from experiments.depth.saturation_claims import RIGHT, WAYS, judged
from experiments.depth.saturation_measures import LOSSES, gradients, objective, r2, right, steps_until
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of


@dataclasses.dataclass(frozen=True)
class Saturation(Study):
    """The options of the experiment."""

    name = "saturation"
    quick_options: ClassVar = {"seeds": 2, "steps": 200, "rates": 8, "starts": (2.0, 10.0), "epochs": 200}

    seeds: int = 5
    """Runs of every combination, with the seeds seed, seed + 1, …"""

    starts: tuple[float, ...] = (2.0, 4.0, 6.0, 8.0, 10.0)
    """How large the bias of the wrong answer is at first."""

    rates: int = 15
    """How many learning rates, from 0.01 to 100,000."""

    steps: int = 1000
    """Steps of gradient descent on all samples."""

    epochs: int = 1000
    """Passes over the data of the regression in which the targets are scaled."""

    def measure(self) -> Figures:
        cancer, iris = data.load_breast_cancer(), data.load_iris()
        tasks = {
            # Every sample starts as negative, and as the first class: most are wrong.
            "sigmoid": (cancer, cancer.y[:, None].astype(np.float32), [-1.0]),
            "softmax": (iris, np.eye(3, dtype=np.float32)[iris.y], [1.0, 0.0, 0.0]),
        }
        descents = {
            output: {loss: self.descend(objective(output, loss, len(wrong)), samples.x, y, wrong) for loss in LOSSES}
            for output, (samples, y, wrong) in tasks.items()
        }
        model, (samples, y, _) = objective("sigmoid", "squares", 1), tasks["sigmoid"]
        batch = data.standardized(samples.x), y
        return {
            "by_logit": gradients(),
            "rates": self.grid().tolist(),
            "descents": descents,
            "scaling": self.scaling(),
            GRADIENTS: compared(model, *model.init(jax.random.key(self.seed), batch[0]), batch),
        }

    def grid(self) -> np.ndarray:
        """The learning rates."""
        return np.logspace(-2, 5, self.rates)

    def descend(self, objective: fnn.Objective, x: np.ndarray, y: np.ndarray, wrong: list[float]) -> dict[str, Any]:
        """From each start, with each rate and seed: the steps until the answers are right; the losses at a rate of 1.

        Both are lists over starts of lists over seeds, of lists over rates or steps. Answers that are never right count
        as right after the last step.
        """

        def one(key: jax.Array, start: jax.Array, rate: jax.Array, x: jax.Array, y: jax.Array) -> Any:
            params, state = objective.init(key, x)
            params["dense_0"]["bias"] = start * jnp.array(wrong)
            optimizer = fnn.optim.sgd(rate)

            def step(carry: tuple, _: None) -> tuple[tuple, tuple]:
                params, opt_state = carry
                (value, aux), grads = objective.value_and_grad(params, state, (x, y))
                updates, opt_state = optimizer.update(grads, opt_state, params)
                share = right(aux.outputs, y, objective.loss)
                return (fnn.optim.apply_updates(params, updates), opt_state), (value, share)

            _, (losses, shares) = jax.lax.scan(step, (params, optimizer.init(params)), None, length=self.steps)
            return losses, steps_until(shares >= RIGHT)

        over_rates = jax.vmap(one, in_axes=(None, None, 0, None, None))
        over_seeds = jax.vmap(over_rates, in_axes=(0, None, None, None, None))
        run = jax.jit(jax.vmap(over_seeds, in_axes=(None, 0, None, None, None)))
        operands = jnp.array(self.starts), jnp.asarray(self.grid(), jnp.float32)
        losses, steps = run(seeds_of(self.seed, self.seeds), *operands, data.standardized(x), y)
        shown = np.unique(np.logspace(0, np.log10(self.steps), 40).astype(int)) - 1
        curves = np.asarray(losses)[:, :, np.argmin(abs(self.grid() - 1))][..., shown]
        return {"steps": np.asarray(steps).tolist(), "shown": shown.tolist(), "losses": curves.round(6).tolist()}

    def scaling(self) -> dict[str, Any]:
        """A regression with a sigmoid output, on targets from 0 to 10 and the same over 10: R² by seed, and a fit."""
        x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
        y = 5 + 5 * np.sin(x)
        model = fnn.Serial(fnn.Dense(32), fnn.Tanh(), fnn.Dense(1), fnn.Sigmoid())
        objective = fnn.Objective(model, fnn.MeanSquaredError())
        run = fnn.make_train(objective, fnn.optim.adam(0.01), epochs=self.epochs, batch_size=len(x))

        def fitted(key: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
            return model.apply(run(key, (x, y)).params, {}, x)[0]

        train = jax.jit(jax.vmap(fitted, in_axes=(0, None, None)))
        fits = [unit * np.asarray(train(seeds_of(self.seed, self.seeds), x, y / unit)) for unit in (1, 10)]
        return {
            "x": x[:, 0].tolist(),
            "y": y[:, 0].tolist(),
            "best": r2(np.clip(y, 0, 1), y),
            "r2": [[r2(fit, y) for fit in each] for each in fits],
            "fits": [each[0, :, 0].tolist() for each in fits],
        }

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures, self.starts)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        seeds = f"Means of {self.seeds} seeds, shaded from the lowest to the highest"
        rates, steps = np.array(figures["rates"]), {}
        for output, found in figures["descents"].items():
            by_loss = {loss: np.array(each["steps"]) for loss, each in found.items()}
            steps[output] = {
                way: {loss: choose(each, rates) for loss, each in by_loss.items()} for way, choose in WAYS.items()
            }
        starts = [-start for start in self.starts]
        descents = figures["descents"]["sigmoid"]
        saturation_plots.gradients(folder / "gradients.png", figures["by_logit"], descents, starts)
        saturation_plots.steps(folder / "steps.png", steps, starts, f"steps until {RIGHT:.0%} are right")
        saturation_plots.scaling(folder / "scaling.png", figures["scaling"])
        return {
            "gradients.png": f"Gradients of the logits by the logit of the right answer, and losses. {seeds}.",
            "steps.png": f"Steps until {RIGHT:.0%} of the training samples are right, at most {self.steps}. {seeds}.",
            "scaling.png": "What a sigmoid output makes of targets from 0 to 10, and of the same divided by 10.",
        }
