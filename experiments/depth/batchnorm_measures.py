"""What the experiment on batch norm measures: maps of learning rates, kinds of statistics, and scaled weights."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.depth.batchnorm_networks import blocks, starts
from experiments.depth.pretraining_networks import PIXELS, classifier, dense, given, learn

KINDS = "batch", "running", "whole"
"""The statistics of the batch (training mode), running averages (evaluation mode), those of all training digits."""


def swept(activation: fnn.Layer, ways: tuple, rates: Any, weights: Any, orders: Any, parts: Any) -> tuple:
    """Gradient descent at all rates, from the weights of all seeds; ``ways`` are what ``blocks`` takes.

    Returns, (rates, seeds): the test accuracies, the validation accuracies, and the shift of the layers' inputs.
    """
    objective, (train, validation, test) = (
        classifier(len(weights["hidden"]["bias"][0]), *blocks(activation, *ways)),
        parts,
    )

    def accuracy(params: Any, state: Any, part: tuple) -> jax.Array:
        return (objective.model.apply(params, state, part[0])[0].argmax(-1) == part[1]).mean()

    def moments(params: Any, state: Any) -> Any:
        return objective.model.apply(params, state, validation[0], train=True)[1]["hidden"]["moments_0"]

    def one(rate: Any, weights: Any, orders: Any) -> tuple:
        start = given(objective, weights)
        learned, seen = learn(objective, fnn.optim.sgd(rate), start, orders, train, moments)
        return accuracy(*learned, test), accuracy(*learned, validation), shift(**seen)

    return over(one)(rates, weights, orders)


def over(one: Any) -> Any:
    """The function of a rate, and of what each seed has, for all rates and seeds."""

    def every(rates: Any, *each: Any) -> Any:
        seeds = jax.vmap(one, in_axes=(None, *(0 for _ in each)))
        return jax.vmap(seeds, in_axes=(0, *(None for _ in each)))(rates, *each)

    return every


def shift(mean: jax.Array, var: jax.Array) -> jax.Array:
    """How far the means of a layer's units (epochs, layers, units) move from one epoch to the next.

    The root of the mean square over units, over that of their standard deviations; averaged over epochs and layers.
    """
    moved = jnp.square(jnp.diff(mean, axis=0)).mean(-1)
    return jnp.sqrt(moved / var[1:].mean(-1)).mean()


class Modes:
    """Networks with batch norm before ReLU, trained in batches of some sizes, tested with all kinds of statistics."""

    def __init__(self, depth: int, rates: Any, parts: Any) -> None:
        self.objective = classifier(depth, fnn.BatchNorm(), fnn.Relu())
        # With decay 0, the state is the statistics of the last batch.
        last = classifier(depth, fnn.BatchNorm(decay=0.0), fnn.Relu())
        self.rates, (self.train, self.validation, self.test) = rates, parts
        together = jnp.concatenate([self.validation[0], self.test[0]])

        def networks(apply: Any) -> Any:
            return jax.jit(jax.vmap(jax.vmap(apply)))

        # These do not depend on the size of a batch.
        self.whole = networks(lambda params, state: last.model.apply(params, state, self.train[0], train=True)[1])
        self.logits = networks(lambda params, state: self.objective.model.apply(params, state, together)[0])
        self.scores = networks(self.scores_of)

    def measure(self, weights: Any, orders: Any) -> dict[str, np.ndarray]:
        """Validation accuracies (rates, seeds), and loss and accuracy on the test digits (rates, seeds, 2) by kind.

        ``orders`` (seeds, epochs, steps, batch) has the size of the batches.
        """
        found = jax.jit(self.fit)(self.rates, weights, orders)
        params, state = found["params"], found["state"]
        running, whole = (np.asarray(self.logits(params, each)) for each in (state, self.whole(params, state)))
        held_out = len(self.validation[1])
        kinds = {"batch": found["logits"], "running": running[..., held_out:, :], "whole": whole[..., held_out:, :]}
        validated = (running[..., :held_out, :].argmax(-1) == np.asarray(self.validation[1])).mean(-1)
        return jax.tree.map(
            np.asarray, {"validated": validated} | {kind: self.scores(each) for kind, each in kinds.items()}
        )

    def fit(self, rates: Any, weights: Any, orders: Any) -> dict[str, Any]:
        """Trains; the logits are those of batches of test digits, in training mode."""

        def one(rate: Any, weights: Any, orders: Any) -> dict[str, Any]:
            start = given(self.objective, weights)

            def nothing(*_: Any) -> jax.Array:
                return jnp.zeros(())

            (params, state), _ = learn(self.objective, fnn.optim.sgd(rate), start, orders, self.train, nothing)
            batches = self.test[0].reshape(-1, orders.shape[-1], PIXELS)
            logits = jax.vmap(lambda x: self.objective.model.apply(params, state, x, train=True)[0])(batches)
            return {"params": params, "state": state, "logits": logits.reshape(-1, logits.shape[-1])}

        return over(one)(rates, weights, orders)

    def scores_of(self, logits: jax.Array) -> jax.Array:
        """Loss and accuracy of the test digits."""
        return jnp.stack([self.objective.loss(logits, self.test[1]), (logits.argmax(-1) == self.test[1]).mean()])


def scaling(epsilons: tuple[float, ...], scales: Any, tiny: Any, batch: tuple) -> dict[str, Any]:
    """What ``scaled`` finds in float64, by ε: lists (scales, seeds)."""
    with jax.enable_x64(True):
        x, labels = np.asarray(batch[0], np.float64), np.asarray(batch[1])
        weights = jax.tree.map(lambda leaf: leaf.astype(np.float64), starts(tiny, 1.0))
        weights = {"dense_0": jax.tree.map(lambda leaf: leaf[:, 0], weights["hidden"]), "dense_1": weights["head"]}
        run = jax.jit(lambda *given: [scaled(epsilon, *given) for epsilon in epsilons])
        found = jax.tree.map(lambda leaf: np.asarray(leaf).tolist(), run(jnp.array(scales), weights, (x, labels)))
    return {f"{epsilon:g}": each for epsilon, each in zip(epsilons, found, strict=True)}


def scaled(epsilon: float, scales: Any, weights: Any, batch: tuple) -> dict[str, jax.Array]:
    """What scaling the weights and bias before a batch norm by c does, for every c, from the weights of all seeds.

    ``output``: the change of the logits, relative to them. ``gradient``: that of c times the gradient of those weights.
    ``variance``: the least variance of a unit of the batch norm's input. Each (scales, seeds).
    """
    hidden = dense(PIXELS), fnn.BatchNorm(epsilon=epsilon), fnn.Tanh()
    objective = fnn.Objective(fnn.Serial(*hidden, dense(10)), fnn.CrossEntropy())

    def one(scale: Any, weights: Any) -> tuple:
        params, state = objective.init(jax.random.key(0), jax.ShapeDtypeStruct(batch[0].shape, batch[0].dtype))
        first = jax.tree.map(lambda leaf: scale * leaf, weights["dense_0"])
        params |= weights | {"dense_0": first}
        (_, aux), gradients = objective.value_and_grad(params, state, batch)
        before = batch[0] @ first["kernel"] + first["bias"]
        return aux.outputs, scale * gradients["dense_0"]["kernel"], before.var(0).min()

    def change(found: jax.Array, plain: jax.Array) -> jax.Array:
        return jnp.sqrt(jnp.square(found - plain).sum((-2, -1)) / jnp.square(plain).sum((-2, -1)))

    found = jax.vmap(jax.vmap(one, in_axes=(None, 0)), in_axes=(0, None))(jnp.append(scales, 1.0), weights)
    logits, gradients, variances = found
    return {
        "output": change(logits[:-1], logits[-1]),
        "gradient": change(gradients[:-1], gradients[-1]),
        "variance": variances[:-1],
    }


def finite(epsilon: float, x: Any) -> bool:
    """Whether batch norm of x is finite, in training."""
    layer = fnn.BatchNorm(epsilon=epsilon)
    normed = jax.jit(lambda x: layer.apply(*layer.init(jax.random.key(0), x), x, train=True)[0])(x)
    return bool(np.isfinite(normed).all())


def constant(x: Any) -> np.ndarray:
    """Which columns have only one value."""
    return np.ptp(np.asarray(x), axis=0) == 0
