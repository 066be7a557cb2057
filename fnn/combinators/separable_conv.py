"""The separable convolution: a depthwise and then a pointwise convolution."""

import dataclasses
from typing import Any, ClassVar, Self

from fnn.backprop import Call, Combinator, Visit, nest
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer
from fnn.layers.conv._windows import Padding
from fnn.layers.conv.conv import Conv
from fnn.layers.conv.depthwise_conv import DepthwiseConv
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class SeparableConv(Combinator, name="separable_conv"):
    """Convolves each channel separately, then mixes the channels at each position.

    Forward:   y = Conv₁ₓ₁(DepthwiseConv(x))
    Backward:  the chain rule: dx = J_dᵀ J_pᵀ dy,  d the depthwise and p the pointwise convolution

    Params:  ``depthwise`` {``kernel`` (*k, 1, C·M), ``bias`` (C·M,)}, ``pointwise`` {``kernel`` (1, …, 1, C·M, F),
             ``bias`` (F,)}; neither has a bias if ``use_bias=False``
    State:   none
    Cache:   the caches of both under their names
    Shapes:  (N, *spatial, C) → (N, *spatial', F), any floating dtype, kept

    The same as ``Serial(depthwise=DepthwiseConv(kernel_size, …), pointwise=Conv(features, 1))``: strides, padding,
    dilation and ``multiplier`` M belong to the depthwise part, the initialisers and ``use_bias`` to both. Either part
    can be replaced by another layer.

    Errors: those of ``DepthwiseConv`` and ``Conv``.

    >>> import jax
    >>> layer = SeparableConv(8, (3, 3))
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 5, 5, 2), "float32"))
    >>> jax.tree.map(jax.numpy.shape, params["depthwise"])
    {'bias': (2,), 'kernel': (3, 3, 1, 2)}
    >>> layer.apply(params, state, jax.numpy.ones((1, 5, 5, 2)))[0].shape
    (1, 5, 5, 8)

    Source: Chollet 2017; Howard et al. 2017, §3.1.
    """

    features: int
    kernel_size: int | tuple[int, ...]
    _: dataclasses.KW_ONLY
    multiplier: int = 1
    strides: int | tuple[int, ...] = 1
    padding: Padding = "SAME"
    dilation: int | tuple[int, ...] = 1
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()
    depthwise: Layer | None = None
    pointwise: Layer | None = None

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        made = self._made()  # also checks the options
        for name in ("kernel_size", "strides", "dilation"):
            object.__setattr__(self, name, getattr(made["depthwise"], name))
        for name, layer in made.items():
            # A part equal to the default is stored as None, so that equal layers compare equal.
            if getattr(self, name) == layer:
                object.__setattr__(self, name, None)
            elif getattr(self, name) is not None:
                check_layer_type(self, getattr(self, name))

    def _made(self) -> dict[str, Layer]:
        depthwise = DepthwiseConv(
            self.kernel_size,
            multiplier=self.multiplier,
            strides=self.strides,
            padding=self.padding,
            dilation=self.dilation,
            use_bias=self.use_bias,
            kernel_init=self.kernel_init,
            bias_init=self.bias_init,
        )
        pointwise = Conv(
            self.features, 1, use_bias=self.use_bias, kernel_init=self.kernel_init, bias_init=self.bias_init
        )
        return {"depthwise": depthwise, "pointwise": pointwise}

    def children(self) -> dict[str, Layer]:
        return {name: getattr(self, name) or layer for name, layer in self._made().items()}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return dataclasses.replace(self, **children)

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        children, cache = self.children(), {}
        for name in ("depthwise", "pointwise"):
            x, cache[name] = call(name, children[name], x)
        return x, cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        children, reports = self.children(), {}
        for name in ("pointwise", "depthwise"):
            reports[name], dy = visit(name, children[name], cache[name], dy)
        return nest(reports), dy
