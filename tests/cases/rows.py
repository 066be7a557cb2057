"""What a row of the table holds."""

import dataclasses
import zlib
from typing import Any

import numpy as np

from fnn.layer import Layer
from fnn.losses import Loss
from fnn.penalties import Penalty
from tests.cases.draws import Draw, off_zero


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """A layer, its input and what ``check_layer`` is told about it; ``large`` draws an input worth timing.

    A row is ``quick`` if it is part of the quick proof though not the first of its class.
    """

    name: str
    layer: Layer
    draw: Draw
    per_example: bool = True
    forward_mode: bool = True
    finite: bool = True
    large: Draw | None = None
    quick: bool = dataclasses.field(default=False, repr=False)

    @property
    def kind(self) -> type:
        return type(self.layer)

    def input(self) -> Any:
        return self.draw(np.random.default_rng(zlib.crc32(self.name.encode())))


@dataclasses.dataclass(frozen=True)
class LossCase:
    """A loss with its prediction, target and, if not one an example, weights; and what ``check_loss`` is told."""

    name: str
    loss: Loss
    draw: Draw
    additive: bool = True
    finite: bool = True
    quick: bool = dataclasses.field(default=False, repr=False)

    @property
    def kind(self) -> type:
        return type(self.loss)

    def batch(self) -> tuple:
        return self.draw(np.random.default_rng(zlib.crc32(self.name.encode())))


@dataclasses.dataclass(frozen=True)
class PenaltyCase:
    """A penalty; the parameters are those of ``params``."""

    name: str
    penalty: Penalty
    quick: bool = dataclasses.field(default=False, repr=False)

    @property
    def kind(self) -> type:
        return type(self.penalty)

    def params(self) -> dict[str, Any]:
        draw = np.random.default_rng(zlib.crc32(self.name.encode()))
        dense = {"kernel": off_zero(3, 2)(draw), "bias": off_zero(2)(draw)}
        return {"dense_0": dense, "lstm_0": {"recurrent_kernel": off_zero(2, 3)(draw)}, "scale": off_zero(2)(draw)}
