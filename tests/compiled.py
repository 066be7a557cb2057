"""A layer's contract, one compiled program a call: run operation by operation, it is compiled so.

Not for what a mutated rule runs (``tools/mutation``): a program stays as it was compiled.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

import fnn
from fnn.layer import Layer


def shape_of(*shape: int, dtype: Any = np.float64) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def init(layer: Layer, key: Any, x: Any) -> Any:
    is_shape = lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)  # noqa: E731
    return _init(layer, key, jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype) if is_shape(leaf) else leaf, x))


@partial(jax.jit, static_argnums=0)
def _init(layer: Layer, key: Any, x: Any) -> Any:
    return layer.init(key, x)


@partial(jax.jit, static_argnums=0, static_argnames="train")
def apply(layer: Layer, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
    return layer.apply(params, state, x, train=train, key=key)


@partial(jax.jit, static_argnums=0, static_argnames="train")
def forward(layer: Layer, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
    return layer.forward(params, state, x, train=train, key=key)


@partial(jax.jit, static_argnums=0)
def backward(layer: Layer, cache: Any, dy: Any) -> Any:
    return layer.backward(cache, dy)


@partial(jax.jit, static_argnums=0, static_argnames="train")
def gradients(layer: Layer, params: Any, state: Any, x: Any, dy: Any, *, train: bool = False, key: Any = None) -> Any:
    """The output, and ``(dparams, dx)`` by the hand rule and by ``jax.vjp``; all of x is floating."""
    y, _, cache = layer.forward(params, state, x, train=train, key=key)
    _, vjp = jax.vjp(lambda params, x: layer.apply(params, state, x, train=train, key=key)[0], params, x)
    return y, layer.backward(cache, dy), vjp(dy)


def drawn_params(random: Callable[..., np.ndarray], layer: Layer, x: Any, scale: float = 1.0) -> Any:
    """Random numbers in the structure, shapes and dtypes of a layer's parameters, which are not made for that."""
    shapes, _ = jax.eval_shape(layer.init, jax.random.key(0), x)
    return jax.tree.map(lambda leaf: (scale * random(*leaf.shape)).astype(leaf.dtype), shapes)


# ---- objectives


@partial(jax.jit, static_argnums=0)
def start(objective: fnn.Objective, key: Any, inputs: Any) -> Any:
    """An objective's parameters and state."""
    return objective.init(key, inputs)


per_example_norms = jax.jit(fnn.per_example_norms, static_argnums=0, static_argnames="train")
"""As ``fnn.per_example_norms``; labels and weights are not checked, since they are traced."""

clipped_gradients = jax.jit(fnn.clipped_gradients, static_argnums=0, static_argnames="train")
