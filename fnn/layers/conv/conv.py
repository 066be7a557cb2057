"""Convolution over any number of spatial axes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.errors import floating_array, output_gradient, parameter, part, positive
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, OverTime, Params, State, float_dtype
from fnn.layers.conv._causal_steps import causal_step, nothing_seen, why_not_causal
from fnn.layers.conv._sums import exchange, gather, kernel_gradient, scatter
from fnn.layers.conv._windows import (
    Padding,
    Windows,
    check_padding,
    is_aligned,
    sizes,
    warn_of_images,
    windows,
    windows_within,
)
from fnn.layers.linear._kernel_and_bias import add_bias, affine_gradients, init_affine
from fnn.sequences.stepwise import refuse_steps


@dataclasses.dataclass(frozen=True)
class Convolution(Layer):
    """The base of ``Conv`` and its adjoint: options, checks and parameter shapes."""

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

    def windows(self, spatial: tuple[int, ...]) -> Windows:
        """The windows for an input of these spatial sizes."""
        raise NotImplementedError

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        shape = (*self._windows(array_or_shape(x)).window, x.shape[-1] // self.groups, self.features)
        warn_of_images(self, "kernel_size", x)
        return init_affine(self, key, shape, float_dtype(x)), {}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return self.gradients(cache, dy, kernel_gradient)

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        """``backward``, with ``kernel_gradient(image, over, windows, groups)`` in the place of that of ``_sums.py``;
        ``turned`` says that its kernel has inputs and outputs exchanged."""
        raise NotImplementedError(f"{type(self).__name__} does not define gradients")

    def _windows(self, x: Any) -> Windows:
        check_image(x, self.kernel_size)
        if x.shape[-1] % self.groups:
            raise ValueError(f"groups={self.groups} does not divide the {x.shape[-1]} channels of the input")
        return self.windows(x.shape[1:-1])

    # These two are here because pyright takes an inherited initialiser for a method.
    def _with_bias(self, params: Params, y: jax.Array) -> jax.Array:
        return add_bias(self, params, y)

    def _with_bias_gradient(self, dkernel: Any, dy: jax.Array) -> Params:
        return affine_gradients(self, dkernel, dy)

    def _inputs(self, params: Params, x: Any) -> tuple[jax.Array, jax.Array, Windows]:
        x = floating_array(x)
        w = self._windows(x)
        return x, parameter(params, "kernel", (*w.window, x.shape[-1] // self.groups, self.features), x.dtype), w


def check_image(x: Any, kernel_size: int | tuple[int, ...]) -> None:
    """Raises ``ValueError`` unless x has one spatial axis for every kernel size, and at least one."""
    rank = x.ndim - 2 if isinstance(kernel_size, int) else len(kernel_size)
    if x.ndim != rank + 2 or rank < 1:
        raise ValueError(
            f"expected an input (N, {'…' if rank < 1 else ', '.join(['spatial'] * rank)}, C)"
            f" for kernel_size={kernel_size}, got the shape {tuple(x.shape)}"
        )


@dataclasses.dataclass(frozen=True)
class Conv(Convolution, name="conv"):
    """A convolution (cross-correlation) over the axes between batch and channels; 1-, 2- or 3-D and beyond.

    Forward, along one spatial axis with stride s, dilation d and p zeros of padding in front:

        y[n, o, f] = b[f] + Σ_k Σ_c x[n, o·s + k·d − p, c] W[k, c, f]

    Backward:

        dW[k, c, f] = Σ_n Σ_o x[n, o·s + k·d − p, c] dy[n, o, f]      x slides over dy, dilated by s, in steps of d
        dx[n, i, c] = Σ_f Σ_(o, k: o·s + k·d − p = i) dy[n, o, f] W[k, c, f]      dy, dilated by s, with W reversed
        db[f]       = Σ_n Σ_o dy[n, o, f]

    With ``groups`` G, channels and features are split into G consecutive blocks: block g of the features reads only
    block g of the channels, and c runs over the C/G channels of a block.

    Params:  ``kernel`` W (*k, C/G, F), ``bias`` b (F,) unless ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, *spatial, C), ``kernel``
    Shapes:  (N, *spatial, C) → (N, *spatial', F), any floating dtype, kept

    An integer ``kernel_size``, ``strides`` or ``dilation`` applies to every spatial axis of the input. So images
    (N, H, W) without channels pass for sequences with ``kernel_size=3``; a ``UserWarning`` says so if H = W ≥ 8. Write
    ``kernel_size=(3,)`` for sequences and ``(3, 3)`` for images. ``padding`` is "SAME" (an odd element at the end),
    "VALID", "CAUSAL" (in front only) or a pair (before, after) per axis. In a model given ``(x, lengths)`` padding
    counts as zeros, and each sequence has the same outputs as it would alone; there "SAME" with strides raises.

    Errors: ``ValueError`` for a kernel larger than the padded image, an unknown padding, channels or features that
    ``groups`` does not divide, or a wrong number of axes; ``TypeError`` for an input not of the parameters' dtype.

    >>> layer = Conv(8, (3, 3), strides=2)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 2), "float32"))
    >>> layer.apply(params, state, jax.numpy.ones((4, 5, 5, 2)))[0].shape
    (4, 3, 3, 8)

    Source: LeCun et al. 1989; the two adjoints follow from the index equation o·s + k·d − p = i.
    """

    @property
    def over_time(self) -> OverTime:  # type: ignore[override]
        return "zeros" if is_aligned(self.padding, self.strides) else "mixed"

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return windows_within(lengths, self.windows((steps,)))

    def windows(self, spatial: tuple[int, ...]) -> Windows:
        return windows(spatial, self.kernel_size, self.strides, self.dilation, self.padding)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, kernel, w = self._inputs(params, x)
        return self._with_bias(params, gather(x, kernel, w, self.groups)), state, {"x": x, "kernel": kernel}

    def why_no_step(self) -> str | None:
        return why_not_causal(self)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> dict:
        refuse_steps(self)
        kernel = part(params, "kernel")
        return nothing_seen(self, batch_size, kernel.shape[-2] * self.groups, kernel.dtype)

    def step(self, params: Params, carry: dict, x: Any, *, state: State | None = None) -> tuple[jax.Array, dict]:
        refuse_steps(self)
        return causal_step(self, params, carry, x)

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        x, kernel = cache["x"], cache["kernel"]
        w = self._windows(x)
        dy = output_gradient(dy, (x.shape[0], *w.out, self.features))
        dkernel = kernel_gradient(x, dy, w, self.groups)
        return self._with_bias_gradient(dkernel, dy), scatter(dy, exchange(kernel, self.groups), w, self.groups)
