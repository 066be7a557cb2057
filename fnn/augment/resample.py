"""Bilinear resampling: an image sampled between its pixels."""

import jax
import jax.numpy as jnp

from fnn.augment.border import Fill, bordered
from fnn.layer import wide_dtype


def resample(image: jax.Array, inverse: jax.Array, offset: jax.Array, fill: Fill) -> jax.Array:
    """The image (H, W, C) transformed by an affine map, given its inverse.

    Pixel (i, j) is the point at its centre, and maps act about the centre of the image c = ((H − 1)/2, (W − 1)/2). An
    output pixel q comes from the point

        p = c + A (q − c − t)        A = ``inverse`` (2, 2), t = ``offset`` (2,), both (row, column), in pixels

    and has the value, with i = ⌊p₀⌋, j = ⌊p₁⌋ and the fractions f = p₀ − i, g = p₁ − j,

        y[q] = (1 − f) ((1 − g) x[i, j] + g x[i, j+1]) + f ((1 − g) x[i+1, j] + g x[i+1, j+1])

    where x outside the image is ``fill``: a point less than one pixel outside lies between an edge and the fill. A
    border of one pixel is enough, since points further outside are clipped to it. 16-bit images are interpolated in
    float32.

    The same as ``scipy.ndimage.affine_transform`` of order 1, mode "grid-constant" or "nearest".
    """
    height, width, _ = image.shape
    dtype = inverse.dtype
    centre = jnp.array([(height - 1) / 2, (width - 1) / 2], dtype)
    rows, columns = (jnp.arange(size, dtype=dtype) for size in (height, width))
    moved = jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), -1) - (centre + offset)[None, None]
    points = centre[None, None] + jnp.einsum("ab,ijb->ija", inverse, moved, precision="highest")

    source = bordered(image.astype(wide_dtype(image.dtype)), 1, fill)
    (i, f), (j, g) = _cell(points[..., 0], height), _cell(points[..., 1], width)
    f, g = (fraction.astype(source.dtype)[..., None] for fraction in (f, g))
    above = (1 - g) * source[i, j] + g * source[i, j + 1]
    below = (1 - g) * source[i + 1, j] + g * source[i + 1, j + 1]
    return ((1 - f) * above + f * below).astype(image.dtype)


def _cell(position: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """The pixel of the bordered image before a position, and the distance of the position from it, in [0, 1]."""
    position = jnp.clip(position + 1, 0, size + 1)
    first = jnp.clip(jnp.floor(position), 0, size)
    return first.astype(jnp.int32), position - first
