"""A layer repeated, each time with its own parameters."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import Combinator, Visit
from fnn.calls import apply_of, forward_of, init_of, start_of, step_of
from fnn.combinators.handed import Handed, gradient_of, in_chain, output_of, without_output
from fnn.combinators.wrapper import Wrapper
from fnn.errors import describe, located, positive
from fnn.layer import Cache, Params, State, Static
from fnn.sequences.over_time import of_children
from fnn.stacked import Stacked, stack, unstack


@dataclasses.dataclass(frozen=True)
class Repeat(Wrapper, name="repeat"):
    """Applies the inner layer ``n`` times in a row in one scan, so that compile time does not grow with depth.

    Forward:   x₀ = x,  xᵢ₊₁ = f(xᵢ; θᵢ),  y = xₙ
    Backward:  dxᵢ, dθᵢ = the inner backward at dxᵢ₊₁, last to first: the scan reversed

    Params, State: the inner ones, stacked on a leading axis of length n
    Cache:     ``inner``: the inner caches, stacked likewise; ``params`` Static: the structure of the inner parameters
               in a tuple, empty if they are not ``Stacked``; if f can be inverted (``Reversible``), ``y`` alone of
               all outputs
    Shapes:    the inner layer keeps the shape and dtype of its input, which may be a tuple

    ``init`` returns its parameters as ``fnn.Stacked``, a dict that knows n: optimisers update each layer in it
    separately. A plain dict of the same arrays runs the same, but an optimiser takes each of its leaves for one layer.
    If a rule of ``backprop`` returns a report with the structure of ``Stacked`` parameters, it comes out ``Stacked``.

    Errors: ``ValueError`` if the inner layer changes the shape or dtype, or the parameters are not stacked n times.

    >>> import jax
    >>> from fnn.layers import Dense
    >>> params, _ = Repeat(Dense(4), 3).init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4), "float32"))
    >>> params["kernel"].shape
    (3, 4, 4)
    """

    n: int

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("n", self.n)

    @property
    def inverts(self) -> bool:
        return isinstance(self.inner, Combinator) and self.inner.inverts

    def without_output(self, cache: Cache) -> Cache:
        return {name: part for name, part in cache.items() if name != "y"}

    @property
    def child_axes(self) -> tuple[int, ...]:
        return (self.n,)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        with located("", self.inner, x):
            params, state = jax.vmap(lambda key: init_of(self.inner, key, x))(self._keys(key))
        return stack(params, self.n), state

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        def step(x: Any, each: tuple) -> tuple[Any, tuple[State, Cache]]:
            params, state, key = each
            with located("", self.inner, x):
                y, state, cache = forward_of(self.inner, params, state, x, train=train, key=key)
            return self._same(x, y), (state, without_output(self.inner, cache))

        y, (state, cache) = lax.scan(step, _arrays(x), self._stacked(params, state, key), length=self.n)
        structures = (jax.tree.structure(unstack(params)),) if isinstance(params, Stacked) else ()
        kept = {"inner": cache, "params": Static(structures)}
        return y, state, {**kept, "y": y} if in_chain(self.inner, cache) else kept

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        def step(x: Any, each: tuple) -> tuple[Any, State]:
            params, state, key = each
            with located("", self.inner, x):
                y, state = apply_of(self.inner, params, state, x, train=train, key=key)
            return self._same(x, y), state

        return lax.scan(step, _arrays(x), self._stacked(params, state, key), length=self.n)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> Any:
        def start(each: tuple) -> Any:
            params, state, _ = each
            with located("", self.inner, params, "started with the parameters"):
                return start_of(self.inner, batch_size, length=length, params=params, state=state)

        return jax.vmap(start, axis_size=self.n)(self._stacked(params, state or {}, None))

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        def step(x: Any, each: tuple) -> tuple[Any, Any]:
            (params, state, _), carry = each
            with located("", self.inner, x):
                y, carry = step_of(self.inner, params, carry, x, state=state)
            return self._same(x, y), carry

        return lax.scan(step, _arrays(x), (self._stacked(params, state or {}, None), carry), length=self.n)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        def step(dy: Any, cache: Cache) -> tuple[Any, Any]:
            report, dx = visit("", self.inner, cache, dy)
            return dx, report

        start = Handed(output_of(cache, dy), gradient_of(dy)) if in_chain(self.inner, cache["inner"]) else dy
        dx, reports = lax.scan(step, start, cache["inner"], length=self.n, reverse=True)
        dx = dx if isinstance(dy, Handed) else gradient_of(dx)
        like_params = jax.tree.structure(reports) in cache["params"].value
        return stack(reports, self.n) if like_params else reports, dx

    def _keys(self, key: jax.Array | None) -> jax.Array | None:
        return None if key is None else jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(self.n))

    def _stacked(self, params: Params, state: State, key: jax.Array | None) -> tuple:
        for kind, tree in (("params", params), ("state", state)):
            if any(jnp.shape(leaf)[:1] != (self.n,) for leaf in jax.tree.leaves(tree)):
                raise ValueError(f"{kind} are stacked on a leading axis of length n={self.n}, got {describe(tree)}")
        return unstack(params), state, self._keys(key)

    def _same(self, x: Any, y: Any) -> Any:
        if describe(x) != describe(y):
            raise ValueError(
                f"a repeated layer keeps the shape and dtype of its input, got {describe(x)} in and {describe(y)} out"
            )
        return y


def _arrays(x: Any) -> Any:
    return jax.tree.map(jnp.asarray, x)
