"""Layers one after another."""

import dataclasses
from typing import Any, ClassVar

from fnn.backprop import Call, Combinator, Visit, nest
from fnn.combinators.handed import Handed, gradient_of, handed_to, in_chain, without_output
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

    @property
    def inverts(self) -> bool:
        return bool(self.layers) and all(isinstance(child, Combinator) and child.inverts for child in self.layers)

    def without_output(self, cache: Cache) -> Cache:
        return {**cache, self.names[-1]: without_output(self.layers[-1], cache[self.names[-1]])}

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        cache, before = {}, None
        for name, child in self.children().items():
            x, cache[name] = call(name, child, x)
            if before is not None and in_chain(child, cache[name]):
                cache[before] = without_output(self.children()[before], cache[before])
            before = name
        return x, cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        reports, handed = {}, isinstance(dy, Handed)
        for name, child in reversed(self.children().items()):
            reports[name], dy = visit(name, child, cache[name], handed_to(child, cache[name], dy))
        return nest({name: reports[name] for name in self.names}), dy if handed else gradient_of(dy)
