"""The base of combinators that run a layer with transformed parameters."""

import dataclasses
from typing import Any, ClassVar

import jax

from fnn.backprop import Visit, check_children, entry, nest
from fnn.calls import apply_of, forward_of, init_of, start_of, step_of
from fnn.combinators.wrapper import Wrapper
from fnn.errors import located
from fnn.layer import Cache, Params, State, Static, named_key
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class Reparameterized(Wrapper, name="reparameterized"):
    """The inner layer with parameters θ' = T(θ); a subclass defines ``own``, ``reparameterize`` and ``transpose``.

    Forward:   θ' = T(θ),  y = f(x; θ')
    Backward:  the inner backward for dx and dθ',  then dθ = (∂T/∂θ)ᵀ dθ'

    Cache:   ``inner``: the inner cache; ``transform``: the cache of T; ``params`` Static, structure and shapes of θ'

    If a rule of ``backprop`` returns a report that is not shaped like θ', it is passed on unchanged. A subclass with
    its own state sets ``segment``, a name for its child, so that the other entries of the state are its own.
    """

    over_time: ClassVar[Any] = property(of_children)

    def own(self, params: Params) -> Params:
        """θ, from the parameters θ' that the inner init drew."""
        return params

    def own_state(self, key: jax.Array, params: Params) -> State:
        """The initial state of the combinator itself."""
        return {}

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        """θ', the new state of the combinator itself, and the cache for ``transpose``."""
        raise NotImplementedError(f"{type(self).__name__} does not define reparameterize")

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        """dθ from dθ'."""
        raise NotImplementedError(f"{type(self).__name__} does not define transpose")

    def inner_key(self, key: jax.Array | None) -> jax.Array | None:
        """The key for running the inner layer; a subclass that draws random numbers itself derives another."""
        return named_key(key, self.segment)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        with located(self.segment, self.inner, x):
            params, state = init_of(self.inner, named_key(key, self.segment), x)
        own = self.own_state(key, params)
        return nest({self.segment: self.own(params)}), {**own, **nest({self.segment: state})}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        inner_params, own, cache = self._transformed(params, state, train, key)
        with located(self.segment, self.inner, x):
            y, inner_state, inner_cache = forward_of(
                self.inner, inner_params, entry(state, self.segment), x, train=train, key=self.inner_key(key)
            )
        kept = {"inner": inner_cache, "transform": cache, "params": Static(_structure(inner_params))}
        return y, {**own, **nest({self.segment: inner_state})}, kept

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        inner_params, own, _ = self._transformed(params, state, train, key)
        with located(self.segment, self.inner, x):
            y, inner_state = apply_of(
                self.inner, inner_params, entry(state, self.segment), x, train=train, key=self.inner_key(key)
            )
        return y, {**own, **nest({self.segment: inner_state})}

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> Any:
        inner_params, _, _ = self._transformed(params, state or {}, False, None)
        with located(self.segment, self.inner, inner_params, "started with the parameters"):
            own = entry(state or {}, self.segment)
            return start_of(self.inner, batch_size, length=length, params=inner_params, state=own)

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        inner_params, _, _ = self._transformed(params, state or {}, False, None)
        with located(self.segment, self.inner, x):
            return step_of(self.inner, inner_params, carry, x, state=entry(state or {}, self.segment))

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        report, dx = visit(self.segment, self.inner, cache["inner"], dy)
        if _structure(report) == cache["params"].value:
            report = self.transpose(cache["transform"], report)
        return nest({self.segment: report}), dx

    def _transformed(
        self, params: Params, state: State, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        check_children("params", params, [self.segment])
        check_children("state", state, [""])
        own = {name: part for name, part in state.items() if name != self.segment} if self.segment else {}
        return self.reparameterize(entry(params, self.segment), own, train=train, key=key)


def _structure(tree: Any) -> tuple:
    leaves, treedef = jax.tree.flatten(tree)
    return treedef, tuple(getattr(leaf, "shape", None) for leaf in leaves)
