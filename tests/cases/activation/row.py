"""What a row of the table of elementwise activations holds: all that any test asks of one."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fnn.layers import Elementwise
from tests.cases.draws import Draw
from tests.cases.rows import LayerCase

Numbers = Sequence[float]


@dataclasses.dataclass(frozen=True)
class Activation:
    """An activation with its options, and what is known of it from elsewhere.

    ``draw`` is its input where it is held to the contract; ``quick`` and the name as in ``LayerCase``.
    """

    name: str
    layer: Elementwise
    draw: Draw
    _: dataclasses.KW_ONLY
    oracle: Callable[[np.ndarray], Any]
    """The function by ``jax.nn``, SciPy or NumPy, in float64."""
    by_hand: tuple[Numbers, Numbers, Numbers]
    """Inputs, outputs and slopes, worked by hand."""
    limits: tuple[Numbers, Numbers] | None
    """The outputs and the slopes at −∞, −10⁴, 10⁴ and ∞, by hand and by ``jax.grad``; ``None`` if these differ, or if
    the function overflows."""
    slopes_at: dict[float, float] = dataclasses.field(default_factory=dict)
    """Slopes that hold exactly: the convention on every corner, and what stands around it."""
    torch: Callable[[Any, Any], Any] | None = None
    """The function of ``torch.nn.functional`` and x."""
    torch_on_corners: bool = True
    """Whether PyTorch takes the same slopes on the corners."""
    every_digit: bool = False
    """Whether output and slope are right to the last digits wherever they are small."""
    small: float = 0
    """−1 or 1 if the output fades out on that side without ever being 0."""
    flat: bool = False
    """Whether no infinite gradient passes where the slope is exactly 0: at an input by hand, at least."""
    faults: tuple[tuple[Any, type[Exception], str], ...] = ()
    """Options that are refused, with the error and its message."""
    in_models: bool = True
    """Whether generated models have it: it has a slope, and does not grow exponentially."""
    quick: bool = False

    @property
    def case(self) -> LayerCase:
        """Its row in the table of all layers."""
        return LayerCase(self.name, self.layer, self.draw, quick=self.quick)
