"""Outputs, their losses and what is measured of them: gradients of the logits, right answers, and fits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import initializers

OUTPUTS = {"sigmoid": fnn.Sigmoid(), "softmax": fnn.Softmax()}
LOGS = {"sigmoid": fnn.BinaryCrossEntropy(), "softmax": fnn.CrossEntropy()}
LOSSES = "squares", "cross-entropy"


def objective(output: str, loss: str, features: int) -> fnn.Objective:
    """A dense layer with an output, and squares; or cross-entropy, which applies that output itself."""
    dense = fnn.Dense(features, kernel_init=initializers.Normal(0.01))
    if loss == "squares":
        return fnn.Objective(fnn.Serial(dense, OUTPUTS[output]), fnn.MeanSquaredError())
    return fnn.Objective(fnn.Serial(dense), LOGS[output])


def right(outputs: jax.Array, y: jax.Array, loss: Any) -> jax.Array:
    """The share of right answers: the largest of several outputs, or one output on the right side."""
    if y.shape[-1] > 1:
        return (outputs.argmax(-1) == y.argmax(-1)).mean()
    cut = 0.5 if isinstance(loss, fnn.MeanSquaredError) else 0
    return ((outputs > cut) == (y > 0.5)).mean()


def steps_until(reached: jax.Array) -> jax.Array:
    """How many steps (on the first axis) come before the first that is true; all of them if none is."""
    return jnp.where(reached.any(0), reached.argmax(0), len(reached))


def gradients() -> dict[str, Any]:
    """The norms of the gradients of the logits of one sample, if that of the right answer is z; in float64.

    ``ratio``: that of squares over that of cross-entropy. ``formula``: what follows for it and a sigmoid, 2σ′(z) =
    1 / (2 cosh²(z/2)).
    """

    def norms(output: str, logits: jax.Array) -> tuple[jax.Array, jax.Array]:
        target, (model, squares) = jnp.eye(logits.size)[:1], (OUTPUTS[output], fnn.MeanSquaredError())
        y, _, cache = model.forward({}, {}, logits[None])
        by_squares = model.backward(cache, squares.backward(squares.forward(y, target)[1]))[1]
        by_entropy = LOGS[output].backward(LOGS[output].forward(logits[None], target)[1])
        return jnp.linalg.norm(by_squares), jnp.linalg.norm(by_entropy)

    @jax.jit
    def measured(z: jax.Array) -> Any:
        found = {}
        for output, others in (("sigmoid", 0), ("softmax", 2)):
            logits = jnp.pad(z[:, None], ((0, 0), (0, others)))
            squares, entropy = jax.vmap(lambda each, output=output: norms(output, each))(logits)
            found[output] = dict(zip((*LOSSES, "ratio"), (squares, entropy, squares / entropy), strict=True))
        return found | {"logits": z, "formula": 1 / (2 * jnp.square(jnp.cosh(z / 2)))}

    with jax.enable_x64(True):
        return jax.tree.map(lambda each: np.asarray(each).tolist(), measured(jnp.linspace(-12, 12, 97)))


def r2(fit: np.ndarray, y: np.ndarray) -> float:
    """1 − Σ(ŷ − y)² / Σ(y − ȳ)²."""
    return float(1 - np.square(fit - y).sum() / np.square(y - y.mean()).sum())
