"""How entries of a cache become smaller: a few bits for one of a few values, bfloat16 for what may be rounded."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from fnn.errors import is_floating
from fnn.layer import Cache, Layer, Static
from fnn.layers.activation.maxout import Maxout
from fnn.layers.activation.rectifiers import LeakyRelu, Relu, Relu6
from fnn.layers.activation.sigmoids import HardSigmoid, HardTanh
from fnn.layers.activation.softshrink import Softshrink
from fnn.layers.pool.windowed import MaxPool
from fnn.paths import path_of


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Bits:
    """An array of integers below 2^bits, or of truth values, with 8 / bits of them in a byte; bits is 1, 2 or 4.

    >>> packed = Bits.of(jnp.array([True, False, True]))
    >>> packed.bytes, packed.array()
    (Array([5], dtype=uint8), Array([ True, False,  True], dtype=bool))
    """

    bytes: jax.Array
    shape: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    dtype: Any = dataclasses.field(metadata={"static": True})
    bits: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, x: jax.Array, bits: int = 1) -> Self:
        """The packed form of an array."""
        parts = 8 // bits
        flat = x.reshape(-1).astype(jnp.uint8)
        length = -(-flat.size // parts)
        rows = jnp.pad(flat, (0, parts * length - flat.size)).reshape(parts, length)
        # Numbers of one byte are far apart, so that both ways run along whole rows.
        packed = rows[0]
        for place in range(1, parts):
            packed = packed | (rows[place] << jnp.uint8(place * bits))
        return cls(packed, x.shape, jnp.dtype(x.dtype), bits)

    def array(self) -> jax.Array:
        """The array."""
        mask = jnp.uint8(2**self.bits - 1)
        rows = [(self.bytes >> jnp.uint8(place)) & mask for place in range(0, 8, self.bits)]
        return jnp.concatenate(rows)[: math.prod(self.shape)].reshape(self.shape).astype(self.dtype)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rounded:
    """A floating array rounded to bfloat16."""

    rounded: jax.Array
    dtype: Any = dataclasses.field(metadata={"static": True})

    def array(self) -> jax.Array:
        """The array in its own dtype."""
        return self.rounded.astype(self.dtype)


class Packing(NamedTuple):
    """What ``Pack`` keeps of a layer's cache: ``unpack(layer, pack(layer, cache))`` is a cache with which the layer's
    backward computes the same. Leaves of ``bool`` need none: they are packed into bits anyway."""

    pack: Callable[[Any, Cache], Cache]
    unpack: Callable[[Any, Cache], Cache]


def of_two_slopes(lower: Callable[[Any, jax.Array], jax.Array], *inputs: float) -> Packing:
    """Of an activation whose slope has two values: a bit tells where it has the first, and ``inputs`` are numbers at
    which it has the first and the second."""

    def pack(layer: Any, cache: Cache) -> Cache:
        value = cache[layer.cached]
        return {"lower": lower(layer, value), "dtype": Static(jnp.dtype(value.dtype))}

    def unpack(layer: Any, packed: Cache) -> Cache:
        one, other = (jnp.asarray(each, packed["dtype"].value) for each in inputs)
        return {layer.cached: jnp.where(packed["lower"], one, other)}

    return Packing(pack, unpack)


def of_winners(choices: Callable[[Any, Cache], int]) -> Packing:
    """Of a maximum over a few choices: 1, 2 or 4 bits tell which won."""

    def pack(layer: Any, cache: Cache) -> Cache:
        bits = max(1, (choices(layer, cache) - 1).bit_length())
        if bits > 4:
            return cache
        return {**cache, "winner": Bits.of(cache["winner"], 4 if bits == 3 else bits)}

    return Packing(pack, lambda layer, packed: packed)  # Bits come back as arrays anyway


def _window(layer: MaxPool, cache: Cache) -> int:
    window, rank = layer.window, cache["winner"].ndim - 2
    return window**rank if isinstance(window, int) else math.prod(window)


PACKINGS: Mapping[type[Layer], Packing] = MappingProxyType(
    {
        Relu: of_two_slopes(lambda layer, y: y <= 0, 0, 1),
        Relu6: of_two_slopes(lambda layer, y: (y <= 0) | (y >= 6), 0, 1),
        LeakyRelu: of_two_slopes(lambda layer, x: ~(x > 0), -1, 1),
        HardTanh: of_two_slopes(lambda layer, y: (y <= -1) | (y >= 1), 1, 0),
        HardSigmoid: of_two_slopes(lambda layer, y: (y <= 0) | (y >= 1), 0, 0.5),
        Softshrink: of_two_slopes(lambda layer, x: layer.flat(x), 0, math.inf),
        MaxPool: of_winners(_window),
        Maxout: of_winners(lambda layer, cache: layer.pieces),
    }
)
"""By the exact class: a subclass may read another cache."""


def packed(layer: Layer, cache: Cache, packings: Mapping[type[Layer], Packing], rounds: Callable[[str], bool]) -> Any:
    """The cache of a layer as ``Pack`` keeps it; ``rounds(entry)`` says which entries are rounded, by path."""
    packing = packings.get(type(layer)) or PACKINGS.get(type(layer))

    def smaller(key_path: tuple, leaf: Any) -> Any:
        if isinstance(leaf, Bits):
            return leaf
        if leaf.dtype == jnp.bool_:
            return Bits.of(leaf)
        if is_floating(leaf) and leaf.dtype.itemsize > 2 and leaf.size and rounds(path_of(key_path)):
            return Rounded(leaf.astype(jnp.bfloat16), jnp.dtype(leaf.dtype))
        return leaf

    cache = cache if packing is None else packing.pack(layer, cache)
    return jax.tree_util.tree_map_with_path(smaller, cache, is_leaf=_is_packed)


def unpacked(layer: Layer, cache: Any, packings: Mapping[type[Layer], Packing]) -> Cache:
    """The cache for the layer's backward."""
    packing = packings.get(type(layer)) or PACKINGS.get(type(layer))
    cache = jax.tree.map(lambda leaf: leaf.array() if _is_packed(leaf) else leaf, cache, is_leaf=_is_packed)
    return cache if packing is None else packing.unpack(layer, cache)


def _is_packed(node: Any) -> bool:
    return isinstance(node, Bits | Rounded)
