"""A step length that satisfies the strong Wolfe conditions: bracketing, then zooming in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class LinePoint(NamedTuple):
    """A step length a with the value φ(a) and the slope φ'(a)."""

    step: jax.Array
    value: jax.Array
    slope: jax.Array


class Search(NamedTuple):
    """``low`` is the lowest point so far that satisfies sufficient decrease, 0 at first; ``high`` the other end.

    While bracketing, ``high`` is the next step to try; later the wanted step lies between the two.
    """

    evaluations: jax.Array
    bracketed: jax.Array
    done: jax.Array
    low: LinePoint
    high: LinePoint


def strong_wolfe(
    phi: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    start: LinePoint,
    *,
    slope_rtol: Any = 1e-4,
    curv_rtol: Any = 0.9,
    max_steps: int = 20,
) -> tuple[jax.Array, jax.Array]:
    """A step length for φ, ``phi(a) -> (φ(a), φ'(a))``, and the evaluations it took; ``start`` is φ at 0.

        φ(a) ≤ φ(0) + c₁ a φ'(0)                                    sufficient decrease, c₁: slope_rtol
        |φ'(a)| ≤ c₂ |φ'(0)|                                        curvature, c₂: curv_rtol

    Beginning at a = 1, the step is doubled until an interval holds one that satisfies both: a step that is too high
    (no decrease, or no lower than the one before) or whose slope has turned positive is its other end. Then a point
    inside is tried, the minimum of the cubic through both ends, or the middle where that lies outside or in the outer
    tenth at either side, and becomes one of the ends.

    Close to a minimum the decrease is smaller than the rounding of φ. There, |φ(a) − φ(0)| within a few units of
    rounding, decrease is asked of the slope instead: φ'(a) ≤ (2 c₁ − 1) φ'(0), which is the same for a parabola. A
    value that is not finite is too high. After ``max_steps`` evaluations the step is the lowest that satisfied
    sufficient decrease, or 0 if none did; 0 also where φ'(0) is not negative.

    Source: Nocedal and Wright, Numerical optimization, 2006, algorithms 3.5 and 3.6 and equation 3.59; the condition
    near a minimum: Hager and Zhang, 2005, section 4.

    >>> def phi(a):  # (a − 3)², with slope −6 at 0
    ...     return (a - 3) ** 2, 2 * (a - 3)
    >>> step, evaluations = strong_wolfe(phi, LinePoint(jnp.array(0.0), jnp.array(9.0), jnp.array(-6.0)), curv_rtol=0.1)
    >>> print(step, evaluations)  # 1 and 2 are too steep, 4 no lower than 2; the cubic between them is exact
    3.0 4
    """
    dtype = start.value.dtype
    noise = 4 * jnp.finfo(dtype).eps * jnp.abs(start.value)

    def decreases(point: LinePoint) -> jax.Array:
        enough = point.value <= start.value + slope_rtol * point.step * start.slope
        level = jnp.abs(point.value - start.value) <= noise
        return enough | (level & (point.slope <= (2 * slope_rtol - 1) * start.slope))

    def body(search: Search) -> Search:
        step = jnp.where(search.bracketed, _inside(search.low, search.high), search.high.step)
        point = LinePoint(step, *phi(step))
        # Both tests are written so that a NaN counts as too high.
        lower = (point.value < search.low.value) | (search.low.step == 0)
        fine = decreases(point) & jnp.isfinite(point.slope)
        good = fine & (jnp.abs(point.slope) <= -curv_rtol * start.slope)
        high = ~(fine & lower)
        # Away from the other end, the slope at the new low end must point down; before there is one, up the axis.
        ahead = jnp.where(search.bracketed, search.high.step - search.low.step, 1)
        turned = ~high & (point.slope * ahead >= 0)
        doubled = LinePoint(2 * step, point.value, point.slope)
        unturned = _where(search.bracketed, search.high, doubled)
        return Search(
            search.evaluations + 1,
            search.bracketed | high | turned,
            good,
            _where(good | ~high, point, search.low),
            _where(high, point, _where(turned, search.low, unturned)),
        )

    def going(search: Search) -> jax.Array:
        return ~search.done & (search.evaluations < max_steps)

    start = LinePoint(*(jnp.asarray(each, dtype) for each in start))
    first = start._replace(step=jnp.ones((), dtype))
    no = jnp.zeros((), bool)
    downhill = start.slope < 0
    search = jax.lax.while_loop(going, body, Search(jnp.zeros((), jnp.int32), no, ~downhill, start, first))
    return search.low.step, search.evaluations


def _inside(one: LinePoint, other: LinePoint) -> jax.Array:
    """The minimum of the cubic with these values and slopes; the middle if it is not well inside."""
    width = other.step - one.step
    d1 = one.slope + other.slope - 3 * (one.value - other.value) / (one.step - other.step)
    square = d1 * d1 - one.slope * other.slope
    d2 = jnp.sign(width) * jnp.sqrt(jnp.where(square > 0, square, 0))
    step = other.step - width * (other.slope + d2 - d1) / (other.slope - one.slope + 2 * d2)
    share = (step - one.step) / width
    inside = (square >= 0) & (share >= 0.1) & (share <= 0.9)  # False for NaN
    return jnp.where(inside, step, one.step + width / 2)


def _where(condition: jax.Array, one: LinePoint, other: LinePoint) -> LinePoint:
    return LinePoint(*(jnp.where(condition, x, y) for x, y in zip(one, other, strict=True)))
