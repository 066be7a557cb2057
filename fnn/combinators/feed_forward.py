"""The position-wise network of a transformer, which returns to the width of its input."""

import dataclasses
from typing import Any, ClassVar, Literal, Self

import jax
import numpy as np

from fnn.backprop import Visit
from fnn.combinators.first import first_member
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.combinators.serial import Serial
from fnn.errors import positive
from fnn.layer import Cache, Layer, Params, State, Static
from fnn.layers.activation.gelu import Gelu
from fnn.layers.linear.dense import Dense
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class FeedForward(Layer, name="feed_forward"):
    """A dense layer, an activation, and a dense layer back to the width of the input; one layer to a rule.

    Forward:   h = x W₁ + b₁,  a = f(h),  y = a W₂ + b₂
    Backward:  dW₂ = aᵀ dy,  db₂ = Σ dy,  da = dy W₂ᵀ;  dh = J_fᵀ da;  dW₁ = xᵀ dh,  db₁ = Σ dh,  dx = dh W₁ᵀ
               (sums over all leading axes)

    Params:  ``hidden``: {``kernel`` W₁ (D, H), ``bias`` b₁ (H,)};  ``out``: {``kernel`` W₂ (H, D), ``bias`` b₂ (D,)},
             without the biases if ``use_bias=False``; those of the activation, if any, under ``activation``
    State:   that of the activation, under ``activation``
    Cache:   ``hidden`` {``x`` (…, D), ``kernel`` W₁}, ``activation`` (its own), ``out`` {``x`` a, ``kernel`` W₂},
             ``width`` D Static
    Shapes:  (…, D) → (…, D), any floating dtype, kept

    It is a ``Serial`` of the three that knows D from its input. The activation may have parameters and state; over time
    the network does what the activation does.

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

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        positive("hidden", self.hidden)
        for child in self.children().values():
            check_layer_type(self, child)

    def children(self) -> dict[str, Layer]:
        return {"activation": self.activation}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return dataclasses.replace(self, **children)

    def network(self, width: int) -> Serial:
        """Its layers, for inputs of that many features."""
        return Serial(
            hidden=Dense(self.hidden, use_bias=self.use_bias),
            activation=self.activation,
            out=Dense(width, use_bias=self.use_bias),
        )

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return self.network(_width(x)).init(key, x)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        width = _width(x)
        y, state, cache = self.network(width).forward(params, state, x, train=train, key=key)
        return y, state, {**cache, "width": Static(width)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        return self.network(cache["width"].value).backward(cache, dy)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        """``backward`` with ``visit`` in the place of the layers' own."""
        return self.network(cache["width"].value).fold(cache, dy, visit)

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        return self.network(_width(x)).apply(params, state, x, train=train, key=key)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> Any:
        # No layer starts from something that depends on the width.
        return self.network(1).start(batch_size, length=length, params=params, state=state)

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        return self.network(_width(x)).step(params, carry, x, state=state)

    @property
    def rule(self) -> Literal["hand", "auto"]:
        return "auto" if any(child.rule == "auto" for child in self.children().values()) else "hand"


def _width(x: Any) -> int:
    shape = np.shape(first_member(x))
    return shape[-1] if shape else 1  # a scalar, or a tree, is refused by the first layer
