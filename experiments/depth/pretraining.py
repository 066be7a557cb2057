"""Pretraining: what gets a deep sigmoid network to learn that starts from tiny weights?

Claims: a deep sigmoid network whose weights and biases start from N(0, 0.01²) is stuck, because its first layers have
no gradient. Layer-wise pre-training, batch norm, and ReLU with He weights each get it to learn.

Measure: five hidden layers of 64 units on 1280 digits, 144 more to choose the rate and 360 to test; gradient descent
with momentum at four rates, batches of 64, 60 epochs for every way. Pre-training trains an autoencoder on the digits,
another on its codes, and so on, six epochs each with Adam; those 30 epochs count, so 30 with labels remain. All ways
share the initial draws and the order of the digits. A network is stuck if it reads at most 20 % of the test digits
(guessing: 10 %), and has learned from 80 % on.

Result: as it is, it reads 10 % at every rate and seed; the gradient of the first layer is 2e-7 of that of the last
hidden one. Adam at a tenth of the rates does get it going in some seeds, to at most 69 %. Pre-training leads to 94.7 to
96.4 %, mean 95.6 %; batch norm and ReLU with He weights, at 96.9 % each, are more than a point better, and past 90 %
after only five epochs. The autoencoders leave 28 % of the variance of the digits, and 1 to 3 % of that of the codes.
Seeds 0 to 4, 102 s beside other jobs, two CPU cores, Python 3.11.7, jax 0.9.2.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments import data
from experiments.claims import Claim
from experiments.depth import pretraining_plots
from experiments.depth.pretraining_claims import judged
from experiments.depth.pretraining_networks import (
    BATCH,
    DIGITS,
    PIXELS,
    autoencoder,
    classifier,
    draws,
    given,
    he,
    hidden_gradients,
    learn,
)
from experiments.depth.pretraining_ways import NORMED, PLAIN, PRETRAINED, WAYS
from experiments.study import GRADIENTS, Figures, Study, compared


@dataclasses.dataclass(frozen=True)
class Pretraining(Study):
    """The options of the experiment."""

    name = "pretraining"
    quick_options: ClassVar = {
        "seeds": 2,
        "epochs": 30,
        "depth": 3,
        "rates": (0.3, 0.1),
        "ways": (PLAIN, PRETRAINED, NORMED),
    }

    seeds: int = 5
    """Networks of each kind, with the seeds seed, seed + 1, …"""

    epochs: int = 60
    """Passes over the training digits in all; pre-training spends half of them, shared among the layers."""

    depth: int = 5
    """Hidden layers."""

    rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    """The learning rates of gradient descent with momentum; Adam's are a tenth of them."""

    coding_rate: float = 0.02
    """The learning rate of Adam in pre-training."""

    ways: tuple[str, ...] = tuple(WAYS)
    """What is tried."""

    def __post_init__(self) -> None:
        if self.epochs % (2 * self.depth):
            raise ValueError(f"half of the epochs are shared among {self.depth} layers; {self.epochs} leaves a rest")

    def measure(self) -> Figures:
        parts = [(part.images.reshape(-1, PIXELS), part.labels) for part in data.load_digits()]
        parts[0] = parts[0][0][:DIGITS], parts[0][1][:DIGITS]
        seeds = range(self.seed, self.seed + self.seeds)
        tiny, coders, orders = jax.tree.map(
            lambda *each: np.stack(each), *(draws(seed, self.depth, self.epochs) for seed in seeds)
        )
        codes, errors = jax.jit(self.pretrain)(coders, orders, parts[0][0])
        coded = tiny | {"hidden": codes}
        starts = {"tiny": tiny, "codes": coded, "He": he(tiny)}
        programs = {each: self.program(*each) for each in {way[:2] for way in WAYS.values()}}
        ways = {}
        for name in self.ways:
            activation, optimizer, weights = WAYS[name]
            spent = self.epochs // 2 if weights == "codes" else 0
            program = programs[activation, optimizer]
            tested, validated = program(jnp.array(self.rates), starts[weights], orders, spent, parts)
            ways[name] = best(np.asarray(tested), np.asarray(validated), spent)
        objective, batch = classifier(self.depth, fnn.Sigmoid()), tuple(each[:BATCH] for each in parts[0])
        return {
            "ways": ways,
            "errors": np.asarray(errors).round(4).tolist(),
            "first": hidden_gradients(objective, tiny, batch),
            GRADIENTS: compared(objective, *given(objective, jax.tree.map(lambda leaf: leaf[0], coded)), batch),
        }

    def pretrain(self, coders: Any, orders: jax.Array, x: jax.Array) -> tuple[Any, jax.Array]:
        """The dense layers of autoencoders, each trained on the codes of the one before, and their errors, by seed.

        The error is what is left of the variance of the input: of the digits, or of the codes.
        """
        encoder, objective = autoencoder()

        def layer(x: jax.Array, given: tuple) -> tuple[jax.Array, tuple]:
            coder, orders = given
            params = {"encoder": {"dense_0": coder["encoder"]}, "decoder": coder["decoder"]}
            optimizer = fnn.optim.adam(self.coding_rate)
            (params, _), _ = learn(objective, optimizer, (params, {}), orders, (x, x), lambda *_: jnp.zeros(()))
            restored = fnn.Sigmoid()(objective.model.apply(params, {}, x)[0])
            codes, _ = encoder.apply(params["encoder"], {}, x)
            return codes, (params["encoder"]["dense_0"], jnp.square(restored - x).mean() / x.var(0).mean())

        def one(coders: Any, orders: jax.Array) -> tuple[Any, jax.Array]:
            shared = orders[: self.epochs // 2].reshape(self.depth, -1, *orders.shape[1:])
            return jax.lax.scan(layer, x, (coders, shared))[1]

        return jax.vmap(one)(coders, orders)

    def program(self, activation: tuple[fnn.Layer, ...], optimizer: Callable[[Any], Any]) -> Callable[..., tuple]:
        """A compiled function that trains at all rates, from the weights of all seeds.

        It returns the test accuracies (rates, seeds), and the validation accuracies after each epoch that it ran.
        """
        objective = classifier(self.depth, *activation)

        @jax.jit
        def program(rates: jax.Array, weights: Any, orders: jax.Array, spent: Any, parts: list) -> tuple:
            def accuracy(params: Any, state: Any, part: tuple) -> jax.Array:
                return (objective.model.apply(params, state, part[0])[0].argmax(-1) == part[1]).mean()

            def one(rate: jax.Array, weights: Any, orders: jax.Array) -> tuple:
                def watch(params: Any, state: Any) -> jax.Array:
                    return accuracy(params, state, parts[1])

                start = given(objective, weights)
                (params, state), validated = learn(objective, optimizer(rate), start, orders, parts[0], watch, spent)
                return accuracy(params, state, parts[2]), validated

            return jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(0, None, None))(rates, weights, orders)

        return program

    def claims(self, figures: Figures) -> list[Claim]:
        return judged(figures, self.depth)

    def draw(self, figures: Figures, folder: Path) -> dict[str, str]:
        pretraining_plots.accuracy(folder / "accuracy.png", figures["ways"])
        return {
            "accuracy.png": "Each way at its best learning rate: means over seeds, shaded from the lowest to the"
            " highest, and each seed with the mean as a bar. Pre-training sees no labels before its curve begins."
        }


def best(tested: np.ndarray, validated: np.ndarray, spent: int) -> dict[str, Any]:
    """The figures of one way: ``best`` is the number of the rate with the highest validation accuracy at the end, and
    ``validated`` (seeds, epochs) belongs to it; ``tested`` is (rates, seeds)."""
    tested, validated = tested.astype(float).round(4), validated.astype(float).round(4)
    number = int(validated[..., -1].mean(1).argmax())
    return {
        "best": number,
        "tested": tested.tolist(),
        "validated": validated[number, :, spent:].tolist(),
        "spent": spent,
    }
