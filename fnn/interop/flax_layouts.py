"""How flax's linen holds the parameters of each layer: nearly as fnn does.

Dense, Conv, norms, attention       the same
ConvTranspose                       the kernel reversed along its spatial axes
Embed                               the same
PReLU                               one slope for all channels
LSTMCell, OptimizedLSTMCell         a kernel for each gate: ii if ig io of the input, hi hf hg ho with the bias
GRUCell                             ir iz in with their biases, hr hz without, hn with
SimpleCell                          i with the bias, h without
BatchNorm                           no count of updates: 1
"""

from collections.abc import Sequence

import numpy as np

from fnn.interop.parts import Form, Part
from fnn.interop.pieces import Arrays, Piece, Shape, absent, counted, joined_last, spread, unchanged
from fnn.interop.places import Place
from fnn.layer import Layer
from fnn.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Bilinear,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Embedding,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MultiHeadAttention,
    PRelu,
    RMSNorm,
    SimpleRNN,
)

CLASSES: dict[type[Layer], tuple[str, ...]] = {
    Dense: ("Dense", "DenseGeneral"),
    Conv: ("Conv",),
    DepthwiseConv: ("Conv",),
    ConvTranspose: ("ConvTranspose",),
    Bilinear: ("Bilinear",),
    Embedding: ("Embed",),
    BatchNorm: ("BatchNorm",),
    LayerNorm: ("LayerNorm",),
    GroupNorm: ("GroupNorm",),
    InstanceNorm: ("InstanceNorm",),
    RMSNorm: ("RMSNorm",),
    PRelu: ("PReLU",),
    MultiHeadAttention: ("MultiHeadDotProductAttention", "SelfAttention", "MultiHeadAttention"),
    LSTM: ("LSTMCell", "OptimizedLSTMCell"),
    GRU: ("GRUCell",),
    SimpleRNN: ("SimpleCell",),
}
KNOWN = frozenset(name for names in CLASSES.values() for name in names)
GATES: dict[type[Layer], tuple[str, ...]] = {LSTM: ("i", "f", "g", "o"), GRU: ("r", "z", "n"), SimpleRNN: ("",)}


def forms(place: Place) -> tuple[Form, ...]:
    """The ways in which flax may hold this layer."""
    kind = next((kind for kind in CLASSES if isinstance(place.layer, kind)), None)
    if kind in GATES:
        pieces = _recurrent(place, GATES[kind])
    elif kind is PRelu:
        path, (size,) = place.leaves["slope"]
        pieces = [spread(path, "negative_slope", size)._replace(keys={"negative_slope": ()})]
    else:
        pieces = [_piece(place, name) for name in place.leaves]
    return ((Part(tuple(pieces), CLASSES[kind] if kind else ()),),)


def _piece(place: Place, name: str) -> Piece:
    path, shape = place.leaves[name]
    if isinstance(place.layer, BatchNorm) and name == "count":
        return counted(path, "count")
    if isinstance(place.layer, ConvTranspose) and name == "kernel":
        axes = tuple(range(len(shape) - 2))

        def reverse(arrays: Arrays) -> Arrays:
            return (np.flip(arrays[0], axes),)

        return Piece({name: shape}, (path,), reverse, reverse, "reversed along its spatial axes")
    return unchanged(path, name, shape)


def _recurrent(place: Place, gates: Sequence[str]) -> list[Piece]:
    leaves = dict(place.leaves)
    pieces = []
    for leaf, letter in (("kernel", "i"), ("recurrent_kernel", "h")):
        path, (inputs, width) = leaves.pop(leaf)
        keys = [f"{letter}{gate}/kernel" for gate in gates]
        pieces.append(joined_last(path, keys, (inputs, width // len(gates))))
    path, (width,) = leaves.pop("bias")
    size: Shape = (width // len(gates),)
    letter = "h" if isinstance(place.layer, LSTM) else "i"
    pieces.append(joined_last(path, [f"{letter}{gate}/bias" for gate in gates], size))
    if "recurrent_bias" in leaves:
        path, _ = leaves.pop("recurrent_bias")
        pieces.append(_candidate_bias(path, size[0]))
    return [*pieces, *(unchanged(path, name, shape) for name, (path, shape) in leaves.items())]


def _candidate_bias(path: str, size: int) -> Piece:
    """The recurrent bias of a GRU, of which flax has the candidate's alone: those of r and z are 0."""
    zero = absent(path, (2 * size,), "flax has no recurrent bias for r and z")

    def load(arrays: Arrays) -> Arrays:
        return (np.concatenate((np.zeros(2 * size, arrays[0].dtype), arrays[0])),)

    def store(leaves: Arrays) -> Arrays:
        zero.store((leaves[0][: 2 * size],))
        return (leaves[0][2 * size :],)

    return Piece({"hn/bias": (size,)}, (path,), load, store, "that of n; 0 for r and z")
