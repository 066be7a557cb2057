"""The base of combinators with one layer inside."""

import dataclasses
from typing import Any, ClassVar, Self

from fnn.backprop import Call, Combinator, Visit, nest
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.layer import Cache, Layer


@dataclasses.dataclass(frozen=True)
class Wrapper(Combinator, name="wrapper"):
    """The inner layer; a subclass changes how it runs.

    Forward:   y = f(x)
    Backward:  the inner backward

    Params, State, Cache: the inner ones unchanged; the layer adds no segment to a path, unless ``segment`` names one
    """

    segment: ClassVar[str] = ""

    inner: Layer

    def __post_init__(self) -> None:
        check_layer_type(self, self.inner)

    def children(self) -> dict[str, Layer]:
        return {self.segment: self.inner}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return dataclasses.replace(self, inner=children[self.segment])

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        return call(self.segment, self.inner, x)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        report, dx = visit(self.segment, self.inner, cache, dy)
        return nest({self.segment: report}), dx
