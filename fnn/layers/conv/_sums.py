"""The three sums of every convolution, over a kernel W (*k, in/G, out) and windows with strides s and dilation d.

All three run over pairs (o, k) of an output position and a kernel position, where i = o·s + k·d − p:

    gather           y[n, o, f] = Σ_k Σ_c x[n, i, c] W[k, c, f]               x over the image, y over the windows
    scatter          y[n, i, f] = Σ_(o, k) Σ_c x[n, o, c] W[k, c, f]          x over the windows, y over the image
    kernel_gradient  dW[k, c, f] = Σ_n Σ_o x[n, i, c] dy[n, o, f]

``gather`` and ``scatter`` are adjoint to each other if the kernel's inputs and outputs are exchanged. With G groups,
the kernel's inputs and outputs are split into G consecutive blocks, and block g of the outputs reads only block g of
the inputs.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layer import wide_dtype
from fnn.layers.conv._by_place import LARGEST, spread_into_views, sum_of_views
from fnn.layers.conv._pointwise import (
    gather_pointwise,
    gradient_is_product,
    is_pointwise,
    kernel_gradient_by_columns,
    scatter_pointwise,
)
from fnn.layers.conv._windows import Windows


def gather(x: jax.Array, kernel: jax.Array, w: Windows, groups: int) -> jax.Array:
    """From the image to the windows."""
    return _fastest(x, kernel, w, groups, sum_of_views, gather_pointwise, _gather)


def _gather(x: jax.Array, kernel: jax.Array, w: Windows, groups: int = 1) -> jax.Array:
    return lax.conv_general_dilated(
        x,
        kernel,
        w.strides,
        w.pads,
        rhs_dilation=w.dilation,
        dimension_numbers=_channels_last(x.ndim),
        feature_group_count=groups,
    )


def scatter(x: jax.Array, kernel: jax.Array, w: Windows, groups: int) -> jax.Array:
    """From the windows to the image: convolves x, dilated by the strides, with the reversed kernel."""
    return _fastest(x, kernel, w, groups, spread_into_views, scatter_pointwise, _scatter)


def _scatter(x: jax.Array, kernel: jax.Array, w: Windows, groups: int = 1) -> jax.Array:
    kernel, ones = lax.rev(kernel, tuple(range(kernel.ndim - 2))), (1,) * len(w.window)
    return lax.conv_general_dilated(
        x,
        kernel,
        ones,
        w.adjoint_pads,
        lhs_dilation=w.strides,
        rhs_dilation=w.dilation,
        dimension_numbers=_channels_last(x.ndim),
        feature_group_count=groups,
    )


def _fastest(
    x: jax.Array,
    kernel: jax.Array,
    w: Windows,
    groups: int,
    by_place: Callable,
    pointwise: Callable,
    general: Callable,
) -> jax.Array:
    """One of the sums, in the way that is fastest for its shapes."""
    if _is_depthwise(kernel, groups):
        x, weights = _channel_by_channel(x, kernel, groups)
        return _over_inputs(by_place(x, w, weights), kernel, groups)
    if groups == 1 and is_pointwise(w):
        return _either(x, kernel, w, pointwise, general)
    return general(x, kernel, w, groups)


def exchange(kernel: jax.Array, groups: int) -> jax.Array:
    """Exchanges inputs and outputs within each group: from (*k, in/G, out) to (*k, out/G, in)."""
    *window, inputs, outputs = kernel.shape
    blocks = kernel.reshape(*window, inputs, groups, outputs // groups)
    return blocks.swapaxes(-1, -3).reshape(*window, outputs // groups, groups * inputs)


def _is_depthwise(kernel: jax.Array, groups: int) -> bool:
    """Whether groups have one input or one output, so that there is no matrix product, and the kernel is small."""
    *window, inputs, outputs = kernel.shape
    return groups > 1 and 1 in (inputs, outputs // groups) and math.prod(window) <= LARGEST


def _channel_by_channel(x: jax.Array, kernel: jax.Array, groups: int) -> tuple[jax.Array, jax.Array]:
    """x and, for each kernel position, one weight for every pair of an input and an output, group by group."""
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    weights = (kernel if inputs == 1 else exchange(kernel, groups)).reshape(-1, groups * inputs * outputs)
    dtype = wide_dtype(x.dtype)
    return jnp.repeat(x, outputs, -1).astype(dtype), weights.astype(dtype)


def _over_inputs(y: jax.Array, kernel: jax.Array, groups: int) -> jax.Array:
    """Sums over the inputs of each group; there can be several if a group has one output."""
    inputs, outputs = kernel.shape[-2], kernel.shape[-1] // groups
    y = y if inputs == 1 else y.reshape(*y.shape[:-1], groups * outputs, inputs).sum(-1)
    return y.astype(kernel.dtype)


# These two are under jit, so that an eager call does not compile the choice of platform every time.
@functools.partial(jax.jit, static_argnums=(2, 3, 4), inline=True)
def _either(x: jax.Array, kernel: jax.Array, w: Windows, on_cpu: Callable, elsewhere: Callable) -> jax.Array:
    return lax.platform_dependent(
        x, kernel, cpu=lambda x, kernel: on_cpu(x, kernel, w), default=lambda x, kernel: elsewhere(x, kernel, w)
    )


@functools.partial(jax.jit, static_argnums=(2, 3), static_argnames="turned", inline=True)
def kernel_gradient(x: jax.Array, dy: jax.Array, w: Windows, groups: int, *, turned: bool = False) -> jax.Array:
    """Slides x over dy, which is dilated by s, in steps of d; ``turned`` exchanges the kernel's inputs and outputs."""
    dkernel = lax.platform_dependent(
        x,
        dy,
        cpu=lambda x, dy: (
            kernel_gradient_by_columns(x, dy, w)
            if groups == 1 and gradient_is_product(w, x.shape[-1])
            else _moved(x, dy, w, groups)
        ),
        default=lambda x, dy: _in_place(x, dy, w, groups),
    )
    return exchange(dkernel, groups) if turned else dkernel


