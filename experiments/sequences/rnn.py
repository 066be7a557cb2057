"""Rnn: which recurrent networks can add two marked numbers of a long sequence, and can a feed-forward one?

Claims: a feed-forward network of equal size does worse than an LSTM and a GRU; from some length on a simple recurrent
network fails where both still learn; a network that feeds back its output alone (Jordan's) learns too; one whose units
see each other but not themselves learns as far as the simple one; what LSTM and GRU learned at one length they can do
at others.

Measure: the adding problem. Every step has a random number of [0, 1] and a mark, 1 at one step of the first half and
at one of the second, else 0; the target is the sum of the two marked numbers. Always saying 1, the mean, has the error
1/6. Errors are mean squares on held-out sequences over 1/6. All models have 649 to 739 parameters, tanh units and the
same training: 1000 steps, each on 32 new sequences, by Adam from 0.01 along a cosine, with clipped gradients, and no
search for a better rate. Lengths and seeds run in one program, on padded sequences with their lengths; the feed-forward
network sees each sequence flattened, without padding.

Result: at 10, 20 and 40 steps the mean errors are: feed-forward 0.25, 0.78, 0.95; simple 0.040, 0.19, 0.75; lateral
0.044, 0.12, 0.83; Jordan 0.77, 0.97, 1.01; LSTM 0.0044, 0.0097, 0.093; GRU 0.0024, 0.0041, 0.0058. So at 40 steps the
simple network fails and the GRU learns in every seed, the LSTM in two of three (0.16 in the third). Jordan's network
learns at no length. What an LSTM and a GRU learn at 20 steps alone does not carry over: the worst seed has 2.6 at 10
steps and 6.6 at 40. Seeds 0 to 2, 81 s of processor time, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.claims import Claim, judge
from experiments.sequences import rnn_plots
from experiments.sequences.rnn_problem import MODELS, adding, feed_forward, parameters, refused
from experiments.study import GRADIENTS, Figures, Study, compared, seeds_of

MIDDLE = 1
"""The place of the length from which what was learned is carried to the others."""

LEARNED, FAILED = 0.1, 0.5
"""Errors over that of the mean: below the one a model has learned, above the other it has failed."""

FEED_FORWARD, BATCH = "feed-forward", 32


@dataclasses.dataclass(frozen=True)
class Recurrence(Study):
    """The options of the experiment."""

    name = "rnn"
    quick_options: ClassVar = {"lengths": (10, 20), "steps": 80, "seeds": 1, "held_out": 200}

    lengths: tuple[int, ...] = (10, 20, 40)
    """Lengths of the sequences, two at least, in increasing order; what is learned at the second is tried on all."""

    steps: int = 1000
    """Steps of training, each on new sequences."""

    seeds: int = 3
    """How many networks of each kind to train at each length, with the seeds seed, seed + 1, …"""

    held_out: int = 1000
    """Sequences of each length on which they are tested."""

    def __post_init__(self) -> None:
        if len(self.lengths) < 2 or list(self.lengths) != sorted(set(self.lengths)) or self.lengths[0] < 2:
            raise ValueError(f"lengths are two or more in increasing order, each at least 2, got {self.lengths}")

    def measure(self) -> Figures:
        generator = np.random.default_rng(self.seed)
        shapes, room = ((self.steps, BATCH), (self.held_out,)), self.lengths[-1]
        samples = [tuple(adding(generator, shape, each, room) for shape in shapes) for each in self.lengths]
        across = {name: self.trained(model, samples) for name, model in MODELS.items()}
        errors = {name: np.diagonal(each, axis1=0, axis2=2).T for name, each in across.items()}
        alone = [
            self.trained(feed_forward(length), [each], length)[0, :, 0]
            for length, each in zip(self.lengths, samples, strict=True)
        ]
        objective = fnn.Objective(MODELS["LSTM"], fnn.MeanSquaredError())
        x, lengths, y = adding(generator, (8,), self.lengths[0], room)
        batch = (x, lengths), y
        params, state = jax.jit(objective.init)(jax.random.key(self.seed), batch[0])
        return {
            "lengths": self.lengths,
            "parameters": {name: parameters(model, self.lengths[0]) for name, model in MODELS.items()},
            "feed-forward parameters": [parameters(feed_forward(each), each) for each in self.lengths],
            "errors": {FEED_FORWARD: np.stack(alone).tolist()} | {name: each.tolist() for name, each in errors.items()},
            "across": {name: across[name][MIDDLE].tolist() for name in ("LSTM", "GRU")},
            "refused": refused(self.lengths[MIDDLE], self.lengths[0]),
            GRADIENTS: compared(objective, params, state, batch),
        }

    def trained(self, model: fnn.Layer, samples: list, only: int | None = None) -> np.ndarray:
        """The held-out errors (length trained at, seed, length tested at); ``only`` one length without padding."""
        objective = fnn.Objective(model, fnn.MeanSquaredError())
        rate = fnn.optim.cosine(0.01, self.steps)
        optimizer = fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adam(rate))
        train, test = jax.tree.map(lambda *each: np.stack(each), *samples)

        def batch(samples: Any) -> tuple[Any, jax.Array]:
            x, lengths, y = samples
            return ((x, lengths) if only is None else x[:, :only]), y

        def one(key: jax.Array, train: tuple, test: tuple) -> jax.Array:
            params, state = objective.init(key, batch(tuple(each[0] for each in train))[0])

            # Every step sees new sequences, where fnn.make_train passes over a finite set of them.
            def descend(carry: Any, new: tuple) -> tuple[Any, None]:
                params, optimizing = carry
                _, gradients = objective.value_and_grad(params, state, batch(new))
                updates, optimizing = optimizer.update(gradients, optimizing, params)
                return (fnn.optim.apply_updates(params, updates), optimizing), None

            (params, _), _ = jax.lax.scan(descend, (params, optimizer.init(params)), train)

            def error(held_out: tuple) -> jax.Array:
                x, y = batch(held_out)
                return 6 * jnp.square(model.apply(params, state, x)[0] - y).mean()

            return jax.lax.map(error, test)

        over_seeds = jax.vmap(one, in_axes=(0, None, None))
        program = jax.jit(jax.vmap(over_seeds, in_axes=(None, 0, None)))
        return np.asarray(program(seeds_of(self.seed, self.seeds), train, test))

    def claims(self, figures: Figures) -> list[Claim]:
        errors = {name: np.array(each) for name, each in figures["errors"].items()}
        lengths, gated = figures["lengths"], np.stack([errors["LSTM"], errors["GRU"]])
        worse = errors[FEED_FORWARD].min(1) > gated.max((0, 2))
        learn = gated.max((0, 2)) < LEARNED
        fails = learn & (errors["simple"].mean(1) > FAILED)
        jordan = errors["Jordan"].max(1) < LEARNED
        simple, lateral = (errors[name].mean(1) <= FAILED for name in ("simple", "lateral"))
        across = np.array([figures["across"][name] for name in ("LSTM", "GRU")]).max((0, 1))
        others = np.arange(len(lengths)) != MIDDLE
        carried = across < LEARNED
        return [
            judge(
                "A feed-forward network of equal size does worse than an LSTM and a GRU",
                rule="at every length its best seed has a larger error than the worst of theirs",
                figure=shown(lengths, errors, (FEED_FORWARD, "LSTM", "GRU")),
                holds=worse.all(),
                only_when=f"the length is {listed(lengths, worse)}",
                there=worse.any(),
            ),
            judge(
                "From some length on a simple recurrent network fails where an LSTM and a GRU still learn",
                rule=f"from a length of the list on, its mean error is above {FAILED:g} of the mean's, and every seed"
                f" of theirs below {LEARNED:g}; at the shortest it has not failed",
                figure=f"fails where they learn at: {listed(lengths, fails)}; {shown(lengths, errors, ('simple',))}",
                holds=fails[-1] and simple[0],
                only_when="the GRU alone is asked",
                there=errors["GRU"][-1].max() < LEARNED and not simple[-1] and simple[0],
            ),
            judge(
                "A network that feeds back its output alone (Jordan's) learns to add",
                rule=f"every seed is below {LEARNED:g} at every length",
                figure=shown(lengths, errors, ("Jordan",)),
                holds=jordan.all(),
                only_when=f"the length is {listed(lengths, jordan)}",
                there=jordan.any(),
            ),
            judge(
                "Units that see each other but not themselves learn as far as a simple recurrent network",
                rule=f"their mean error is at most {FAILED:g} at every length at which that network's is, and it is at"
                " one at least",
                figure=shown(lengths, errors, ("lateral", "simple")),
                holds=simple.any() and lateral[simple].all(),
            ),
            judge(
                f"Trained at {lengths[MIDDLE]} steps, an LSTM and a GRU add at other lengths",
                rule=f"every seed of both is below {LEARNED:g} at every other length, and at that one; a feed-forward"
                " network refuses another length",
                figure="at most " + ", ".join(f"{e:.2g} at {t}" for t, e in zip(lengths, across, strict=True)),
                holds=figures["refused"] and carried.all(),
                only_when=f"the other length is {listed(lengths, carried & others)}",
                there=figures["refused"] and carried[MIDDLE] and (carried & others).any(),
            ),
        ]

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        across = figures["across"]
        rnn_plots.lengths_and_errors(folder / "errors.png", figures["lengths"], MIDDLE, figures["errors"], across)
        return {"errors.png": f"Means of {len(figures['errors']['LSTM'][0])} seeds; bars from the best to the worst."}


def listed(lengths: list[int], chosen: np.ndarray) -> str:
    """The chosen lengths in words."""
    return " or ".join(str(each) for each, there in zip(lengths, chosen, strict=True) if there) or "none"


def shown(lengths: list[int], errors: dict[str, np.ndarray], names: tuple[str, ...]) -> str:
    """The mean errors by name and length."""
    means = (f"{name} " + ", ".join(f"{each:.2g}" for each in errors[name].mean(1)) for name in names)
    return f"{'; '.join(means)} at {', '.join(map(str, lengths))}"
