"""Learning to balance a pole from its reward: two networks, the episodes, a run, and the variance of its gradient."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.rewards import cart_pole
from experiments.rewards.cart_pole import LONGEST
from experiments.rewards.critic_training import Reinforce, total_variance
from fnn import initializers

HIDDEN, GROUPS, CRITIC_RATE = 32, 5, 0.01
"""Units of each network's hidden layer; steps of the critic in an update; its learning rate."""

# The logit of a push to the right; the return that is left. A critic of zeros is no baseline: both ways begin alike.
policy = fnn.Objective(fnn.Serial(fnn.Dense(HIDDEN), fnn.Tanh(), fnn.Dense(1)), Reinforce())
critic = fnn.Objective(
    fnn.Serial(fnn.Dense(HIDDEN), fnn.Tanh(), fnn.Dense(1, kernel_init=initializers.Zeros())), fnn.MeanSquaredError()
)


def start(seed: int, updates: int, environments: int) -> tuple:
    """Weights of policy and critic; first states and, uniform between 0 and 1, the chances of all updates and steps."""
    random, keys = np.random.default_rng(seed), jax.random.split(jax.random.key(seed))
    inputs = (jax.ShapeDtypeStruct((1, size), jnp.float32) for size in (4, 5))
    params = [each.init(key, x)[0] for each, key, x in zip((policy, critic), keys, inputs, strict=True)]
    first = cart_pole.starts(random, updates, environments)
    return params, first, random.random((updates, LONGEST, environments), np.float32)


def episodes(params: Any, first: jax.Array, chances: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One episode for each first state (environments, 4), with the chances (steps, environments).

    Returns the states (steps, environments, 4), whether the cart is pushed to the right there, and whether the episode
    still runs; what comes after its end does not count.
    """

    def step(carry: tuple, chance: jax.Array) -> tuple[tuple, tuple]:
        state, running = carry
        right = chance < fnn.Sigmoid()(policy.model.apply(params, {}, jnp.stack(state, -1))[0][:, 0])
        after = cart_pole.moved(state, right)
        return (after, running & ~cart_pole.fallen(after)), (jnp.stack(state, -1), right, running)

    carry = tuple(jnp.moveaxis(first, -1, 0)), jnp.ones(len(first), bool)
    return jax.lax.scan(step, carry, chances)[1]


def to_go(running: jax.Array) -> jax.Array:
    """The reward from each step (on the first axis) to the end of the episode, over the most that an episode earns."""
    return jnp.cumsum(running[::-1], 0)[::-1] / LONGEST


def seen(states: jax.Array) -> jax.Array:
    """What the critic sees: the states (steps, environments, 4), and how much of the longest episode is over."""
    times = jnp.broadcast_to(jnp.arange(len(states))[:, None, None] / LONGEST, (*states.shape[:-1], 1))
    return jnp.concatenate([states, times], -1)


def values(params: Any, states: jax.Array) -> jax.Array:
    """The returns that the critic expects from there."""
    return critic.model.apply(params, {}, seen(states))[0][..., 0]


def told(right: jax.Array, advantages: jax.Array) -> dict[str, jax.Array]:
    """The target of the policy's loss: what was done, and with which advantage."""
    return {"bits": right.astype(jnp.float32).reshape(-1, 1), "advantages": advantages.reshape(-1, 1)}


def run_of(rate: jax.Array, way: jax.Array, start: tuple) -> tuple[jax.Array, Any]:
    """The mean return in each update, and the weights of policy and critic before it; ``way`` is 1 with the critic."""
    params, *draws = start
    optimizers = fnn.optim.adam(rate), fnn.optim.adam(CRITIC_RATE)

    def update(carry: tuple, draws: tuple) -> tuple[tuple, tuple]:
        (acting, judging), (acting_state, judging_state) = carry
        states, right, running = episodes(acting, *draws)
        left = to_go(running)
        # The critic has not learned from these episodes yet, so the estimate stays without bias.
        advantages = (left - way * values(judging, states)) * running
        # The loss is a mean over all steps, the estimate one over those that count.
        target = told(right, advantages * running.size / running.sum())
        _, grads = policy.value_and_grad(acting, {}, (states.reshape(-1, 4), target))
        updates, acting_state = optimizers[0].update(grads, acting_state, acting)

        def fit(carry: tuple, group: tuple) -> tuple[tuple, None]:
            judging, judging_state = carry
            x, y, weights = group
            batch = x.reshape(-1, x.shape[-1]), y.reshape(-1, 1), weights.reshape(-1)
            _, grads = critic.value_and_grad(judging, {}, batch)
            updates, judging_state = optimizers[1].update(grads, judging_state, judging)
            return (fnn.optim.apply_updates(judging, updates), judging_state), None

        samples = seen(states), left, running.astype(jnp.float32)
        judged, _ = jax.lax.scan(fit, (judging, judging_state), jax.tree.map(grouped, samples))
        acted = fnn.optim.apply_updates(acting, updates), acting_state
        return tuple(zip(acted, judged, strict=True)), (running.sum(0).mean(), (acting, judging))

    states = tuple(each.init(weights) for each, weights in zip(optimizers, params, strict=True))
    return jax.lax.scan(update, (tuple(params), states), tuple(draws))[1]


def grouped(leaf: jax.Array) -> jax.Array:
    """Steps and environments (steps, environments, …) as groups of environments, on the first axis."""
    return jnp.moveaxis(leaf.reshape(len(leaf), GROUPS, -1, *leaf.shape[2:]), 1, 0)


def variances_of(params: tuple, first: jax.Array, chances: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Of the gradient of one episode, the variance with the critic and without.

    Then the states of the first episode (steps, 4), and its steps.
    """
    acting, judging = params
    states, right, running = episodes(acting, first, chances)
    left = to_go(running)

    def gradient(states: jax.Array, right: jax.Array, advantages: jax.Array) -> Any:
        # The loss is a mean, the estimate a sum over the steps of the episode.
        return policy.value_and_grad(acting, {}, (states, told(right, advantages * LONGEST)))[1]

    each = jax.vmap(gradient, in_axes=1)
    found = [each(states, right, (left - b) * running) for b in (values(judging, states), 0)]
    return jnp.stack([total_variance(grads) for grads in found]), states[:, 0], running[:, 0].sum()
