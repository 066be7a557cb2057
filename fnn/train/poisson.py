"""Poisson samples: batches that every sample enters by itself, with one probability."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import positive
from fnn.layer import named_key
from fnn.objective import unpacked
from fnn.train.data import Plan, Stretch, samples

RARE = 1e-10
"""The probability that a batch has no room for its sample, as a share of δ."""


@dataclasses.dataclass(frozen=True)
class Poisson:
    """How batches are drawn from ``samples`` samples: ``expected`` of them on average, ``room`` at most.

    A draw that finds no room drops its last samples.
    """

    samples: int
    expected: int
    room: int

    @property
    def rate(self) -> float:
        """The probability of every sample, exactly as it is drawn: a uniform float32 is a multiple of 2⁻²³."""
        return math.ceil(self.expected / self.samples * 2**23) / 2**23

    @property
    def plan(self) -> Plan:
        """An epoch: as many steps as draw each sample once on average."""
        return Plan(self.room, max(1, round(self.samples / self.expected)), 0)

    def stretch(self, data: tuple, key: jax.Array) -> Stretch:
        """The steps of the epoch with this key."""
        return Stretch(Drawn(data, named_key(key, "sample"), 0, self), 0, self.plan.steps)  # type: ignore[arg-type]


def poisson(samples: int, expected: int, delta: float) -> Poisson:
    """The sampling with room for a batch but for ``RARE`` · ``delta`` of all draws.

    >>> poisson(60_000, 256, 1e-5)
    Poisson(samples=60000, expected=256, room=393)
    """
    from scipy.stats import binom  # as slow to import as JAX's own, which has it

    positive("batch_size", expected)
    if expected > samples:
        raise ValueError(
            f"batch_size is an expected number of samples, at most the {samples} there are, got {expected}"
        )
    room = int(binom.isf(RARE * delta, samples, min(1.0, expected / samples + 2.0**-23)))
    return Poisson(samples, expected, min(samples, room))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Drawn:
    """Poisson samples as ``Batches``: padded to their room with samples of weight 0."""

    data: tuple
    key: jax.Array
    first: Any
    sampling: Poisson = dataclasses.field(metadata={"static": True})

    @property
    def size(self) -> int:
        """The room of a batch."""
        return self.sampling.room

    def of(self, step: Any) -> tuple:
        """The batch of a step."""
        count, room = samples(self.data), self.sampling.room
        uniform = jax.random.uniform(jax.random.fold_in(self.key, step), (count,), jnp.float32)
        taken = uniform < np.float32(self.sampling.rate)
        places = jnp.flatnonzero(taken, size=room, fill_value=0)
        used = jnp.arange(room) < taken.sum()
        inputs, targets, weights = unpacked(jax.tree.map(lambda leaf: jnp.take(leaf, places, axis=0), self.data))

        def counted(weights: jax.Array | None) -> jax.Array:
            if weights is None:
                return used.astype(jnp.float32)
            return jnp.where(used.reshape(room, *(1,) * (weights.ndim - 1)), weights, 0)

        if isinstance(weights, dict):  # by output: one that has none needs them now
            return inputs, targets, {name: counted(weights.get(name)) for name in targets}
        return inputs, targets, counted(weights)
