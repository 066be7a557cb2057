"""A layer whose cache is recomputed instead of kept."""

import dataclasses
from typing import Any, ClassVar

import jax
from jax import lax

from fnn.backprop import Visit
from fnn.calls import apply_of, forward_of
from fnn.combinators.wrapper import Wrapper
from fnn.errors import located
from fnn.layer import Cache, Params, State, Static
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class Remat(Wrapper, name="remat"):
    """Rematerialisation: caches only the inner layer's inputs, and runs it forward again in the backward pass.

    Forward:   y = f(x)
    Backward:  recomputes the inner cache from x, then runs the inner backward

    Params, State: the inner ones unchanged
    Cache:     ``params``, ``state``, ``x``, ``key``, unchanged; ``train`` Static
    Memory:    the inner cache exists only during this layer's backward; the cost is one more forward pass

    ``jax.grad`` of ``apply`` rematerialises too (``jax.checkpoint``).

    >>> import jax.numpy as jnp
    >>> from fnn.layers import Tanh
    >>> Remat(Tanh()).apply({}, {}, jnp.zeros(2))[0]
    Array([0., 0.], dtype=float32)

    Source: Griewank and Walther 2000; Chen et al. 2016.
    """

    over_time: ClassVar[Any] = property(of_children)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        with located("", self.inner, x):
            y, new_state, _ = forward_of(self.inner, params, state, x, train=train, key=key)
        return y, new_state, {"params": params, "state": state, "x": x, "key": key, "train": Static(train)}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        def run(params: Params, state: State, x: Any, key: jax.Array | None) -> tuple[Any, State]:
            return apply_of(self.inner, params, state, x, train=train, key=key)

        with located("", self.inner, x):
            return jax.checkpoint(run)(params, state, x, key)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        # Without the barrier XLA would merge the two equal forward runs and keep the results of the first; with dy in
        # it, the second run cannot start before the gradient has arrived.
        inputs = (cache["params"], cache["state"], cache["x"], cache["key"])
        (params, state, x, key), dy = lax.optimization_barrier((inputs, dy))
        _, _, inner_cache = forward_of(self.inner, params, state, x, train=cache["train"].value, key=key)
        return visit("", self.inner, inner_cache, dy)
