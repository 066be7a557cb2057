"""Autoencoder: does a linear one find the principal components, and does a non-linear one compress better?

Claims: the optimum of a linear autoencoder spans the subspace of principal component analysis (PCA) and reconstructs as
well; its weights are the principal components; a non-linear autoencoder with as small a code reconstructs digits that
it has not seen better than PCA.

Measure: the digits, 1280 to train on and 360 held out, less the mean of the former; codes of 2, 4, 8 and 16 numbers.
The linear autoencoder is x E D without biases, trained by L-BFGS in float64 on the mean squared error. ‖X − X E D‖ =
‖R − R E D‖ for X = Q R, so it is trained on the 64 rows of R instead of the 1280 of X. PCA is the singular value
decomposition of X. The non-linear one has a hidden layer of ReLUs on either side of the code, and is trained by Adam
with a cosine schedule. All code sizes and seeds train in one program: the codes have 16 numbers, and those beyond the
size are multiplied by 0.

Result: on the training digits the linear autoencoder is within 1.1e-4 rad of the PCA subspace, its error within 3e-8
of PCA's. Its weight vectors are not the components: the median cosine with the nearest one is 0.92 (2 numbers) to 0.51
(16). Seeds end with decoders 36 % or more apart, but outputs within 1e-4; for test digits 5e-3, since pixels that are
blank in training leave the encoder free there. The non-linear error on test digits is 0.65 to 0.67 (2 numbers), 0.57 to
0.62 (4), 0.55 to 0.58 (8) and 0.63 to 0.65 (16) of PCA's. Seeds 0 to 4, 65 s of processor time, two CPU cores, Python
3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.linalg import subspace_angles

import fnn
from experiments import data
from experiments.claims import Claim, judge
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of
from experiments.unsupervised import autoencoder_plots
from experiments.unsupervised.autoencoder_maps import (
    LOSS,
    PIXELS,
    SIZES,
    Kept,
    best_cosines,
    differences,
    each_size_and_seed,
    error,
    linear,
)

SHOWN, DIGITS = 8, 1280
"""The code size whose reconstructions are drawn, and the digits to train on."""

SAME, EXCESS, DIFFERENT = 1e-3, 1e-5, 0.1
"""Up to this angle (radians) or relative difference, subspaces or outputs are the same; up to this relative excess, the
errors are; from this relative difference on, weights are not."""

COMPONENT = 0.99
"""The cosine with a principal component from which a weight vector counts as one."""


@dataclasses.dataclass(frozen=True)
class Autoencoder(Study):
    """The options of the experiment."""

    name = "autoencoder"
    quick_options: ClassVar = {"seeds": 2, "linear_steps": 150, "epochs": 30}

    seeds: int = 5
    """How many autoencoders of each kind and code size, with the seeds seed, seed + 1, …"""

    linear_steps: int = 4000
    """Steps of L-BFGS for the linear autoencoder."""

    epochs: int = 200
    """Passes over the training digits for the non-linear autoencoder."""

    batch_size: int = 128
    """Digits in a step of the non-linear autoencoder."""

    learning_rate: float = 3e-3
    """Adam's learning rate at the start; it falls to zero along half a cosine."""

    width: int = 128
    """Units of a hidden layer of the non-linear autoencoder."""

    def measure(self) -> Figures:
        digits = data.load_digits()
        raw, unseen = (part.images.reshape(-1, PIXELS).astype(np.float64) for part in (digits.train, digits.test))
        raw = raw[:DIGITS]
        mean = raw.mean(0)
        x, held_out = raw - mean, unseen - mean
        components = np.linalg.svd(x, full_matrices=False)[2]
        encoders, decoders = linear(x, seeds_of(self.seed, self.seeds), self.linear_steps)
        errors, outputs = self.non_linear(x.astype(np.float32), held_out.astype(np.float32))
        found: dict[str, Any] = {"PCA": [], "linear": [], "excess": [], "angle": [], "cosine": [], "pairs": []}
        for size, encoder, decoder in zip(SIZES, encoders, decoders, strict=True):
            kept, maps = components[:size], encoder @ decoder
            least, reached = error(x, kept.T @ kept), [error(x, each) for each in maps]
            found["PCA"].append([least, error(held_out, kept.T @ kept)])
            found["linear"].append([[each, error(held_out, one)] for each, one in zip(reached, maps, strict=True)])
            found["excess"].append([each / least - 1 for each in reached])
            found["angle"].append([float(subspace_angles(each[:size].T, kept.T).max()) for each in decoder])
            found["cosine"].append([best_cosines(each[:size], components) for each in decoder])
            found["pairs"].append(differences(x @ maps, held_out @ maps, decoder[:, :size]))
        samples, at = [int(np.argmax(digits.test.labels == label)) for label in range(10)], SIZES.index(SHOWN)
        kept = components[:SHOWN]
        rows = {
            "original": held_out[samples],
            "PCA": held_out[samples] @ kept.T @ kept,
            "linear": held_out[samples] @ encoders[at, 0] @ decoders[at, 0],
            "non-linear": outputs[at, 0, samples],
        }
        objective, batch = self.objective(SHOWN), (x[:32].astype(np.float32),) * 2
        return found | {
            "non-linear": errors.tolist(),
            "rows": {name: (mean + each).round(2).tolist() for name, each in rows.items()},
            GRADIENTS: compared(objective, *objective.init(jax.random.key(self.seed), batch[0]), batch),
        }

    def objective(self, size: Any) -> fnn.Objective:
        """The non-linear autoencoder, with so many numbers in the code."""
        encoder = fnn.Dense(self.width), fnn.Relu(), fnn.Dense(max(SIZES))
        decoder = fnn.Dense(self.width), fnn.Relu(), fnn.Dense(PIXELS)
        return fnn.Objective(fnn.Serial(*encoder, Kept(size), *decoder), LOSS)

    def non_linear(self, x: np.ndarray, held_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The errors (sizes, seeds, 2) on digits seen and unseen, and the outputs for the latter."""
        rate = fnn.optim.cosine(self.learning_rate, self.epochs * -(-len(x) // self.batch_size))
        options: dict[str, Any] = {"epochs": self.epochs, "batch_size": self.batch_size}
        run = fnn.make_train(self.objective, fnn.optim.adam(rate), **options)

        def one(key: jax.Array, size: jax.Array, x: jax.Array, held_out: jax.Array) -> tuple[jax.Array, jax.Array]:
            learned, objective = run(key, (x, x), size), self.objective(size)
            (seen, _), (unseen, aux) = (
                objective(learned.params, learned.state, (each, each)) for each in (x, held_out)
            )
            return jnp.stack([seen, unseen]), aux.outputs

        every = each_size_and_seed(one)(seeds_of(self.seed, self.seeds), x, held_out)
        errors, outputs = (np.asarray(each, np.float64) for each in every)
        return errors, outputs

    def claims(self, figures: Figures) -> list[Claim]:
        excess, angle = np.array(figures["excess"]), np.array(figures["angle"])
        cosines = [np.concatenate(each) for each in figures["cosine"]]
        seen, unseen, weights = np.moveaxis(np.array(figures["pairs"]), -1, 0)
        shares = np.array(figures["non-linear"])[..., 1] / np.array(figures["PCA"])[:, 1, None]
        better = np.all(shares < 1, axis=1)
        return [
            judge(
                "The optimum of a linear autoencoder spans the PCA subspace and reconstructs as well",
                rule=f"the largest principal angle is at most {SAME:g} rad and the training error exceeds PCA's by at"
                f" most {EXCESS:.3%}, at every code size, in every seed",
                figure=f"at most {angle.max():.1e} rad and {excess.max():.1e}",
                holds=angle.max() <= SAME and excess.max() <= EXCESS,
            ),
            judge(
                "The decoder's weight vectors are the principal components",
                rule=f"each has a cosine of at least {COMPONENT} with one of them, at every code size, in every seed",
                figure="median cosine with the nearest one "
                + ", ".join(f"{np.median(each):.2f} (size {size})" for size, each in zip(SIZES, cosines, strict=True)),
                holds=min(each.min() for each in cosines) >= COMPONENT,
            ),
            judge(
                "Only the span is determined: seeds agree on the function, not on the weights",
                rule=f"the outputs of any two seeds for the training digits differ by at most {SAME:g}, relatively, and"
                f" their decoders by at least {DIFFERENT:.0%}",
                figure=f"outputs {seen.max():.1e} apart at most ({unseen.max():.1e} for test digits), decoders"
                f" {weights.min():.0%} at least",
                holds=seen.max() <= SAME and weights.min() >= DIFFERENT,
            ),
            judge(
                "A non-linear autoencoder reconstructs unseen digits better than PCA with as small a code",
                rule="the test error is lower at every code size, in every seed",
                figure="times PCA's error: "
                + ", ".join(
                    f"{each.min():.2f} to {each.max():.2f} (size {size})"
                    for size, each in zip(SIZES, shares, strict=True)
                ),
                holds=better.all(),
                only_when="the code has 2 or 4 numbers",
                there=better[:2].all(),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        autoencoder_plots.reconstructions(folder / "reconstructions.png", figures["rows"], SHOWN)
        autoencoder_plots.errors(folder / "errors.png", SIZES, figures)
        autoencoder_plots.components(folder / "cosines.png", SIZES, figures["cosine"])
        return {
            "reconstructions.png": f"One unseen digit of each class, and what is left after a code of {SHOWN} numbers.",
            "errors.png": "Mean squared error of a pixel by code size: means over seeds, with bars from the lowest to"
            " the highest where they are wider than the marker.",
            "cosines.png": "The cosine of each weight vector of the linear decoder with the nearest principal component"
            " (a dot each, of all seeds); 1 would be the component itself.",
        }
