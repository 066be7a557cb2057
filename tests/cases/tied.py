"""Layers in another precision, and layers that share parameters."""

import jax.numpy as jnp

import fnn
from tests.cases.draws import indices, normal
from tests.cases.rows import LayerCase

THREE = fnn.Serial(a=fnn.Dense(4), b=fnn.Dense(4), c=fnn.Dense(4))
AUTOENCODER = fnn.Serial(encoder=fnn.Dense(3), tanh=fnn.Tanh(), decoder=fnn.Dense(5))
WORDS = fnn.Serial(symbols=fnn.Embedding(5, 3), body=fnn.Dense(3), out=fnn.Dense(5, use_bias=False))

LAYERS = (
    LayerCase("cast", fnn.Cast(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dropout(0.2)), "float64"), normal(4, 3)),
    LayerCase("cast of indices", fnn.Cast(fnn.Embedding(5, 3), "float64"), indices(5, 3, 2)),
    LayerCase(
        "tied, an autoencoder",
        fnn.Tied(AUTOENCODER, {"decoder/kernel": "encoder/kernel"}, transform="transpose"),
        normal(3, 5),
    ),
    LayerCase(
        "tied to an embedding",
        fnn.Tied(WORDS, {"out/kernel": "symbols/embedding"}, transform="transpose"),
        indices(5, 3, 2),
    ),
    LayerCase("tied layers, twice", fnn.Tied(THREE, {"b": "a", "c": "a"}), normal(3, 4)),
    LayerCase("tied by a function", fnn.Tied(THREE, {"b/kernel": "a/kernel"}, transform=jnp.sin), normal(3, 4)),
    LayerCase("tied inside repeat", fnn.Repeat(fnn.Tied(THREE, {"b": "a"}), 2), normal(3, 4)),
)
