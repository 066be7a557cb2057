"""Relatives of Adam: other second moments, other first moments, a rectified start."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, Range, in_range, is_number, nan_where_any
from fnn.optim.adam import ScaleByAdamState
from fnn.optim.gradient_descent import scale_by_learning_rate
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise, mean_one_step_ahead, running_mean, sum_of_weights
from fnn.optim.magnitudes import divisor, squarable, without_zero
from fnn.optim.transform import Optimizer, chain, constructor


class ScaleByAmsgradState(NamedTuple):
    """State of ``amsgrad``'s scaling; hyperparams: ``b1``, ``b2``, ``eps``, ``eps_root``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    mu: Any
    nu: Any
    nu_max: Any

    ranges = ScaleByAdamState.ranges


class ScaleByAdamaxState(NamedTuple):
    """State of ``adamax``'s scaling; hyperparams: ``b1``, ``b2``, ``eps``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    mu: Any
    largest: Any

    ranges = MappingProxyType({"b1": FRACTION, "b2": FRACTION, "eps": NOT_NEGATIVE})


@constructor
def amsgrad(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    eps_root: Hyperparameter = 0.0,
) -> Optimizer:
    """Adam with the largest second moment so far, so that the rate of an entry never grows.

        m, v as in ``adam``;  m̂ = m / (1 − b1ᵗ)
        v̂ ← max(v̂, v / (1 − b2ᵗ))                 from 0
        w ← w − η m̂ / (√(v̂ + eps_root) + eps)     η: learning_rate

    The paper corrects neither moment, and PyTorch takes the largest uncorrected v; this is optax's form. Errors:
    ``ValueError`` for a hyper-parameter out of range, ``TypeError`` if not a number, scalar array or schedule.

    Source: Reddi, Kale and Kumar, On the convergence of Adam and beyond, 2018, algorithm 2.

    >>> optimizer = amsgrad(0.5, eps=0.0)
    >>> optimizer.update(jnp.array(8.0), optimizer.init(jnp.zeros(())))[0].round(6)
    Array(-0.5, dtype=float32)
    """
    given = Hyperparameters(ScaleByAmsgradState, b1=b1, b2=b2, eps=eps, eps_root=eps_root)

    def rule(values: dict, count: Any, g: Any, m: Any, v: Any, largest: Any) -> tuple[Any, ...]:
        g = squarable(g)
        m, v = running_mean(g, m, values["b1"]), running_mean(g * g, v, values["b2"])
        largest = jnp.maximum(largest, v / sum_of_weights(values["b2"], count))
        mean = m / sum_of_weights(values["b1"], count)
        return mean / divisor(jnp.sqrt(largest + values["eps_root"]) + values["eps"]), m, v, largest

    return chain(leafwise(given, rule, mu=0, nu=0, nu_max=0), scale_by_learning_rate(learning_rate))


@constructor
def nadam(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    eps_root: Hyperparameter = 0.0,
) -> Optimizer:
    """Adam with Nesterov's momentum: the mean is taken one step ahead.

        m, v as in ``adam``;  v̂ = v / (1 − b2ᵗ)
        m̂ = b1 m / (1 − b1ᵗ⁺¹) + (1 − b1) g / (1 − b1ᵗ)
        w ← w − η m̂ / (√(v̂ + eps_root) + eps)     η: learning_rate

    b1 is constant (PyTorch's grows by a built-in schedule). Errors: ``ValueError`` for a hyper-parameter out of range,
    ``TypeError`` if not a number, scalar array or schedule.

    Source: Dozat, Incorporating Nesterov momentum into Adam, 2016, algorithm 2, without its factor b2 in v̂.

    >>> optimizer = nadam(0.75, b1=0.5, eps=0.0)  # (0.5 · 0.5 / 0.75 + 0.5 / 0.5) g / |g| = 4/3
    >>> optimizer.update(jnp.array(8.0), optimizer.init(jnp.zeros(())))[0].round(5)
    Array(-1., dtype=float32)
    """
    return chain(scale_by_nadam(b1, b2, eps, eps_root), scale_by_learning_rate(learning_rate))


@constructor
def scale_by_nadam(b1: Hyperparameter, b2: Hyperparameter, eps: Hyperparameter, eps_root: Hyperparameter) -> Optimizer:
    """The direction of ``nadam``: m̂ / (√(v̂ + eps_root) + eps)."""
    given = Hyperparameters(ScaleByAdamState, b1=b1, b2=b2, eps=eps, eps_root=eps_root)

    def rule(values: dict, count: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
        g = squarable(g)
        m, v = running_mean(g, m, values["b1"]), running_mean(g * g, v, values["b2"])
        ahead = mean_one_step_ahead(values["b1"], count, g, m)
        squares = v / sum_of_weights(values["b2"], count)
        return ahead / divisor(jnp.sqrt(squares + values["eps_root"]) + values["eps"]), m, v

    return leafwise(given, rule, mu=0, nu=0)


@constructor
def adamax(
    learning_rate: Hyperparameter, b1: Hyperparameter = 0.9, b2: Hyperparameter = 0.999, eps: Hyperparameter = 1e-8
) -> Optimizer:
    """Adam with a decaying maximum of |g| instead of the root of the mean square.

        m ← b1 m + (1 − b1) g
        s ← max(b2 s, |g| + eps)                  from 0; needs no correction
        w ← w − η m / (1 − b1ᵗ) / s               η: learning_rate

    Errors: ``ValueError`` for a hyper-parameter out of range, ``TypeError`` if not a number, scalar array or schedule.

    Source: Kingma and Ba, Adam, 2015, algorithm 2; eps as in PyTorch and optax.

    >>> optimizer = adamax(0.5, eps=0.0)
    >>> optimizer.update(jnp.array(-8.0), optimizer.init(jnp.zeros(())))[0].round(6)
    Array(0.5, dtype=float32)
    """
    given = Hyperparameters(ScaleByAdamaxState, b1=b1, b2=b2, eps=eps)

    def rule(values: dict, count: Any, g: Any, m: Any, s: Any) -> tuple[Any, ...]:
        m = running_mean(g, m, values["b1"])
        s = jnp.maximum(values["b2"] * s, jnp.abs(g) + values["eps"])
        return m / sum_of_weights(values["b1"], count) / without_zero(s), m, s

    return chain(leafwise(given, rule, mu=0, largest=0), scale_by_learning_rate(learning_rate))


@constructor
def radam(
    learning_rate: Hyperparameter,
    b1: Hyperparameter = 0.9,
    b2: Hyperparameter = 0.999,
    eps: Hyperparameter = 1e-8,
    eps_root: Hyperparameter = 0.0,
    threshold: float = 5.0,
    nesterov: bool = False,
) -> Optimizer:
    """Rectified Adam: momentum alone while few gradients enter the second moment, then Adam, scaled up slowly.

        m, v as in ``adam``;  m̂ = m / (1 − b1ᵗ),  v̂ = v / (1 − b2ᵗ)
        ρ∞ = 2 / (1 − b2) − 1,  ρ = ρ∞ − 2 t b2ᵗ / (1 − b2ᵗ)
        r = √((ρ − 4)(ρ − 2) ρ∞ / ((ρ∞ − 4)(ρ∞ − 2) ρ))
        w ← w − η r m̂ / (√(v̂ + eps_root) + eps)   ρ ≥ threshold
        w ← w − η m̂                               ρ < threshold

    ``nesterov`` takes m̂ as ``nadam`` does. ρ is computed without the difference of two numbers near ρ∞, which in
    float32 costs optax 1 % of the first rectified steps. Errors: ``ValueError`` for a hyper-parameter out of range or a
    ``threshold`` below 4, ``TypeError`` if not a number, scalar array or schedule.

    Source: Liu et al., On the variance of the adaptive learning rate and beyond, 2020, algorithm 2 (threshold 4).

    >>> optimizer = radam(0.5)  # at first m̂ = g, and no division
    >>> optimizer.update(jnp.array(8.0), optimizer.init(jnp.zeros(())))[0].round(5)
    Array(-4., dtype=float32)
    """
    if not is_number(threshold):
        raise TypeError(f"threshold is a number, got {threshold!r}; it is part of the program")
    in_range("threshold", threshold, Range("at least 4, or r is the root of a negative number", lambda each: each >= 4))
    given = Hyperparameters(ScaleByAdamState, b1=b1, b2=b2, eps=eps, eps_root=eps_root)

    def rule(values: dict, count: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
        b1, b2 = values["b1"], values["b2"]

        def mean_of(g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
            m = running_mean(g, m, b1)
            return mean_one_step_ahead(b1, count, g, m) if nesterov else m / sum_of_weights(b1, count), m

        v = running_mean(jnp.square(squarable(g)), v, b2)
        weights = sum_of_weights(b2, count)
        limit = 2 / (1 - b2) - 1
        length: Any = _length(b2, count)
        rectify = length >= threshold
        safe = jnp.where(rectify, length, limit)
        r = jnp.sqrt((safe - 4) * (safe - 2) * limit / ((limit - 4) * (limit - 2) * safe))
        bounded, _ = mean_of(squarable(g), squarable(m))  # bounded as in v
        scaled = r * bounded / divisor(jnp.sqrt(v / weights + values["eps_root"]) + values["eps"])
        mean, m = mean_of(g, m)
        return nan_where_any(values.values(), jnp.where(rectify, scaled, mean)), m, v

    return chain(leafwise(given, rule, mu=0, nu=0), scale_by_learning_rate(learning_rate))


def _length(decay: jax.Array, count: jax.Array) -> jax.Array:
    """2 / (1 − b) − 1 − 2 t bᵗ / (1 − bᵗ), the length ρ of a running mean of decay b after t values.

    With a = −log b and h(x) = 1/x − 1/(eˣ − 1), which falls from ½ at 0 to 0, it is 1 − 2 h(a) + 2 t h(t a), which has
    no large terms that cancel.
    """
    t, a = count.astype(decay.dtype), -jnp.log1p(decay - 1)
    return 1 - 2 * _reciprocals_apart(a) + 2 * t * _reciprocals_apart(t * a)


BERNOULLI = (
    *(1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600),
    *(-3617 / 10670622842880000, 43867 / 5109094217170944000, -174611 / 802857662698291200000),
)
"""B₂ₖ / (2k)! for k = 1, …, 10."""


def _reciprocals_apart(x: jax.Array) -> jax.Array:
    """h(x) = 1/x − 1/(eˣ − 1) for x ≥ 0; for x below 1 by its series ½ − Σ B₂ₖ x²ᵏ⁻¹ / (2k)!."""
    near, far = jnp.minimum(x, 1), jnp.maximum(x, 1)
    series = jnp.polyval(jnp.asarray(BERNOULLI[::-1], x.dtype), near * near)
    return jnp.where(x < 1, 0.5 - near * series, 1 / far - 1 / jnp.expm1(far))
