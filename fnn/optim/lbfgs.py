"""L-BFGS: an approximate Newton direction from the last few steps, for full batches."""

from itertools import pairwise
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import NOT_NEGATIVE, OPEN_FRACTION, nan_where_any
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.line_search import LinePoint, strong_wolfe
from fnn.optim.magnitudes import norm, scale_of
from fnn.optim.transform import Optimizer, constructor, refuse_unread


class LbfgsState(NamedTuple):
    """State of ``lbfgs``; hyperparams: ``learning_rate``, or ``slope_rtol`` and ``curv_rtol`` of the line search.

    All leaves of the parameters form one vector. ``steps``, ``changes`` and ``weights`` are s, y and ρ = 1 / sᵀy, the
    newest last; an empty place has ρ = 0. ``step_size`` and ``evaluations`` are those of the last update.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    params: jax.Array
    grads: jax.Array
    steps: jax.Array
    changes: jax.Array
    weights: jax.Array
    step_size: jax.Array
    evaluations: jax.Array

    ranges = MappingProxyType({"learning_rate": NOT_NEGATIVE, "slope_rtol": OPEN_FRACTION, "curv_rtol": OPEN_FRACTION})


@constructor
def lbfgs(
    learning_rate: Hyperparameter | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    *,
    max_linesearch_steps: int = 20,
    slope_rtol: Hyperparameter = 1e-4,
    curv_rtol: Hyperparameter = 0.9,
) -> Optimizer:
    """L-BFGS with a line search, or with a learning rate.

        s = w − w before,  y = g − g before,  ρ = 1 / sᵀy           kept if sᵀy > ε ‖s‖ ‖y‖, memory_size of them
        q ← g
        for the pairs from the newest to the oldest:   α = ρ sᵀq,  q ← q − α y
        r ← γ q                                   γ = sᵀy / yᵀy of the newest pair; min(1, 1/‖g‖) before there is one
        for the pairs from the oldest to the newest:   β = ρ yᵀr,  r ← r + (α − β) s
        w ← w − a r                               a: the line search of fnn/optim/line_search.py, from 1
        w ← w − η r                               with a learning_rate η, and no search

    ε is the machine epsilon of the dtype; γ is 1 without ``scale_init_precond``. A pair without positive curvature is
    left out, so r is a descent direction whatever the search returned; optax keeps all pairs except sᵀy = 0, and also
    searches along η r. If no step decreases the value (after ``max_linesearch_steps`` evaluations), the update is 0 and
    the pairs are dropped, so that the next update follows the gradient.

    The value must be a function of the parameters alone: the full batch, no augmentation, no ``accumulate`` around it.
    The search needs the extra ``value_fn``, and ``value`` and ``grad`` to save computing them again; training passes
    all three (set ``batch_size`` to the number of samples). Earlier transformations in a chain change the direction,
    not the function that is searched. The vectors have the widest dtype of the params, at least float32, and take
    2 (memory_size + 1) times their memory.

    Raises ``ValueError`` for a negative rate, tolerances outside 0 < slope_rtol < curv_rtol < 1, a memory or a number
    of steps below 1, a search option together with a rate, an ``update`` without params, or without ``value_fn`` if
    there is no rate; ``TypeError`` if not a number, scalar array or schedule.

    Source: Nocedal and Wright, Numerical optimization, 2006, algorithms 7.4 and 7.5; Liu and Nocedal, 1989.

    >>> from fnn.optim import apply_updates
    >>> def value_fn(w):
    ...     return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
    >>> optimizer, w = lbfgs(), jnp.array([-1.2, 1.0])
    >>> opt_state = optimizer.init(w)
    >>> @jax.jit
    ... def step(w, opt_state):
    ...     value, grad = jax.value_and_grad(value_fn)(w)
    ...     updates, opt_state = optimizer.update(grad, opt_state, w, value=value, grad=grad, value_fn=value_fn)
    ...     return apply_updates(w, updates), opt_state
    >>> for _ in range(40):
    ...     w, opt_state = step(w, opt_state)
    >>> w.round(3)
    Array([1., 1.], dtype=float32)
    """
    positive("memory_size", memory_size)
    positive("max_linesearch_steps", max_linesearch_steps)
    if learning_rate is None:
        given = Hyperparameters(LbfgsState, slope_rtol=slope_rtol, curv_rtol=curv_rtol)
        numbers = [each for each in (slope_rtol, curv_rtol) if isinstance(each, int | float)]
        if len(numbers) == 2 and not numbers[0] < numbers[1]:
            raise ValueError(f"slope_rtol is below curv_rtol, got {slope_rtol} and {curv_rtol}")
    else:
        refuse_unread(
            "it belongs to the line search, which is not used with a learning_rate",
            max_linesearch_steps=(max_linesearch_steps, 20),
            slope_rtol=(slope_rtol, 1e-4),
            curv_rtol=(curv_rtol, 0.9),
        )
        given = Hyperparameters(LbfgsState, learning_rate=learning_rate)

    def init(params: Any) -> LbfgsState:
        vector = _vector(params)
        size, memory = (vector.size,), (memory_size, vector.size)
        # A separate array each, even where they are equal: a compiled step may overwrite them all (donation).
        arrays = [jnp.zeros(shape, vector.dtype) for shape in (size, size, memory, memory, (memory_size,), ())]
        return LbfgsState(zero_count(), given.initial(), *arrays, evaluations=zero_count())

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, LbfgsState]:
        if params is None:
            raise ValueError("lbfgs needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params)
        dtype = state.params.dtype
        w, g = _vector(params, dtype), _vector(grads, dtype)
        if w.shape != state.params.shape:
            raise ValueError(f"the params have {w.size} entries, the optimiser state is for {state.params.size}")
        values = {name: value.astype(dtype) for name, value in values.items()}
        if learning_rate is None:  # traced tolerances may be in the wrong order
            slope, curv = values["slope_rtol"], values["curv_rtol"]
            values["slope_rtol"] = jnp.where(slope < curv, slope, jnp.nan)
        pairs = _with_pair(
            Pairs(state.steps, state.changes, state.weights), w - state.params, g - state.grads, state.count
        )
        direction = -_two_loops(g, pairs, scale=scale_init_precond)
        if learning_rate is None:
            start, phi = _along(direction, grads, params, extra, dtype)
            step, evaluations = strong_wolfe(phi, start, **values, max_steps=max_linesearch_steps)
            pairs = jax.tree.map(lambda part: jnp.where(step > 0, part, 0), pairs)
        else:
            step, evaluations = values["learning_rate"], zero_count()
        # 0 · ∞ would be NaN: a step of length 0 is 0, whatever the direction.
        updates = _unvector(jnp.where(step == 0, 0, step * direction), params)
        updates = nan_where_any(values.values(), updates)
        return updates, LbfgsState(
            increment(state.count), hyperparams, w, g, *pairs, step_size=step, evaluations=evaluations
        )

    return Optimizer(init, update)


class Pairs(NamedTuple):
    """The latest steps s, the changes y of the gradient along them, and ρ = 1 / sᵀy; the newest last."""

    steps: jax.Array
    changes: jax.Array
    weights: jax.Array


def _with_pair(pairs: Pairs, s: jax.Array, y: jax.Array, count: jax.Array) -> Pairs:
    """The pairs with a new one instead of the oldest, if its curvature is positive."""
    curvature, enough = _dot(s, y), jnp.finfo(s.dtype).eps * norm(s) * norm(y)
    keep = (count > 0) & (curvature > enough)  # False for NaN
    new = Pairs(s, y, 1 / jnp.where(keep, curvature, 1))
    return jax.tree.map(lambda part, one: jnp.where(keep, jnp.concatenate([part[1:], one[None]]), part), pairs, new)


def _two_loops(g: jax.Array, pairs: Pairs, *, scale: bool) -> jax.Array:
    """H g, where H is the approximation of the inverse Hessian that the pairs define."""

    def newest_to_oldest(q: jax.Array, pair: tuple) -> tuple[jax.Array, jax.Array]:
        s, y, rho = pair
        alpha = rho * _dot(s, q)  # 0 for an empty place
        return q - alpha * y, alpha

    def oldest_to_newest(r: jax.Array, pair: tuple) -> tuple[jax.Array, None]:
        s, y, rho, alpha = pair
        return r + (alpha - rho * _dot(y, r)) * s, None

    q, alphas = jax.lax.scan(newest_to_oldest, g, pairs, reverse=True)
    r = _preconditioned(q, g, pairs.changes[-1], pairs.weights[-1]) if scale else q
    return jax.lax.scan(oldest_to_newest, r, (*pairs, alphas))[0]


def _preconditioned(q: jax.Array, g: jax.Array, y: jax.Array, rho: jax.Array) -> jax.Array:
    """γ q, computed from factors that are in the range of the dtype whenever the result is."""
    there = rho > 0
    change, gradient = (scale_of(each) for each in (y, g))
    small = y * (1 / change)
    newest = 1 / jnp.where(there, rho * change * change * _dot(small, small), 1)
    shrink = jnp.where(there, 1, 1 / gradient)
    return jnp.where(there, newest, 1 / jnp.maximum(1 / gradient, norm(g * (1 / gradient)))) * (shrink * q)


def _along(direction: jax.Array, grads: Any, params: Any, extra: dict[str, Any], dtype: Any) -> tuple[LinePoint, Any]:
    """φ(0) and the function a -> (φ(a), φ'(a)) for φ(a) = value_fn(params + a · direction)."""
    value_fn = extra.get("value_fn")
    if value_fn is None:
        raise ValueError(
            "the line search of lbfgs evaluates the objective: call update(grads, opt_state, params,"
            " value_fn=value_fn), or give a learning_rate to do without it"
        )
    start = _vector(params, dtype)

    def value_at(step: jax.Array) -> jax.Array:
        return jnp.asarray(value_fn(_unvector(start + step * direction, params))).astype(dtype)

    value, grad = extra.get("value"), extra.get("grad")
    value = value_at(jnp.zeros((), dtype)) if value is None else jnp.asarray(value).astype(dtype)
    slope = _dot(_vector(grads if grad is None else grad, dtype), direction)
    return LinePoint(jnp.zeros((), dtype), value, slope), jax.value_and_grad(value_at)


def _vector(tree: Any, dtype: Any = None) -> jax.Array:
    """All leaves as one vector, in ``dtype`` or else the widest accumulator dtype of the leaves."""
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tree)]
    if dtype is None:
        widest = max((accumulator_dtype(leaf) for leaf in leaves), key=lambda each: each.itemsize, default=None)
        dtype = jnp.zeros(()).dtype if widest is None else widest
    return jnp.concatenate([jnp.zeros(0, dtype), *(leaf.astype(dtype).ravel() for leaf in leaves)])


def _unvector(vector: jax.Array, like: Any) -> Any:
    """The vector as a tree with the shapes and dtypes of ``like``."""
    leaves, treedef = jax.tree.flatten(like)
    ends = [0]
    for leaf in leaves:
        ends.append(ends[-1] + leaf.size)
    parts = [vector[one:other] for one, other in pairwise(ends)]
    shaped = [part.reshape(leaf.shape).astype(leaf.dtype) for part, leaf in zip(parts, leaves, strict=True)]
    return treedef.unflatten(shaped)


def _dot(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.dot(x, y, precision="highest")
