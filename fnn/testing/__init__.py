"""Checkers of hand-written rules, for authors of layers, losses, penalties and optimisers.

Each runs its subject through the whole contract in float64 (an optimiser in float32), whatever the caller's setting,
and fails with one ``AssertionError`` that lists every violation. What passes returns the worst errors found, if it has
a gradient.
"""

from fnn.testing.comparison import Agreement as Agreement
from fnn.testing.layer import check_layer as check_layer
from fnn.testing.loss import check_loss as check_loss
from fnn.testing.optimizer import check_optimizer as check_optimizer
from fnn.testing.penalty import check_penalty as check_penalty
