"""The position-wise network of a transformer, which returns to the width of its input."""

import dataclasses
from typing import Any

import jax

from fnn.combinators.composed import Composed
from fnn.combinators.first import First
from fnn.combinators.named import check_layer_type
from fnn.combinators.serial import Serial
from fnn.errors import describe, floating_array, positive
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, Static
from fnn.layers.activation.gelu import Gelu
from fnn.layers.linear.dense import Dense


@dataclasses.dataclass(frozen=True)
class FeedForward(Composed, name="feed_forward"):
    """A dense layer, an activation, and a dense layer back to the width of the input.

    Forward:   y = f(x W₁ + b₁) W₂ + b₂
    Backward:  that of its layers, last to first

    Params:  ``hidden``: {``kernel`` W₁ (D, H), ``bias`` b₁ (H,)};  ``out``: {``kernel`` W₂ (H, D), ``bias`` b₂ (D,)};
             those of the activation, if any, under ``activation``
    State, Cache: those of ``width``, ``hidden``, ``activation`` and ``out``
    Shapes:  (…, D) → (…, D), any floating dtype, kept

    The sizes of a layer are known from its input alone, and ``out`` does not see x: so D goes with the data from the
    first layer to the last, as a ``Static`` beside the array.

    >>> layer = FeedForward(8)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 3), "float32"))
    >>> params["hidden"]["kernel"].shape, params["out"]["kernel"].shape
    ((3, 8), (8, 3))

    Source: Vaswani et al. 2017, §3.3.
    """

    hidden: int
    _: dataclasses.KW_ONLY
    activation: Layer = dataclasses.field(default_factory=Gelu)
    use_bias: bool = True

    def __post_init__(self) -> None:
        positive("hidden", self.hidden)
        check_layer_type(self, self.activation)

    @property
    def composition(self) -> Serial:
        return Serial(
            width=WithWidth(),
            hidden=First(Dense(self.hidden, use_bias=self.use_bias)),
            activation=First(self.activation),
            out=DenseTo(use_bias=self.use_bias),
        )


@dataclasses.dataclass(frozen=True)
class WithWidth(Layer, name="with_width"):
    """Puts the size of the last axis beside the array, for ``DenseTo``.

    Forward:   y = (x, Static(D))
    Backward:  dx = the first member of dy

    Shapes:  (…, D) → ((…, D), Static)
    """

    over_time = "each step"

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[tuple[jax.Array, Static], State, Cache]:
        x = floating_array(x)
        return (x, Static(x.shape[-1])), state, {}

    def backward(self, cache: Cache, dy: tuple[jax.Array, Static]) -> tuple[Params, jax.Array]:
        return {}, dy[0]


@dataclasses.dataclass(frozen=True)
class DenseTo(Layer, name="dense_to"):
    """``Dense`` with as many features as the ``Static`` beside its input says.

    Forward:   y = x W + b
    Backward:  that of ``Dense``

    Params:  ``kernel`` W (D, F), ``bias`` b (F,) unless ``use_bias=False``
    Cache:   ``x`` (…, D), ``kernel`` (D, F)
    Shapes:  ((…, D), Static(F)) → (…, F)
    """

    _: dataclasses.KW_ONLY
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    over_time = "each step"

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        x, features = _with_features(x)
        return self._dense(features).init(key, x)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, features = _with_features(x)
        return self._dense(features).forward(params, state, x)

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, tuple[jax.Array, Static]]:
        dense = self._dense(dy.shape[-1])
        dparams, dx = dense.backward(cache, dy)
        return dparams, (dx, Static(dense.features))

    def _dense(self, features: int) -> Dense:
        return Dense(features, **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)})


def _with_features(x: Any) -> tuple[Any, int]:
    if not (isinstance(x, tuple) and len(x) == 2 and isinstance(x[1], Static)):
        raise TypeError(f"expected an array and a Static with the width of the output, got {describe(x)}")
    return x[0], x[1].value
