"""The affine maps inside a recurrent layer: a product with a kernel, standardised and scaled or not, plus a bias.

Forward:   a = v K;   p = a + b,  or with layer normalisation  p = s ⊙ â + b,  â = (a − μ) r over the features of a
Backward:  da = dp,  or with dâ = s ⊙ dp  da = r (dâ − mean(dâ) − â · mean(dâ ⊙ â));  dv = da Kᵀ
           dK = Σ vᵀ da,  ds = Σ dp ⊙ â,  db = Σ dp,  summed over all leading axes

Products and sums accumulate in at least float32. ε is 1e-5.

Source: Ba, Kiros and Hinton 2016, eq. 4 and the supplementary equations of its recurrent networks.
"""

from typing import NamedTuple

import jax
from jax import lax

from fnn.layer import Params, wide_dtype
from fnn.layers.norm._standardize import inverse_root, moments, normalized, standardize_backward

EPSILON = 1e-5


class Standardized(NamedTuple):
    """â and r of some products."""

    normal: jax.Array
    inverse: jax.Array


class AffineMap(NamedTuple):
    """A map by the names of its K (D, F), s (F,) and b (F,) in ``weights``; s and b may be absent there."""

    kernel: str
    scale: str | None = None
    bias: str | None = None

    def without_bias(self, weights: Params, v: jax.Array) -> jax.Array:
        """p − b, in at least float32."""
        norm = self.standardized(weights, v)
        if norm is None:
            return product(v, weights[self.kernel])
        return norm.normal * _row(weights[self.scale], norm.normal)

    def with_bias(self, weights: Params, p: jax.Array) -> jax.Array:
        """p from p − b, a step at a time: for all steps at once the sum would be one more array of them."""
        return p + _row(weights[self.bias], p) if self.bias in weights else p

    def standardized(self, weights: Params, v: jax.Array) -> Standardized | None:
        """â and r, or ``None`` without layer normalisation."""
        if self.scale not in weights:
            return None
        a = product(v, weights[self.kernel])
        mean, var = moments(a, (-1,))
        inverse = inverse_root(var, EPSILON)
        return Standardized(normalized(a, mean, inverse), inverse)

    def product_delta(self, weights: Params, norm: Standardized | None, dp: jax.Array) -> jax.Array:
        """da from dp."""
        return dp if norm is None else standardize_backward(dp * _row(weights[self.scale], dp), *norm, (-1,))

    def gradients(
        self, weights: Params, norm: Standardized | None, v: jax.Array, dp: jax.Array
    ) -> tuple[Params, jax.Array]:
        """The gradients of K and of s and b, if there are any, by name; and da."""
        dtype, leading = v.dtype, tuple(range(v.ndim - 1))
        dp = dp.astype(wide_dtype(dtype))
        da = self.product_delta(weights, norm, dp)
        gradients = {self.kernel: _dot(v, da.astype(dtype), (leading, leading))}
        if norm is not None:
            gradients[self.scale] = (dp * norm.normal).sum(leading)
        if self.bias in weights:
            gradients[self.bias] = dp.sum(leading)
        return {name: gradient.astype(dtype) for name, gradient in gradients.items()}, da


INPUT = AffineMap("kernel", "input_scale", "bias")
RECURRENT = AffineMap("recurrent_kernel", "recurrent_scale", "recurrent_bias")


def product(v: jax.Array, kernel: jax.Array) -> jax.Array:
    """v K over the last axis of v, in at least float32."""
    return _dot(v.astype(kernel.dtype), kernel, ((v.ndim - 1,), (0,)))


def _dot(a: jax.Array, b: jax.Array, contracted: tuple[tuple[int, ...], tuple[int, ...]]) -> jax.Array:
    return lax.dot_general(a, b, (contracted, ((), ())), preferred_element_type=wide_dtype(b.dtype))


def _row(parameter: jax.Array, like: jax.Array) -> jax.Array:
    return parameter.astype(like.dtype).reshape((1,) * (like.ndim - 1) + parameter.shape)
