"""The transposed convolution."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from fnn.errors import output_gradient
from fnn.layer import Cache, Params, State
from fnn.layers.conv._sums import exchange, gather, scatter
from fnn.layers.conv._windows import Windows, adjoint_windows, sizes
from fnn.layers.conv.conv import Convolution


@dataclasses.dataclass(frozen=True)
class ConvTranspose(Convolution, name="conv_transpose"):
    """The adjoint of a ``Conv`` with the same options: it enlarges an image as the ``Conv`` reduces one.

    Forward, along one spatial axis with stride s, dilation d and p zeros of padding in front:

        y[n, i, f] = b[f] + Σ_c Σ_(o, k: o·s + k·d − p = i) x[n, o, c] W[k, c, f]

    Backward:

        dW[k, c, f] = Σ_n Σ_o x[n, o, c] dy[n, o·s + k·d − p, f]
        dx[n, o, c] = Σ_f Σ_k dy[n, o·s + k·d − p, f] W[k, c, f]      the convolution
        db[f]       = Σ_n Σ_i dy[n, i, f]

    For b = 0, Σ Conv(u) ⊙ x = Σ u ⊙ ConvTranspose(x) for every u of the shape of y, if the ``Conv`` has the same
    options, C features and a kernel V (*k, F/G, C) with inputs and outputs exchanged: for G = 1,
    V[k, f, c] = W[k, c, f], not reversed. With ``groups`` G, channels and features are split into G consecutive blocks
    and exchanged within each: V[k, f, g·C/G + c] = W[k, c, g·F/G + f].

    Params:  ``kernel`` W (*k, C/G, F), ``bias`` b (F,) unless ``use_bias=False``
    State:   none
    Cache:   ``x`` (N, *spatial, C), ``kernel``
    Shapes:  (N, *spatial, C) → (N, *spatial', F), any floating dtype, kept

    With strides, a ``Conv`` reduces several sizes to the same one: with strides of 2, both 7 and 8 become 4.
    ``output_size``, one integer for all axes or one per axis, says which of them to restore. The default is the
    smallest, (size − 1)·s + (k − 1)·d + 1 minus the padding on both sides; for "SAME", whose padding depends on the
    size, it is the largest, size·s.

    The adjoint of a "CAUSAL" convolution looks ahead: y[n, i] depends on x[n, o] with o·s ≥ i.

    Errors: ``ValueError`` for padding that leaves no output, for an ``output_size`` that the ``Conv`` would not reduce
    to the input's size, for an unknown padding, channels or features that ``groups`` does not divide, or a wrong number
    of axes; ``TypeError`` for an input not of the parameters' dtype.

    >>> layer = ConvTranspose(8, (3, 3), strides=2)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 2), "float32"))
    >>> layer.apply(params, state, jax.numpy.ones((4, 5, 5, 2)))[0].shape
    (4, 10, 10, 8)
    >>> dataclasses.replace(layer, output_size=9).apply(params, state, jax.numpy.ones((4, 5, 5, 2)))[0].shape
    (4, 9, 9, 8)

    Source: Zeiler et al. 2010; Dumoulin and Visin 2016, §4.
    """

    _: dataclasses.KW_ONLY
    output_size: int | tuple[int, ...] | None = None

    over_time = "mixed"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output_size is not None:
            object.__setattr__(self, "output_size", sizes("output_size", self.output_size))

    def windows(self, spatial: tuple[int, ...]) -> Windows:
        return adjoint_windows(
            spatial, self.kernel_size, self.strides, self.dilation, self.padding, sizes=self.output_size
        )

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, kernel, w = self._inputs(params, x)
        return self._with_bias(params, scatter(x, kernel, w, self.groups)), state, {"x": x, "kernel": kernel}

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, jax.Array]:
        x, kernel = cache["x"], cache["kernel"]
        w = self._windows(x)
        dy = output_gradient(dy, (x.shape[0], *w.sizes, self.features))
        dkernel = kernel_gradient(dy, x, w, self.groups, turned=True)
        return self._with_bias_gradient(dkernel, dy), gather(dy, exchange(kernel, self.groups), w, self.groups)
