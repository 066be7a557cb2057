"""Symmetry: does every minimum have n! equal ones, and does that explain the barriers between two trained networks?

Claims: permuting the n hidden units changes neither the loss nor the norm of its gradient, so that every minimum comes
n! times. Changing all signs around a unit does the same for tanh, not for ReLU; scaling what goes into a unit by a > 0
and what comes out by 1/a leaves the loss for ReLU, not for tanh, but changes the norm of the gradient. On the straight
line between two independently trained networks the loss is high; much less so once the hidden units of one are matched
with those of the other.

Measure: the digits, 64 inputs less their means and 10 classes, cross-entropy over 1280 training images. All n!
permutations, all 2ⁿ changes of sign and random scalings of a network with five hidden units at random weights, and
random permutations of a trained one with 128, in float64. For the lines, networks with 128 hidden units are trained by
Adam, all seeds in one program, and taken in disjoint pairs. Units are matched by their weights, in and out: the
assignment (and for tanh the signs) with the largest sum of inner products, which is the least distance between the two
networks (SciPy's linear_sum_assignment). The barrier is the most by which the loss on the line exceeds the line between
its ends.

Result: permutations change the loss and the norm of its gradient by less than 1e-15, and so do changes of sign with
tanh; with ReLU those change the norm by 29 % in the median. Scaling leaves the loss for ReLU only, and changes the norm
by 28 % in the median. The barrier is 0.125 (0.112 to 0.149) for tanh and 0.170 (0.156 to 0.210) for ReLU, with losses
of at most 0.030 and 0.015 at the ends; after matching it is 0.009 and 0.011, at most 8 % of what it was in any pair.
Seeds 0 to 19 in ten pairs for each activation, 32 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
import itertools
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim
from experiments.networks import symmetry_plots
from experiments.networks.symmetry_claims import ROUNDING, judged
from experiments.networks.symmetry_units import changes, matched
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

ACTIVATIONS = {"tanh": fnn.Tanh(), "ReLU": fnn.Relu()}
SAMPLES = 1280
"""How many of the images are used: 20 batches of 64, without a remainder, whose step would have to be compiled, too."""

STEPS = np.linspace(0, 1, 25)
"""Where the loss on a line is measured, from one network to the other."""


@dataclasses.dataclass(frozen=True)
class Symmetry(Study):
    """The options of the experiment."""

    name = "symmetry"
    quick_options: ClassVar = {"epochs": 8, "pairs": 2, "width": 64, "units": 4, "draws": 10, "trained": ("tanh",)}

    epochs: int = 20
    """Passes over the training data."""

    pairs: int = 10
    """How many pairs of networks are connected; twice as many are trained, with the seeds seed, seed + 1, …"""

    width: int = 128
    """The hidden units of the trained networks."""

    units: int = 5
    """The hidden units n of the small network, all n! permutations of which are tried."""

    draws: int = 50
    """How many random scalings of the small network and permutations of a trained one are tried."""

    trained: tuple[str, ...] = ("tanh", "ReLU")
    """The activations of the trained networks."""

    learning_rate: float = 3e-3
    """The learning rate of Adam."""

    batch_size: int = 64
    """Images in a step."""

    def measure(self) -> Figures:
        train = data.load_digits().train
        pixels = train.images.reshape(len(train.labels), -1)[:SAMPLES]
        # Around 0, or a ReLU of few units may be dead or on for nearly all images, and shows no symmetry.
        images = pixels - pixels.mean(0), train.labels[:SAMPLES]
        random = np.random.default_rng(self.seed)
        moves = self.moves(random)
        shuffles = [(random.permutation(self.width), np.ones(self.width)) for _ in range(self.draws)]
        start, state = objective("tanh", self.units).init(jax.random.key(self.seed), jnp.asarray(images[0]))
        small, wide, lines = {}, {}, {}
        for name in ACTIVATIONS:
            small[name] = changes(objective(name, self.units), start, images, moves)
        for name in self.trained:
            params = self.train(name, images)
            wide[name] = changes(objective(name, self.width), one(params, 0), images, {"permuted": shuffles})
            lines[name] = self.lines(name, params, images)
        return {
            "units": self.units,
            "small": small,
            "trained": wide,
            "lines": lines,
            GRADIENTS: compared(objective("tanh", self.units), start, state, images),
        }

    def moves(self, random: np.random.Generator) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
        """Orders and factors of the units of the small network."""
        orders, same = itertools.permutations(range(self.units)), np.arange(self.units)
        signs = itertools.product((1.0, -1.0), repeat=self.units)
        return {
            "permuted": [(np.array(order), np.ones(self.units)) for order in orders][1:],
            "signs changed": [(same, np.array(factors)) for factors in signs][1:],
            "scaled": [(same, np.exp(random.uniform(-1, 1, self.units))) for _ in range(self.draws)],
        }

    def train(self, activation: str, images: tuple) -> Any:
        """The parameters of all seeds."""
        optimizer = fnn.optim.adam(self.learning_rate)
        model = objective(activation, self.width)
        run = fnn.make_train(model, optimizer, epochs=self.epochs, batch_size=self.batch_size)
        operands = jax.tree.map(jnp.asarray, images)
        result = jax.jit(jax.vmap(run, in_axes=(0, None)))(seeds_of(self.seed, 2 * self.pairs), operands)
        return jax.tree.map(np.asarray, result.params)

    def lines(self, activation: str, params: Any, images: tuple) -> dict[str, list[list[float]]]:
        """The loss on the line of each pair, before and after the second network's units are matched."""
        pairs = [(one(params, 2 * i), one(params, 2 * i + 1)) for i in range(self.pairs)]
        moved = [(first, matched(first, second, signs=activation == "tanh")) for first, second in pairs]
        model = objective(activation, self.width)

        @jax.jit
        def losses(pair: tuple, images: tuple) -> jax.Array:
            def loss(step: jax.Array) -> jax.Array:
                return model(jax.tree.map(lambda a, b: (1 - step) * a + step * b, *pair), {}, images)[0]

            return jax.lax.map(loss, jnp.asarray(STEPS, jnp.float32))

        operands = jax.tree.map(jnp.asarray, images)
        kinds = {"before": pairs, "after": moved}
        return {kind: [losses(pair, operands).tolist() for pair in each] for kind, each in kinds.items()}

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        symmetry_plots.lines(folder / "lines.png", STEPS, figures["lines"])
        symmetry_plots.moves(folder / "moves.png", figures["small"], ROUNDING)
        pairs = len(next(iter(figures["lines"].values()))["before"])
        return {
            "lines.png": f"The loss between two trained networks: {pairs} pairs thin, their median thick.",
            "moves.png": f"Relative changes by all permutations, all changes of sign and random scalings of"
            f" {figures['units']} hidden units: the median, and a bar from the least to the largest. Left of the dotted"
            " line they are rounding; none at all is drawn at the left edge.",
        }


def objective(activation: str, width: int) -> fnn.Objective:
    """A network with one hidden layer whose biases are not 0, and its cross-entropy."""
    hidden = fnn.Dense(width, bias_init=fnn.initializers.Normal(0.1))
    return fnn.Objective(fnn.Serial(hidden, ACTIVATIONS[activation], fnn.Dense(10)), fnn.CrossEntropy())


def one(params: Any, seed: int) -> Any:
    """The parameters of one seed."""
    return jax.tree.map(lambda leaf: leaf[seed], params)
