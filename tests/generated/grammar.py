"""How models are drawn.

    model   = leaf | serial of models | residual | parallel | repeat | remat
    keeping = the same, of parts that keep the shape they are given

Residuals, sums, products and repeats are made of keeping parts, with a dense layer behind them where a shortcut or a
joined branch may have another size.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
from hypothesis import strategies as st

import fnn
from fnn.layer import Layer
from tests.generated.leaves import Shape, gathered

DEPTH = 6
"""The depth of a model: combinators within combinators, leaves included."""

LEAVES = gathered()


@dataclasses.dataclass(frozen=True)
class Case:
    """A model and how its input is drawn; of indices below ``vocabulary`` if it has one."""

    model: Layer
    shape: Shape
    seed: int
    train: bool
    vocabulary: int = 0

    def input(self) -> np.ndarray:
        draw = np.random.default_rng(self.seed)
        return draw.integers(0, self.vocabulary, self.shape) if self.vocabulary else draw.standard_normal(self.shape)


@functools.lru_cache(maxsize=4096)
def output_shape(layer: Layer, shape: Shape, dtype: str = "float32") -> Shape:
    """What a layer makes of a shape."""
    x = jax.ShapeDtypeStruct(shape, dtype)
    params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    return jax.eval_shape(lambda p, s, x: layer.apply(p, s, x)[0], params, state, x).shape


@st.composite
def cases(draw: st.DrawFn, deepest: int = DEPTH) -> Case:
    rank = draw(st.integers(2, 4))
    shape = (draw(st.integers(2, 3)), *(draw(st.integers(2, 4)) for _ in range(rank - 2)), draw(st.integers(1, 4)))
    depth, vocabulary = draw(st.integers(1, deepest)), 0
    if rank < 4 and draw(st.integers(0, 7)) == 7:
        vocabulary, embedding = 5, fnn.Embedding(5, draw(st.integers(1, 4)))
        shape = shape[:-1]
        model = fnn.Serial(embedding, draw(models((*shape, embedding.features), depth - 1, False)))
    else:
        model = draw(models(shape, depth, False))
    return Case(model, shape, draw(st.integers(0, 2**32 - 1)), draw(st.booleans()), vocabulary)


@st.composite
def models(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    """A model for inputs of a shape: one layer, or combinators no deeper than ``depth``."""
    kinds = [leaves, serials, serials, residuals, parallels, remats]
    # The choice is drawn where there is none too, so that a failing model shrinks to a part of itself.
    kind = kinds[draw(st.integers(0, len(kinds) - 1 if depth > 1 else 0))]
    return draw(kind(shape, depth, keep))


@st.composite
def leaves(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    leaf = draw(st.sampled_from([leaf for leaf in LEAVES if leaf.fits(shape, keep)]))
    return leaf.make(draw, shape, keep)


@st.composite
def serials(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    layers: list[Any] = []
    for _ in range(draw(st.integers(0 if keep else 1, 3))):
        layers.append(draw(models(shape, depth - 1, keep)))
        shape = output_shape(layers[-1], shape)
    return fnn.Serial(*layers)


@st.composite
def residuals(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    inner = draw(models(shape, depth - 1, True))
    if draw(st.booleans()):
        return fnn.Residual(inner)
    features = shape[-1] if keep else draw(st.integers(1, 4))
    return fnn.Residual(fnn.Serial(inner, fnn.Dense(features)), fnn.Dense(features))


@st.composite
def parallels(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    merge = draw(st.sampled_from(["sum", "multiply"] if keep else ["sum", "multiply", "concatenate"]))
    branches: list[Any] = [draw(models(shape, depth - 1, True)) for _ in range(draw(st.integers(1, 3)))]
    if merge == "concatenate":
        branches[0] = fnn.Serial(branches[0], fnn.Dense(draw(st.integers(1, 4))))
    return fnn.Parallel(*branches, merge=merge)  # type: ignore[arg-type]


@st.composite
def remats(draw: st.DrawFn, shape: Shape, depth: int, keep: bool) -> Layer:
    if draw(st.booleans()):
        return fnn.Remat(draw(models(shape, depth - 1, keep)))
    return fnn.Repeat(draw(models(shape, depth - 1, True)), draw(st.integers(1, 3)))
