"""Cart-pole: a pole hinged on a cart, which is pushed left or right at every step, must not fall.

Source: Barto, Sutton and Anderson 1983, without friction; numbers and limits are those of CartPole-v1.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

GRAVITY, CART, POLE, HALF, FORCE, TAU = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
"""m/s²; the masses of cart and pole, kg; half the pole's length, m; the force of a push, N; the time of a step, s."""

FARTHEST, STEEPEST, LONGEST = 2.4, math.radians(12), 500
"""An episode ends beyond these, |x| in m and |θ| in radians, and after so many steps; each step earns 1."""


def accelerations(state: Any, force: Any) -> tuple[jax.Array, jax.Array]:
    """Those of cart and pole, x″ and θ″, from the state (x, x′, θ, θ′):

    q = (F + m l θ′² sin θ) / (M + m),  θ″ = (g sin θ − q cos θ) / (l (4/3 − m cos² θ / (M + m))),
    x″ = q − m l θ″ cos θ / (M + m),  with the masses M of the cart and m of the pole, and half its length l.
    """
    _, _, angle, spin = state
    sine, cosine, total = jnp.sin(angle), jnp.cos(angle), CART + POLE
    pushed = (force + POLE * HALF * spin**2 * sine) / total
    angular = (GRAVITY * sine - pushed * cosine) / (HALF * (4 / 3 - POLE * cosine**2 / total))
    return pushed - POLE * HALF * angular * cosine / total, angular


def moved(state: Any, right: Any) -> tuple[Any, ...]:
    """The state (x, x′, θ, θ′) after a step of Euler's: positions move with the velocities before it."""
    x, speed, angle, spin = state
    linear, angular = accelerations(state, jnp.where(right, FORCE, -FORCE))
    return x + TAU * speed, speed + TAU * linear, angle + TAU * spin, spin + TAU * angular


def fallen(state: Any) -> jax.Array:
    """Whether the state ends the episode."""
    return (jnp.abs(state[0]) > FARTHEST) | (jnp.abs(state[2]) > STEEPEST)


def starts(random: np.random.Generator, *shape: int) -> np.ndarray:
    """First states (…, 4): each number is uniform between −0.05 and 0.05."""
    return random.uniform(-0.05, 0.05, (*shape, 4)).astype(np.float32)
