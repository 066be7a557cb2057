"""The four networks that are trained, and what a step of any library is here."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LEARNING_RATE = 1e-3
"""Adam's, in every library."""


class Step(NamedTuple):
    """A training step: ``advance(learned, *batch) -> (learned, loss)``, from ``start``.

    ``learned`` is what training changes; PyTorch changes it in place and returns it.
    """

    advance: Callable[..., tuple[Any, Any]]
    start: Any
    batch: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Transformer:
    """A causal language model of pre-norm blocks: embedding, learned positions, blocks, norm, dense; exact GELU."""

    blocks: int = 4
    features: int = 128
    heads: int = 4
    length: int = 128
    batch: int = 16
    vocabulary: int = 96

    def data(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Symbols and the symbols that follow them, each (N, T)."""
        symbols = random.integers(0, self.vocabulary, (self.batch, self.length + 1)).astype(np.int32)
        return symbols[:, :-1], symbols[:, 1:]


@dataclasses.dataclass(frozen=True)
class Perceptron:
    """Dense layers with ReLU between them."""

    layers: int = 9
    width: int = 128
    batch: int = 64

    def data(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (N, D) and labels (N,)."""
        labels = random.integers(0, self.width, self.batch).astype(np.int32)
        return random.standard_normal((self.batch, self.width), np.float32), labels


@dataclasses.dataclass(frozen=True)
class Convolutional:
    """Two 3×3 convolutions, each with batch norm, ReLU and a 2×2 max pool; a hidden dense layer and the classes."""

    size: int = 28
    channels: tuple[int, int] = (32, 64)
    hidden: int = 128
    classes: int = 10
    batch: int = 64

    def data(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images (N, H, W, 1) and labels (N,)."""
        labels = random.integers(0, self.classes, self.batch).astype(np.int32)
        return random.standard_normal((self.batch, self.size, self.size, 1), np.float32), labels


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """An LSTM whose last output is classified by a dense layer."""

    features: int = 128
    inputs: int = 64
    length: int = 100
    classes: int = 10
    batch: int = 32

    def data(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Sequences (N, T, D) and labels (N,)."""
        labels = random.integers(0, self.classes, self.batch).astype(np.int32)
        return random.standard_normal((self.batch, self.length, self.inputs), np.float32), labels


Network = Transformer | Perceptron | Convolutional | Recurrent
