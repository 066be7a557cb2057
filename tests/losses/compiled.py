"""A loss in one compiled program: that is faster than the same operation by operation, a compilation each.

A program is kept, so tests that ``tools/mutation`` runs do without: it would not see a fault planted later.
"""

import functools
from typing import Any

import jax

from fnn.losses import Loss
from tests.comparing import close


@functools.partial(jax.jit, static_argnums=0)
def by_hand(loss: Loss, prediction: Any, target: Any, weights: Any = None) -> tuple:
    """The value and its gradient by the hand rule."""
    value, cache = loss.forward(prediction, target, weights)
    return value, loss.backward(cache)


@functools.partial(jax.jit, static_argnums=0)
def by_both(loss: Loss, prediction: Any, target: Any, weights: Any = None) -> tuple:
    """The value, its gradient by the hand rule and the one of ``jax.grad``."""
    value, cache = loss.forward(prediction, target, weights)
    return value, loss.backward(cache), jax.grad(loss)(prediction, target, weights)


def gradient(loss: Loss, prediction: Any, target: Any, weights: Any = None) -> Any:
    """By the hand rule; ``jax.grad`` must agree."""
    _, hand, automatic = by_both(loss, prediction, target, weights)
    close(automatic, hand)
    return hand
