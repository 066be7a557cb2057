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
from experiments.claims import Claim, judge
from experiments.depth import saturation_plots
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of
from fnn import initializers

OUTPUTS = {"sigmoid": fnn.Sigmoid(), "softmax": fnn.Softmax()}
LOGS = {"sigmoid": fnn.BinaryCrossEntropy(), "softmax": fnn.CrossEntropy()}
LOSSES = "squares", "cross-entropy"
MANY = 5
"""How many times the steps count as many times."""

RIGHT = 0.95
"""The share of training samples from which the answers count as right."""


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
        gradients, scaling = figures["by_logit"], figures["scaling"]
        ratio, formula = np.array(gradients["sigmoid"]["ratio"]), np.array(gradients["formula"])
        wrong, low = np.array(gradients["logits"]) <= 0, gradients["logits"].index(-10)
        error = np.max(abs(ratio / formula - 1)[wrong])
        unscaled, scaled = np.array(scaling["r2"])
        return [
            judge(
                "With squares, the gradient of a confidently wrong sigmoid's logit vanishes",
                rule="at the logit −10 it is below 0.001 of that with cross-entropy; at all logits z up to 0 it is"
                " 2σ′(z) times that, to 1e-12",
                figure=f"{ratio[low]:.2e} of it; 2σ′(−10) = {formula[low]:.2e}; off by {error:.0e} at most",
                holds=ratio[low] < 1e-3 and error < 1e-12,
            ),
            judge(
                "So do those of a softmax's logits",
                rule="at the logit −10 their norm is below 0.001 of that with cross-entropy",
                figure=f"{gradients['softmax']['ratio'][low]:.2e} of it",
                holds=gradients["softmax"]["ratio"][low] < 1e-3,
            ),
            *(self.slower(figures, output, way) for output in OUTPUTS for way in WAYS),
            judge(
                "A sigmoid output does not fit targets from 0 to 10",
                rule="R² is below 0 in every seed, as it is for the best output within 0 to 1",
                figure=f"R² {unscaled.min():.2f} to {unscaled.max():.2f}; best possible: {scaling['best']:.2f}",
                holds=max(unscaled.max(), scaling["best"]) < 0,
            ),
            judge(
                "It fits them once they are scaled to its range",
                rule="R² is above 0.95 in every seed, in the units of the unscaled targets",
                figure=f"R² {scaled.min():.4f} to {scaled.max():.4f}",
                holds=scaled.min() > 0.95,
            ),
        ]

    def slower(self, figures: Figures, output: str, way: str) -> Claim:
        """The claim that squares take many times the steps."""
        steps = {loss: np.array(found["steps"]) for loss, found in figures["descents"][output].items()}
        squares, entropy = (WAYS[way](steps[loss], np.array(figures["rates"])) for loss in LOSSES)
        ratios = dict(sorted(zip(self.starts, (squares / entropy).min(1), strict=True)))
        confident = [start for start in ratios if min(ratios[each] for each in ratios if each >= start) >= MANY]
        return judge(
            f"A wrong {output} takes many times the steps with squares, {way}",
            rule=f"at least {MANY} times those with cross-entropy until {RIGHT:.0%} are right, from every start, in"
            " every seed",
            figure="at least: " + ", ".join(f"{ratio:.1f} × from −{start:g}" for start, ratio in ratios.items()),
            holds=len(confident) == len(ratios),
            only_when=f"the logit starts at −{min(confident, default=0):g} or below",
            there=confident,
        )

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


WAYS = {
    "at a learning rate of 1": lambda steps, rates: steps[..., np.argmin(abs(np.log(rates)))],
    "each at its best rate": lambda steps, rates: steps.min(-1),
    "each at its best rate for all starts together": lambda steps, rates: steps[..., steps.mean((0, 1)).argmin()],
}
"""The steps (starts, seeds, rates) at the learning rate that each way chooses."""


def objective(output: str, loss: str, features: int) -> fnn.Objective:
    """A dense layer with an output, and squares; or cross-entropy, which applies that output itself."""
    dense = fnn.Dense(features, kernel_init=initializers.Normal(0.01))
    if loss == "squares":
        return fnn.Objective(fnn.Serial(dense, OUTPUTS[output]), fnn.MeanSquaredError())
    return fnn.Objective(fnn.Serial(dense), LOGS[output])


def right(outputs: jax.Array, y: jax.Array, loss: Any) -> jax.Array:
    """The share of right answers: the largest of several outputs, or one output on the right side."""
    if y.shape[-1] > 1:
        return (outputs.argmax(-1) == y.argmax(-1)).mean()
    cut = 0.5 if isinstance(loss, fnn.MeanSquaredError) else 0
    return ((outputs > cut) == (y > 0.5)).mean()


def steps_until(reached: jax.Array) -> jax.Array:
    """How many steps (on the first axis) come before the first that is true; all of them if none is."""
    return jnp.where(reached.any(0), reached.argmax(0), len(reached))


def gradients() -> dict[str, Any]:
    """The norms of the gradients of the logits of one sample, if that of the right answer is z; in float64.

    ``ratio``: that of squares over that of cross-entropy. ``formula``: what follows for it and a sigmoid, 2σ′(z) =
    1 / (2 cosh²(z/2)).
    """

    def norms(output: str, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        target, (model, squares) = jnp.eye(logits.size)[:1], (OUTPUTS[output], fnn.MeanSquaredError())
        y, _, cache = model.forward({}, {}, logits[None])
        by_squares = model.backward(cache, squares.backward(squares.forward(y, target)[1]))[1]
        by_entropy = LOGS[output].backward(LOGS[output].forward(logits[None], target)[1])
        return jnp.linalg.norm(by_squares), jnp.linalg.norm(by_entropy)

    @jax.jit
    def measured(z: jax.Array) -> Any:
        found = {}
        for output, others in (("sigmoid", 0), ("softmax", 2)):
            logits = jnp.pad(z[:, None], ((0, 0), (0, others)))
            squares, entropy = jax.vmap(lambda each, output=output: norms(output, each))(logits)
            found[output] = dict(zip((*LOSSES, "ratio"), (squares, entropy, squares / entropy), strict=True))
        return found | {"logits": z, "formula": 1 / (2 * jnp.square(jnp.cosh(z / 2)))}

    with jax.enable_x64(True):
        return jax.tree.map(lambda each: np.asarray(each).tolist(), measured(jnp.linspace(-12, 12, 97)))


def r2(fit: np.ndarray, y: np.ndarray) -> float:
    """1 − Σ(ŷ − y)² / Σ(y − ȳ)²."""
    return float(1 - np.square(fit - y).sum() / np.square(y - y.mean()).sum())
