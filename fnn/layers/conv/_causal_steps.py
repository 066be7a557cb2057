"""Causal convolutions over one step after another: the last inputs are kept, zeros at first.

    y_t = b + Σ_k x_(t − (K − 1 − k) d) W[k],  k = 0 … K − 1,  x_t = 0 for t < 1

needs the (K − 1) d inputs before x_t. With x_t they are the one window of a convolution without padding.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, floating_array
from fnn.layer import Params
from fnn.sequences.stepwise import as_sequence, as_step


def why_not_causal(conv: Any) -> str | None:
    """Why a ``Conv`` cannot run over single steps; ``None`` if it can."""
    if isinstance(conv.kernel_size, tuple) and len(conv.kernel_size) != 1:
        return "it convolves over more axes than time; if it is meant for each step alone, put it in TimeDistributed"
    if conv.strides not in (1, (1,)):
        return "with strides some steps have no output"
    seen = seen_before(conv)
    if conv.windows((seen + 1,)).pads != ((seen, 0),):
        return "its windows hold later steps, or not all of the earlier ones; set padding='CAUSAL'"
    return None


def seen_before(conv: Any) -> int:
    """(K − 1) d: how many inputs before x_t an output depends on."""
    window, dilation = (each[0] if isinstance(each, tuple) else each for each in (conv.kernel_size, conv.dilation))
    return (window - 1) * dilation


def nothing_seen(conv: Any, batch_size: int, channels: int, dtype: Any) -> dict[str, jax.Array]:
    """The zeros in front of sequences, ``before`` (N, (K − 1) d, C)."""
    return {"before": jnp.zeros((batch_size, seen_before(conv), channels), dtype)}


def causal_step(conv: Any, params: Params, carry: dict[str, jax.Array], x: Any) -> tuple[jax.Array, dict]:
    """y_t (N, F) of x_t (N, C), and the inputs to keep."""
    x, before = floating_array(x), carry["before"]
    wanted = jax.ShapeDtypeStruct((before.shape[0], before.shape[2]), before.dtype)
    if (x.shape, x.dtype) != (wanted.shape, wanted.dtype):
        raise ValueError(f"the carry was started for steps of {describe(wanted)}, got {describe(x)}")
    window = jnp.concatenate((before, as_sequence(x)), 1)
    y, _ = dataclasses.replace(conv, padding="VALID").apply(params, {}, window)
    return as_step(y), {"before": window[:, 1:]}
