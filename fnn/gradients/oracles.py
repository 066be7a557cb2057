"""The oracles of a hand-written gradient: reverse mode, forward mode and five-point differences.

A function here maps a point (a list of floating arrays, or any tree of them) to outputs; its gradient is that of
⟨cotangents, function(point)⟩.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.gradients.arrays import array
from fnn.gradients.finite import slope

Function = Callable[[Any], Any]

STEP = 1e-4
"""Of ``differences``, in float64: rounding leaves about 1e-12 and the fifth derivative 1e-17; kinks are rarely met."""


def reverse(function: Function, at: Any, cotangents: Any = None, *, has_aux: bool = False) -> Any:
    """The gradient by ``jax.vjp``; of a value, if there are no cotangents, and with what comes beside it, if asked."""
    outputs, vjp, *aux = jax.vjp(function, at, has_aux=has_aux)
    (gradient,) = vjp(jnp.ones_like(outputs) if cotangents is None else cotangents)
    return (gradient, *aux) if has_aux else gradient


def forward(function: Function, at: Any, tangents: Any) -> Any:
    """The derivative of every output along the tangents, by ``jax.jvp``."""
    return jax.jvp(function, (at,), (tangents,))[1]


def every(
    function: Function,
    by_hand: Function,
    at: list,
    cotangents: list,
    tangents: list | None,
    *,
    second: bool = True,
) -> dict[str, Any]:
    """What reverse and forward mode say about a gradient, to be compiled together; without tangents, reverse alone.

    automatic    the gradient by ``jax.vjp``
    along        the change of the outputs along the tangents, by ``jax.jvp``
    second       the change of the gradient along the tangents: of that ``by_hand``, of the automatic one; if asked
    """

    def automatic(at: list) -> list:
        return reverse(function, at, cotangents)

    if tangents is None:
        return {"automatic": automatic(at)}
    along = forward(function, at, tangents)
    if not second:
        return {"automatic": automatic(at), "along": along}
    gradient, change = jax.jvp(automatic, (at,), (tangents,))
    return {"automatic": gradient, "second": (forward(by_hand, at, tangents), change), "along": along}


def differences(function: Callable, at: list, directions: list[list], rest: tuple = ()) -> list[list[np.ndarray]]:
    """The derivative of every output of ``function(at, *rest)`` along each direction, by five-point differences.

    The step is fixed, so that all points are computed by one compiled loop; where the step must fit the function and
    kinks be met, see ``finite.py``.
    """
    multiples = STEP * np.array([1, -1, 2, -2])
    lines = [np.stack([array(each) for each in leaf]) for leaf in zip(*directions, strict=True)]
    points = [
        (array(leaf) + np.multiply.outer(multiples, line)).reshape(-1, *np.shape(leaf))
        for leaf, line in zip(at, lines, strict=True)
    ]
    outputs = jax.jit(lambda points, rest: lax.map(lambda each: function(each, *rest), points))(points, rest)
    found = []
    for values in map(array, outputs):
        one, minus_one, two, minus_two = values.reshape(4, len(directions), *values.shape[1:])
        found.append(slope(one - minus_one, two - minus_two, STEP))
    return [[output[place] for output in found] for place in range(len(directions))]
