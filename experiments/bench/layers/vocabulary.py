"""The cross-entropy of a large vocabulary: ``LinearCrossEntropy`` against a dense layer and optax's loss."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import numpy as np
import optax

import fnn
from experiments.bench.layers.case import Pair, drawn, sized, words

ROWS, FEATURES, VOCABULARY = 1024, 256, 16_384


def pair(seed: int, *, quick: bool) -> Pair:
    """The loss, and its gradients with respect to the hidden vectors and the kernel."""
    random = np.random.default_rng(seed)
    shape, vocabulary = sized((ROWS, FEATURES), quick=quick), 64 if quick else VOCABULARY
    hidden = drawn(random, *shape)
    kernel = drawn(random, shape[1], vocabulary) / shape[1] ** 0.5
    labels = jnp.asarray(random.integers(0, vocabulary, shape[0]))
    loss, module = fnn.LinearCrossEntropy(vocabulary), nn.Dense(vocabulary, use_bias=False)

    def ours(kernel: Any, hidden: Any, labels: Any) -> dict[str, Any]:
        value, cache = loss.forward((hidden, kernel), labels)
        dhidden, dkernel = loss.backward(cache)
        return {"the loss": value, "the gradient of the kernel": dkernel, "dx": dhidden}

    def theirs(kernel: Any, hidden: Any, labels: Any) -> dict[str, Any]:
        def objective(kernel: Any, hidden: Any) -> Any:
            logits = module.apply({"params": {"kernel": kernel}}, hidden)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        value, vjp = jax.vjp(objective, kernel, hidden)
        dkernel, dhidden = vjp(jnp.ones_like(value))
        return {"the loss": value, "the gradient of the kernel": dkernel, "dx": dhidden}

    operands = kernel, hidden, labels
    return Pair(f"LinearCrossEntropy({vocabulary}), {words(shape)}", ours, operands, theirs, operands, dict)
