"""Convolution over any number of spatial axes."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import floating_array, parameter, positive
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, float_dtype
from fnn.layers.affine import add_bias, affine_gradients, init_affine
from fnn.layers.windows import Padding, Windows, check_padding, sizes, windows


@dataclasses.dataclass(frozen=True)
class Conv(Layer, name="conv"):
    """A convolution (cross-correlation) over the axes between batch and channels; 1-, 2- or 3-D and beyond.

    Forward, along one spatial axis with stride s, dilation d and p zeros of padding in front:

        y[n, o, f] = b[f] + Σ_k Σ_c x[n, o·s + k·d − p, c] W[k, c, f]

    Backward:

        dW[k, c, f] = Σ_n Σ_o x[n, o·s + k·d − p, c] dy[n, o, f]      x slides over dy, spread out by s, in steps of d
        dx[n, i, c] = Σ_f Σ_(o, k: o·s + k·d − p = i) dy[n, o, f] W[k, c, f]      dy, spread out by s, with W reversed
        db[f]       = Σ_n Σ_o dy[n, o, f]

    With ``groups`` G, the channels and the features fall into G consecutive blocks, block g of the features reads
    block g of the channels only, and c runs over the C/G channels of a block.

    Params:  ``kernel`` W (*k, C/G, F), ``bias`` b (F,) unless ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, *spatial, C), ``kernel``
    Shapes:  (N, *spatial, C) → (N, *spatial', F), any floating dtype, kept

    An integer ``kernel_size``, ``strides`` or ``dilation`` holds for every axis. ``padding`` is "SAME" (the odd element
    at the end), "VALID", "CAUSAL" (in front only) or a pair (before, after) an axis.

    Errors: ``ValueError`` for a kernel larger than the padded image, an unknown padding, channels or features that
    ``groups`` does not divide, a wrong number of axes; ``TypeError`` for a dtype that is not the parameters'.

    >>> layer = Conv(8, (3, 3), strides=2)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 2), "float32"))
    >>> layer.apply(params, state, jax.numpy.ones((4, 5, 5, 2)))[0].shape
    (4, 3, 3, 8)

    Source: LeCun et al. 1989; the two adjoints follow from the index equation o·s + k·d − p = i.
    """

    features: int
    kernel_size: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int | tuple[int, ...] = 1
    groups: int = 1
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        positive("features", self.features)
        positive("groups", self.groups)
        for name in ("kernel_size", "strides", "dilation"):
            object.__setattr__(self, name, sizes(name, getattr(self, name)))
        check_padding(self.padding)
        if self.features % self.groups:
            raise ValueError(f"groups={self.groups} does not divide features={self.features}")

    def _windows(self, x: Any) -> Windows:
        rank = x.ndim - 2 if isinstance(self.kernel_size, int) else len(self.kernel_size)
        if x.ndim != rank + 2 or rank < 1:
            raise ValueError(
                f"expected an input (N, {'…' if rank < 1 else ', '.join(['spatial'] * rank)}, C)"
                f" for kernel_size={self.kernel_size}, got the shape {tuple(x.shape)}"
            )
        if x.shape[-1] % self.groups:
            raise ValueError(f"groups={self.groups} does not divide the {x.shape[-1]} channels of the input")
        return windows(x.shape[1:-1], self.kernel_size, self.strides, self.dilation, self.padding)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        shape = (*self._windows(x).window, x.shape[-1] // self.groups, self.features)
        return init_affine(self, key, shape, float_dtype(x)), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        w = self._windows(x)
        kernel = parameter(params, "kernel", (*w.window, x.shape[-1] // self.groups, self.features), x.dtype)
        y = lax.conv_general_dilated(
            x,
            kernel,
            w.strides,
            w.pads,
            rhs_dilation=w.dilation,
            dimension_numbers=_channels_last(x.ndim),
            feature_group_count=self.groups,
        )
        return add_bias(self, params, y), state, {"x": x, "kernel": kernel}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        x, kernel = cache["x"], cache["kernel"]
        w = self._windows(x)
        dkernel = _kernel_gradient(x, dy, w, self.groups)
        dx = lax.conv_general_dilated(
            dy,
            _adjoint_kernel(kernel, self.groups),
            (1,) * len(w.window),
            w.adjoint_pads,
            lhs_dilation=w.strides,
            rhs_dilation=w.dilation,
            dimension_numbers=_channels_last(x.ndim),
            feature_group_count=self.groups,
        )
        return affine_gradients(self, dkernel, dy), dx


def _channels_last(rank: int) -> lax.ConvDimensionNumbers:
    spatial = tuple(range(1, rank - 1))
    image, kernel = (0, rank - 1, *spatial), (rank - 1, rank - 2, *range(rank - 2))
    return lax.ConvDimensionNumbers(image, kernel, image)


# Compiled on its own, so that running eagerly does not compile the choice anew at each call.
@functools.partial(jax.jit, static_argnums=(2, 3), inline=True)
def _kernel_gradient(x: jax.Array, dy: jax.Array, w: Windows, groups: int) -> jax.Array:
    return lax.platform_dependent(
        x,
        dy,
        cpu=lambda x, dy: _kernel_gradient_moved(x, dy, w, groups),
        default=lambda x, dy: _kernel_gradient_in_place(x, dy, w, groups),
    )


def _kernel_gradient_in_place(x: jax.Array, dy: jax.Array, w: Windows, groups: int) -> jax.Array:
    # Channels take the batch's place and samples are summed over as channels are: the groups of x's channels are
    # then groups of the batch, each meeting its own block of dy's features.
    spatial, rank = tuple(range(1, x.ndim - 1)), x.ndim
    numbers = lax.ConvDimensionNumbers(
        (rank - 1, 0, *spatial), (rank - 1, 0, *spatial), (rank - 2, rank - 1, *range(rank - 2))
    )
    return lax.conv_general_dilated(
        x, dy, w.dilation, w.kernel_pads, None, w.strides, numbers, batch_group_count=groups
    )


def _kernel_gradient_moved(x: jax.Array, dy: jax.Array, w: Windows, groups: int) -> jax.Array:
    """The same with every axis moved to where XLA:CPU has a fast convolution.

    Inside a loop (a scan over batches, say) XLA:CPU leaves the axes of the plain form where they are and runs it a
    hundred times slower; ``jax.grad`` has that form.
    """
    spatial = tuple(range(1, x.ndim - 1))
    samples_last, features_last = x.transpose(x.ndim - 1, *spatial, 0), dy.transpose(*spatial, 0, dy.ndim - 1)

    def one_group(x: jax.Array, dy: jax.Array) -> jax.Array:
        numbers = _channels_last(x.ndim)
        return lax.conv_general_dilated(x, dy, w.dilation, w.kernel_pads, None, w.strides, numbers)

    blocks = zip(jnp.split(samples_last, groups, 0), jnp.split(features_last, groups, -1), strict=True)
    moved = jnp.concatenate([one_group(*block) for block in blocks], -1)
    return moved.transpose(*spatial, 0, x.ndim - 1)


def _adjoint_kernel(kernel: jax.Array, groups: int) -> jax.Array:
    """Reversed along the spatial axes, inputs and outputs exchanged within each group: (*k, F/G, C)."""
    *window, channels, features = kernel.shape
    reversed_kernel = lax.rev(kernel, tuple(range(len(window))))
    blocks = reversed_kernel.reshape(*window, channels, groups, features // groups)
    return blocks.swapaxes(-1, -3).reshape(*window, features // groups, groups * channels)
