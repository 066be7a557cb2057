"""The rule that an optimiser declares to read the Fisher matrix."""

import dataclasses
from typing import Any, Literal

Targets = Literal["sampled", "empirical"]


@dataclasses.dataclass(frozen=True)
class Fisher:
    """Reports the Fisher matrix of the objective: of targets drawn from the model's own predictions, or of those given.

    The report answers ``factors(block)``, the A and G of a block of ``fnn/optim/kronecker.py``, and ``squares(path)``,
    the diagonal of a parameter.
    """

    targets: Targets

    def __post_init__(self) -> None:
        if self.targets not in ("sampled", "empirical"):
            raise ValueError(f"fisher is 'sampled' or 'empirical', got {self.targets!r}")

    def __call__(self, backward: Any) -> Any:
        """The report of a ``fnn.rules.reports.Backward``."""
        return backward.fisher(sampled=self.targets == "sampled")
