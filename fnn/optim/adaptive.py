"""A separate rate for every entry, from the squares of its gradients: AdaGrad, RMSProp, AdaDelta."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.guards.ranges import AT_LEAST_ZERO, FRACTION, NOT_NEGATIVE, in_range
from fnn.optim.gradient_descent import accumulate_velocity, scale_by_learning_rate
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import leafwise, running_mean, sum_of_weights
from fnn.optim.magnitudes import divisor, squarable
from fnn.optim.transform import Optimizer, chain, constructor


class ScaleBySumOfSquaresState(NamedTuple):
    """State of ``adagrad``'s scaling; hyperparams: ``eps``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    squares: Any

    ranges = MappingProxyType({"eps": NOT_NEGATIVE})


class ScaleByMeanOfSquaresState(NamedTuple):
    """State of ``rmsprop``'s scaling; hyperparams: ``decay``, ``eps``. ``mean`` stays 0 unless ``centered``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    mean: Any
    squares: Any

    ranges = MappingProxyType({"decay": FRACTION, "eps": NOT_NEGATIVE})


class ScaleByAdadeltaState(NamedTuple):
    """State of ``adadelta``'s scaling; hyperparams: ``rho``, ``eps``."""

    count: jax.Array
    hyperparams: dict[str, Any]
    squares: Any
    moves: Any

    ranges = MappingProxyType({"rho": FRACTION, "eps": NOT_NEGATIVE})


@constructor
def adagrad(
    learning_rate: Hyperparameter,
    initial_accumulator_value: float = 0.1,
    eps: Hyperparameter = 1e-7,
    *,
    eps_in_sqrt: bool = True,
) -> Optimizer:
    """AdaGrad: the rate of an entry falls with the sum of all its squared gradients.

        s ← s + g²                                from s = initial_accumulator_value, including this step's g²
        w ← w − η g / √(s + eps)                  eps_in_sqrt
        w ← w − η g / (√s + eps)                  otherwise, as in the paper and PyTorch

    η: learning_rate. The sum includes the current step, or it would be 0 at the first. An entry that has only seen
    zeros does not move, whatever ``eps`` is. PyTorch starts from 0.

    Raises ``ValueError`` for a negative rate, eps or start; ``TypeError`` if not a number, scalar array or
    schedule.

    Source: Duchi, Hazan and Singer, Adaptive subgradient methods, 2011, figure 1 with diagonal matrices.

    >>> optimizer = adagrad(0.5, initial_accumulator_value=0.0, eps=0.0)
    >>> optimizer.update(jnp.array([4.0, -0.1]), optimizer.init(jnp.zeros(2)))[0].round(6)
    Array([-0.5,  0.5], dtype=float32)
    """
    start = in_range("initial_accumulator_value", initial_accumulator_value, AT_LEAST_ZERO)
    given = Hyperparameters(ScaleBySumOfSquaresState, eps=eps)

    def rule(values: dict, count: Any, g: Any, s: Any) -> tuple[Any, ...]:
        del count
        g = squarable(g, summed=True)
        s = s + g * g
        return g / _root(s, values["eps"], eps_in_sqrt), s

    return chain(leafwise(given, rule, squares=start), scale_by_learning_rate(learning_rate))


