"""The sums of a convolution as plain matrix products, on a CPU, where each position sees few numbers.

A window of one element (1×1) reads one position, so that ``gather`` and ``scatter`` are products with the kernel as a
matrix, and the kernel's gradient is xᵀ dy over all positions. XLA:CPU runs a convolution in its place several times
slower: most of all the gradient, whose window is then as large as the image.

The kernel's gradient is such a product for any window: of dy and the columns, the k·C numbers that a position sees. For
up to ``FEW`` of them the columns are no larger than dy usually is, and the product is faster (an image with one to
three channels, as the first layer of a network reads it). For more, it is not: measured on shapes from 5×5×16 to
32×32×64, in chunks of 1 to 8 images or of 2 to 28 rows, it takes 0.6 to 3 times as long as the convolution.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layers._rows import product_of_rows, times
from fnn.layers.conv._windows import Windows, views

FEW = 32
"""Numbers that a position sees, up to which the gradient of the kernel is a product."""


def is_pointwise(w: Windows) -> bool:
    """Whether every window is one element of the image, none of them padding."""
    return math.prod(w.window) == 1 and not any(map(any, w.pads))


def gradient_is_product(w: Windows, channels: int) -> bool:
    """Whether the gradient of the kernel is computed as a product: see above."""
    return is_pointwise(w) or math.prod(w.window) * channels <= FEW


def gather_pointwise(x: jax.Array, kernel: jax.Array, w: Windows) -> jax.Array:
    """From the image to the windows: y = x W at every stride-th position."""
    (seen,) = views(x, w, 0)
    return times(seen, kernel.reshape(kernel.shape[-2:]))


def scatter_pointwise(x: jax.Array, kernel: jax.Array, w: Windows) -> jax.Array:
    """From the windows to the image: x W at every stride-th position, and 0 between them."""
    y = times(x, kernel.reshape(kernel.shape[-2:]))
    behind = (size - (out - 1) * stride - 1 for size, out, stride in zip(w.sizes, w.out, w.strides, strict=True))
    between = [(0, high, stride - 1) for high, stride in zip(behind, w.strides, strict=True)]
    return lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *between, (0, 0, 0)])


def kernel_gradient_by_columns(x: jax.Array, dy: jax.Array, w: Windows) -> jax.Array:
    """The columns' product with dy, summed over all positions: (*k, C, F)."""
    columns = jnp.concatenate(list(views(x, w, 0)), -1)
    return product_of_rows(columns, dy).reshape(*w.window, x.shape[-1], dy.shape[-1])
