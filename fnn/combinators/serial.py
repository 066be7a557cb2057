"""Layers one after another."""

import dataclasses
from typing import Any, ClassVar

from fnn.backprop import Call, Visit, nest
from fnn.combinators.named import NamedChildren
from fnn.layer import Cache
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Serial(NamedChildren, name="serial"):
    """The composition of its layers, first to last.

    Forward:   y = fₙ(… f₂(f₁(x)))
    Backward:  the chain rule from the last layer to the first: dx = J₁ᵀ(J₂ᵀ(… Jₙᵀ dy))

    Params, State, Cache: those of each child under its name. With no layers it is the identity.

    With ``(x, lengths)`` the lengths go from layer to layer until one removes the time axis; if none does, the output
    is (y, lengths). A layer that would mix padding in raises (fnn/sequences/over_time.py).

    >>> from fnn.layers import Dense, Relu
    >>> Serial(Dense(8), Relu(), head=Dense(3))
    Serial(Dense(features=8), Relu(), head=Dense(features=3))
    """

    over_time: ClassVar[Any] = property(of_children)

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        cache = {}
        for name, child in self.children().items():
            x, cache[name] = call(name, child, x)
        return x, cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        reports = {}
        for name, child in reversed(self.children().items()):
            reports[name], dy = visit(name, child, cache[name], dy)
        return nest({name: reports[name] for name in self.names}), dy
