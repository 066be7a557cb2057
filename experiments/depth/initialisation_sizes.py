"""The sizes of activations and deltas at every layer, from one pass back: for the experiment on initialisation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

KINDS = "activations", "deltas"


def with_kernels(model: fnn.Layer, kernels: jax.Array, x: Any) -> tuple[Any, Any]:
    """Parameters and state with these kernels (layers, in, out); biases are 0."""
    params, state = model.init(jax.random.key(0), x)
    return params | {"dense_0": params["dense_0"] | {"kernel": kernels}}, state


def report_sizes(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> tuple[Any, Any]:
    """A rule of ``fnn.backprop`` that reports sizes, which are root mean squares.

    At an activation: of its output, and of the delta, the gradient of its input; ``lost`` is the share of samples whose
    delta is exactly 0. At a dense layer: the largest gradient of a bias, over the sum of the sizes that it sums.
    """
    dparams, dx = layer.backward(cache, dy)
    if isinstance(layer, fnn.Dense):
        total = abs(dy).sum(0)
        return {"bias": (abs(dparams["bias"]) / jnp.where(total > 0, total, 1)).max()}, dx
    if path != "activation":
        return None, dx
    y, _ = layer.apply({}, {}, cache["x"])
    sizes = {kind: root_mean_square(values) for kind, values in zip(KINDS, (y, dx), strict=True)}
    return sizes | {"lost": (dx == 0).all(-1).mean()}, dx


def root_mean_square(values: jax.Array) -> jax.Array:
    """√(Σ values² / n), of values whose squares may be below the smallest number."""
    largest = abs(values).max()
    return largest * jnp.sqrt(jnp.square(values / jnp.where(largest > 0, largest, 1)).mean())


def ends(found: dict[str, Any], kind: str) -> np.ndarray:
    """The sizes at the far end, by seed: of the activations of the last layer, or the deltas of the first."""
    return np.array(found[kind])[:, -1 if kind == "activations" else 0]


def change(sizes: Any) -> float:
    """How many times the smallest size is the largest, over the last axis: the most of all; ∞ if it is 0."""
    sizes = np.asarray(sizes)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.nan_to_num(sizes.max(-1) / sizes.min(-1), nan=np.inf, posinf=np.inf).max())


def rounded(values: np.ndarray) -> Any:
    """The values with three digits, which keeps the file of the figures small."""
    return [float(f"{each:.3g}") for each in values] if values.ndim == 1 else [rounded(each) for each in values]
