"""What the rule of an optimiser reads where there is no model: gradients alone."""

from typing import Any

from fnn.paths import named_leaves
from fnn.rules.fisher import Scores
from fnn.rules.whole import Whole


class OfGradients:
    """Stands for a ``fnn.rules.reports.Backward``."""

    def __init__(self, grads: Any) -> None:
        self.grads = grads

    def fold(self, rule: Any) -> Any:
        """The gradients, in the place of what a rule would report of every layer."""
        return self.grads

    def fisher(self, *, sampled: bool) -> Scores:
        """The Fisher matrix, as if these were the gradients of drawn targets."""
        return Scores({path: Whole(g) for path, g in named_leaves(self.grads).items()})
