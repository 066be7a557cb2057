"""GAN: what do its two players minimise, and do the samples come close to real digits?

Claims: a generative adversarial network has no error functions and clusters (as one of the notes says); its samples
come closer to real digits; the discriminator ends up guessing; the generator's loss tells how good the samples are; all
ten digits are among them.

Measure: digits of 8 × 8 pixels, 1293 to train on and 360 held out. The discriminator minimises E −log D(x) + E −log(1 −
D(G(z))), the generator E −log D(G(z)), z ~ N(0, 1) in 16 dimensions; two hidden layers of 128 units each. Both step at
once, by Adam (β₁ = 0.5), with the hand-derived gradients; the generator's comes back through the discriminator. The
losses, and the discriminator's accuracy, are those on held-out digits and as many new samples. The distance is
Fréchet's, ‖μ − μ'‖² + tr(Σ + Σ' − 2 (Σ Σ')^½), of the 32 hidden features of a classifier, from the held-out digits to
1000 samples; the classifier also says which digit a sample is. Each error function is tested by a step of 0.01 times
its player's gradient, the other player held fixed. Clusters are ten groups by k-means, of the pixels or of the
discriminator's output, and their adjusted Rand index with the classes.

Result: a step lowers a player's own loss in all of 210 cases (players, seeds, moments): there are two error functions.
The groups agree with the digits hardly more than by chance (0): by 0.03 at most, where the pixels have 0.52. The
distance falls from 51 to 59 to between 0.7 and 1.3, where real digits have 0.26 from each other. Over the last quarter
the accuracy is 58 to 62 %, at a loss of 1.34 to 1.40 (ln 4 = 1.39). The generator's loss has the rank correlation 0.30
to 0.63 with the distance (0.44 to 0.77 without the start, where it is 0.59 to 0.95 already). The rarest digit makes up
4.6 to 7.4 % of the samples. Seeds 0 to 4, 52 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim, judge
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of
from experiments.unsupervised import gan_plots
from experiments.unsupervised.gan_measures import frechet, moment, rank_correlations
from experiments.unsupervised.gan_training import CODE, PIXELS, judged_batch, players, trained

SAMPLES, FEATURES, FALLEN, COVERED, GUESSING = 1000, 32, 0.1, 0.02, 0.05
"""How many samples are judged, by how many features; the share of its start to which the distance is to fall; the share
of the samples from which a digit is among them; how far from 50 % an accuracy may be that is guessing."""

GUESSED = float(np.log(4))
"""The discriminator's loss if it gives everything the probability ½."""


