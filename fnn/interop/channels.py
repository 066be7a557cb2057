"""Where a model merges the axes of images, and how many channels they have.

PyTorch has the channels in front, (N, C, H, W), and flattens them in the order C, H, W; fnn flattens H, W, C. So the
rows of the dense layer behind a ``Flatten`` have another order, and those of a norm between the two. A ``Reshape`` back
to an image orders the columns of the dense layer in front of it.
"""

from typing import Any

from fnn.combinators.first import first_member
from fnn.layer import Layer
from fnn.layers import (
    Bilinear,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Embedding,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Lambda,
    MultiHeadAttention,
    PixelShuffle,
    PositionalEmbedding,
    Reshape,
    Transpose,
)
from fnn.layers.linear.gated_linear import Gated
from fnn.layers.norm.batch_norm import BatchNorm
from fnn.layers.norm.group_norm import GroupNorm
from fnn.layers.pool.windowed import AvgPool, MaxPool
from fnn.layers.recurrent._recurrent import Recurrent

UNKNOWN = -1
"""There are spatial axes, but how many channels is not known."""

MIXED = -2
"""What was flattened was added to outputs of a dense layer, so that no order of rows is PyTorch's."""


class Channels:
    """What is known of the array between two layers, as a walk over the model goes on.

    ``last`` is the number of channels if there are spatial axes, which PyTorch has behind the channels, else ``None``;
    ``merged`` the same of axes that were flattened. ``rows`` and ``columns`` are what the walk finds: the channels in
    which the inputs and the outputs of a layer are ordered, by its path.
    """

    def __init__(self, x: Any = None) -> None:
        x = first_member(x)
        shape = getattr(x, "shape", None)
        self.last: int | None = UNKNOWN if x is None else None
        if shape is not None:
            self.last = shape[-1] if len(shape) >= 4 else None
        self.merged: int | None = None
        self.rows: dict[str, int] = {}
        self.columns: dict[str, int] = {}
        self._since_dense: list[str] = []

    def pass_through(self, path: str, layer: Layer, sizes: dict[str, tuple[int, ...]]) -> None:
        """Goes through a layer without layers inside, whose parameters and state have these shapes."""
        match layer:
            case Conv() | ConvTranspose() | DepthwiseConv():
                self._go(sizes["kernel"][-1])
            case Embedding() | PositionalEmbedding() | MultiHeadAttention() | Recurrent():
                self._go(None)
            case GlobalAvgPool() | GlobalMaxPool():
                self._go(None)
            case MaxPool() | AvgPool():
                self._go(UNKNOWN if self.last is None else self.last)
            case PixelShuffle():
                self._go(UNKNOWN if self.last else None)
            case Flatten():
                self.merged, self.last = self.last, None
            case Reshape():
                self._reshape(layer.shape)
            case Lambda() | Transpose():
                merged = self.merged if self.merged in (None, 1) else UNKNOWN
                self._go(None if self.last is None else UNKNOWN)
                self.merged = merged
            case Bilinear():
                if self.merged not in (None, 1):
                    self.rows[path] = self.merged if self.merged == MIXED else UNKNOWN
                self._go(None)
            case Dense() | Gated():
                self._dense(path, layer.features)
            case _ if sizes:
                self._vectors(path, layer, sizes)

    def _go(self, last: int | None) -> None:
        self.last, self.merged, self._since_dense = last, None, []

    def _dense(self, path: str, features: int) -> None:
        if self.merged not in (None, 1):
            self.rows[path] = self.merged
        self._go(None if self.last is None else features)
        self._since_dense = [path]

    def _vectors(self, path: str, layer: Layer, sizes: dict[str, tuple[int, ...]]) -> None:
        if self.last is not None and isinstance(layer, BatchNorm | GroupNorm):
            self.last = next(shape[0] for shape in sizes.values() if shape)
        if self.merged not in (None, 1):
            self.columns[path] = self.merged
        self._since_dense.append(path)

    def _reshape(self, shape: tuple[int, ...]) -> None:
        if len(shape) == 1:
            self.merged, self.last = self.last, None
            return
        if len(shape) >= 3 and (*shape,)[-1] > 0:
            self.columns.update(dict.fromkeys(self._since_dense, (*shape,)[-1]))
            self._go((*shape,)[-1])
        else:
            self._go(None if self.last is None else UNKNOWN)

    def branch(self) -> "Channels":
        """The same array for another branch; what that finds is found here."""
        return self.beside(self)

    def beside(self, other: "Channels") -> "Channels":
        """Another array of the same model; what is found behind it is found here."""
        found = Channels()
        found.last, found.merged, found._since_dense = other.last, other.merged, [*other._since_dense]
        found.rows, found.columns = self.rows, self.columns
        return found

    def follow(self, other: "Channels") -> None:
        """Goes on with another array."""
        self.last, self.merged, self._since_dense = other.last, other.merged, other._since_dense

    def join(self, branches: list["Channels"], concatenated: bool) -> None:
        """Goes on behind branches whose outputs are added, or concatenated."""
        lasts, flat = [each.last for each in branches], [each.merged for each in branches]
        self._go(next((last for last in lasts if last not in (None, UNKNOWN)), lasts[0]))
        self.merged = flat[0] if len(set(flat)) == 1 else MIXED
        if concatenated and len(branches) > 1:
            known = [each for each in lasts if each is not None]
            self.last = None if not known else UNKNOWN if UNKNOWN in known else sum(known)
            self.merged = None if all(each is None for each in flat) else UNKNOWN
