"""Approximation: how does the error of a network with one hidden layer fall with its width, and where does it stop?

Claims: the error falls with the width, and the slope of log error against log width is negative, for trained networks
and for random hidden units with a closed-form output layer; training beats random hidden units. A ReLU network with n
hidden units can be written down that interpolates linearly between n + 1 points, so that its error falls like n⁻².
Where trained networks stop improving, it is the optimisation that fails, not the approximation.

Measure: f(x) = eˣ sin 6x on [−1, 1], 256 points to train on; the error is the root mean square over 2000 other points,
relative to that of f. Full batches, Adam at 0.02 with warm-up and cosine decay, 3000 steps, float32; all seeds of a
width run in one program. The random hidden units are those that training starts from; their output layer is the
least-squares solution, in float64. Slopes are least-squares fits over all widths and seeds; their 95 % intervals are
bootstrapped over seeds.

Result: the errors of trained networks fall with slope −1.02 (−1.07 to −0.96) for ReLU, −0.85 (−0.90 to −0.80) for tanh,
but for tanh no longer beyond 64 units: 0.0042 there, 0.0068 with 256. With random hidden units the slopes are −1.10 and
−6.65 (that of tanh is no power law: its error is 2e-8 with 32 units, then at the limit of rounding), and from 16 units
on tanh, from 64 on ReLU, they are better than trained ones. The written-down networks have slope −2.000. At 256 units
no trained seed comes near what is possible: the best have 0.0030 (ReLU) and 0.0039 (tanh), but 0.00021 and 5e-13 are
known. Seeds 0 to 9, 66 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments.claims import Claim, judge
from experiments.networks import approximation_plots
from experiments.networks.approximation_networks import (
    TEST,
    constructed_errors,
    hidden,
    network,
    outputs,
    random_features_errors,
    relative_errors,
    samples,
    target,
)
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

CONSTRUCTED = tuple(2**i for i in range(1, 11))
"""The widths of the networks that are written down."""

FROM, SLOPE, NEAR, ROUNDING = 32, -2.0, 0.1, 1e-10
"""The widths from which the written-down networks have this slope, how nearly, and how exactly they interpolate."""


@dataclasses.dataclass(frozen=True)
class Approximation(Study):
    """The options of the experiment."""

    name = "approximation"
    quick_options: ClassVar = {"epochs": 1000, "seeds": 4, "widths": (2, 8, 32), "activations": ("ReLU",)}

    epochs: int = 3000
    """Passes over the training points, each of them one step."""

    seeds: int = 10
    """How many networks of each width to train, with the seeds seed, seed + 1, …"""

    widths: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    """The numbers of hidden units, from the least to the most."""

    activations: tuple[str, ...] = ("ReLU", "tanh")
    """The activations of the hidden units."""

    learning_rate: float = 0.02
    """The peak learning rate of Adam."""

    def measure(self) -> Figures:
        errors: dict[str, dict[str, list]] = {"trained": {}, "random": {}}
        fits: dict[str, list] = {}
        shown = [self.widths[0], self.widths[(len(self.widths) - 1) // 2], self.widths[-1]]
        for name in self.activations:
            errors["trained"][name], errors["random"][name], fits[name] = [], [], []
            for width in self.widths:
                start, trained = self.train(network(name, width))
                found = outputs(network(name, width), trained, TEST)[..., 0]
                errors["trained"][name].append(relative_errors(found).tolist())
                errors["random"][name].append(random_features_errors(fnn.Serial(*hidden(name, width)), start).tolist())
                if width in shown:
                    fits[name].append(np.quantile(found[:, ::20], (0, 0.5, 1), axis=0).round(4).tolist())
        constructed, apart = zip(*map(constructed_errors, CONSTRUCTED), strict=True)
        objective = fnn.Objective(network(self.activations[-1], shown[1]), fnn.MeanSquaredError())
        return {
            "widths": list(self.widths),
            "errors": errors,
            "constructed": constructed,
            "apart": max(apart),
            "shown": shown,
            "fits": fits,
            GRADIENTS: compared(objective, *objective.init(jax.random.key(self.seed), samples()[0]), samples()),
        }

    def train(self, model: fnn.Layer) -> tuple[Any, Any]:
        """The parameters of every seed before and after training."""
        rate = fnn.optim.warmup_cosine(self.learning_rate, self.epochs // 20, self.epochs)
        objective, optimizer = fnn.Objective(model, fnn.MeanSquaredError()), fnn.optim.adam(rate)

        # Full batches, from parameters that the random features need, too.
        def fitted(params: Any, batch: tuple) -> Any:
            def step(carry: tuple, _: None) -> tuple[tuple, None]:
                params, opt_state = carry
                grads = objective.value_and_grad(params, {}, batch)[1]
                updates, opt_state = optimizer.update(grads, opt_state, params)
                return (fnn.optim.apply_updates(params, updates), opt_state), None

            return jax.lax.scan(step, (params, optimizer.init(params)), length=self.epochs)[0][0]

        @jax.jit
        def run(keys: jax.Array, batch: tuple) -> tuple[Any, Any]:
            start = jax.vmap(lambda key: objective.init(key, batch[0])[0])(keys)
            return start, jax.vmap(fitted, in_axes=(0, None))(start, batch)

        return run(seeds_of(self.seed, self.seeds), samples())

    def claims(self, figures: Figures) -> list[Claim]:
        widths, trained, drawn = figures["widths"], figures["errors"]["trained"], figures["errors"]["random"]
        medians = {name: np.median(each, 1) for name, each in trained.items()}
        falling = min(first_no(np.diff(each) < 0) for each in medians.values())
        better = min(first_no(medians[name] < np.median(drawn[name], 1)) for name in medians)
        slopes = {
            f"{name} {kind}": slope_interval(widths, each)
            for kind, found in figures["errors"].items()
            for name, each in found.items()
        }
        late = [(n, error) for n, error in zip(CONSTRUCTED, figures["constructed"], strict=True) if n >= FROM]
        steepness = float(np.log([error for _, error in late]) @ slope_weights([n for n, _ in late]))
        best = {name: min(each[-1]) for name, each in trained.items()}
        known = {name: least_known(figures, name) for name in trained}
        return [
            judge(
                "The error of trained networks falls with the width",
                rule="the median over seeds is lower at every larger width, for every activation",
                figure="; ".join(f"{name} {', '.join(f'{x:.2g}' for x in each)}" for name, each in medians.items()),
                holds=falling == len(widths) - 1,
                only_when=f"there are at most {widths[falling]} hidden units",
                there=falling,
            ),
            judge(
                "The slope of log error against log width is negative, trained or with random hidden units",
                rule="the 95 % interval over seeds lies below 0, for every activation",
                figure=", ".join(
                    f"{name} {middle:.2f} ({low:.2f} to {high:.2f})" for name, (middle, low, high) in slopes.items()
                ),
                holds=all(high < 0 for _, _, high in slopes.values()),
            ),
            judge(
                "Training the hidden units beats drawing them at random",
                rule="the median error of trained networks is lower at every width, for every activation",
                figure=f"at {widths[-1]} units: "
                + ", ".join(
                    f"{name} {medians[name][-1]:.1e} against {np.median(drawn[name][-1]):.1e}" for name in medians
                ),
                holds=better == len(widths),
                only_when=f"there are at most {widths[better - 1]} hidden units",
                there=better,
            ),
            judge(
                "A ReLU network of n units can interpolate linearly between n + 1 points, with an error like n⁻²",
                rule=f"its weights, written down, give the interpolation to {ROUNDING:.0e}, and the slope from {FROM}"
                f" units on is within {NEAR} of {SLOPE:.0f}",
                figure=f"difference {figures['apart']:.1e}, slope {steepness:.3f}",
                holds=figures["apart"] <= ROUNDING and abs(steepness - SLOPE) <= NEAR,
            ),
            judge(
                "Where trained networks stop improving, the optimisation fails, not the approximation",
                rule=f"at {widths[-1]} hidden units, a network with an error below that of every trained seed is known:"
                " the written-down one, or one with random hidden units",
                figure=", ".join(f"{name}: best seed {best[name]:.1e}, known {known[name]:.1e}" for name in best),
                holds=all(known[name] < best[name] for name in best),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        errors = figures["errors"]
        slopes = {
            kind: {name: slope_interval(figures["widths"], each) for name, each in found.items()}
            for kind, found in errors.items()
        }
        curve = CONSTRUCTED, figures["constructed"]
        approximation_plots.errors(folder / "errors.png", figures["widths"], errors, slopes, curve)
        approximation_plots.fits(folder / "fits.png", TEST[::20], target(TEST[::20]), figures["shown"], figures["fits"])
        seeds = len(next(iter(errors["trained"].values()))[0])
        return {
            "errors.png": f"Error against width: median and range of {seeds} seeds; slopes with their intervals."
            " Errors below 1e-6, which random tanh units reach, are left out.",
            "fits.png": f"What trained networks compute: median and range of {seeds} seeds at each point.",
        }


def least_known(figures: Figures, activation: str) -> float:
    """The least error that is known without training for at most the largest width."""
    least = min(min(each) for each in figures["errors"]["random"][activation])
    if activation != "ReLU":
        return least
    built = zip(CONSTRUCTED, figures["constructed"], strict=True)
    return min(least, *(error for width, error in built if width <= figures["widths"][-1]))


def first_no(answers: Any) -> int:
    """The place of the first that is not true; their number if all are."""
    return int(np.argmin([*answers, False]))


def slope_weights(widths: Sequence[int]) -> np.ndarray:
    """The weights w with which Σ w y is the slope of the least-squares line through (log width, y)."""
    x = np.log(widths) - np.mean(np.log(widths))
    return x / (x @ x)


def slope_interval(widths: Sequence[int], errors: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The slope of log error against log width, and its 95 % bootstrap interval over the seeds of each width."""
    logs, random = np.log(errors), np.random.default_rng(0)
    drawn = random.integers(0, logs.shape[1], (2000, *logs.shape))
    again = np.take_along_axis(logs[None], drawn, -1)
    low, high = np.quantile(again.mean(-1) @ slope_weights(widths), (0.025, 0.975))
    return float(logs.mean(-1) @ slope_weights(widths)), float(low), float(high)
