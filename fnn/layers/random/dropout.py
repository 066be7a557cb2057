"""Dropout of units."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import floating_array, output_gradient
from fnn.guards.ranges import FRACTION, Range, is_number, keep_in_range
from fnn.layer import Cache, Layer, Params, State, is_training, required_key

DROPPED = Range("the fraction dropped and lies in [0, 1)", FRACTION.holds)


@dataclasses.dataclass(frozen=True)
class Dropout(Layer, name="dropout"):
    """In training, sets each entry to 0 with probability ``rate`` and scales the survivors; else the identity.

    Forward:   y = m ⊙ x / (1 − rate),  m ~ Bernoulli(1 − rate)
    Backward:  dx = m ⊙ dy / (1 − rate)

    Cache:   ``mask`` m, boolean, in training; else nothing
    Shapes:  any → the same, any floating dtype, kept

    The mask is drawn with a float32 probability, so that it is the same in every precision. ``rate`` may be a traced
    scalar (to sweep over it); one outside [0, 1) makes the output NaN.

    Errors: ``ValueError`` for a rate outside [0, 1), and for training without a key unless the rate is 0.

    >>> Dropout(0.5).apply({}, {}, jnp.ones(6), train=True, key=jax.random.key(0))[0].tolist()
    [0.0, 0.0, 2.0, 2.0, 0.0, 2.0]

    Source: Srivastava et al. 2014, with the scaling in training (inverted dropout).
    """

    rate: float

    over_time = "each step"

    def __post_init__(self) -> None:
        keep_in_range(self, rate=DROPPED)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        if not drops(self.rate) or not is_training(train):
            return x, state, {}
        keep = 1 - self.rate
        mask = jax.random.bernoulli(required_key(self, key), jnp.asarray(keep, np.float32), x.shape)
        return self._masked(mask, x), state, {"mask": mask}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        if "mask" not in cache:
            return {}, dy
        return {}, self._masked(cache["mask"], output_gradient(dy, cache["mask"].shape))

    def _masked(self, mask: jax.Array, x: jax.Array) -> jax.Array:
        keep = jnp.asarray(1 - self.rate, x.dtype)
        # A traced rate of NaN drops everything; 0 · keep, otherwise 0, makes the output NaN.
        return jnp.where(mask, x / keep, 0 if is_number(self.rate) else 0 * keep)


def drops(rate: Any) -> bool:
    """Whether dropout at this rate does anything; true for a traced rate, whose value is unknown."""
    return not is_number(rate) or rate != 0
