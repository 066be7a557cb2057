"""Weight decay by path."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax

from fnn.guards.ranges import NOT_NEGATIVE
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.transform import Optimizer, constructor
from fnn.paths import map_named, named_leaves, select


class DecayWeightsState(NamedTuple):
    """State of ``decay_weights``; hyperparams: ``strength``, called ``weight_decay`` in ``adamw``."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({"strength": NOT_NEGATIVE, "weight_decay": NOT_NEGATIVE})


@constructor
def decay_weights(
    strength: Hyperparameter,
    paths: str | Iterable[str] = "*/kernel",
    *,
    name: Literal["strength", "weight_decay"] = "strength",
) -> Optimizer:
    """Weight decay: adds a multiple of the weights to the updates, at the leaves that ``paths`` selects.

        u = g + λ w                               λ: strength, 0 for leaves outside ``paths``

    Put it before the scaling by the rate η; a weight then shrinks by the factor 1 − ηλ per step, which is below 1 in
    absolute value for 0 < ηλ < 2. After the scaling by moments (``adamw``) the decay is decoupled from the gradient;
    before it, it is the gradient of the penalty ½ λ ‖w‖². Under plain gradient descent the two are the same.

    By default biases and the scales of norms do not decay: ``paths`` is one or more path globs (fnn.paths), and
    ``kernel`` also matches every ``*_kernel``. ``name`` is the name of the strength among the hyper-parameters.

    Raises ``ValueError`` for a negative strength, for a glob that matches no path of the params (in ``init``), and
    for an ``update`` without params; ``TypeError`` if not a number, scalar array or schedule.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 1, line 9.

    >>> import jax.numpy as jnp
    >>> transform = decay_weights(0.5)
    >>> params = {"bias": jnp.array([2.0]), "kernel": jnp.array([2.0])}
    >>> grads = {"bias": jnp.array([1.0]), "kernel": jnp.array([1.0])}
    >>> transform.update(grads, transform.init(params), params)[0]
    {'bias': Array([1.], dtype=float32), 'kernel': Array([2.], dtype=float32)}
    """
    if name not in DecayWeightsState.ranges:
        raise ValueError(f"name is one of {list(DecayWeightsState.ranges)}, got {name!r}")
    globs = (paths,) if isinstance(paths, str) else tuple(paths)
    given = Hyperparameters(DecayWeightsState, **{name: strength})

    def init(params: Any) -> DecayWeightsState:
        select(globs, named_leaves(params))  # raises here for a glob that matches nothing, before any step
        return DecayWeightsState(zero_count(), given.initial())

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, DecayWeightsState]:
        del extra
        if params is None:
            raise ValueError("weight decay needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params)
        selected = set(select(globs, named_leaves(params)))

        def decay(path: str, g: jax.Array, w: jax.Array) -> jax.Array:
            if path not in selected:
                return g.astype(w.dtype)
            dtype = accumulator_dtype(w)
            return (g.astype(dtype) + values[name].astype(dtype) * w.astype(dtype)).astype(w.dtype)

        return map_named(decay, grads, params), DecayWeightsState(increment(state.count), hyperparams)

    return Optimizer(init, update, elementwise=True)
