"""The recurrent layers. Flax's cells have fnn's equations: in its GRU, too, the reset acts after the product."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax.numpy as jnp

import fnn
from experiments.bench.layers.case import Case
from experiments.bench.steps.in_flax import gates


def lstm(params: Any) -> dict[str, Any]:
    """One kernel for every gate."""
    return {"cell": gates(params)}


def gru(params: Any) -> dict[str, Any]:
    """One kernel for every gate, in the order r z n; only the candidate n has a second bias."""
    inputs, hidden, bias, offset = (
        jnp.split(params[name], 3, -1) for name in ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
    )
    cell = {
        f"i{gate}": {"kernel": kernel, "bias": each} for gate, kernel, each in zip("rzn", inputs, bias, strict=True)
    }
    cell |= {f"h{gate}": {"kernel": kernel} for gate, kernel in zip("rzn", hidden, strict=True)}
    cell["hn"]["bias"] = offset[2]
    return {"cell": cell}


def without_second_biases(params: Any) -> dict[str, Any]:
    """The GRU's recurrent biases of r and z set to zero: Flax has none."""
    r, _, _ = jnp.split(params["recurrent_bias"], 3)
    return {**params, "recurrent_bias": params["recurrent_bias"].at[: 2 * r.size].set(0.0)}


def simple(params: Any) -> dict[str, Any]:
    """The kernels of inputs and state as two dense layers."""
    inputs = {"kernel": params["kernel"], "bias": params["bias"]}
    return {"cell": {"i": inputs, "h": {"kernel": params["recurrent_kernel"]}}}


CASES = (
    Case("LSTM(512)", fnn.LSTM(512), (8, 256, 128), nn.RNN(nn.OptimizedLSTMCell(512)), as_flax=lstm),
    Case(
        "GRU(128)",
        fnn.GRU(128),
        (32, 100, 64),
        nn.RNN(nn.GRUCell(128)),
        as_flax=gru,
        prepare=without_second_biases,
    ),
    Case("SimpleRNN(128)", fnn.SimpleRNN(128), (32, 100, 64), nn.RNN(nn.SimpleCell(128)), as_flax=simple),
)
