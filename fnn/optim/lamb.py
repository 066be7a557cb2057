"""LAMB: Adam's direction, with a step length proportional to the norm of each leaf."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.adam import scale_by_adam
from fnn.optim.decay import decay_weights
from fnn.optim.gradient_descent import scale_by_learning_rate
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.magnitudes import norm, shrunk, without_zero
from fnn.optim.transform import Optimizer, chain, constructor
from fnn.stacked import map_layers


class ScaleByTrustRatioState(NamedTuple):
    """State of ``scale_by_trust_ratio``; no hyperparams."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({})


@constructor
def scale_by_trust_ratio() -> Optimizer:
    """Scales the update of every leaf to the norm of the leaf's parameters.

        u = g ‖w‖ / ‖g‖                           leaf by leaf; u = g if either norm is 0

    In a leaf that ``Repeat`` stacks, every layer has its own norm.

    Raises ``ValueError`` for an ``update`` without params. Source: see ``lamb``.

    >>> transform = scale_by_trust_ratio()
    >>> params = {"kernel": jnp.array([30.0, 40.0])}
    >>> transform.update({"kernel": jnp.array([0.0, 2.0])}, transform.init(params), params)[0]
    {'kernel': Array([ 0., 50.], dtype=float32)}
    """
    given = Hyperparameters(ScaleByTrustRatioState)

    def init(params: Any) -> ScaleByTrustRatioState:
        del params  # there is nothing to accumulate
        return ScaleByTrustRatioState(zero_count(), given.initial())

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ScaleByTrustRatioState]:
        del extra
        if params is None:
            raise ValueError("a trust ratio needs the params: call update(grads, opt_state, params)")
        _, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params)

        def scale(path: str, g: jax.Array, w: jax.Array) -> jax.Array:
            del path
            dtype = accumulator_dtype(w)
            wide, weight_norm = g.astype(dtype), norm(w.astype(dtype))
            small, update_norm, _ = shrunk(wide)
            either = (update_norm == 0) | (weight_norm == 0)
            u: Any = jnp.where(either, wide, small * (weight_norm / without_zero(update_norm)))
            return u.astype(w.dtype)

        return map_layers(scale, grads, params), ScaleByTrustRatioState(increment(state.count), hyperparams)

    return Optimizer(init, update)


@constructor
def lamb(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-6,
    eps_root: Hyperparameter = 0.0,
    *,
    weight_decay: Hyperparameter = 0.0,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """LAMB, for large batches: every leaf moves by a fixed fraction of its norm.

        u = m̂ / (√(v̂ + eps_root) + eps) + λ w    m̂, v̂ as in ``adam``; λ: weight_decay, 0 outside ``paths``
        w ← w − η u ‖w‖ / ‖u‖                     leaf by leaf, η: learning_rate

    A leaf of zeros (a new bias) moves by η u. By default the decay excludes biases and the scales of norms. Errors:
    ``ValueError`` for a hyper-parameter out of range, an ``update`` without params, and a glob that matches none of
    their paths; ``TypeError`` if not a number, scalar array or schedule.

    Source: You et al., Large batch optimization for deep learning, 2020, algorithm 2, with φ the identity.

    >>> optimizer = lamb(0.5, eps=0.0)
    >>> params = {"kernel": jnp.array([3.0, 4.0])}  # of norm 5; Adam's first direction is the sign, of norm √2
    >>> optimizer.update({"kernel": jnp.array([8.0, -8.0])}, optimizer.init(params), params)[0]["kernel"].round(4)
    Array([-1.7678,  1.7678], dtype=float32)
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        decay_weights(weight_decay, paths, name="weight_decay"),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )
