"""The depthwise convolution."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.errors import floating_array, part, positive
from fnn.guards.inputs import array_or_shape
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, OverTime, Params, State
from fnn.layers.conv._causal_steps import why_not_causal
from fnn.layers.conv._windows import Padding, per_axis, warn_of_images
from fnn.layers.conv.conv import Conv, check_image
from fnn.sequences.stepwise import refuse_steps


@dataclasses.dataclass(frozen=True)
class DepthwiseConv(Layer, name="depthwise_conv"):
    """A ``Conv`` with one group per channel: each channel is convolved with its own ``multiplier`` M kernels.

    Forward, along one spatial axis with stride s, dilation d and p zeros of padding in front, for f = c·M + m:

        y[n, o, f] = b[f] + Σ_k x[n, o·s + k·d − p, c] W[k, 0, f]

    Backward:

        dW[k, 0, f] = Σ_n Σ_o x[n, o·s + k·d − p, c] dy[n, o, f]
        dx[n, i, c] = Σ_m Σ_(o, k: o·s + k·d − p = i) dy[n, o, f] W[k, 0, f]
        db[f]       = Σ_n Σ_o dy[n, o, f]

    Params:  ``kernel`` W (*k, 1, C·M), ``bias`` b (C·M,) unless ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, *spatial, C), ``kernel``
    Shapes:  (N, *spatial, C) → (N, *spatial', C·M), any floating dtype, kept

    Sizes, strides, dilation, padding and errors are as in ``Conv``.

    >>> layer = DepthwiseConv((3, 3), multiplier=2)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 4), "float32"))
    >>> params["kernel"].shape, layer.apply(params, state, jax.numpy.ones((1, 5, 5, 4)))[0].shape
    ((3, 3, 1, 8), (1, 5, 5, 8))

    Source: Sifre 2014; Howard et al. 2017, eq. 3.
    """

    kernel_size: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    multiplier: int = 1
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int | tuple[int, ...] = 1
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        positive("multiplier", self.multiplier)
        one = self._of_channels(1)  # also checks the other options
        for name in ("kernel_size", "strides", "dilation"):
            object.__setattr__(self, name, getattr(one, name))

    @property
    def over_time(self) -> OverTime:  # type: ignore[override]
        return self._of_channels(1).over_time

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return self._of_channels(1).lengths_after(lengths, steps)

    def _of_channels(self, channels: int) -> Conv:
        return Conv(
            channels * self.multiplier,
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            groups=channels,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
        )

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        check_image(array_or_shape(x), self.kernel_size)
        warn_of_images(self, "kernel_size", x)
        one = self._of_channels(x.shape[-1])
        window = per_axis("kernel_size", self.kernel_size, x.ndim - 2)  # a tuple, so that Conv does not warn again
        return dataclasses.replace(one, kernel_size=window).init(key, x)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x = floating_array(x)
        check_image(x, self.kernel_size)
        return self._of_channels(x.shape[-1]).forward(params, state, x, train=train, key=key)

    def why_no_step(self) -> str | None:
        return why_not_causal(self._of_channels(1))

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> dict:
        refuse_steps(self)
        channels = part(params, "kernel").shape[-1] // self.multiplier
        return self._of_channels(channels).start(batch_size, length=length, params=params, state=state)

    def step(self, params: Params, carry: dict, x: Any, *, state: State | None = None) -> tuple[jax.Array, dict]:
        refuse_steps(self)
        return self._of_channels(carry["before"].shape[-1]).step(params, carry, x)

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, jax.Array]:
        return self._of_channels(cache["x"].shape[-1]).backward(cache, dy)

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        """As that of ``Conv``."""
        return self._of_channels(cache["x"].shape[-1]).gradients(cache, dy, kernel_gradient)
