"""The base of combinators with one layer inside that adds no segment to a path."""

import dataclasses
from typing import Any, Self

from fnn.backprop import Call, Combinator, Visit
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.layer import Cache, Layer


@dataclasses.dataclass(frozen=True)
class Wrapper(Combinator, name="wrapper"):
    """The inner layer itself; a subclass changes how it is run.

    Forward:   y = f(x)
    Backward:  the inner backward

    Params, State, Cache: the inner ones unchanged
    """

    inner: Layer

    def __post_init__(self) -> None:
        check_layer_type(self, self.inner)

    def children(self) -> dict[str, Layer]:
        return {"": self.inner}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return dataclasses.replace(self, inner=children[""])

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        return call("", self.inner, x)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        return visit("", self.inner, cache, dy)