@constructor
def rmsprop(
    learning_rate: Hyperparameter,
    decay: Hyperparameter = 0.9,
    eps: Hyperparameter = 1e-8,
    initial_scale: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    momentum: Hyperparameter | None = None,
    nesterov: bool = False,
    bias_correction: bool = False,
) -> Optimizer:
    """RMSProp: divides the gradient by the root of the running mean of its square.

        v ← β v + (1 − β) g²                      β: decay, from v = initial_scale
        u = g / √(v + eps)                        eps_in_sqrt
        u = g / (√v + eps)                        otherwise, as in PyTorch
        w ← w − η u                               η: learning_rate

    ``centered``: m ← β m + (1 − β) g, and v − m² replaces v. ``bias_correction`` divides m and v by 1 − βᵗ.
    ``momentum`` μ adds a velocity after the rate: d ← −η u + μ d, w ← w + d (with ``nesterov`` w ← w − η u + μ d).
    Small gradients are scaled up, so the steps do not shrink near a minimum unless the rate does.

    Raises ``ValueError`` for a negative rate, eps or start, a decay or momentum outside [0, 1); ``TypeError`` if not a
    number, scalar array or schedule.

    Sources: Tieleman and Hinton, lecture 6.5, 2012; centred: Graves, Generating sequences, 2013, equations 38 to 45.

    >>> optimizer = rmsprop(0.5, decay=0.75, eps=0.0)
    >>> optimizer.update(jnp.array([4.0, -0.1]), optimizer.init(jnp.zeros(2)))[0].round(5)  # 1/√(1 − β) = 2
    Array([-1.,  1.], dtype=float32)
    """
    start = in_range("initial_scale", initial_scale, AT_LEAST_ZERO)
    if nesterov and momentum is None:
        raise ValueError("nesterov=True needs a momentum, for example rmsprop(1e-3, momentum=0.9, nesterov=True)")
    given = Hyperparameters(ScaleByMeanOfSquaresState, decay=decay, eps=eps)

    def rule(values: dict, count: Any, g: Any, m: Any, v: Any) -> tuple[Any, ...]:
        g = squarable(g)
        v = running_mean(g * g, v, values["decay"])
        m = running_mean(g, m, values["decay"]) if centered else m
        weights = sum_of_weights(values["decay"], count) if bias_correction else 1
        # If all gradients are equal it is 0, and rounding could make it negative.
        spread = jnp.maximum(v / weights - jnp.square(m / weights), 0) if centered else v / weights
        return g / _root(spread, values["eps"], eps_in_sqrt), m, v

    scaled = leafwise(given, rule, mean=0, squares=start), scale_by_learning_rate(learning_rate)
    return chain(*scaled) if momentum is None else chain(*scaled, accumulate_velocity(momentum, nesterov=nesterov))


@constructor
def adadelta(learning_rate: Hyperparameter, rho: Hyperparameter = 0.9, eps: Hyperparameter = 1e-6) -> Optimizer:
    """AdaDelta: steps in the units of the parameters, from the running mean of the squares of the steps themselves.

        v ← ρ v + (1 − ρ) g²
        u = g √(d + eps) / √(v + eps)
        d ← ρ d + (1 − ρ) u²                      from v = d = 0
        w ← w − η u                               ρ: rho, η: learning_rate, 1 in the paper

    Raises ``ValueError`` for a negative rate or eps, rho outside [0, 1); ``TypeError`` if not a number, scalar
    array or schedule.

    Source: Zeiler, ADADELTA: an adaptive learning rate method, 2012, algorithm 1.

    >>> optimizer = adadelta(1.0, rho=0.75, eps=1.0)
    >>> optimizer.update(jnp.array(-2.0), optimizer.init(jnp.zeros(())))[0].round(5)  # 2 · √1 / √(1 + 1)
    Array(1.41421, dtype=float32)
    """
    given = Hyperparameters(ScaleByAdadeltaState, rho=rho, eps=eps)

    def rule(values: dict, count: Any, g: Any, v: Any, d: Any) -> tuple[Any, ...]:
        del count
        g = squarable(g)
        v = running_mean(g * g, v, values["rho"])
        u = g * (jnp.sqrt(d + values["eps"]) / divisor(jnp.sqrt(v + values["eps"])))
        return u, v, running_mean(u * u, d, values["rho"])

    return chain(leafwise(given, rule, squares=0, moves=0), scale_by_learning_rate(learning_rate))


def _root(squares: Any, eps: jax.Array, eps_in_sqrt: bool) -> jax.Array:
    return divisor(jnp.sqrt(squares + eps) if eps_in_sqrt else jnp.sqrt(squares) + eps)
