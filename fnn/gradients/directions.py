"""Along which directions a leaf is probed: every entry of a small one, random unit vectors for a large one.

One directional derivative costs one evaluation, and all that it says about a gradient g is ⟨g, u⟩. For unit vectors u
drawn uniformly in n dimensions E⟨e, u⟩² = ‖e‖²/n, so that from K of them

    ‖e‖² ≈ (n/K) Σₖ ⟨e, uₖ⟩²

is an unbiased estimate of the error of a whole leaf: errors from directions and from entries are on one scale. A fault
that touches no direction cannot hide, as no fixed e is orthogonal to random vectors; with K = 8 the estimate of ‖e‖ is
below a fifth of it in fewer than one of ten thousand draws.
"""

import dataclasses
import math
import zlib
from functools import cached_property

import numpy as np


@dataclasses.dataclass(frozen=True)
class Directions:
    """The directions of one leaf: its entries if it has at most ``entrywise``, else ``count`` random unit vectors.

    The vectors depend on ``seed`` and the path alone.
    """

    path: str
    shape: tuple[int, ...]
    entrywise: int
    count: int
    seed: int

    @property
    def size(self) -> int:
        """The entries of the leaf, n."""
        return math.prod(self.shape)

    @property
    def every_entry(self) -> bool:
        """Whether the directions are the entries."""
        return self.size <= self.entrywise

    @property
    def reach(self) -> float:
        """How far to go along a direction to move an entry by 1: a unit vector moves each of the n by 1/√n."""
        return 1.0 if self.every_entry else math.sqrt(self.size)

    def __len__(self) -> int:
        return self.size if self.every_entry else self.count

    @cached_property
    def _random(self) -> np.ndarray:
        generator = np.random.default_rng([self.seed, zlib.crc32(self.path.encode())])
        vectors = generator.normal(size=(self.count, self.size))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def __getitem__(self, k: int) -> np.ndarray:
        """The k-th direction, of the shape of the leaf and length 1."""
        if not self.every_entry:
            return self._random[k].reshape(self.shape)
        vector = np.zeros(self.size)
        vector[k] = 1
        return vector.reshape(self.shape)

    def along(self, gradient: np.ndarray) -> np.ndarray:
        """⟨g, uₖ⟩ for every k."""
        flat = gradient.astype(np.float64).ravel()
        return flat if self.every_entry else self._random @ flat

    def scaled(self, along: np.ndarray) -> np.ndarray:
        """These derivatives on the scale of the vector's norm."""
        count = 1 if self.every_entry else max(len(along), 1)
        return along * (self.reach / math.sqrt(count))

    def norm(self, along: np.ndarray) -> float:
        """The norm of the vector with these derivatives: exact from entries, estimated from random directions."""
        return float(np.linalg.norm(self.scaled(along)))
