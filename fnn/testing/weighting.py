"""What ``check_loss`` asks of weights: of one, of zero, of all zero, and of micro-batches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, is_floating
from fnn.gradients.arrays import array, arrays
from fnn.losses.loss import Loss
from fnn.paths import named_leaves
from fnn.testing.comparison import agree
from fnn.testing.violations import Violations


def check_weights(
    found: Violations, loss: Loss, prediction: Any, target: Any, weights: jax.Array, additive: bool, tolerance: float
) -> None:
    examples = jax.tree.leaves(prediction)[0].shape[0]
    if not found.expect(examples >= 4, f"expected a prediction of at least 4 examples, got {describe(prediction)}"):
        return

    @jax.jit
    def results(prediction: Any, target: Any, weights: Any) -> tuple:
        value, cache = loss.forward(prediction, target, weights)
        return value, loss.backward(cache), loss.weight(prediction, target, weights)

    def run(rows: slice | np.ndarray, weights: Any) -> tuple[float, dict[str, np.ndarray], float]:
        part = jax.tree.map(lambda leaf: leaf[rows] if leaf.shape[:1] == (examples,) else leaf, (prediction, target))
        value, gradient, weight = results(*part, weights)
        return float(value), arrays({"dprediction": gradient}), float(weight)

    def same(what: str, got: tuple, value: Any, gradient: dict) -> None:
        agree(found, f"{what}: value", {"value": array(got[0])}, {"value": array(value)}, tolerance)
        agree(found, f"{what}: gradient", got[1], gradient, tolerance)

    everything, rowwise = slice(None), _rowwise(prediction, examples)
    plain, ones = run(everything, None), run(everything, jnp.ones_like(weights))
    same("weights of one against none", ones, plain[0], plain[1])

    keep = np.arange(examples) % 2 == 0
    mask = keep.reshape((-1,) + (1,) * (weights.ndim - 1))
    masked, kept = run(everything, jnp.where(mask, weights, 0)), run(keep, weights[keep])
    spread = {path: _spread(leaf, keep) if rowwise[path] else leaf for path, leaf in kept[1].items()}
    same("weights of zero against rows left out", masked, kept[0], spread)
    touched = [path for path in spread if rowwise[path] and masked[1][path][~keep].any()]
    found.expect(not touched, f"weights of zero: expected a gradient of exactly 0 in those rows of {touched}")

    def nan(leaf: Any) -> Any:
        rows = is_floating(leaf) and leaf.shape[:1] == (examples,)
        return jnp.where(keep.reshape((-1,) + (1,) * (leaf.ndim - 1)), leaf, jnp.nan) if rows else leaf

    value, gradient, _ = results(jax.tree.map(nan, prediction), target, jnp.where(mask, weights, 0))
    hidden = float(value), arrays({"dprediction": gradient})
    same("weights of zero on predictions that are NaN", hidden, masked[0], masked[1])

    nothing = run(everything, jnp.zeros_like(weights))
    found.expect(nothing[0] == 0, f"a zero sum of weights: expected the value 0, got {nothing[0]}")
    touched = [path for path, leaf in nothing[1].items() if not (leaf == 0).all()]
    found.expect(not touched, f"a zero sum of weights: expected a gradient of exactly 0 in {touched}")

    if additive:
        whole, rows = run(everything, weights), (slice(examples // 2), slice(examples // 2, examples))
        parts = [run(each, weights[each]) for each in rows]
        found.expect(whole[2] > 0, f"weight: expected the sum of the weights, got {whole[2]}")
        share = [part[2] / whole[2] for part in parts]
        value = sum(s * part[0] for s, part in zip(share, parts, strict=True))
        gradient = {}
        for path in whole[1]:
            each = [s * part[1][path] for s, part in zip(share, parts, strict=True)]
            gradient[path] = np.concatenate(each) if rowwise[path] else sum(each)
        same("the whole against its micro-batches", whole, value, gradient)


def _rowwise(prediction: Any, examples: int) -> dict[str, bool]:
    named = named_leaves({"dprediction": prediction})
    return {path: leaf.shape[:1] == (examples,) for path, leaf in named.items()}


def _spread(rows: np.ndarray, keep: np.ndarray) -> np.ndarray:
    whole = np.zeros((len(keep), *rows.shape[1:]))
    whole[keep] = rows
    return whole
