"""A layer that replaces another while a model is inspected; it prints, and treats lengths, as that layer does."""

import dataclasses
from typing import Any

from fnn.layer import Layer, OverTime


@dataclasses.dataclass(frozen=True)
class StandIn(Layer, name="stand_in"):
    """The base of such layers. A subclass runs ``inner``, which is not a child: paths stay those of the model."""

    inner: Layer

    @property
    def over_time(self) -> OverTime | None:  # type: ignore[override]
        return self.inner.over_time

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return self.inner.lengths_after(lengths, steps)

    def __repr__(self) -> str:
        return repr(self.inner)  # errors then name the layer that the user wrote
