"""What the linear cross-entropy saves in memory, as XLA's compiler counts it."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn

ROWS, FEATURES, VOCABULARY = 4096, 256, 32_000
LOSS = fnn.LinearCrossEntropy(VOCABULARY)


def by_hand(hidden: Any, kernel: Any, labels: Any) -> Any:
    value, cache = LOSS.forward((hidden, kernel), labels)
    return value, LOSS.backward(cache)


def automatic(hidden: Any, kernel: Any, labels: Any) -> Any:
    return jax.value_and_grad(LOSS)((hidden, kernel), labels)


def plain(hidden: Any, kernel: Any, labels: Any) -> Any:
    def value(hidden: Any, kernel: Any) -> Any:
        logits, _ = fnn.Dense(VOCABULARY, use_bias=False).apply({"kernel": kernel}, {}, hidden)
        return fnn.CrossEntropy()(logits, labels)

    return jax.value_and_grad(value, (0, 1))(hidden, kernel)


def temporary(run: Any) -> int:
    """Bytes that a compiled function needs beside its arguments and results."""
    hidden = jax.ShapeDtypeStruct((ROWS, FEATURES), jnp.float32)
    kernel = jax.ShapeDtypeStruct((FEATURES, VOCABULARY), jnp.float32)
    labels = jax.ShapeDtypeStruct((ROWS,), jnp.int32)
    analysis: Any = jax.jit(run).lower(hidden, kernel, labels).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.usefixtures("users_compilation")
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
def test_a_tenth_of_the_temporary_memory_of_dense_and_cross_entropy():
    everything = temporary(plain)
    assert everything >= 4 * ROWS * VOCABULARY
    assert temporary(by_hand) <= everything / 10
    assert temporary(automatic) <= everything / 9
