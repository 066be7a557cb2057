"""Denoising: does an autoencoder that is trained on noisy digits remove noise that it has not seen?

Claims: from unseen digits with new noise, a denoising autoencoder comes nearer to the clean ones than the noisy image,
a plain autoencoder, the best of some filters and the best linear map; it does so at every noise level, whatever it was
trained with; training with as much noise as there will be is best; it removes noise of another kind, too.

Measure: 1280 digits to train on and 360 held out, pixels from 0 to 1; the mean squared error of a pixel against the
clean image. The autoencoder has 32 numbers in its code and a hidden layer of ReLUs on either side; Gaussian noise of
standard deviation 0.1 to 0.6 is drawn anew at every step; without it, it is the plain one. Every one is tested at every
level, with noise of its own for each seed. The other kind sets pixels to 0 or 1 at random, as many as have the same
mean square; it is not in training. The filters are Gaussian ones of width 0.4 to 1 and medians of 2 × 2 and 3 × 3
pixels (scipy.ndimage); the best is chosen on the test itself, which favours them. The linear map is the one that least
squares gives for the covariance C of the training digits and noise of variance σ², (C + σ²)⁻¹ C. All levels and seeds
train in one program.

Result: at the level of its training, the error is 0.66 to 0.69 (noise 0.1) down to 0.10 to 0.11 (0.6) times that of the
noisy image, 0.72 to 0.77 down to 0.21 to 0.22 times that of the plain one, and 0.77 to 0.82 down to 0.41 to 0.43 times
that of the best filter. The best linear map is beaten from 0.2 on (0.83 to 0.95 times its error), but not at 0.1 (1.18
to 1.26). On clean images the plain one is the best: 1.37 to 9.51 times its error after training with noise. At every
level, training at that level is best. On black and white pixels the error is 0.23 to 0.79 times those of image, plain
one and best filter. Seeds 0 to 4, 35 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
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
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of
from experiments.unsupervised import denoising_plots
from experiments.unsupervised.denoising_rivals import LEVELS, drawn, error, filters, linear

SHOWN, DIGITS, PIXELS = 3, 1280, 64
"""The place of the noise level that is drawn, the digits to train on, and their pixels."""

KINDS, SPIKY = ("Gaussian noise", "black and white pixels"), slice(1, 5)
"""The kinds of noise, and the levels at which the second is judged: at the last it would replace most of the pixels."""


@dataclasses.dataclass(frozen=True)
class Denoising(Study):
    """The options of the experiment."""

    name = "denoising"
    quick_options: ClassVar = {"seeds": 2, "epochs": 25}

    seeds: int = 5
    """How many autoencoders for each noise level, with the seeds seed, seed + 1, …"""

    epochs: int = 150
    """Passes over the training digits."""

    batch_size: int = 128
    """Digits in a step."""

    learning_rate: float = 3e-3
    """Adam's learning rate at the start; it falls to zero along half a cosine."""

    width: int = 128
    """Units of a hidden layer."""

    code: int = 32
    """Numbers in the code."""

    def measure(self) -> Figures:
        digits = data.load_digits()
        x, held_out = digits.train.images.reshape(-1, PIXELS)[:DIGITS], digits.test.images.reshape(-1, PIXELS)
        noisy = np.stack([drawn(held_out, x, self.seed + i) for i in range(self.seeds)])
        samples = np.array([np.argmax(digits.test.labels == label) for label in range(10)])
        errors, outputs = self.train(x, held_out, noisy, samples)
        filtered, mapped = filters(noisy), linear(noisy, x)
        of_filters = {name: error(each, held_out).tolist() for name, each in filtered.items()}
        best = min(of_filters, key=lambda name: of_filters[name][0][0][SHOWN])
        place = 0, 0, SHOWN, samples
        rows = {"clean": held_out[samples], "noisy": noisy[place], best: filtered[best][place]}
        rows |= {"linear map": mapped[place], "plain": outputs[0], "denoising": outputs[SHOWN]}
        objective, batch = self.objective(LEVELS[SHOWN]), (x[:32], x[:32])
        untrained, key = objective.init(jax.random.key(self.seed), batch[0]), jax.random.key(self.seed)
        return {
            "errors": errors.tolist(),
            "noisy": error(noisy, held_out).tolist(),
            "linear": error(mapped, held_out).tolist(),
            "filters": of_filters,
            "rows": {name: np.asarray(each, np.float64).round(2).tolist() for name, each in rows.items()},
            GRADIENTS: compared(objective, *untrained, batch, key=key),
        }

    def objective(self, level: Any) -> fnn.Objective:
        """The autoencoder with noise of this level on its input, in training only."""
        encoder = fnn.Dense(self.width), fnn.Relu(), fnn.Dense(self.code)
        decoder = fnn.Dense(self.width), fnn.Relu(), fnn.Dense(PIXELS)
        return fnn.Objective(fnn.Serial(fnn.GaussianNoise(level), *encoder, *decoder), fnn.MeanSquaredError())

    def train(self, x: Any, held_out: Any, noisy: Any, samples: Any) -> tuple[np.ndarray, np.ndarray]:
        """The errors (levels in training, seeds, kinds, levels), and outputs (levels in training, samples, pixels)."""
        rate = fnn.optim.cosine(self.learning_rate, self.epochs * (DIGITS // self.batch_size))
        options: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size}
        run = fnn.make_train(self.objective, fnn.optim.adam(rate), **options)

        def one(key: jax.Array, noisy: Any, level: Any, x: Any, held_out: Any) -> tuple[jax.Array, jax.Array]:
            learned, model = run(key, (x, x), level), self.objective(level).model
            outputs, _ = model.apply(learned.params, learned.state, noisy)
            return jnp.square(outputs - held_out).mean((-2, -1)), outputs[0, SHOWN, samples]

        each_seed = jax.vmap(one, (0, 0, None, None, None))
        every = jax.jit(jax.vmap(each_seed, (None, None, 0, None, None)))
        keys, levels = seeds_of(self.seed, self.seeds), np.array(LEVELS, np.float32)
        errors, outputs = every(keys, noisy, levels, x, held_out)
        return np.asarray(errors, np.float64), np.asarray(outputs)[:, 0]

    def claims(self, figures: Figures) -> list[Claim]:
        errors = np.array(figures["errors"])
        # Every one at the level of its training (seeds, kinds, levels), beside its rivals.
        matched = np.diagonal(errors, axis1=0, axis2=3)
        rivals = {
            "the noisy image": np.array(figures["noisy"]),
            "a plain autoencoder": errors[0],
            "the best of the filters": np.min(list(figures["filters"].values()), 0),
            "the best linear map": np.array(figures["linear"]),
        }
        plain = errors[1:, :, 0] / errors[0, :, 0]
        stronger = np.array(LEVELS[1:])[:, None] <= np.array(LEVELS)
        best = errors[:, :, 0].mean(1).argmin(0)
        spiky = {name: matched[:, 1, SPIKY] / rival[:, 1, SPIKY] for name, rival in list(rivals.items())[:3]}
        return [
            *(
                judge(
                    f"A denoising autoencoder comes nearer to the clean digit than {name}",
                    rule="at every level of noise as in its training, its error on unseen digits is lower, in every"
                    " seed",
                    figure=f"{span(matched[:, 0, 1:] / rival[:, 0, 1:])} times that error",
                    holds=np.all(matched[:, 0, 1:] < rival[:, 0, 1:]),
                    only_when="the standard deviation of the noise is 0.2 or more",
                    there=np.all(matched[:, 0, 2:] < rival[:, 0, 2:]),
                )
                for name, rival in rivals.items()
            ),
            judge(
                "Whatever noise it was trained with, it is better than the plain one at every level",
                rule="its error is lower at each level, clean images included, in every seed",
                figure=f"{span(plain[..., 0])} times on clean images, {span(plain[:, :, 1:])} on noisy ones",
                holds=np.all(plain < 1),
                only_when="the noise is at least as strong as in its training",
                there=np.all(plain.swapaxes(0, 1)[:, stronger] < 1),
            ),
            judge(
                "It is best to train with as much noise as there will be",
                rule="of all levels in training, that of the test has the lowest mean error over seeds, at every level",
                figure=", ".join(f"{LEVELS[i]:g} for {level:g}" for i, level in zip(best, LEVELS, strict=True)),
                holds=np.array_equal(best, np.arange(len(LEVELS))),
            ),
            judge(
                "It removes noise of another kind than in its training",
                rule="with as many black and white pixels as have the mean square of its training's noise (0.1 to"
                " 0.4), its error is below those of the noisy image, a plain autoencoder and the best of the filters,"
                " in every seed",
                figure=", ".join(f"{span(each)} times that of {name}" for name, each in spiky.items()),
                holds=all(np.all(each < 1) for each in spiky.values()),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        denoising_plots.rows(folder / "digits.png", figures["rows"])
        denoising_plots.errors(folder / "errors.png", LEVELS, KINDS, figures)
        denoising_plots.matrix(folder / "levels.png", LEVELS, np.array(figures["errors"])[:, :, 0].mean(1))
        return {
            "digits.png": f"Unseen digits with Gaussian noise of standard deviation {LEVELS[SHOWN]:g}, and what is made"
            " of them.",
            "errors.png": "The error by noise level: means over seeds, shaded from the lowest to the highest. The"
            " denoising ones are trained with Gaussian noise of the same level.",
            "levels.png": "The mean error for every level in training and in the test (Gaussian noise), as a multiple"
            " of the lowest in its column.",
        }


def span(values: np.ndarray) -> str:
    """The lowest and the highest value."""
    return f"{values.min():.2f} to {values.max():.2f}"
