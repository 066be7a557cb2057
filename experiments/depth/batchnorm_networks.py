"""The networks of the experiment on batch norm: where it stands, what disturbs it, and what it does to the layers."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.depth.pretraining_networks import PIXELS, he

WITHOUT, BEFORE, AFTER, MOVED = "without", "before the activation", "after it", "before it, with shifts added"
WAYS = {
    WITHOUT: (False, False, False),
    BEFORE: (True, False, False),
    AFTER: (False, True, False),
    MOVED: (True, False, True),
}
"""Whether batch norm stands before the activation, whether after it, and whether shifts are added."""

ROWS = 1009
"""How many shifts there are. They come round again after more steps than a run has."""


@dataclasses.dataclass(frozen=True)
class Moments(fnn.Layer, name="moments"):
    """The identity; its state is the mean and the variance of every channel over the last batch in training."""

    def init(self, key: Any, x: Any) -> tuple[Any, Any]:
        return {}, {"mean": jnp.zeros(x.shape[-1:], x.dtype), "var": jnp.ones(x.shape[-1:], x.dtype)}

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x, {"mean": x.mean(0), "var": x.var(0)} if train else state, {}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, dy


@dataclasses.dataclass(frozen=True)
class Shifts(fnn.Layer, name="shifts"):
    """In training, moves every channel and changes its scale, at each step in another way; else the identity.

    Forward:   y = s x + t, with the row (t, s) of the table (rows, 2, C) that is next
    Backward:  dx = s dy

    State: ``count``, the number of the row. It starts at random, so that layers differ.
    Cache: ``scale``
    """

    table: Any

    def init(self, key: Any, x: Any) -> tuple[Any, Any]:
        return {}, {"count": jax.random.randint(key, (), 0, ROWS)}

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        if not train:
            return x, state, {"scale": jnp.ones(x.shape[-1:], x.dtype)}
        shift, scale = self.table[state["count"]]
        return scale * x + shift, {"count": (state["count"] + 1) % ROWS}, {"scale": scale}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, cache["scale"] * dy


def shifts(seed: int, strength: float) -> np.ndarray:
    """A table of shifts, uniform between ∓strength, and of scales, uniform between 1 ∓ strength/2."""
    drawn = np.random.default_rng(seed).uniform(-1, 1, (ROWS, 2, PIXELS))
    return (drawn * [[strength], [strength / 2]] + [[0], [1]]).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Used(fnn.Layer, name="used"):
    """The inner layer, or the identity: ``used`` may be traced, so that a single program has networks with and without.

    Forward:   y = f(x), or x
    Backward:  by the rule of the inner layer, or dx = dy

    Params, State: the inner ones, which stay as they are if the layer is not used
    Cache: ``inner``, and ``params``, whose gradients are 0 if the layer is not used
    """

    inner: fnn.Layer
    used: Any

    def init(self, key: Any, x: Any) -> tuple[Any, Any]:
        return self.inner.init(key, x)

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        def inner() -> Any:
            return self.inner.forward(params, state, x, train=train, key=key)

        nothing = zeros(jax.eval_shape(inner)[2])
        y, state, cache = jax.lax.cond(self.used, inner, lambda: (x, state, nothing))
        return y, state, {"inner": cache, "params": params}

    def backward(self, cache: Any, dy: Any) -> Any:
        inner = functools.partial(self.inner.backward, cache["inner"], dy)
        return jax.lax.cond(self.used, inner, lambda: (zeros(cache["params"]), dy))


def zeros(tree: Any) -> Any:
    """Zeros of these shapes."""
    return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), tree)


def blocks(activation: fnn.Layer, before: Any, after: Any, table: Any) -> tuple[fnn.Layer, ...]:
    """What follows each hidden dense layer: batch norm where it is used, shifts from the table, and what is watched."""
    norm = fnn.BatchNorm()
    return Used(norm, before), Shifts(table), activation, Used(norm, after), Moments()


def starts(tiny: Any, sigma: float) -> Any:
    """Weights of variance σ²/inputs from tiny ones; biases are 0."""
    return jax.tree.map(lambda leaf: leaf * (sigma**2 / 2) ** 0.5, he(tiny))
