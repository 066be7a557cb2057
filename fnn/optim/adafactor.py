"""Adafactor: stores the second moment of a matrix as its row and column means."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, POSITIVE
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count, zeros_like
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import running_mean
from fnn.optim.magnitudes import divisor, root_mean_square, shortened
from fnn.optim.transform import Optimizer, constructor, refuse_unread
from fnn.paths import named_leaves, select
from fnn.stacked import map_layers

SMALLEST_SCALE = 1e-3
"""The smallest root mean square that a leaf of parameters counts with, so that a leaf of zeros still moves."""

SMALLEST_FACTORED = 128
"""The default of ``min_dim_size_to_factor``."""


class AdafactorState(NamedTuple):
    """State of ``adafactor``; hyperparams: ``decay_rate``, ``eps``, and the other arguments that are not ``None``.

    ``squares`` holds ``{"rows": …, "columns": …}`` at a factored leaf; ``mean`` is ``None`` without momentum.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    squares: Any
    mean: Any

    ranges = MappingProxyType(
        {
            "learning_rate": NOT_NEGATIVE,
            "decay_rate": POSITIVE,
            "clipping_threshold": POSITIVE,
            "momentum": FRACTION,
            "weight_decay_rate": NOT_NEGATIVE,
            "eps": NOT_NEGATIVE,
        }
    )


