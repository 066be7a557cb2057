"""What runs between two neighbouring layers with parameters, where the structure of a model says so.

``Serial`` runs its layers in their order, and so does a combinator around one layer. Between the branches of others,
and beside a ``Lambda``, nothing is known. ``torch_gaps.py`` has the same for modules.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fnn.combinators import (
    Cast,
    DropConnect,
    FeedForward,
    First,
    Frozen,
    Remat,
    Repeat,
    Serial,
    SpectralNorm,
    Tied,
    TimeDistributed,
    WeightNorm,
)
from fnn.interop.torch_functions import KINDS
from fnn.interop.wanted import Matching
from fnn.layer import Layer
from fnn.layers import (
    AvgPool,
    Dropout,
    Flatten,
    GaussianNoise,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    Identity,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    MaxPool,
    Pad,
    PixelShuffle,
    Reshape,
    RMSNorm,
    Silu,
    Softmax,
    SquaredRelu,
    Step,
    Swish,
    Transpose,
    UpSample,
)
from fnn.paths import join

IN_ORDER = (*(Serial, Cast, DropConnect, First, Frozen, Remat, SpectralNorm, Tied, TimeDistributed, WeightNorm),)
ACTIVATIONS = (*KINDS, Softmax, LogSoftmax, SquaredRelu, Step, Swish)
POOLS = (MaxPool, AvgPool)
WHOLE = (GlobalAvgPool, GlobalMaxPool)
OTHERS = (
    *(Dropout, Flatten, GaussianNoise, Identity, Pad, PixelShuffle, Reshape, Transpose, UpSample),
    *(GroupNorm, InstanceNorm, LayerNorm, RMSNorm),
)
"""What computes no activation and pools nothing; norms without parameters are among them."""


class Mark(NamedTuple):
    """A layer with parameters, by what names it there."""

    key: Any


class Function(NamedTuple):
    """An activation or a pool as a layer of fnn, where it is, and the module that it is, if it is one."""

    path: str
    layer: Layer
    module: Any = None


Token = Mark | Function | None
"""``None`` stands where it is not known what runs."""

INPUT, OUTPUT = Mark(("the input",)), Mark(("the output",))

Gap = list[Function]


def gaps_of(tokens: Iterable[Token]) -> dict[tuple[Any, Any], Gap]:
    """The functions between neighbouring layers, by the keys of both; only where all of them are known."""
    found: dict[tuple[Any, Any], Gap] = {}
    last: Mark | None = None
    between: Gap = []
    for token in (INPUT, *tokens, OUTPUT):
        if isinstance(token, Function):
            between.append(token)
            continue
        if token is not None and last is not None:
            found[last.key, token.key] = between
        last, between = token, []
    return found


def our_gaps(model: Layer, matching: Matching) -> dict[tuple[Any, Any], Gap]:
    """The gaps of a model; a key is a path and the indices in the ``Repeat``s around it."""
    wanted = [*(match.wanted for match in matching.matches), *matching.unfilled]
    return gaps_of(_tokens("", model, (), {(each.place.path, each.place.index) for each in wanted}))


def _tokens(path: str, layer: Layer, index: tuple[int, ...], known: set[Any]) -> Iterator[Token]:
    if isinstance(layer, Repeat):
        for i in range(layer.n):
            yield from _tokens(path, layer.inner, (*index, i), known)
        return
    children = layer.network(1).children() if isinstance(layer, FeedForward) else layer.children()
    if children:
        apart = not isinstance(layer, (FeedForward, *IN_ORDER))
        for name, child in children.items():
            yield from (None,) * apart
            yield from _tokens(join(path, name), child, index, known)
        yield from (None,) * apart
    elif (path, index) in known:
        yield Mark((path, index))
    elif isinstance(layer, Swish) and layer == Swish():
        yield Function(path, Silu())
    elif isinstance(layer, Softmax | LogSoftmax):
        yield Function(path, type(layer)())  # the axis of the channels has another number in PyTorch
    elif type(layer) in (*ACTIVATIONS, *POOLS, *WHOLE):
        yield Function(path, layer)
    elif type(layer) not in OTHERS:
        yield None
