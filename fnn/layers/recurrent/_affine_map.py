"""The affine maps inside a recurrent layer: a product with a kernel, standardised and scaled or not, plus a bias.

Forward:   a = v K;   p = a + b,  or with layer normalisation  p = s ⊙ â + b,  â = (a − μ) r over the features of a
Backward:  da = dp,  or with dâ = s ⊙ dp  da = r (dâ − mean(dâ) − â · mean(dâ ⊙ â));  dv = da Kᵀ
           dK = Σ vᵀ da,  ds = Σ dp ⊙ â,  db = Σ dp,  summed over all leading axes

Products and sums accumulate in at least float32. ε is 1e-5.

Source: Ba, Kiros and Hinton 2016, eq. 4 and the supplementary equations of its recurrent networks.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from fnn.layer import Params, wide_dtype
from fnn.layers._rows import product_of_rows, sum_of_rows, times
from fnn.layers.norm._scaled import row
from fnn.layers.norm._standardize import (
    inverse_root,
    moments,
    normalized,
    rows_of,
    standardize_backward,
    sums_over_positions,
)

EPSILON = 1e-5

KernelGradient = Callable[[jax.Array, jax.Array], Any]
"""``kernel_gradient(v, da)``: what stands for dK in a layer's gradients; Σ vᵀ da itself is ``summed_product``."""


class Standardized(NamedTuple):
    """â and r of some products."""

    normal: jax.Array
    inverse: jax.Array


class AffineMap(NamedTuple):
    """A map by the names of its K (D, F), s (F,) and b (F,) in ``weights``; s and b may be absent there."""

    kernel: str
    scale: str = ""
    bias: str = ""

    def without_bias(self, weights: Params, v: jax.Array) -> jax.Array:
        """p − b, in at least float32."""
        norm = self.standardized(weights, v)
        if norm is None:
            return product(v, weights[self.kernel])
        return norm.normal * row(weights[self.scale], norm.normal)

    def with_bias(self, weights: Params, p: jax.Array) -> jax.Array:
        """p from p − b, a step at a time: for all steps at once the sum would be one more array of them."""
        return p + row(weights[self.bias], p) if self.bias in weights else p

    def standardized(self, weights: Params, v: jax.Array) -> Standardized | None:
        """â and r, or ``None`` without layer normalisation."""
        if self.scale not in weights:
            return None
        a = product(v, weights[self.kernel])
        sets = rows_of(a.shape).merged(a)
        mean, var = moments(sets.of(a), sets)
        inverse = inverse_root(var, EPSILON)
        normal = normalized(sets.of(a), mean, inverse)
        return Standardized(normal.reshape(a.shape), inverse.reshape(*a.shape[:-1], 1))

    def product_delta(self, weights: Params, norm: Standardized | None, dp: jax.Array) -> jax.Array:
        """da from dp."""
        if norm is None:
            return dp
        sets = rows_of(dp.shape).merged(dp)
        viewed, normal, inverse = sets.of(dp), sets.of(norm.normal), norm.inverse.reshape(sets.statistic)
        sums = sums_over_positions(viewed, normal, sets)
        scale = row(weights[self.scale], viewed)
        return standardize_backward(viewed, normal, inverse, scale, sums, sets).reshape(dp.shape)

    def gradients(
        self,
        weights: Params,
        norm: Standardized | None,
        v: jax.Array,
        dp: jax.Array,
        kernel_gradient: KernelGradient,
    ) -> tuple[Params, jax.Array]:
        """The gradients of K, by ``kernel_gradient(v, da)``, and of s and b, if there are any, by name; and da."""
        dtype = v.dtype
        dp = dp.astype(wide_dtype(dtype))
        da = self.product_delta(weights, norm, dp)
        gradients = {self.kernel: kernel_gradient(v, da.astype(dtype))}
        if norm is not None:
            gradients[self.scale] = sum_of_rows(dp * norm.normal).astype(dtype)
        if self.bias in weights:
            gradients[self.bias] = sum_of_rows(dp).astype(dtype)
        return gradients, da


INPUT = AffineMap("kernel", "input_scale", "bias")
RECURRENT = AffineMap("recurrent_kernel", "recurrent_scale", "recurrent_bias")


def summed_product(v: jax.Array, da: jax.Array) -> jax.Array:
    """Σ vᵀ da over all leading axes, in the dtype of v, accumulated in at least float32."""
    return product_of_rows(v, da, accumulated=wide_dtype(v.dtype)).astype(v.dtype)


def product(v: jax.Array, kernel: jax.Array) -> jax.Array:
    """v K over the last axis of v, in at least float32."""
    return times(v.astype(kernel.dtype), kernel, accumulated=wide_dtype(kernel.dtype))
