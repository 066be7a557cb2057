"""Learning from the fraction of correct bits: the surrogate loss, the task, a run, and the variance of its gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.layer import Cache

BITS = 1, 2, 4, 8
INPUTS, BATCH, EVERY, HELD_OUT = 10, 16, 2, 500


class Reinforce(fnn.Loss):
    """The surrogate loss of the score-function estimate, −A log p(a), for bits a with the logits z and advantages A.

    Forward:   t = Σₖ Aₖ (aₖ log(1 + e⁻ᶻᵏ) + (1 − aₖ) log(1 + eᶻᵏ)),  value = mean t
    Backward:  dzₖ = Aₖ (σ(zₖ) − aₖ) / N

    The target is ``{"bits": (N, K), "advantages": (N, K)}``. Advantages may be negative, which weights may not. A bit
    with the advantage 0 does not count: so networks with fewer bits train in one program with those with more.
    """

    applies = "sigmoid"

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        costs, cache = fnn.BinaryCrossEntropy().terms(prediction, target["bits"])
        return (target["advantages"] * costs).sum(-1), {"bits": cache, "advantages": target["advantages"]}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> jax.Array:
        return fnn.BinaryCrossEntropy().terms_backward(cache["bits"], dterms[..., None] * cache["advantages"])


objective = fnn.Objective(fnn.Serial(fnn.Dense(16), fnn.Tanh(), fnn.Dense(max(BITS))), Reinforce())


def start(seed: int, steps: int) -> tuple:
    """The weights, the teacher, the inputs and the random numbers of all steps, and the held-out inputs."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return random.normal(size=shape).astype(np.float32)

    x, chance = normal(steps, BATCH, INPUTS), random.random((steps, BATCH, max(BITS))).astype(np.float32)
    params, _ = objective.init(jax.random.key(seed), x[0])
    return params, normal(INPUTS, max(BITS)), x, chance, normal(HELD_OUT, INPUTS)


def run_of(used: jax.Array, way: jax.Array, rate: jax.Array, start: tuple) -> jax.Array:
    """The accuracy on held-out inputs after every few steps; ``used`` are the bits that the task has."""
    params, teacher, xs, chances, held_out = start
    optimizer = fnn.optim.adam(rate)

    def step(carry: tuple, batch: tuple) -> tuple[tuple, None]:
        (params, opt_state, mean), (x, chance) = carry, batch
        y = x @ teacher > 0
        bits = chance < fnn.Sigmoid()(objective.model.apply(params, {}, x)[0])
        reward = fraction(bits == y, used)
        advantages: Any = jnp.where(way == 0, 1.0, reward - mean * (way == 1))
        told = {"bits": jnp.where(way == 0, y, bits), "advantages": advantages[:, None] * used}
        _, grads = objective.value_and_grad(params, {}, (x, told))
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (fnn.optim.apply_updates(params, updates), opt_state, 0.9 * mean + 0.1 * reward.mean()), None

    def check(carry: tuple, batches: tuple) -> tuple[tuple, jax.Array]:
        carry, _ = jax.lax.scan(step, carry, batches)
        logits, _ = objective.model.apply(carry[0], {}, held_out)
        return carry, fraction((logits > 0) == (held_out @ teacher > 0), used).mean()

    batches = jax.tree.map(lambda leaf: leaf.reshape(-1, EVERY, *leaf.shape[1:]), (xs, chances))
    return jax.lax.scan(check, (params, optimizer.init(params), jnp.array(0.5)), batches)[1]


def fraction(correct: jax.Array, used: jax.Array) -> jax.Array:
    """The fraction of correct bits (…, K) among those that the task has."""
    return (correct * used).sum(-1) / used.sum()


def variances_of(used: jax.Array, start: tuple, count: int = 2000) -> jax.Array:
    """The variance of the gradient of one sample at the first weights, with the mean reward as baseline and without."""
    params, teacher, *streams, _ = start
    x, chance = (stream.reshape(-1, stream.shape[-1])[:count] for stream in streams)
    bits = chance < fnn.Sigmoid()(objective.model.apply(params, {}, x)[0])
    reward = fraction(bits == (x @ teacher > 0), used)

    def gradient(x: jax.Array, bits: jax.Array, advantage: jax.Array) -> Any:
        told = {"bits": bits[None], "advantages": (advantage * used)[None]}
        return objective.value_and_grad(params, {}, (x[None], told))[1]

    return jnp.stack([total_variance(jax.vmap(gradient)(x, bits, reward - b)) for b in (reward.mean(), 0)])


def total_variance(gradients: Any) -> jax.Array:
    """The trace of the covariance of gradients whose samples are on the first axis."""
    return sum((leaf.var(0).sum() for leaf in jax.tree.leaves(gradients)), jnp.zeros(()))
