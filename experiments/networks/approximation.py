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
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np

import fnn
from experiments.claims import Claim
from experiments.networks import approximation_plots
from experiments.networks.approximation_claims import CONSTRUCTED, judged, slope_interval
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
        return judged(figures)

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