def _in_place(x: jax.Array, dy: jax.Array, w: Windows, groups: int) -> jax.Array:
    # Channels act as the batch, and samples are summed over as channels usually are: groups of x's channels become
    # groups of the batch, each of which meets its own block of dy's features.
    spatial, rank = tuple(range(1, x.ndim - 1)), x.ndim
    numbers = lax.ConvDimensionNumbers(
        (rank - 1, 0, *spatial), (rank - 1, 0, *spatial), (rank - 2, rank - 1, *range(rank - 2))
    )
    return lax.conv_general_dilated(
        x, dy, w.dilation, w.kernel_pads, None, w.strides, numbers, batch_group_count=groups
    )


def _moved(x: jax.Array, dy: jax.Array, w: Windows, groups: int) -> jax.Array:
    """The same with every axis moved to where XLA:CPU has a fast convolution.

    Inside a loop (a scan over batches, say) XLA:CPU does not move the axes of the plain form, which ``jax.grad`` also
    produces, and runs it a hundred times slower.
    """
    rank = x.ndim
    spatial = tuple(range(1, rank - 1))
    # (G, C/G, *spatial, N) and (G, *spatial', N, F/G)
    x = x.transpose(rank - 1, *spatial, 0).reshape(groups, -1, *x.shape[1:-1], x.shape[0])
    dy = dy.reshape(*dy.shape[:-1], groups, -1).transpose(rank - 1, *spatial, 0, rank)

    def one_group(block: tuple[jax.Array, jax.Array]) -> jax.Array:
        return lax.conv_general_dilated(*block, w.dilation, w.kernel_pads, None, w.strides, _channels_last(rank))

    moved = _over_groups(one_group, x, dy)
    return moved.transpose(*(axis + 1 for axis in spatial), 1, 0, rank).reshape(*w.window, x.shape[1], -1)


def _over_groups(one_group: Callable, x: jax.Array, dy: jax.Array) -> jax.Array:
    """One group after another in a loop: unrolled, one group per channel would take XLA many seconds to compile."""
    return one_group((x[0], dy[0]))[None] if len(x) == 1 else lax.map(one_group, (x, dy))


def _channels_last(rank: int) -> lax.ConvDimensionNumbers:
    spatial = tuple(range(1, rank - 1))
    image, kernel = (0, rank - 1, *spatial), (rank - 1, rank - 2, *range(rank - 2))
    return lax.ConvDimensionNumbers(image, kernel, image)
