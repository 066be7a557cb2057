"""Checkers of hand-written rules, for authors of layers, losses and penalties.

Each runs its subject through the whole contract in float64, whatever the caller's setting, and fails with one
``AssertionError`` that lists every violation. What passes returns the worst errors found.
"""

from fnn.testing.comparison import Agreement as Agreement
from fnn.testing.layer import check_layer as check_layer
from fnn.testing.loss import check_loss as check_loss
from fnn.testing.penalty import check_penalty as check_penalty
