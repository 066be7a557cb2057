"""XOR: what do hidden units add, and does the formula that the notes print train them?

Claims: a network without a hidden layer never solves XOR; with two hidden units some seeds do and others get stuck;
with eight nearly all do. In the notes' worked networks, 2-3-2 (sigmoid) and 2-4-3 (softmax), the printed δ = (Wᵀδ) ⊙ f'
gives the gradient. One note swaps indices: there the weight from input λ to hidden unit A changes by η δ_λ in_A, not by
η δ_A in_λ; does that lower the loss, too?

Measure: inputs 0 and 1, binary cross-entropy, all four points in every step, Adam at 0.05, 2000 steps; all seeds of a
width and an activation run in one program. A point is reached if the network gives its class at least 90 %. Intervals
are Wilson's, 95 %. The worked networks have numbers of our own and one sample; the formulas in NumPy are compared with
fnn's hand-derived gradient in float64. The swap is tried on the hidden kernel of random networks 3-3-2 (sigmoid, mean
squared error, float64) with random samples: one step of η = 0.1 from the same weights by each of the two updates. With
unequally many inputs and hidden units it cannot even be computed.

Result: without a hidden layer no seed reaches a single point. With two hidden units and tanh 98 of 200 seeds solve XOR,
with the sigmoid 110, with ReLU 38; the others are stuck, for five times as many steps help at most one more. With eight
all do with tanh and the sigmoid, but with ReLU 177, 88 % (83 to 92 %). The printed δ is right to 2e-16. The swapped
update lowers the loss less than the right one in each of 500 networks: of one sample by 25 % of it in the median (by η
(x·δ)² to first order, so it does not raise it), of 16 samples by 35 %, and in 19 % of the networks it raises it. Seeds
0 to 199, 43 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.claims import Claim
from experiments.linear import perceptron
from experiments.networks import xor_plots, xor_worked
from experiments.networks.xor_claims import judged, with_interval
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

POINTS = perceptron.XOR[0]
CLASSES = (perceptron.XOR[1][:, None] > 0).astype(np.float32)
SIDE = np.linspace(-0.5, 1.5, 61, dtype=np.float32)
ACTIVATIONS = {"tanh": fnn.Tanh(), "sigmoid": fnn.Sigmoid(), "ReLU": fnn.Relu()}
REACHED = 0.9
"""The probability of its class from which a point counts as reached; on the plateau of a stuck network it is ½."""


@dataclasses.dataclass(frozen=True)
class Xor(Study):
    """The options of the experiment."""

    name = "xor"
    quick_options: ClassVar = {"seeds": 40, "widths": (2, 8), "activations": ("tanh",), "networks": 100}

    epochs: int = 2000
    """Passes over the four points, each of them one step."""

    seeds: int = 200
    """How many networks of each kind to train, with the seeds seed, seed + 1, …"""

    widths: tuple[int, ...] = (2, 3, 4, 8)
    """The numbers of hidden units, from the least to the most."""

    activations: tuple[str, ...] = ("tanh", "sigmoid", "ReLU")
    """The activations of the hidden units; the picture over time shows the first."""

    learning_rate: float = 0.05
    """The learning rate of Adam."""

    networks: int = 500
    """On how many random networks the two hidden updates are tried."""

    def measure(self) -> Figures:
        solved, shown = {each: [] for each in self.activations}, []
        for activation in self.activations:
            for width in self.widths:
                model = network(width, activation)
                path = self.train(model)
                solves = points_reached(model, at(path, -1)) == len(POINTS)
                solved[activation].append(int(np.sum(solves)))
                if activation == self.activations[0] and width in (self.widths[0], self.widths[-1]):
                    for outcome, seed in firsts(solves).items():
                        params = [plain(at(path, i, seed)) for i in range(len(self.snapshots()))]
                        shown.append({"width": width, "activation": activation, "outcome": outcome, "params": params})
        objective = fnn.Objective(network(self.widths[0], self.activations[0]), fnn.BinaryCrossEntropy())
        start = objective.init(jax.random.key(self.seed), jnp.asarray(POINTS))
        return {
            "widths": list(self.widths),
            "without": points_reached(network(0), at(self.train(network(0)), -1)).tolist(),
            "solved": solved,
            "epochs": self.snapshots(),
            "shown": shown,
            "worked": {name: xor_worked.worked(each) for name, each in xor_worked.NETWORKS.items()},
            "falls": {str(n): xor_worked.falls(n, self.networks, self.seed) for n in (1, 16)},
            GRADIENTS: compared(objective, *start, (POINTS, CLASSES)),
        }

    def snapshots(self) -> list[int]:
        """The epochs after which parameters are kept."""
        return [0, *(round(share * self.epochs) for share in (0.01, 0.03, 0.1, 1))]

    def train(self, model: fnn.Layer) -> Any:
        """The parameters of every seed at the snapshots: leaves (seeds, snapshots, …)."""
        objective, optimizer = fnn.Objective(model, fnn.BinaryCrossEntropy()), fnn.optim.adam(self.learning_rate)

        # Not fnn.make_train, which returns the last parameters only.
        def path(params: Any, state: Any, batch: tuple) -> Any:
            def step(carry: tuple, _: None) -> tuple[tuple, Any]:
                params, opt_state = carry
                grads = objective.value_and_grad(params, state, batch)[1]
                updates, opt_state = optimizer.update(grads, opt_state, params)
                return (fnn.optim.apply_updates(params, updates), opt_state), params

            _, path = jax.lax.scan(step, (params, optimizer.init(params)), length=self.epochs + 1)
            return jax.tree.map(lambda leaf: leaf[np.array(self.snapshots())], path)

        @jax.jit
        def paths(keys: jax.Array, batch: tuple) -> Any:
            params, state = jax.vmap(lambda key: objective.init(key, batch[0]))(keys)
            return jax.vmap(path, in_axes=(0, 0, None))(params, state, batch)

        return paths(seeds_of(self.seed, self.seeds), (jnp.asarray(POINTS), jnp.asarray(CLASSES)))

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        counts, seeds = figures["solved"], len(figures["without"])
        intervals = {name: [with_interval(n, seeds) for n in each] for name, each in counts.items()}
        rows = {f"2-{each['width']}-1 {each['outcome']}": frames(**each) for each in figures["shown"]}
        xor_plots.boundaries(folder / "boundaries.png", rows, figures["epochs"], SIDE)
        without = with_interval(sum(points == len(POINTS) for points in figures["without"]), seeds)
        xor_plots.shares(folder / "shares.png", figures["widths"], intervals, without, figures["falls"])
        xor_plots.worked(folder / "worked.png", figures["worked"])
        return {
            "boundaries.png": "What the first seed of each outcome answers while it learns; on the line it is ½.",
            "shares.png": f"Left: the share of {seeds} seeds that solve XOR, with 95 % intervals. Right: how far the"
            " swapped hidden update lowers the loss of random networks, against the right one; below 0 it raises it.",
            "worked.png": "The worked networks: in each unit its output, and below it its δ.",
        }


def network(width: int, activation: str = "tanh") -> fnn.Layer:
    """2-width-1; without a hidden layer if the width is 0."""
    return fnn.Serial(fnn.Dense(width), ACTIVATIONS[activation], fnn.Dense(1)) if width else fnn.Dense(1)


def at(path: Any, snapshot: int, seed: Any = slice(None)) -> Any:
    """The parameters of the seeds, or of one, at a snapshot."""
    return jax.tree.map(lambda leaf: leaf[seed, snapshot], path)


def plain(params: Any) -> Any:
    """The parameters as lists."""
    return jax.tree.map(lambda leaf: leaf.tolist(), params)


def frames(width: int, activation: str, params: list[dict[str, Any]], **_: Any) -> list[np.ndarray]:
    """The probability of class 1 over the square around the points, for each of these parameters as lists."""
    grid = np.stack(np.meshgrid(SIDE, SIDE), -1)
    found = []
    for each in params:
        arrays = {layer: {name: jnp.asarray(leaf) for name, leaf in parts.items()} for layer, parts in each.items()}
        found.append(probabilities(network(width, activation), arrays, grid.reshape(-1, 2)).reshape(grid.shape[:2]))
    return found


def probabilities(model: fnn.Layer, params: Any, points: np.ndarray) -> np.ndarray:
    """The probability of class 1 at each point."""
    return np.asarray(jax.nn.sigmoid(model.apply(params, {}, jnp.asarray(points))[0][:, 0]))


def points_reached(model: fnn.Layer, params: Any) -> np.ndarray:
    """How many of the four points each seed reaches; the leaves of ``params`` are (seeds, …)."""
    found = np.asarray(jax.vmap(lambda each: jax.nn.sigmoid(model.apply(each, {}, jnp.asarray(POINTS))[0]))(params))
    return np.sum(np.where(CLASSES == 1, found, 1 - found) >= REACHED, (1, 2))


def firsts(solves: np.ndarray) -> dict[str, int]:
    """The first seed that solves XOR and the first that does not, where there is one."""
    outcomes = (("solves it", solves), ("gets stuck", ~solves))
    return {outcome: int(np.argmax(those)) for outcome, those in outcomes if those.any()}
