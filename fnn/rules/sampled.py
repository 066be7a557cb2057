"""Attributions that are means of gradients at several inputs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.guards.ranges import AT_LEAST_ZERO, POSITIVE, keep_in_range
from fnn.layer import Layer, Params, State
from fnn.rules.attribution import Attribution, floating, moved, passed_back


@dataclasses.dataclass(frozen=True)
class IntegratedGradients(Attribution):
    """The gradient along the way from a baseline to x, times the way.

        (x − x₀) ⊙ 1/K Σ_k ∂output/∂x at x₀ + (k − ½)/K (x − x₀),  k = 1 … K = ``steps``

    The midpoint rule for the integral. For K → ∞ the attributions sum to output(x) − output(x₀). ``baseline`` x₀ is a
    number, for every entry.

    Source: Sundararajan, Taly and Yan 2017, eq. 1 and 3.
    """

    steps: int = 32
    baseline: float = 0.0

    def __post_init__(self) -> None:
        keep_in_range(self, steps=POSITIVE)

    def run(self, model: Layer, params: Params, state: State, x: Any, target: Any) -> Any:
        def add(total: Any, k: jax.Array) -> tuple[Any, None]:
            share = (k.astype(jnp.float32) + 0.5) / self.steps
            between = moved(x, lambda leaf: self.baseline + share.astype(leaf.dtype) * (leaf - self.baseline))
            g = floating(x, passed_back(self, model, params, state, between, target))[1]
            return jax.tree.map(jnp.add, total, g), None

        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, floating(x, x)[0]), jnp.arange(self.steps))
        return jax.tree.map(lambda x, g: (x - self.baseline) * g / self.steps, floating(x, x)[0], total)


@dataclasses.dataclass(frozen=True)
class SmoothGrad(Attribution):
    """The mean gradient at x with noise, which averages away how much a gradient jumps from one input to the next.

        1/S Σ_s ∂output/∂x at x + ε_s,  ε_s ~ N(0, ``stddev``²),  S = ``samples``, drawn from ``seed``

    Source: Smilkov et al. 2017, §3.
    """

    stddev: float = 0.1
    samples: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        keep_in_range(self, stddev=AT_LEAST_ZERO, samples=POSITIVE)

    def run(self, model: Layer, params: Params, state: State, x: Any, target: Any) -> Any:
        def add(total: Any, key: jax.Array) -> tuple[Any, None]:
            def noisy(leaf: jax.Array) -> jax.Array:
                return leaf + self.stddev * jax.random.normal(key, leaf.shape, jnp.float32).astype(leaf.dtype)

            g = floating(x, passed_back(self, model, params, state, moved(x, noisy), target))[1]
            return jax.tree.map(jnp.add, total, g), None

        keys = jax.random.split(jax.random.key(self.seed), self.samples)
        total, _ = jax.lax.scan(add, jax.tree.map(jnp.zeros_like, floating(x, x)[0]), keys)
        return jax.tree.map(lambda g: g / self.samples, total)