@constructor
def adafactor(
    learning_rate: Hyperparameter | None = None,
    min_dim_size_to_factor: int = SMALLEST_FACTORED,
    decay_rate: Hyperparameter = 0.8,
    decay_offset: int = 0,
    multiply_by_parameter_scale: bool = True,
    clipping_threshold: Hyperparameter | None = 1.0,
    momentum: Hyperparameter | None = None,
    weight_decay_rate: Hyperparameter | None = None,
    eps: Hyperparameter = 1e-30,
    factored: bool = True,
    *,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """Adafactor: scales by a second moment stored as one row and one column, with steps relative to the weights.

        t ← t + 1,  β = 1 − max(t − decay_offset, 1)^(−decay_rate)  0 at the first step: no bias to correct
        R ← β R + (1 − β) mean over columns of (g² + eps)           R, C from 0; a matrix
        C ← β C + (1 − β) mean over rows of (g² + eps)
        V = R Cᵀ / mean(R)                                          exact where g² has rank 1
        V ← β V + (1 − β) (g² + eps)                                any other leaf
        u = g / √V
        u ← u / max(1, rms(u) / clipping_threshold)                 rms(x) = √mean(x²) over the leaf
        u ← η u max(rms(w), 1e-3)                                   η: learning_rate
        m ← μ m + (1 − μ) u,  u = m                                 only with μ: momentum, from 0, not corrected
        w ← w − u − λ w                                             only with λ: weight_decay_rate

    A leaf is factored if ``factored`` and its two largest axes have at least ``min_dim_size_to_factor`` entries; the
    means are then over the larger and the smaller of these axes (of equal ones, the later counts as larger), and any
    other axes are a batch of matrices. If ``Repeat`` stacks several layers, axes, sizes and rms are those of one.
    ``multiply_by_parameter_scale=False`` leaves out max(rms(w), 1e-3), so that η is an absolute step. ``None`` leaves a
    part out: without a learning rate η is 1, a rate relative to the weights that only makes sense with a schedule such
    as the paper's min(10⁻², 1/√t).

    The names, defaults and order of the parts are optax's, which has no relative step either. As there, the decay is
    *not* multiplied by η; by default it excludes biases and the scales of norms (optax: ``paths="*"``). The momentum is
    at least float32 (there is no ``dtype_momentum`` as in optax).

    Raises ``ValueError`` for a negative rate, a momentum outside [0, 1), a size below 1, an ``update`` without params,
    a glob that matches no path (with a decay), ``paths`` without a decay, a size with ``factored=False``;
    ``TypeError`` if not a number, scalar array or schedule.

    Source: Shazeer and Stern, Adafactor: adaptive learning rates with sublinear memory cost, 2018, algorithms 4 and 5.

    >>> optimizer = adafactor(0.5, min_dim_size_to_factor=2)
    >>> params = {"kernel": jnp.full((2, 2), 4.0)}
    >>> grads = {"kernel": jnp.array([[1.0, 2.0], [-3.0, -6.0]])}  # g² has rank 1: u = sign(g), times 0.5 · 4
    >>> optimizer.update(grads, optimizer.init(params), params)[0]["kernel"].round(5)
    Array([[-2., -2.],
           [ 2.,  2.]], dtype=float32)
    """
    positive("min_dim_size_to_factor", min_dim_size_to_factor)
    if isinstance(decay_offset, bool) or not isinstance(decay_offset, int):
        raise TypeError(f"decay_offset is an integer, got {decay_offset!r}")
    if weight_decay_rate is None:
        refuse_unread("it chooses what decays, and there is no weight_decay_rate", paths=(paths, "*/kernel"))
    if not factored:
        size = min_dim_size_to_factor, SMALLEST_FACTORED
        refuse_unread("nothing is factored with factored=False", min_dim_size_to_factor=size)
    optional = {
        "learning_rate": learning_rate,
        "clipping_threshold": clipping_threshold,
        "momentum": momentum,
        "weight_decay_rate": weight_decay_rate,
    }
    optional = {name: value for name, value in optional.items() if value is not None}
    given = Hyperparameters(AdafactorState, **optional, decay_rate=decay_rate, eps=eps)
    globs = (paths,) if isinstance(paths, str) else tuple(paths)
    smallest = min_dim_size_to_factor if factored else None

    def init(params: Any) -> AdafactorState:
        if weight_decay_rate is not None:
            select(globs, named_leaves(params))  # raises here for a glob that matches nothing, before any step
        squares = map_layers(lambda path, zero: _no_squares(zero, smallest), zeros_like(params))
        return AdafactorState(zero_count(), given.initial(), squares, None if momentum is None else zeros_like(params))

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, AdafactorState]:
        del extra
        if params is None:
            raise ValueError("adafactor needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params, state.mean)
        count = increment(state.count)
        decayed = set(select(globs, named_leaves(params))) if weight_decay_rate is not None else set()

        def one(path: str, g: jax.Array, w: jax.Array, squares: Any, mean: Any) -> tuple[Any, Any, Any]:
            dtype = accumulator_dtype(w)
            value = {name: value.astype(dtype) for name, value in values.items()}
            g, wide = g.astype(dtype), w.astype(dtype)
            time = jnp.maximum(count - decay_offset, 1).astype(dtype)
            u, squares = _scaled(g, squares, 1 - time ** -value["decay_rate"], value["eps"], smallest)
            if "clipping_threshold" in value:
                u = u / jnp.maximum(1, root_mean_square(u) / value["clipping_threshold"])
            if "learning_rate" in value:
                u = value["learning_rate"] * u
            if multiply_by_parameter_scale:
                u = u * jnp.maximum(root_mean_square(wide), SMALLEST_SCALE)
            if "momentum" in value:
                u = mean = running_mean(u, mean, value["momentum"])
            if path in decayed:
                u = u + value["weight_decay_rate"] * wide
            return (-u).astype(w.dtype), squares, mean

        means = jax.tree.map(lambda g: None, grads) if state.mean is None else state.mean
        treedef = jax.tree.structure(grads)
        rows = treedef.flatten_up_to(map_layers(one, grads, params, state.squares, means))
        updates, squares, mean = (treedef.unflatten([row[place] for row in rows]) for place in range(3))
        return updates, AdafactorState(count, hyperparams, squares, None if momentum is None else mean)

    return Optimizer(init, update)


def _matrix_axes(shape: tuple[int, ...], smallest: int | None) -> tuple[int, int] | None:
    """The second largest axis and the largest, or ``None`` if the leaf is not factored."""
    if smallest is None or len(shape) < 2:
        return None
    *_, smaller, larger = sorted(range(len(shape)), key=lambda axis: shape[axis])
    return (smaller, larger) if shape[smaller] >= smallest else None


def _no_squares(zero: jax.Array, smallest: int | None) -> Any:
    axes = _matrix_axes(zero.shape, smallest)
    return {"rows": zero.sum(axes[1]), "columns": zero.sum(axes[0])} if axes else zero


def _scaled(g: jax.Array, squares: Any, decay: jax.Array, eps: jax.Array, smallest: int | None) -> tuple[Any, Any]:
    """g / √V, and the next R and C (or V)."""
    g = shortened(g)
    axes, square = _matrix_axes(g.shape, smallest), g * g + eps
    if axes is None:
        squares = running_mean(square, squares, decay)
        return g / divisor(jnp.sqrt(squares)), squares
    smaller, larger = axes
    rows = running_mean(square.mean(larger), squares["rows"], decay)
    columns = running_mean(square.mean(smaller), squares["columns"], decay)
    # Roots first: R Cᵀ, a product of squares, underflows long before g does, and so does a row of R over their mean.
    mean = divisor(jnp.sqrt(rows.mean(smaller - (smaller > larger), keepdims=True)))
    relative = divisor(jnp.sqrt(rows)) / mean
    u = g / jnp.expand_dims(relative, larger) / jnp.expand_dims(divisor(jnp.sqrt(columns)), smaller)
    return u, {"rows": rows, "columns": columns}
