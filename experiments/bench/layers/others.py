"""Dense layers, activations, pools and embeddings."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax

import fnn
from experiments.bench.layers.case import Case, Function


def gelu(x: jax.Array) -> jax.Array:
    """The exact one."""
    return nn.gelu(x, approximate=False)


def average_of_nine(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (3, 3), (2, 2))


def maximum_of_nine(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def average_of_four(x: jax.Array) -> jax.Array:
    return nn.avg_pool(x, (2, 2), (2, 2))


def maximum_of_four(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (2, 2), (2, 2))


def softmax(x: jax.Array) -> jax.Array:
    return nn.softmax(x)


CASES: tuple[Any, ...] = (
    Case("Gelu", fnn.Gelu(), (4096, 1024), Function(gelu)),
    Case("AvgPool 3×3 stride 2", fnn.AvgPool(3, strides=2), (32, 56, 56, 32), Function(average_of_nine)),
    Case("MaxPool 3×3 stride 2", fnn.MaxPool(3, strides=2), (32, 56, 56, 32), Function(maximum_of_nine)),
    Case("MaxPool 2×2", fnn.MaxPool(2), (64, 28, 28, 32), Function(maximum_of_four)),
    Case("AvgPool 2×2", fnn.AvgPool(2), (64, 28, 28, 32), Function(average_of_four)),
    Case("Dense→512", fnn.Dense(512), (1024, 512), nn.Dense(512)),
    Case("Embedding 10000×256", fnn.Embedding(10_000, 256), (32, 128), nn.Embed(10_000, 256), indices=10_000),
    Case("Softmax", fnn.Softmax(), (4096, 512), Function(softmax)),
)
