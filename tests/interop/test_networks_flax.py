"""Networks of linen, where flax is installed: outputs agree, also when the dicts are in the order of the alphabet."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import load_flax
from tests.drawing import generator

nn: Any = pytest.importorskip("flax.linen", reason="flax is not installed")
pytestmark = pytest.mark.full


class Images(nn.Module):
    """Convolutions, norms, a slope, and twelve dense layers: Dense_10 comes before Dense_2 in the alphabet."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.PReLU()(nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3), padding=1)(x)))
        x = nn.GroupNorm(num_groups=2)(nn.ConvTranspose(4, (3, 3), strides=(2, 2), padding="VALID")(x))
        x = x.reshape(len(x), -1)
        for _ in range(12):
            x = nn.tanh(nn.Dense(5)(x))
        return nn.LayerNorm()(x)


class Words(nn.Module):
    """An embedding, attention, a norm and a gated recurrence in both directions."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Embed(7, 4)(x)
        x = nn.RMSNorm()(x + nn.MultiHeadDotProductAttention(2)(x, x, x))
        options = {"features": 3, "param_dtype": "float64"}
        x = nn.Bidirectional(nn.RNN(nn.GRUCell(**options)), nn.RNN(nn.GRUCell(**options)))(x)
        return nn.RNN(nn.SimpleCell(**options))(nn.RNN(nn.LSTMCell(**options))(x))


class Network(NamedTuple):
    """The model, the module, and x."""

    model: fnn.Layer
    make: Callable[[], Any]
    x: np.ndarray


NETWORKS = {
    "images": Network(
        fnn.Serial(
            *(fnn.Conv(4, (3, 3), padding=1), fnn.BatchNorm(), fnn.PRelu()),
            *(fnn.ConvTranspose(4, (3, 3), strides=2, padding="VALID"), fnn.GroupNorm(2, epsilon=1e-6), fnn.Flatten()),
            *[fnn.Serial(fnn.Dense(5), fnn.Tanh())] * 12,
            fnn.LayerNorm(epsilon=1e-6),
        ),
        Images,
        generator("images").standard_normal((2, 3, 4, 2)),
    ),
    "words": Network(
        fnn.Serial(
            *(fnn.Embedding(7, 4), fnn.Residual(fnn.MultiHeadAttention(2)), fnn.RMSNorm()),
            *(fnn.Bidirectional(fnn.GRU(3)), fnn.LSTM(3), fnn.SimpleRNN(3)),
        ),
        Words,
        generator("words").integers(0, 7, (2, 5)),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_agree(name: str):
    model, make, x = NETWORKS[name]
    module, draw = make(), generator(name)
    with jax.enable_x64(True):
        variables = module.init(jax.random.key(0), x)
        variables = jax.tree.map(lambda leaf: np.abs(draw.standard_normal(leaf.shape)) / 2, variables)
        params, state = load_flax(model, variables, x)
        y, _ = jax.jit(model.apply)(params, state, jnp.asarray(x))
        expected = jax.jit(module.apply)(variables, x)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
