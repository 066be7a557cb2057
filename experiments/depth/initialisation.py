"""Initialisation: which initial weights make activations and gradients vanish or explode with depth?

Claims: weights from N(0, σ²) make activations and deltas vanish if σ² is tiny and explode if it is large; the notes say
so of all networks. Tanhs then saturate, and sigmoids stay at ½. He weights keep activations and deltas, Glorot weights
too, and batch norm makes them independent of σ². A bias before a batch norm has gradient 0. Units that start with
constant weights stay identical.

Measure: 20 layers of 64 units, biases 0; 64 inputs and a gradient of the outputs from N(0, 1); float64. The size of
activations, and of deltas (the gradients of what the activations are applied to), is a root mean square over units and
samples. A rule of ``fnn.backprop`` gives those of every layer in one pass: for σ² from 1e-5 to 1e5, for He, Glorot,
LeCun, orthogonal and constant weights (all layers are square, so Glorot and LeCun weights are the same), for three
activations, with and without batch norm. The network that trains from constant weights has two hidden layers of tanhs
and reads digits, in float32.

Result: what the notes say holds for ReLU alone, of activations (1e-35 and 1e65) and of deltas (5e-34 and 5e61). Tanhs
let no delta through at σ² = 1e5 and hardly any at 1e4. But at σ² = 10, where most of them are saturated too, deltas
grow to 8e9: the large weights multiply those that the others let through. Sigmoids keep activations between 0.47 and
0.77 at every σ²; their deltas vanish at both ends, and grow to 1e5 at σ² = 100. He weights keep both sizes within a
factor of 2.2 for ReLU, Glorot weights within 6.1 for tanh; through sigmoids, Glorot weights lose twelve powers of ten.
With batch norm no σ² changes a size by more than a factor of 1.6, and only 1e-5, where its ε counts, by more than 1.08;
but deltas grow 58-fold over the layers of ReLU. The gradient of a bias before it is rounding, 5e-15 of what it sums.
Units with constant weights stay identical to the bit; in layers of 32 units, rounding sets them apart by 1e-9. Seeds 0
to 5, 17 s beside other jobs, two CPU cores, Python 3.11.7, jax 0.9.2.
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
from experiments.depth import initialisation_plots
from experiments.depth.initialisation_claims import VARIANCES, judged
from experiments.depth.initialisation_sizes import KINDS, report_sizes, rounded, with_kernels
from experiments.depth.one_of import OneOf
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of
from fnn import initializers

ACTIVATIONS = {"ReLU": fnn.Relu(), "tanh": fnn.Tanh(), "sigmoid": fnn.Sigmoid()}
CONSTANT = initializers.Constant(0.01)
NAMED = {
    "He": initializers.HeNormal(),
    "Glorot": initializers.GlorotNormal(),
    "LeCun": initializers.LecunNormal(),
    "orthogonal": initializers.Orthogonal(),
    "constant": CONSTANT,
}


@dataclasses.dataclass(frozen=True)
class Initialisation(Study):
    """The options of the experiment."""

    name = "initialisation"
    quick_options: ClassVar = {"seeds": 2, "depth": 10, "width": 32, "epochs": 1}

    seeds: int = 6
    """How many networks of each kind, with the seeds seed, seed + 1, …"""

    depth: int = 20
    """Layers."""

    width: int = 64
    """Units in each layer, and entries of an input."""

    samples: int = 64
    """Random inputs in the batch."""

    epochs: int = 10
    """Passes over the digits that a network with constant weights makes."""

    def measure(self) -> Figures:
        # Twenty layers span more powers of ten than float32 has.
        with jax.enable_x64(True):
            x, dy = np.random.default_rng(self.seed).standard_normal((2, self.samples, self.width))
            kernels = jax.jit(self.kernels)(seeds_of(self.seed, self.seeds))
            between = {"plain": [], "batch norm": [fnn.BatchNorm()]}
            sizes = {norms: self.sizes(layers, kernels, x, dy) for norms, layers in between.items()}
            objective = fnn.Objective(self.model([fnn.BatchNorm()], fnn.Tanh()), fnn.MeanSquaredError())
            line = compared(objective, *with_kernels(objective.model, kernels["Glorot"][0], x), (x, x))
        return sizes | {"layers": (self.shown() + 1).tolist(), "units": self.units(), GRADIENTS: line}

    def shown(self) -> np.ndarray:
        """The layers whose sizes are kept, counted from 0."""
        return np.unique(np.linspace(0, self.depth - 1, 6).round().astype(int))

    def model(self, between: list[fnn.Layer], activation: fnn.Layer) -> fnn.Layer:
        """All layers alike: dense, what comes between, and the activation. The kernels are given afterwards."""
        dense = fnn.Dense(self.width, kernel_init=initializers.Zeros())
        return fnn.Repeat(fnn.Serial(dense, *between, activation=activation), self.depth)

    def kernels(self, keys: jax.Array) -> dict[str, jax.Array]:
        """Initial weights (seeds, layers, in, out) by name; those of all variances differ in their size alone."""
        shape = self.width, self.width
        layers = jax.vmap(lambda key: jax.random.split(key, self.depth))(keys).reshape(-1)

        def drawn(make: initializers.Initializer) -> jax.Array:
            kernels = jax.vmap(lambda key: make(key, shape, jnp.float64))(layers)
            return kernels.reshape(self.seeds, self.depth, *shape)

        normal = drawn(initializers.Normal(1))
        scaled = {name: float(name) ** 0.5 * normal for name in VARIANCES}
        return scaled | {name: drawn(make) for name, make in NAMED.items()}

    def sizes(self, between: list[fnn.Layer], kernels: dict, x: np.ndarray, dy: np.ndarray) -> dict[str, Any]:
        """What ``report_sizes`` finds: by activation and initial weights, lists over seeds (of lists over layers)."""

        @jax.jit
        def measured(numbers: jax.Array, kernels: jax.Array, x: jax.Array, dy: jax.Array) -> Any:
            def one(number: jax.Array, kernel: jax.Array) -> Any:
                model = self.model(between, OneOf(tuple(ACTIVATIONS.values()), number))
                _, _, cache = model.forward(*with_kernels(model, kernel, x), x, train=True)
                return fnn.backprop(model, cache, dy, report_sizes)[0]

            seeds = jax.vmap(one, in_axes=(None, 0))
            return jax.lax.map(lambda number: jax.lax.map(lambda each: seeds(number, each), kernels), numbers)

        stacked = jnp.stack(list(kernels.values()))
        found = jax.tree.map(np.asarray, measured(jnp.arange(len(ACTIVATIONS)), stacked, x, dy))
        values = {kind: found["activation"][kind][..., self.shown()] for kind in KINDS}
        values |= {"lost": found["activation"]["lost"][..., 0], "bias": found["dense_0"]["bias"].max(-1)}
        return {
            activation: {
                name: {key: rounded(each[i, j]) for key, each in values.items()} for j, name in enumerate(kernels)
            }
            for i, activation in enumerate(ACTIVATIONS)
        }

    def units(self) -> dict[str, list[float]]:
        """A network trained from constant weights, by seed: its loss, and how much two units of a layer differ."""
        hidden = (layer for _ in range(2) for layer in (fnn.Dense(self.width, kernel_init=CONSTANT), fnn.Tanh()))
        model = fnn.Serial(fnn.Flatten(), *hidden, fnn.Dense(10, kernel_init=CONSTANT))
        objective = fnn.Objective(model, fnn.CrossEntropy())
        run = fnn.make_train(objective, fnn.optim.sgd(0.5), epochs=self.epochs, batch_size=64)

        @jax.jit
        def train(keys: jax.Array, samples: tuple) -> dict[str, jax.Array]:
            result = jax.vmap(run, in_axes=(0, None))(keys, samples)
            kernels = [result.params[name]["kernel"] for name in ("dense_0", "dense_1")]
            differ = jnp.stack([jnp.ptp(kernel, -1).max(-1) for kernel in kernels]).max(0)
            # Weights from different pixels come to differ: the training was not idle.
            return {"differ": differ, "learned": jnp.ptp(kernels[0], -2).max(-1), "loss": result.history["loss"][:, -1]}

        digits = data.load_digits().train
        samples = jnp.asarray(digits.images[:1280]), jnp.asarray(digits.labels[:1280])
        found = train(seeds_of(self.seed, self.seeds), samples)
        return {name: np.asarray(each).tolist() for name, each in found.items()}

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        seeds = f"Medians of {self.seeds} seeds, shaded from the lowest to the highest; sizes below 1e-65 are left out"
        initialisation_plots.by_layer(folder / "depth.png", figures)
        initialisation_plots.by_variance(folder / "variance.png", figures)
        return {
            "depth.png": f"Sizes (root mean squares) by layer. {seeds}.",
            "variance.png": f"Sizes at the far end of the network. {seeds}.",
        }