@dataclasses.dataclass(frozen=True)
class Gan(Study):
    """The options of the experiment."""

    name = "gan"
    quick_options: ClassVar = {"seeds": 2, "steps": 1500, "moments": 3}

    seeds: int = 5
    """How many networks to train, with the seeds seed, seed + 1, …"""

    steps: int = 8000
    """Steps of both players."""

    moments: int = 20
    """At how many equally spaced moments the players are judged, besides the start."""

    batch_size: int = 64
    """Real digits, and samples, in a step."""

    learning_rate: float = 1e-3
    """Adam's learning rate, for both players."""

    def __post_init__(self) -> None:
        if self.steps % self.moments:
            raise ValueError(f"{self.moments} moments are equally spaced in their multiple, got {self.steps} steps")

    def measure(self) -> Figures:
        digits = data.load_digits()
        x, held_out = (part.images.reshape(-1, PIXELS) for part in (digits.train, digits.test))
        optimizer = fnn.optim.adam(self.learning_rate, b1=0.5)
        options: dict[str, Any] = {"steps": self.steps, "moments": self.moments, "batch_size": self.batch_size}
        run = jax.jit(jax.vmap(lambda key, x: trained(key, x, optimizer, **options), (0, None)))
        params = run(seeds_of(self.seed, self.seeds), x)
        classify = self.classifier(x, digits.train.labels)
        codes = jax.random.normal(jax.random.key(self.seed), (SAMPLES, CODE))
        found = jax.jit(jax.vmap(jax.vmap(functools.partial(moment, classify), (0, None, None)), (0, None, None)))
        now = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), found(params, held_out, codes))
        features, labels = (np.asarray(each) for each in jax.jit(classify)(np.concatenate([held_out, x])))
        (features, seen), labels = np.split(features, [len(held_out)]), labels[: len(held_out)]
        at = np.linspace(0, self.moments, 5).astype(int)
        last = jax.tree.map(lambda leaf: leaf[0, -1], params)
        discriminating, generating = players()
        judged = judged_batch(x[:10], now["samples"][0, -1].astype(np.float32))
        lines = {
            "Discriminator": compared(discriminating, last["discriminator"], {}, judged),
            "Generator": compared(generating, last, {}, (codes[:10], jnp.ones((10, 1)))),
        }
        return {
            "steps": np.linspace(0, self.steps, self.moments + 1).astype(int).tolist(),
            **{name: now[name].tolist() for name in ("discriminator", "generator", "accuracy", "lowered")},
            "distance": [[frechet(features, each) for each in seed] for seed in now["features"]],
            "between real": frechet(features, seen),
            "classifier": float((labels == digits.test.labels).mean()),
            "shares": [(np.bincount(seed[-1].astype(int), minlength=10) / SAMPLES).tolist() for seed in now["digits"]],
            "rand": self.clusters(held_out, now["logits"][:, -1], digits.test.labels),
            "samples": now["samples"][0, at].round(2).reshape(len(at), 10, -1).tolist(),
            "sampled at": (at * (self.steps // self.moments)).tolist(),
            GRADIENTS: "\n".join(f"{name}. {line}" for name, line in lines.items()),
        }

    def classifier(self, x: np.ndarray, labels: np.ndarray) -> Any:
        """A function that returns the features and the class of images."""
        body = fnn.Serial(fnn.Dense(FEATURES), fnn.Relu())
        objective = fnn.Objective(fnn.Serial(body=body, head=fnn.Dense(10)), fnn.CrossEntropy())
        # The digits are in random order already; without a remainder there is one kind of step to compile.
        count = len(x) // 64 * 64
        run = fnn.make_train(objective, fnn.optim.adam(3e-3), epochs=100, batch_size=64, shuffle=False)
        params = jax.jit(run)(jax.random.key(self.seed), (x[:count], labels[:count])).params

        def classify(images: jax.Array) -> tuple[jax.Array, jax.Array]:
            features, _ = body.apply(params["body"], {}, images)
            logits, _ = fnn.Dense(10).apply(params["head"], {}, features)
            return features, logits.argmax(-1)

        return classify

    def clusters(self, x: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """The adjusted Rand index of the groups by pixels, and by the output of each seed's discriminator."""
        # Imported here so that listing the experiments does not import scikit-learn.
        from sklearn.cluster import KMeans
        from sklearn.metrics import adjusted_rand_score

        def index(values: np.ndarray) -> float:
            return float(adjusted_rand_score(labels, KMeans(10, random_state=self.seed).fit_predict(values)))

        return {"pixels": index(x), "discriminator": [index(each) for each in logits]}

    def claims(self, figures: Figures) -> list[Claim]:
        distance, accuracy = np.array(figures["distance"]), np.array(figures["accuracy"])
        loss, changes = np.array(figures["discriminator"]), np.array(figures["lowered"])
        quarter = slice(-max(1, loss.shape[1] // 4), None)
        late, late_loss = accuracy[:, quarter].mean(1), loss[:, quarter].mean(1)
        fallen, shares = distance[:, -1] / distance[:, 0], np.array(figures["shares"])
        ranks = np.array([rank_correlations(*each) for each in zip(figures["generator"], distance, strict=True)])
        rand = figures["rand"]
        return [
            judge(
                "A GAN has no error functions",
                rule="in some seed and at some moment, a small step along a player's own gradient does not lower its"
                " own loss, the other player held fixed",
                figure=f"the step lowers it in {(changes < 0).mean():.0%} of {changes.size} cases",
                holds=not np.all(changes < 0),
            ),
            judge(
                "A GAN clusters",
                rule="ten groups by the discriminator's output agree with the digits at least as well as ten by the"
                " pixels, by the adjusted Rand index, in every seed",
                figure=f"{max(rand['discriminator']):.2f} at most, pixels {rand['pixels']:.2f}",
                holds=min(rand["discriminator"]) >= rand["pixels"],
            ),
            judge(
                "The samples come closer to real digits",
                rule=f"the distance falls to at most {FALLEN:.0%} of that at the start, in every seed",
                figure=f"{distance[:, 0].min():.0f} to {distance[:, 0].max():.0f} at the start,"
                f" {distance[:, -1].min():.1f} to {distance[:, -1].max():.1f} at the end; real digits from each other"
                f" {figures['between real']:.2f}",
                holds=fallen.max() <= FALLEN,
            ),
            judge(
                "The discriminator ends up guessing",
                rule=f"over the last quarter its accuracy is within {GUESSING:.0%} of 50 %, and its loss within"
                f" {GUESSING:.0%} of ln 4, in every seed",
                figure=f"accuracy {late.min():.0%} to {late.max():.0%}, loss {late_loss.min():.2f} to"
                f" {late_loss.max():.2f} (ln 4 = {GUESSED:.2f})",
                holds=np.all(np.abs(late - 0.5) <= GUESSING) and np.all(np.abs(late_loss / GUESSED - 1) <= GUESSING),
            ),
            judge(
                "The generator's loss tells how good its samples are",
                rule="its rank correlation with the distance, over the moments, is at least 0.5 in every seed",
                figure=f"{ranks[:, 0].min():.2f} to {ranks[:, 0].max():.2f}; without the start {ranks[:, 1].min():.2f}"
                f" to {ranks[:, 1].max():.2f}",
                holds=ranks[:, 0].min() >= 0.5,
                only_when="the start is left out",
                there=ranks[:, 1].min() >= 0.5,
            ),
            judge(
                "All ten digits are among the samples",
                rule=f"a classifier finds each in at least {COVERED:.0%} of them, at the end, in every seed",
                figure=f"the rarest is {shares.min(1).min():.1%} to {shares.min(1).max():.1%} of the samples",
                holds=shares.min() >= COVERED,
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        gan_plots.samples(folder / "samples.png", figures["samples"], figures["sampled at"])
        gan_plots.curves(folder / "curves.png", figures, GUESSED)
        return {
            "samples.png": "What the first seed's generator makes of ten codes, in the course of training.",
            "curves.png": "Losses, accuracy and distance on held-out digits: means over seeds, shaded from the lowest"
            " to the highest; and the shares of the digits among the samples at the end, a dot for each seed.",
        }
