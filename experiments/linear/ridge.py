"""Ridge: does one linear neuron on basis functions find the regressions of the textbooks, over-fitting included?

Claims: trained by gradients, the neuron finds the closed form of least squares and of ridge regression; with more basis
functions the training error falls while the test error rises again, and ridge lowers that; squares are a Gaussian
likelihood and ridge is its maximum a posteriori; gradient descent from zero picks, of many minima, the one of the least
norm, and so does Adam.

Measure: 20 noisy samples of sin(πx) on [−1, 1], one at random in the middle half of each twentieth, noise N(0, 0.3²);
polynomials of degree 0 to 14, as Legendre polynomials of mean square 1; the neuron is y = wᵀφ(x). A seed is a draw of
samples. All degrees, penalties and seeds train in one program, in float64, by L-BFGS on the full batch; for lower
degrees the other columns are 0. The closed form minimises ‖y − Φw‖² + λwᵀw (NumPy), with λ = 1, chosen before the runs.
The test error is the mean square from sin(πx) itself. The likelihood has the fixed variance 0.3², its prior the
variance 0.3²/λ; both at degree 9. For the many minima: 60 functions for the samples of the first 20 seeds, all of them
met to 1e-6, against the pseudo-inverse.

Result: the closed form is found to 1.1e-8 without L2 and to 7e-14 with L2 of 2λ/N, the strength that ridge with λ on
the sum needs (λ/N leaves up to 32 %). The median training error falls from 0.59 to 0.017, the test error from 0.50 to
0.018 at degree 3, and rises to 6.9 at degree 14, where ridge has 0.057 and is better in every seed; at degree 3 it is
in 55 %. The likelihoods lead to the same weights within 2e-14. Gradient descent from zero ends within 5e-15 of the
least norm, from random weights nowhere near, and Adam from zero does not either: 74 to 95 % off. Seeds 0 to 99, 24 s of
processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.claims import Claim
from experiments.linear import ridge_plots
from experiments.linear.ridge_claims import LAMBDA, judged
from experiments.linear.ridge_regression import (
    DEGREES,
    NOISE,
    SAMPLES,
    basis,
    closed_forms,
    drawn,
    likelihood,
    neuron,
    squares,
    truth,
)
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

LIKELY, MANY = 9, 60
GRID = np.linspace(-1, 1, 201)
SHOWN = (1, 3, DEGREES)
"""The degrees of the fits that are drawn."""


@dataclasses.dataclass(frozen=True)
class Ridge(Study):
    """The options of the experiment."""

    name = "ridge"
    quick_options: ClassVar = {"seeds": 10, "descent_steps": 2000}

    seeds: int = 100
    """How many draws of the samples, with the seeds seed, seed + 1, …"""

    steps: int = 120
    """Steps of L-BFGS."""

    descent_steps: int = 10_000
    """Steps of gradient descent, and of Adam, towards one of many minima."""

    def measure(self) -> Figures:
        x, y = (np.stack(each) for each in zip(*(drawn(self.seed + i) for i in range(self.seeds)), strict=True))
        phi, kept = basis(x, DEGREES + 1), np.tril(np.ones((DEGREES + 1, DEGREES + 1)))
        # L2 is half its strength times wᵀw, and the mean of the squares is the N-th part of their sum.
        found = self.minima(squares, np.array([0, 2 * LAMBDA, LAMBDA]) / SAMPLES, kept, phi, y)
        likely = self.minima(likelihood, np.array([0, LAMBDA / NOISE**2]) / SAMPLES, kept[[LIKELY]], phi, y)
        closed = np.stack([closed_forms(strength, kept, phi, y) for strength in (0.0, LAMBDA)])
        training = np.square(np.einsum("sed,snd->sen", found[0], phi) - y[:, None]).mean(-1)
        fits = found[:2] @ basis(GRID, DEGREES + 1).T
        batch = phi[0].astype(np.float32), y[0, :, None].astype(np.float32)
        return {
            "apart": apart(found[:2], closed).max((1, 2)).tolist(),
            "apart with λ/N": float(apart(found[2], closed[1]).max()),
            "likelihood apart": apart(likely[:, :, 0], closed[:, :, LIKELY]).max(1).tolist(),
            "training": rounded(training),
            "test": rounded(np.square(fits - truth(GRID)).mean(-1)),
            "first": {"x": x[0].tolist(), "y": y[0].tolist(), "fits": rounded(fits[:, 0][:, list(SHOWN)])},
            "many": self.many(basis(x[:20], MANY), y[:20]),
            GRADIENTS: compared(squares(0.1), {"kernel": jnp.ones((DEGREES + 1, 1))}, {}, batch),
        }

    def minima(self, objective: Callable, strengths: np.ndarray, kept: np.ndarray, *samples: np.ndarray) -> np.ndarray:
        """The weights for every strength of L2, seed and choice of columns (strengths, seeds, choices, D)."""
        options: dict[str, Any] = {"steps": self.steps, "batch_size": SAMPLES, "shuffle": False}

        def weights(strength: jax.Array, keep: jax.Array, phi: jax.Array, y: jax.Array) -> jax.Array:
            run = fnn.make_train(objective, fnn.optim.lbfgs(), **options)
            params = run(jax.random.key(self.seed), (phi * keep, y[:, None]), strength).params
            return params.get("mean", params)["kernel"][:, 0]

        choices = jax.vmap(weights, (None, 0, None, None))
        every = jax.vmap(jax.vmap(choices, (None, None, 0, 0)), (0, None, None, None))
        with jax.enable_x64(True):
            return np.asarray(jax.jit(every)(strengths, kept, *samples))

    def many(self, phi: np.ndarray, y: np.ndarray) -> dict[str, Any]:
        """By the way down: how far each seed ends from the least-norm solution, and how well it meets the samples."""
        least = np.einsum("sdn,sn->sd", np.linalg.pinv(phi), y)
        rates = SAMPLES / (2 * np.linalg.eigvalsh(phi @ phi.mT)[:, -1])  # one over the largest curvature
        adam = fnn.optim.adam(fnn.optim.cosine(0.01, self.descent_steps))
        options: dict[str, Any] = {"steps": self.descent_steps, "batch_size": SAMPLES, "shuffle": False}

        def weights(way: str, key: jax.Array, phi: jax.Array, y: jax.Array, rate: jax.Array) -> jax.Array:
            start = fnn.initializers.Normal(1.0) if way == "random" else fnn.initializers.Zeros()
            objective = fnn.Objective(neuron(start), fnn.MeanSquaredError())
            run = fnn.make_train(objective, adam if way == "Adam" else fnn.optim.sgd(rate), **options)
            return run(key, (phi, y[:, None])).params["kernel"][:, 0]

        def of(way: str) -> dict[str, Any]:
            every = jax.jit(jax.vmap(lambda *each: weights(way, *each)))
            found = np.asarray(every(seeds_of(self.seed, len(y)), phi, y, rates))
            missed = np.abs(np.einsum("snd,sd->sn", phi, found) - y).max(1)
            return {"apart": apart(found, least).tolist(), "missed": missed.tolist()}

        with jax.enable_x64(True):
            return {way: of(way) for way in ("zero", "random", "Adam")}

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        first, (plain, penalised), ridge = figures["first"], figures["test"], f"λ = {LAMBDA:g}"
        names = "sin(πx)", "without ridge", ridge
        curves = {
            degree: dict(zip(names, (truth(GRID), *fits), strict=True))
            for degree, *fits in zip(SHOWN, *first["fits"], strict=True)
        }
        ridge_plots.fits(folder / "fits.png", GRID, curves, samples=(first["x"], first["y"]))
        errors = {
            "training, without ridge": figures["training"],
            "test, without ridge": plain,
            f"test, {ridge}": penalised,
        }
        ridge_plots.errors(folder / "errors.png", {name: np.array(each) for name, each in errors.items()})
        draws = f"Median over {len(plain)} draws of the samples; the bands hold 90 % of them."
        return {
            "fits.png": "Fits to the samples of the first seed, which are dots.",
            "errors.png": f"{draws} The test error is that from sin(πx), without noise.",
        }


def apart(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """‖found − expected‖ / ‖expected‖ over the last axis."""
    return np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)


def rounded(values: np.ndarray) -> list:
    """Errors and curves to four digits, which is more than is judged or drawn."""
    return np.vectorize(lambda value: float(f"{value:.3e}"))(values).tolist()
