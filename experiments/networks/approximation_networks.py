"""The function, the networks and their errors, for ``approximation``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

ACTIVATIONS = {"ReLU": fnn.Relu(), "tanh": fnn.Tanh()}
TRAIN = np.linspace(-1, 1, 256)
TEST = np.linspace(-1, 1, 2001)[:-1] + 0.5e-3


def target(x: np.ndarray) -> np.ndarray:
    """The function that is approximated."""
    return np.exp(x) * np.sin(6 * x)


def samples() -> tuple[jax.Array, jax.Array]:
    """The points to train on and their targets, (256, 1) both."""
    return jnp.asarray(TRAIN[:, None], jnp.float32), jnp.asarray(target(TRAIN)[:, None], jnp.float32)


def hidden(activation: str, width: int) -> tuple[fnn.Layer, fnn.Layer]:
    """The hidden layer, whose units bend all over the interval and not at 0 alone, and its activation."""
    start = {"kernel_init": fnn.initializers.Normal(3.0), "bias_init": fnn.initializers.Uniform(3.0)}
    return fnn.Dense(width, **start), ACTIVATIONS[activation]


def network(activation: str, width: int) -> fnn.Layer:
    """1-width-1."""
    return fnn.Serial(*hidden(activation, width), fnn.Dense(1))


def outputs(model: fnn.Layer, params: Any, x: np.ndarray) -> np.ndarray:
    """What each seed computes at the points x, in float64: (seeds, points, features)."""
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        run = jax.jit(jax.vmap(lambda params, x: model.apply(params, {}, x)[0], in_axes=(0, None)))
        return np.asarray(run(wide, jnp.asarray(x)[:, None]))


def relative_errors(found: np.ndarray) -> np.ndarray:
    """The root mean square errors at the test points (last axis), relative to that of the target."""
    return np.sqrt(np.mean((found - target(TEST)) ** 2, -1) / np.mean(target(TEST) ** 2))


def random_features_errors(model: fnn.Layer, start: Any) -> np.ndarray:
    """The error of each seed if the hidden layer stays as it is and the output layer is the least-squares solution."""
    params = {"dense_0": start["dense_0"]}
    train, test = (
        np.pad(outputs(model, params, x), ((0, 0), (0, 0), (0, 1)), constant_values=1) for x in (TRAIN, TEST)
    )
    found = [np.linalg.lstsq(a, target(TRAIN), rcond=None)[0] for a in train]
    return relative_errors(np.einsum("spf,sf->sp", test, np.array(found)))


def interpolant(points: np.ndarray, heights: np.ndarray) -> dict[str, Any]:
    """The parameters of the ReLU network through n + 1 points, with n units, one for each change of the slope.

    y = y₀ + Σᵢ (sᵢ − sᵢ₋₁) max(x − xᵢ, 0) for i = 0 … n − 1, where sᵢ is the slope from xᵢ to xᵢ₊₁ and s₋₁ = 0.
    """
    slopes = np.diff(heights) / np.diff(points)
    return {
        "dense_0": {"kernel": np.ones((1, len(slopes))), "bias": -points[:-1]},
        "dense_1": {"kernel": np.diff(slopes, prepend=0)[:, None], "bias": heights[:1]},
    }


def constructed_errors(width: int) -> tuple[float, float]:
    """The error of the written-down network, and its largest difference from linear interpolation."""
    points = np.linspace(-1, 1, width + 1)
    params = jax.tree.map(lambda leaf: leaf[None], interpolant(points, target(points)))
    found = outputs(network("ReLU", width), params, TEST)[0, :, 0]
    return float(relative_errors(found)), float(np.max(np.abs(found - np.interp(TEST, points, target(points)))))
