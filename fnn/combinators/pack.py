"""A layer whose cache is packed: a few bits where a few bits decide, bfloat16 where that is asked."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
from jax import lax

from fnn.backprop import Visit, asks_rule
from fnn.calls import forward_of
from fnn.combinators.packings import Packing, packed, unpacked
from fnn.combinators.tied import FrozenDict
from fnn.combinators.wrapper import Wrapper
from fnn.errors import located
from fnn.layer import Cache, Layer, Params, State
from fnn.paths import join, matches, named_leaves, select
from fnn.sequences.over_time import of_children, passed_lengths
from fnn.stand_in import StandIn
from fnn.walk import Node, map_nodes


@dataclasses.dataclass(frozen=True)
class Pack(Wrapper, name="pack"):
    """Keeps the caches of the layers inside in as few bytes as their derivations allow.

    Forward:   y = f(x)
    Backward:  the inner backward, at the cache unpacked

    Params, State: the inner ones unchanged
    Cache:     the inner one, in which every layer that is not a combinator has packed its entries

    Kept exactly, so that the gradient has the same bits:

        Relu, Relu6, LeakyRelu, HardTanh, HardSigmoid, Softshrink     one bit an entry: which slope it has
        MaxPool, Maxout                                               the winner: 1, 2 or 4 bits, up to 16 choices
        truth values in any cache, such as the mask of Dropout        one bit

    ``bfloat16``, a glob or several, names the entries of caches that are rounded to bfloat16, by the path of the layer
    and the name of the entry: ``"gelu_*/x"``, ``"*/x"``. To round a parameter that a layer caches makes a copy instead
    of saving one. On a CPU nothing is gained: XLA widens bfloat16 again in front of a loop. GPUs are not measured.

    What is gained: inside ``Repeat`` every entry of a cache is an array of its own, and ``Dense``, ``Relu``,
    ``Dropout`` need 0.6 of the memory. Outside, an array that two layers keep is one array: a ReLU in front of a
    ``Dense`` keeps its output, which the ``Dense`` keeps as its input, and nothing is gained; nor where the peak is
    elsewhere, as in the products of convolutions. ``fnn.summary`` shows the bytes by layer, packed.

    ``packings={MyLayer: fnn.Packing(pack, unpack)}`` says how a layer of your own keeps its cache: ``pack(layer,
    cache)`` returns a smaller dict of arrays, from which ``unpack(layer, packed)`` makes a cache for ``backward``. It
    goes by the exact class, and comes before the table above. A layer without one keeps its cache, but for its truth
    values.

    A rule of ``backprop`` is given the unpacked cache: of an activation with two slopes it holds a number with the
    right slope, and not the one that was there. ``jax.grad`` of ``apply`` knows nothing of packing.

    Errors: ``ValueError`` for a glob that selects no entry, with the entries that there are.

    >>> import jax.numpy as jnp
    >>> from fnn.layers import Relu
    >>> layer = Pack(Relu())
    >>> y, _, cache = layer.forward({}, {}, jnp.arange(-8.0, 8.0))
    >>> jax.tree.leaves(cache), layer.backward(cache, y)[1][-2:]
    ([Array([31, 15], dtype=uint8)], Array([6., 7.], dtype=float32))
    """

    _: dataclasses.KW_ONLY
    bfloat16: str | tuple[str, ...] = ()
    packings: Mapping[type[Layer], Packing] = dataclasses.field(default_factory=lambda: FrozenDict())

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        super().__post_init__()
        globs = (self.bfloat16,) if isinstance(self.bfloat16, str) else tuple(self.bfloat16)
        if not all(isinstance(glob, str) for glob in globs):
            raise TypeError(f"bfloat16 names entries of caches by globs such as '*/x', got {self.bfloat16!r}")
        object.__setattr__(self, "bfloat16", globs)
        packings = FrozenDict(self.packings)
        for kind, packing in packings.items():
            if not (isinstance(kind, type) and issubclass(kind, Layer) and isinstance(packing, Packing)):
                raise TypeError(
                    f"packings are a dict {{class of a layer: fnn.Packing(pack, unpack)}}, got {kind!r}: {packing!r}"
                )
        object.__setattr__(self, "packings", packings)

    def by_layer(self, seen: list[str] | None = None) -> Layer:
        """The inner layer with every layer in it that a rule is asked for packed; ``seen`` gathers their entries."""

        def each(node: Node) -> Layer:
            if not asks_rule(node):
                return node.layer
            return Packed(node.layer, node.path, tuple(self.bfloat16), self.packings, [] if seen is None else seen)

        return map_nodes(each, self.inner)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        entries: list[str] = []
        with located("", self.inner, x):
            y, new_state, cache = forward_of(self.by_layer(entries), params, state, x, train=train, key=key)
        if self.bfloat16:
            select(self.bfloat16, dict.fromkeys(entries))  # raises for one that selects nothing
        return y, new_state, cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        return visit("", self.by_layer(), cache, dy)


@dataclasses.dataclass(frozen=True)
class Packed(Wrapper, name="packed"):
    """One layer of a ``Pack``, at a path in it.

    Forward, Backward, Params, State: those of the inner layer
    Cache:     the inner one, packed
    """

    path: str
    globs: tuple[str, ...]
    packings: Mapping[type[Layer], Packing]
    seen: list[str] = dataclasses.field(compare=False, repr=False)

    over_time: ClassVar[Any] = property(of_children)

    def pack(self, cache: Cache) -> Any:
        """What is kept of this cache."""

        def rounds(entry: str) -> bool:
            return any(matches(glob, join(self.path, entry)) for glob in self.globs)

        def kept(layer: Layer, cache: Cache) -> Any:
            if isinstance(layer, StandIn) and "inner" in cache:
                return {**cache, "inner": kept(layer.inner, cache["inner"])}
            self.seen.extend(join(self.path, entry) for entry in named_leaves(cache))
            return packed(layer, cache, self.packings, rounds)

        return kept(self.inner, cache)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        with located("", self.inner, x):
            y, new_state, cache = forward_of(self.inner, params, state, x, train=train, key=key)
        if passed_lengths(self.inner, cache):
            return y, new_state, {**cache, "inner": self.pack(cache["inner"])}
        return y, new_state, self.pack(cache)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        # Without the barrier XLA may unpack at once, and keep what was to be given up.
        cache, dy = lax.optimization_barrier((cache, dy))
        if passed_lengths(self.inner, cache):
            return visit("", self.inner, {**cache, "inner": self._unpacked(cache["inner"])}, dy)
        return visit("", self.inner, self._unpacked(cache), dy)

    def _unpacked(self, cache: Any) -> Cache:
        def whole(layer: Layer, cache: Any) -> Cache:
            if isinstance(layer, StandIn) and "inner" in cache:
                return {**cache, "inner": whole(layer.inner, cache["inner"])}
            return unpacked(layer, cache, self.packings)

        return whole(self.inner, cache)
