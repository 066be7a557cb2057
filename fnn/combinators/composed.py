"""The base of named compositions of other layers."""

import dataclasses
from typing import Any, ClassVar

from fnn.backprop import Call, Combinator, Visit
from fnn.combinators.named import check_same_names
from fnn.combinators.serial import Serial
from fnn.layer import Cache, Layer
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class Composed(Combinator, name="composed"):
    """A ``Serial`` built from a few options: a subclass defines ``composition``.

    Forward, Backward, Params, State, Cache: those of the composition. Once a child is replaced, the options no longer
    describe the layer, so ``with_children`` then returns a ``Serial``.
    """

    over_time: ClassVar[Any] = property(of_children)

    @property
    def composition(self) -> Serial:
        """The layers, in order."""
        raise NotImplementedError(f"{type(self).__name__} does not define composition")

    def children(self) -> dict[str, Layer]:
        return self.composition.children()

    def with_children(self, children: dict[str, Layer]) -> Layer:  # type: ignore[override]
        check_same_names(self, children)
        own = self.children()
        return self if children == own else Serial(**{name: children[name] for name in own})

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        return self.composition.connect(x, call)

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        return self.composition.fold(cache, dy, visit)
