"""A layer in the place of another, for whoever looks at a model: printed, and given lengths, as that one is."""

import dataclasses
from typing import Any

from fnn.layer import Layer, OverTime


@dataclasses.dataclass(frozen=True)
class StandIn(Layer, name="stand_in"):
    """The base of such layers; a subclass runs ``inner``, which is no child: paths stay those of the model."""

    inner: Layer

    @property
    def over_time(self) -> OverTime | None:  # type: ignore[override]
        return self.inner.over_time

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return self.inner.lengths_after(lengths, steps)

    def __repr__(self) -> str:
        return repr(self.inner)  # errors name the layer that the reader wrote
