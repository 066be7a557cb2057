"""The activations of fnn, and their values and slopes: half of the experiment on activations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

NONE, STEP = "none (identity)", "step"
ACTIVATIONS = {
    NONE: fnn.Identity(),
    STEP: fnn.Step(),
    "straight-through step": fnn.Step(straight_through=True),
    "sigmoid": fnn.Sigmoid(),
    "hard sigmoid": fnn.HardSigmoid(),
    "log sigmoid": fnn.LogSigmoid(),
    "tanh": fnn.Tanh(),
    "hard tanh": fnn.HardTanh(),
    "softsign": fnn.Softsign(),
    "softshrink": fnn.Softshrink(),
    "ReLU": fnn.Relu(),
    "ReLU6": fnn.Relu6(),
    "leaky ReLU": fnn.LeakyRelu(),
    "squared ReLU": fnn.SquaredRelu(),
    "softplus": fnn.Softplus(),
    "ELU": fnn.Elu(),
    "CELU, α = 2": fnn.Celu(2.0),
    "SELU": fnn.Selu(),
    "GELU": fnn.Gelu(),
    "GELU by tanh": fnn.Gelu(approximate=True),
    "SiLU": fnn.Silu(),
    "Swish, β = 2": fnn.Swish(2.0),
    "hard Swish": fnn.HardSwish(),
    "Mish": fnn.Mish(),
}
"""All elementwise activations of fnn, and none."""

X = np.linspace(-5, 5, 81)
"""Where the activations are drawn; their slopes are compared in between."""

APART = 1e-5
"""How far the points of a central difference are from its middle."""


def slope_of(layer: fnn.Layer, x: jax.Array) -> jax.Array:
    """The slope of an elementwise layer by its hand-derived rule."""
    return layer.backward(layer.forward({}, {}, x)[2], jnp.ones_like(x))[1]


def curves() -> dict[str, dict[str, Any]]:
    """Values and slopes at ``X`` in float64, by activation, and the largest error of the slope (None: not judged)."""

    @jax.jit
    def measured(x: jax.Array) -> Any:
        def one(layer: fnn.Layer) -> dict[str, jax.Array]:
            # A difference says nothing at a corner, and all corners here lie on X or outside of it.
            between = x + 0.06
            low, high = (layer.apply({}, {}, between + shift)[0] for shift in (-APART, APART))
            error = jnp.abs(slope_of(layer, between) - (high - low) / (2 * APART)).max()
            return {"y": layer.apply({}, {}, x)[0], "slope": slope_of(layer, x), "error": error}

        return {name: one(layer) for name, layer in ACTIVATIONS.items()}

    with jax.enable_x64(True):
        found = jax.tree.map(np.asarray, measured(jnp.asarray(X)))
    found = {name: {key: each.round(12).tolist() for key, each in found[name].items()} for name in ACTIVATIONS}
    found["straight-through step"]["error"] = None
    return found


def crossing() -> float:
    """Where the slope of tanh falls below that of the sigmoid, for x > 0."""
    from scipy.optimize import root_scalar

    with jax.enable_x64(True):
        difference = jax.jit(lambda x: slope_of(fnn.Tanh(), x) - slope_of(fnn.Sigmoid(), x))
        return root_scalar(lambda x: float(difference(jnp.asarray(x, jnp.float64))), bracket=(1, 3), xtol=1e-12).root
