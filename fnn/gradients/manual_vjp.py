"""The hand rule inside ``jax.grad``."""

import dataclasses
from typing import Any, ClassVar

import jax

from fnn.calls import apply_of, backward_of, forward_of
from fnn.combinators.wrapper import Wrapper
from fnn.layer import Cache, Layer, Params, State
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class ManualVjp(Wrapper, name="manual_vjp"):
    """A layer whose ``apply`` carries the hand rule as a ``jax.custom_vjp``; see ``with_manual_vjp``.

    Forward:   y = f(x)
    Backward:  the inner backward, also where ``jax.grad`` asks for it

    Params, State, Cache: the inner ones unchanged
    """

    over_time: ClassVar[Any] = property(of_children)

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        @jax.custom_vjp
        def run(params: Params, state: State, x: Any, key: jax.Array | None) -> tuple[Any, State]:
            return apply_of(self.inner, params, state, x, train=train, key=key)

        def forward(params: Params, state: State, x: Any, key: jax.Array | None) -> tuple[Any, Cache]:
            y, new_state, cache = forward_of(self.inner, params, state, x, train=train, key=key)
            return (y, new_state), cache

        def backward(cache: Cache, gradients: tuple[Any, State]) -> tuple[Params, None, Any, None]:
            # JAX hands float0 for outputs that are not floating, where the contract says None; and None back is zero.
            dy = jax.tree.map(lambda leaf: None if leaf.dtype == jax.dtypes.float0 else leaf, gradients[0])
            dparams, dx = backward_of(self.inner, cache, dy)
            return dparams, None, dx, None

        run.defvjp(forward, backward)
        return run(params, state, x, key)


def with_manual_vjp(layer: Layer) -> ManualVjp:
    """The layer with its hand rule as the derivative of ``apply``, for people who call ``jax.grad`` themselves.

    Works inside any function that JAX differentiates in reverse mode, other libraries' included. No forward mode
    (``jax.jvp``), no second derivative through ``apply``, and no gradient through the state that comes out.

    >>> import jax.numpy as jnp
    >>> from fnn.layers import Relu
    >>> jax.grad(lambda x: with_manual_vjp(Relu()).apply({}, {}, x)[0].sum())(jnp.array([-1.0, 2.0]))
    Array([0., 1.], dtype=float32)
    """
    return ManualVjp(layer)
