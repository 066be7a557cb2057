"""The rule that reports a parameter's gradient as a ``Contribution``, layer by layer; dx is unchanged.

A layer that contains layers but is not a combinator (attention, gated units, ``FeedForward``) offers ``fold``; one with
products of its own offers ``gradients``, its backward with the products left open. Any other layer, and a subclass with
a backward of its own, reports its gradients in full. To say how those of your own layer factor, register its class:

    @factors.register(MyLayer)
    def _(layer, cache, dy):
        return {"kernel": Outer(x, dy, kernel.shape)}, dx
"""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import backprop
from fnn.calls import backward_of
from fnn.combinators.feed_forward import FeedForward
from fnn.errors import is_floating
from fnn.layer import Cache, Layer
from fnn.layers._rows import rows
from fnn.layers.attention._head_projection import HeadProjection
from fnn.layers.attention.multi_head_attention import MultiHeadAttention
from fnn.layers.attention.positions import PositionalEmbedding
from fnn.layers.conv.conv import Convolution
from fnn.layers.conv.depthwise_conv import DepthwiseConv
from fnn.layers.linear.bilinear import Bilinear
from fnn.layers.linear.dense import Dense
from fnn.layers.linear.embedding import Embedding
from fnn.layers.linear.gated_linear import Gated
from fnn.layers.recurrent._recurrent import Recurrent
from fnn.layers.recurrent.feedback_rnn import FeedbackRNN
from fnn.paths import join
from fnn.rules._rows import OneHot
from fnn.rules.contributions import is_contribution
from fnn.rules.outer import Outer
from fnn.rules.slid import Slid
from fnn.rules.whole import Whole

FOLDS = (MultiHeadAttention, Gated, FeedForward)
"""Layers that contain layers but are not combinators."""


def factored(path: str, layer: Layer, cache: Cache, dy: Any, *, quiet: bool = False) -> tuple[Any, Any]:
    """The rule: every leaf of the report is a contribution. ``quiet``: for a batch as a whole, of which a gradient in
    full is no larger than usual, so that no warning says so."""
    if _is_known(layer, FOLDS):

        def visit(name: str, child: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            return backprop(
                child, cache, dy, lambda below, *rest: factored(join(path, name, below), *rest, quiet=quiet)
            )

        return layer.fold(cache, dy, visit)  # type: ignore[attr-defined]
    if _is_known(layer, tuple(factors.registry)[1:]):  # the first is object, for all others
        report, dx = factors(layer, cache, dy)
    else:
        report, dx = backward_of(layer, cache, dy)
        if not quiet:
            _warn_if_large(path, layer, report, dy)

    def whole(leaf: Any) -> Any:
        return leaf if is_contribution(leaf) else Whole(leaf) if is_floating(leaf) else None

    return jax.tree.map(whole, report, is_leaf=is_contribution), dx


@functools.singledispatch
def factors(layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
    """``(report, dx)`` of a layer of a registered class: its parameters' gradients, as contributions or in full."""
    raise NotImplementedError(f"nothing says how the gradients of {layer!r} factor")


def _is_known(layer: Layer, classes: tuple[type, ...]) -> bool:
    """Whether what is known of one of the classes holds for the layer: it inherits that class's backward."""
    kind = type(layer)
    nearest = next((each for each in kind.__mro__ if each in classes), None)
    return nearest is not None and kind.backward is nearest.backward  # type: ignore[attr-defined]


def _warn_if_large(path: str, layer: Layer, report: Any, dy: Any) -> None:
    """Warns if a gradient that is formed for every example is larger than the layer's own delta."""
    deltas = sum(leaf.size for leaf in jax.tree.leaves(dy))
    if any(leaf.size > deltas for leaf in jax.tree.leaves(report)):
        warnings.warn(
            f"in {path or 'the model'}: the gradients of {layer!r} are formed in full for every example, since nothing"
            f" says how they factor; fnn/rules/factored.py shows how to say it",
            stacklevel=2,
        )


@factors.register(Dense)
@factors.register(HeadProjection)
@factors.register(Recurrent)
def _(layer: Any, cache: Cache, dy: Any) -> tuple[Any, Any]:
    return layer.gradients(cache, dy, _outer)


@factors.register(FeedbackRNN)
def _(layer: FeedbackRNN, cache: Cache, dy: Any) -> tuple[Any, Any]:
    # Without some of its recurrent weights a kernel's gradient has holes, and is no product.
    every = layer.lateral and layer.self_feedback
    return layer.gradients(cache, dy, _outer) if every else layer.backward(cache, dy)


@factors.register(Convolution)
@factors.register(DepthwiseConv)
def _(layer: Any, cache: Cache, dy: Any) -> tuple[Any, Any]:
    return layer.gradients(cache, dy, Slid)


@factors.register(Bilinear)
def _(layer: Bilinear, cache: Cache, dy: Any) -> tuple[Any, Any]:
    def products(first: jax.Array, second: jax.Array, dy: jax.Array) -> Outer:
        left = (first[:, :, None] * second[:, None, :]).reshape(len(first), -1)
        return Outer(left, dy, (first.shape[-1], second.shape[-1], dy.shape[-1]))

    return layer.gradients(cache, dy, products)


@factors.register(Embedding)
def _(layer: Embedding, cache: Cache, dy: Any) -> tuple[Any, Any]:
    index = OneHot(cache["x"].reshape(-1), layer.vocabulary)
    return {"embedding": Outer(index, rows(dy), (layer.vocabulary, layer.features))}, None


@factors.register(PositionalEmbedding)
def _(layer: PositionalEmbedding, cache: Cache, dy: Any) -> tuple[Any, Any]:
    index = OneHot(jnp.arange(dy.shape[1]), layer.length)
    return {"embedding": Outer(index, dy.sum(0), (layer.length, dy.shape[-1]))}, dy


def _outer(x: jax.Array, dy: jax.Array) -> Outer:
    return Outer(rows(x), rows(dy), (x.shape[-1], dy.shape[-1]))
