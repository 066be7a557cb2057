"""Backpropagation without the transposed weights: what a kernel passes back goes through another matrix."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import own_backward
from fnn.errors import describe, is_floating
from fnn.initializers import Initializer, LecunNormal
from fnn.layer import Cache, Layer, named_key, wide_dtype
from fnn.layers.conv.conv import Convolution
from fnn.layers.conv.depthwise_conv import DepthwiseConv
from fnn.layers.linear.dense import Dense
from fnn.ruled import Replaced

WITH_KERNEL = (Dense, Convolution, DepthwiseConv)
"""Layers with one kernel, whose dx is linear in it and whose own gradient does not depend on it."""


@dataclasses.dataclass(frozen=True)
class FeedbackAlignment(Replaced):
    """A fixed random matrix B passes deltas back in the place of the kernel W.

    Forward:   y = x W + b
    Backward:  dW = xᵀ dy,  db = Σ dy,  dx = dy Bᵀ

    for a rule of an ``Objective``, at dense layers and convolutions of every kind (whose dx is the adjoint with B as
    the kernel). B has the shape of W, is drawn by ``feedback_init`` from ``seed`` and the layer's path, and never
    changes; the layers of a ``Repeat``, which have one path, share it.

    Errors: ``ValueError`` for any other layer, named by its path.

    >>> import fnn
    >>> model = fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(2))
    >>> plain = fnn.Objective(model, fnn.CrossEntropy())
    >>> ruled = fnn.Objective(model, fnn.CrossEntropy(), rules={"dense_1": FeedbackAlignment()})
    >>> batch = jnp.ones((3, 5)), jnp.array([0, 1, 1])
    >>> params, state = plain.init(jax.random.key(0), batch[0])
    >>> (_, exact), (_, found) = (each.value_and_grad(params, state, batch) for each in (plain, ruled))
    >>> [bool((exact[name]["kernel"] == found[name]["kernel"]).all()) for name in ("dense_0", "dense_1")]
    [False, True]

    Source: Lillicrap et al. 2016.
    """

    _: dataclasses.KW_ONLY
    feedback_init: Initializer = LecunNormal()
    seed: int = 0

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        kernel = _kernel(self, layer, cache)
        matrix = self.feedback_init(_fixed_key(self.seed, path), kernel.shape, kernel.dtype)
        return own_backward(path, layer, {**cache, "kernel": matrix}, dy)


@dataclasses.dataclass(frozen=True)
class SignSymmetry(Replaced):
    """Only the signs of the kernel W pass deltas back, all with one size.

    Backward:  dx = dy (s sign W)ᵀ,  s = mean |W|, which brings s sign W closest to W if no weight is 0;  dW, db as
               ever

    at the layers of ``FeedbackAlignment``.

    Errors: ``ValueError`` for any other layer, named by its path.

    Source: Liao, Leibo and Poggio 2016 (uniform sign-concordant feedback).
    """

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        kernel = _kernel(self, layer, cache)
        size = jnp.abs(kernel).mean(dtype=wide_dtype(kernel.dtype)).astype(kernel.dtype)
        return own_backward(path, layer, {**cache, "kernel": size * jnp.sign(kernel)}, dy)


@dataclasses.dataclass(frozen=True)
class DirectFeedbackAlignment(Replaced):
    """The error at the model's outputs comes to every layer directly, through a fixed random matrix.

    Backward:  dx = e B,  e = ∂loss/∂outputs of the whole model, an example a row;  dparams as ever

    at any layer whose input is one floating array. An example's error (E numbers, all axes but the first) gives the
    delta of its input (D numbers): B is (E, D), normal with variance 1/E, drawn from ``seed`` and the layer's path.
    Give the rule to the layers whose inputs are hidden: ``"dense_*"``, say, where the activation between two of them
    multiplies e B by its own slope.

    Errors: ``ValueError`` for outputs that are not one floating array, and for inputs of another number of examples.

    Source: Nøkland 2016, eq. 8.
    """

    seed: int = 0

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        report, dx = own_backward(path, layer, cache, dy)
        alone = all(hasattr(each, "shape") and is_floating(each) for each in (dx, error))
        if not alone or dx.shape[:1] != error.shape[:1] or not dx.shape:
            raise ValueError(
                f"DirectFeedbackAlignment leads the error of the outputs, {describe(error)}, to an input with as many"
                f" examples on its first axis, got {describe(dx)}"
            )
        flat = error.reshape(len(error), math.prod(error.shape[1:])).astype(dx.dtype)
        shape = flat.shape[1], math.prod(dx.shape[1:])
        matrix = jax.random.normal(_fixed_key(self.seed, path), shape, dx.dtype) / math.sqrt(max(shape[0], 1))
        return report, (flat @ matrix).reshape(dx.shape)


def _fixed_key(seed: int, path: str) -> jax.Array:
    return named_key(jax.random.key(seed), f"feedback of {path}")


def _kernel(rule: Replaced, layer: Layer, cache: Cache) -> jax.Array:
    if not isinstance(layer, WITH_KERNEL):
        raise ValueError(
            f"{type(rule).__name__} replaces the kernel that a dense layer or a convolution passes deltas back through,"
            f" got {layer!r}"
        )
    return cache["kernel"]
