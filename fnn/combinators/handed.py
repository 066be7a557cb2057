"""How layers that can be inverted run in a chain without keeping what passes between them.

On the way back such a layer computes its input again from its output. That input is the output of the layer before it,
which therefore keeps none: it is handed over together with its gradient.

    the last of the chain    has y in its cache, gets dy            returns Handed(x, dx)
    every other one          has no y, gets Handed(y, dy)           returns Handed(x, dx)

A combinator says in ``inverts`` that it can, and gives in ``without_output`` a cache without y. Its ``fold`` returns
``Handed`` where it was given it (with y ``None`` if y is in the cache), and dx alone where it was given dy alone.
"""

import dataclasses
from typing import Any

import jax

from fnn.backprop import Combinator
from fnn.layer import Cache, Layer
from fnn.sequences.over_time import passed_lengths


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Handed:
    """A layer's output, computed again, and its gradient."""

    y: Any
    dy: Any


def in_chain(layer: Layer, cache: Cache) -> bool:
    """Whether the layer, with this cache, can get its output and give its input. With lengths beside x it keeps its
    own: padding was set to 0 on the way in, so that its input is not the output of the layer before it."""
    return isinstance(layer, Combinator) and layer.inverts and not passed_lengths(layer, cache)


def without_output(layer: Layer, cache: Cache) -> Cache:
    """The cache of a layer whose output the one behind it will compute again; ``{}``, where none is kept, stays."""
    if cache == {} or not isinstance(layer, Combinator) or not in_chain(layer, cache):
        return cache
    return layer.without_output(cache)


def handed_to(layer: Layer, cache: Cache, dy: Any) -> Any:
    """``dy`` as this layer takes it."""
    if not in_chain(layer, cache):
        return gradient_of(dy)
    return dy if isinstance(dy, Handed) else Handed(None, dy)


def gradient_of(dy: Any) -> Any:
    """The gradient alone."""
    return dy.dy if isinstance(dy, Handed) else dy


def output_of(cache: Cache, dy: Any) -> Any:
    """The output: from the cache if it is there, else as handed over."""
    return dy.y if isinstance(dy, Handed) and dy.y is not None else cache["y"]
