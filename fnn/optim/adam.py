"""Adam, and Adam with decoupled weight decay."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import FRACTION, NOT_NEGATIVE
from fnn.optim.decay import decay_weights
from fnn.optim.gradient_descent import scale_by_learning_rate
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise, running_mean, sum_of_weights
from fnn.optim.magnitudes import divisor, squarable
from fnn.optim.transform import Optimizer, chain, constructor


class ScaleByAdamState(NamedTuple):
    """State of ``scale_by_adam``; hyperparams: ``b1``, ``b2``, ``eps``, ``eps_root``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    mu: Any
    nu: Any

    ranges = MappingProxyType({"b1": FRACTION, "b2": FRACTION, "eps": NOT_NEGATIVE, "eps_root": NOT_NEGATIVE})


@constructor
def scale_by_adam(
    b1: Hyperparameter = 0.9, b2: Hyperparameter = 0.999, eps: Hyperparameter = 1e-8, eps_root: Hyperparameter = 0.0
) -> Optimizer:
    """Divides the running mean of the gradient by the root of its running mean square, from m = v = 0 and t = 0.

        t ← t + 1
        m ← b1 m + (1 − b1) g
        v ← b2 v + (1 − b2) g²
        u = m / (1 − b1ᵗ) / (√(v / (1 − b2ᵗ) + eps_root) + eps)

    The divisions by 1 − bᵗ correct the bias of starting m and v at zero: the weights then sum to 1, and the first
    update is sign(g). m and v are at least float32. Raises ``ValueError`` for b1 or b2 outside [0, 1) or a negative
    eps; ``TypeError`` if not a number, scalar array or schedule. Source: see ``adam``.

    >>> transform = scale_by_adam()
    >>> transform.update(jnp.array([3.0, -0.5]), transform.init(jnp.zeros(2)))[0].round(5)
    Array([ 1., -1.], dtype=float32)
    """
    given = Hyperparameters(ScaleByAdamState, b1=b1, b2=b2, eps=eps, eps_root=eps_root)

    def rule(values: dict, count: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
        g = squarable(g)
        m, v = running_mean(g, m, values["b1"]), running_mean(g * g, v, values["b2"])
        # One number for all entries: they are multiplied by its reciprocal, and divided once, by the root.
        by_b1, by_b2 = (1 / sum_of_weights(values[name], count) for name in ("b1", "b2"))
        root = jnp.sqrt(v * by_b2 + values["eps_root"]) + values["eps"]
        return m * by_b1 / divisor(root), m, v

    return leafwise(given, rule, mu=0, nu=0)


@constructor
def adam(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    eps_root: Hyperparameter = 0.0,
) -> Optimizer:
    """Adam: ``chain(scale_by_adam(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))``.

        t ← t + 1,  m ← b1 m + (1 − b1) g,  v ← b2 v + (1 − b2) g²
        w ← w − η m̂ / (√(v̂ + eps_root) + eps)          m̂ = m / (1 − b1ᵗ),  v̂ = v / (1 − b2ᵗ),  η: learning_rate

    ``b1``, ``b2``: the decay of the running means of g and g². ``eps``, outside the root as in the paper, bounds the
    step when gradients vanish (even with 0, an entry that has only seen zeros does not move). ``eps_root``, inside, is
    for differentiating through the update. A schedule may drive b1 or b2; the bias correction then uses its current
    value. The equations hold for gradients of any size except at the limits of the dtype: in float32, entries beyond
    4.6e18 are clipped to that in m and v (fnn/optim/magnitudes.py), and the divisor is at least 1.1e-19.

    Raises ``ValueError`` for a negative rate, b1 or b2 outside [0, 1), a negative eps; ``TypeError`` if not a
    number, scalar array or schedule, and for gradients of another structure than params.

    Source: Kingma and Ba, Adam: a method for stochastic optimization, 2015, algorithm 1.

    >>> from fnn.optim import apply_updates
    >>> optimizer = adam(0.5)
    >>> params = {"kernel": jnp.array([1.0, 2.0])}
    >>> updates, opt_state = optimizer.update({"kernel": jnp.array([10.0, -0.1])}, optimizer.init(params), params)
    >>> apply_updates(params, updates)["kernel"].round(5)
    Array([0.5, 2.5], dtype=float32)
    """
    return chain(scale_by_adam(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))


@constructor
def adamw(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    eps_root: Hyperparameter = 0.0,
    *,
    weight_decay: Hyperparameter = 1e-4,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """Adam with decoupled weight decay: ``decay_weights(weight_decay, paths)`` between the two parts of ``adam``.

        w ← w − η (m̂ / (√(v̂ + eps_root) + eps) + λ w)          λ: weight_decay, 0 for leaves outside ``paths``

    m̂, v̂ and the other arguments are those of ``adam``. The decay is multiplied by the rate, as in optax and PyTorch
    (the paper multiplies it by the schedule alone), and does not enter m and v. By default it excludes biases and the
    scales of norms: ``paths`` takes path globs (fnn.paths); ``paths="*"`` decays everything, as optax does.

    Raises what ``adam`` and ``decay_weights`` raise, in particular ``ValueError`` in ``update`` without params, and in
    ``init`` for a glob that matches none of their paths.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019, algorithm 2.

    >>> optimizer = adamw(0.5, weight_decay=0.25)
    >>> params = {"bias": jnp.array([2.0]), "kernel": jnp.array([2.0])}
    >>> grads = {"bias": jnp.array([3.0]), "kernel": jnp.array([3.0])}
    >>> updates, opt_state = optimizer.update(grads, optimizer.init(params), params)
    >>> updates["bias"].round(5), updates["kernel"].round(5)
    (Array([-0.5], dtype=float32), Array([-0.75], dtype=float32))
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root),
        decay_weights(weight_decay, paths, name="weight_decay"),
        scale_by_learning_rate(learning_rate),
    )
