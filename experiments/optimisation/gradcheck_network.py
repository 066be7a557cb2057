"""The network of the gradient check, the same with a fault, and its gradient by hand and by differences."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

import fnn

SAMPLES = 8
"""How many samples a batch has."""

FAULT = 1.01
"""What the faulty rule multiplies its kernel gradient by."""


class Faulty(fnn.Dense):
    """A dense layer whose kernel gradient is 1 % too large."""

    def backward(self, cache: Any, dy: Any) -> tuple[Any, Any]:
        dparams, dx = super().backward(cache, dy)
        return dparams | {"kernel": FAULT * dparams["kernel"]}, dx


RIGHT, WRONG = (
    fnn.Objective(fnn.Serial(first=first, tanh=fnn.Tanh(), last=fnn.Dense(3)), fnn.CrossEntropy())
    for first in (fnn.Dense(4), Faulty(4))
)


@functools.partial(jax.jit, static_argnums=1)
def drawn(key: jax.Array, dtype: str) -> tuple[Any, Any, tuple[jax.Array, jax.Array]]:
    """Parameters, state and a batch, drawn in float32: the same point in both dtypes."""
    inputs = jax.ShapeDtypeStruct((SAMPLES, 3), dtype)
    shapes, state = jax.eval_shape(RIGHT.init, key, inputs)
    vector, unravel = ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))
    numbers = jax.random.normal(key, (len(vector) + inputs.size,), "float32").astype(dtype)
    batch = numbers[len(vector) :].reshape(inputs.shape), jnp.arange(SAMPLES, dtype="int32") % 3
    return unravel(numbers[: len(vector)]), state, batch


@jax.jit
def gradients(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The hand-derived gradients of the right and the wrong network in float64 (draws, entries)."""

    def both(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        samples = drawn(key, "float64")
        right, wrong = (objective.value_and_grad(*samples)[1] for objective in (RIGHT, WRONG))
        return ravel_pytree(right)[0], ravel_pytree(wrong)[0]

    return jax.vmap(both)(keys)


@functools.partial(jax.jit, static_argnums=2)
def differences(keys: jax.Array, epsilons: Any, dtype: str) -> jax.Array:
    """The gradient of each draw by every formula at every ε, computed in this dtype (draws, ε, entries, formulas)."""
    # One draw after the other: all at once would take gigabytes.
    return jax.lax.map(lambda key: differences_at(epsilons, *drawn(key, dtype)), keys)


def differences_at(epsilons: Any, params: Any, state: Any, batch: tuple) -> jax.Array:
    """The same at one point (ε, entries, formulas)."""
    vector, unravel = ravel_pytree(params)

    def along(epsilon: jax.Array, direction: jax.Array) -> jax.Array:
        return by_formula(lambda step: RIGHT(unravel(vector + step * direction), state, batch)[0], epsilon)

    every = jax.vmap(jax.vmap(along, (None, 0)), (0, None))
    return every(jnp.asarray(epsilons, vector.dtype), jnp.eye(len(vector), dtype=vector.dtype))


def by_formula(value: Callable[[jax.Array], jax.Array], epsilon: jax.Array) -> jax.Array:
    """The slope of ``value`` at 0: by one-sided and central differences, and by five points."""
    low2, low, here, high, high2 = jax.vmap(value)(epsilon * jnp.array([-2, -1, 0, 1, 2], epsilon.dtype))
    five = (8 * (high - low) - (high2 - low2)) / (12 * epsilon)
    return jnp.stack([(high - here) / epsilon, (high - low) / (2 * epsilon), five])
