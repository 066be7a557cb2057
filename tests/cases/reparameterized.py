"""Layers that run at parameters made from others."""

import math
from typing import Any

import jax
import jax.numpy as jnp

import fnn
from tests.cases.draws import normal
from tests.cases.rows import LayerCase


def two(**options: Any) -> fnn.Serial:
    return fnn.Serial(fnn.Dense(4, **options), fnn.Tanh(), head=fnn.Dense(2, use_bias=False, **options))


def spread(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """A kernel with singular values near 1, 4, 16, …: an iteration takes the error to a sixteenth."""
    *rest, features = shape
    matrix = jnp.eye(math.prod(rest), features, dtype=dtype) * 4.0 ** jnp.arange(features, dtype=dtype)[None]
    noise = jax.random.normal(key, matrix.shape, jnp.float32).astype(dtype)
    return ((matrix + 0.1 * noise) / 4.0**features).reshape(shape)


# So many iterations converge, and a vector that does not move when its kernel does has the slope of a constant one.
MANY = 30
SPREAD: dict[str, Any] = {"kernel_init": spread}

LAYERS = (
    LayerCase("drop connect", fnn.DropConnect(fnn.Dense(3), 0.3), normal(3, 4)),
    LayerCase("drop connect of nothing", fnn.DropConnect(fnn.Dense(3), 0.0), normal(3, 4)),
    LayerCase("drop connect of a convolution", fnn.DropConnect(fnn.Conv(2, 3), 0.5), normal(2, 4, 3)),
    LayerCase("drop connect of two", fnn.DropConnect(two(), 0.3), normal(3, 4)),
    LayerCase(
        "drop connect in repeat and remat", fnn.Repeat(fnn.Remat(fnn.DropConnect(fnn.Dense(3), 0.3)), 2), normal(2, 3)
    ),
    LayerCase("drop connect of remat", fnn.DropConnect(fnn.Remat(fnn.Dense(3)), 0.3), normal(2, 3)),
    LayerCase(
        "drop connect of state and noise",
        fnn.Serial(fnn.DropConnect(fnn.Serial(fnn.Dense(3), fnn.BatchNorm(), fnn.Dropout(0.3)), 0.3)),
        normal(5, 3),
    ),
    LayerCase("weight norm", fnn.WeightNorm(fnn.Dense(3)), normal(3, 4)),
    LayerCase("weight norm of a convolution", fnn.WeightNorm(fnn.Conv(2, (2, 3))), normal(2, 3, 4, 2)),
    LayerCase("weight norm of two", fnn.WeightNorm(two()), normal(3, 4)),
    LayerCase("weight norm in repeat and remat", fnn.Repeat(fnn.Remat(fnn.WeightNorm(fnn.Dense(3))), 2), normal(2, 3)),
    LayerCase("weight norm of state", fnn.WeightNorm(fnn.Serial(fnn.BatchNorm(), fnn.Dense(3))), normal(5, 3)),
    LayerCase("weight norm of drop connect", fnn.WeightNorm(fnn.DropConnect(fnn.Dense(3), 0.3)), normal(3, 4)),
    LayerCase("spectral norm", fnn.SpectralNorm(fnn.Dense(3, **SPREAD), iterations=MANY), normal(3, 4)),
    LayerCase(
        "spectral norm of a convolution", fnn.SpectralNorm(fnn.Conv(2, 3, **SPREAD), iterations=MANY), normal(2, 4, 2)
    ),
    LayerCase("spectral norm of two", fnn.SpectralNorm(two(**SPREAD), iterations=MANY), normal(3, 4)),
    LayerCase(
        "spectral norm in repeat and remat",
        fnn.Repeat(fnn.Remat(fnn.SpectralNorm(fnn.Dense(3, **SPREAD), iterations=MANY)), 2),
        normal(2, 3),
    ),
    LayerCase(
        "spectral norm of state and noise",
        fnn.Serial(
            fnn.SpectralNorm(
                fnn.Serial(fnn.Dense(3, **SPREAD), fnn.BatchNorm(), fnn.Dropout(0.3)), iterations=MANY, epsilon=1e-6
            )
        ),
        normal(5, 3),
    ),
)
