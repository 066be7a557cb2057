"""Every example by itself, by ``jax.vmap`` of ``jax.grad``: the gradients that ``fnn.rules`` does without."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.errors import is_floating
from fnn.layer import floating_leaves
from fnn.paths import named_leaves


@dataclasses.dataclass(frozen=True)
class Energy(fnn.Loss):
    """Σ (½ y² + y cos i) over the floating leaves of any output, i counting their entries; there is no target."""

    def __call__(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        leaves, _ = floating_leaves(prediction)
        return functools.reduce(jnp.add, [(y * y / 2 + y * _phases(y)).sum() for y in leaves])

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Any]:
        return self(prediction, target), {"prediction": prediction}

    def backward(self, cache: Any, dvalue: Any = 1.0) -> Any:
        return jax.tree.map(lambda y: dvalue * (y + _phases(y)) if is_floating(y) else None, cache["prediction"])

    def weight(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        return jnp.ones(())


def _phases(y: Any) -> jax.Array:
    return jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)


def gradients(objective: fnn.Objective, params: Any, state: Any, batch: tuple, key: Any, train: bool) -> Any:
    """The automatic gradient of every example, (N, …)."""

    def gradient(example: tuple) -> Any:
        alone = jax.tree.map(lambda leaf: leaf[None], example)
        return jax.grad(lambda params: objective(params, state, alone, train=train, key=key)[0])(params)

    return jax.vmap(gradient)(batch)


def norms(gradients: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The norms of all examples' gradients, whole and by path."""
    squares = {path: (g * g).reshape(len(g), -1).sum(1) for path, g in named_leaves(gradients).items()}
    return jnp.sqrt(sum(squares.values())), {path: jnp.sqrt(each) for path, each in squares.items()}


def check(
    objective: fnn.Objective, params: Any, state: Any, batch: tuple, *, key: Any, train: bool, tolerance: float = 1e-12
) -> None:
    """Norms and clipped mean are those of the automatic gradients: to a share of each example's norm, and of the norm
    that they are clipped to, the median of all."""

    def everything(params: Any, state: Any, batch: tuple, key: Any) -> dict[str, Any]:
        each = gradients(objective, params, state, batch, key, train)
        whole, leaves = norms(each)
        limit = jnp.median(whole)
        unit = jnp.where(whole == 0, 1, whole)  # an error of an example that has no gradient counts in full
        scale = jnp.minimum(1, limit / unit)
        clipped = jax.tree.map(lambda g: jnp.tensordot(scale, g, 1) / len(scale), each)
        found = fnn.per_example_norms(objective, params, state, batch, key=key, train=train)
        limited = jnp.where(limit == 0, 1, limit)
        _, ours = fnn.clipped_gradients(objective, params, state, batch, max_norm=limited, key=key, train=train)
        return {
            "whole": jnp.abs(found.norms.astype(whole.dtype) - whole) / unit,
            "leaves": {path: jnp.abs(found.leaves[path].astype(whole.dtype) - leaves[path]) / unit for path in leaves},
            "clipped": jax.tree.map(lambda a, b: jnp.abs(a - b).max(initial=0) / limited, ours, clipped),
        }

    wrong = jax.tree.map(lambda error: float(np.max(error)), jax.jit(everything)(params, state, batch, key))
    too_large = {path: error for path, error in named_leaves(wrong).items() if not error <= tolerance}
    assert not too_large, f"relative errors above {tolerance}: {too_large}"
