"""A coin."""

import jax
import jax.numpy as jnp
import numpy as np


def coin(key: jax.Array, probability: float) -> jax.Array:
    """True with this probability; drawn in float32, so that it is the same in every precision."""
    return jax.random.bernoulli(key, jnp.asarray(probability, np.float32))
