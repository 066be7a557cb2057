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
from experiments.claims import Claim, judge
from experiments.depth import initialisation_plots
from experiments.depth.initialisation_sizes import KINDS, change, ends, report_sizes, rounded, with_kernels
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
VARIANCES = [f"1e{power}" for power in range(-5, 6)]
"""σ² of the weights that are drawn from N(0, σ²), as they are named."""

VANISHED, EXPLODED, KEPT = 1e-6, 1e6, 10
"""Below and above which size something has vanished or exploded; within which factor it is kept."""


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
        plain, normed, units = figures["plain"], figures["batch norm"], figures["units"]

        def both(kind: str, activation: str) -> bool:
            tiny, large = (ends(plain[activation][name], kind) for name in (VARIANCES[0], VARIANCES[-1]))
            return bool(tiny.max() < VANISHED and large.min() > EXPLODED)

        def extremes(kind: str) -> str:
            medians = {
                name: [np.median(ends(found[variance], kind)) for variance in (VARIANCES[0], VARIANCES[-1])]
                for name, found in plain.items()
            }
            return ", ".join(f"{name} {tiny:.1g} and {large:.1g}" for name, (tiny, large) in medians.items())

        def kept(claim: str, found: dict[str, Any], weights: str, *there: str) -> Claim:
            changes = {name: max(change(found[name][weights][kind]) for kind in KINDS) for name in found}
            return judge(
                claim,
                rule=f"in every seed, neither changes by a factor of {KEPT} or more across the layers",
                figure="by at most: " + ", ".join(f"{name} {each:.2g}" for name, each in changes.items()),
                holds=max(changes.values()) < KEPT,
                only_when=f"the activation is {' or '.join(there)}",
                there=max(changes[name] for name in there) < KEPT,
            )

        lost = [name for name in VARIANCES if min(plain["tanh"][name]["lost"]) == 1]
        most = max(VARIANCES, key=lambda name: ends(plain["tanh"][name], "deltas").max())
        half = np.abs(np.array(plain["sigmoid"][VARIANCES[0]]["activations"]) - 0.5).max()
        over = [[[found[name][kind] for name in VARIANCES] for kind in KINDS] for found in normed.values()]
        independent = change(np.moveaxis(np.array(over), 2, -1))
        bias = max(max(each["bias"]) for found in normed.values() for each in found.values())
        return [
            *(
                judge(
                    f"Tiny σ² makes {kind} vanish, large σ² makes them explode",
                    rule=f"for every activation and seed, they are below {VANISHED:g} at the far end for σ² ="
                    f" {VARIANCES[0]}, and above {EXPLODED:g} for {VARIANCES[-1]}",
                    figure=f"medians: {extremes(kind)}",
                    holds=all(both(kind, name) for name in plain),
                    only_when="the activation is ReLU",
                    there=both(kind, "ReLU"),
                )
                for kind in KINDS
            ),
            judge(
                "Large σ² saturates tanh, so that no delta gets through",
                rule="for σ² = 1 and all larger ones, that of the first layer is exactly 0 in every sample and seed",
                figure=f"0 for {', '.join(lost) or 'none'}; largest, {ends(plain['tanh'][most], 'deltas').max():.0g},"
                f" for {most}",
                holds=lost and lost == VARIANCES[-len(lost) :] and float(lost[0]) <= 1,
                only_when=f"σ² is at least {lost[0] if lost else ''}",
                there=lost and lost == VARIANCES[-len(lost) :],
            ),
            judge(
                "Tiny σ² leaves the activations of sigmoids at ½",
                rule=f"for σ² = {VARIANCES[0]}, their size is within 0.01 of ½ in every layer and seed",
                figure=f"within {half:.1g}",
                holds=half < 0.01,
            ),
            kept("He weights keep activations and deltas", plain, "He", "ReLU", "tanh"),
            kept("Glorot weights keep activations and deltas", plain, "Glorot", "tanh"),
            kept("Batch norm keeps activations and deltas", normed, "He", "tanh", "sigmoid"),
            judge(
                "With batch norm, activations and deltas do not depend on σ²",
                rule="in every layer and seed, neither changes by a factor of 2 or more over all σ²",
                figure=f"by at most {independent:.2g}",
                holds=independent < 2,
            ),
            judge(
                "A bias before a batch norm has gradient exactly 0",
                rule="it is 0 in every layer and seed as computed; set aside rounding, it is below 1e-13 of what it"
                " sums",
                figure=f"{bias:.0e} of the sum of the sizes at most",
                holds=bias == 0,
                only_when="rounding is set aside",
                there=bias < 1e-13,
            ),
            judge(
                "Units that start with constant weights stay identical",
                rule="after training, the weights of two units of a hidden layer never differ, in any seed, while those"
                " of two inputs do; set aside rounding, they differ by less than 1e-6",
                figure=f"units differ by {max(units['differ']):.0g} at most, inputs by {min(units['learned']):.2f}",
                holds=max(units["differ"]) == 0 < min(units["learned"]),
                only_when="rounding is set aside",
                there=max(units["differ"]) < 1e-6 < min(units["learned"]),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        seeds = f"Medians of {self.seeds} seeds, shaded from the lowest to the highest; sizes below 1e-65 are left out"
        initialisation_plots.by_layer(folder / "depth.png", figures)
        initialisation_plots.by_variance(folder / "variance.png", figures)
        return {
            "depth.png": f"Sizes (root mean squares) by layer. {seeds}.",
            "variance.png": f"Sizes at the far end of the network. {seeds}.",
        }
