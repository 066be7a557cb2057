"""Attention and positions against PyTorch, where it is installed: forward, and the gradients of inputs and weights."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import store_torch
from fnn.layers.attention._blockwise import BlockwiseAttention
from fnn.layers.random.dropout import Dropout
from tests import comparing
from tests.interop.against_torch import gradients

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")

N, HEADS, T, S, D, E = 2, 2, 7, 5, 6, 4
close = partial(comparing.close, rtol=1e-10, atol=1e-11)


def tensor(array: np.ndarray) -> Any:
    return torch.tensor(array, requires_grad=array.dtype == np.float64)


@pytest.mark.parametrize("masked", ["not", "causal", "by a mask"])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("block", [3, 16])
def test_the_blocks_are_scaled_dot_product_attention(masked: str, groups: int, block: int, random: Any, draw: Any):
    q, dy = (random(N, HEADS * groups, T, D) for _ in range(2))
    k, v = (random(N, HEADS, S, D) for _ in range(2))
    mask = draw.random((N, HEADS * groups, T, S)) < 0.6
    mask[..., 1] = True
    tensors = [tensor(each) for each in (q, k, v)]
    y = torch.nn.functional.scaled_dot_product_attention(
        *tensors,
        attn_mask=torch.tensor(mask) if masked == "by a mask" else None,
        is_causal=masked == "causal",
        enable_gqa=True,
    )
    y.backward(torch.tensor(dy))

    grouped = (N, HEADS, groups, T)
    ours = BlockwiseAttention(masked == "causal", block, Dropout(0.0))
    inputs = (jnp.asarray(q.reshape(*grouped, D)), jnp.asarray(k), jnp.asarray(v))
    given = jnp.asarray(mask.reshape(*grouped, S)) if masked == "by a mask" else None
    got, log_sum_exp = ours.forward(*inputs, given)
    close(got.reshape(y.shape), y.detach())
    found = ours.backward(*inputs, log_sum_exp, jnp.asarray(dy.reshape(*grouped, D)), given)
    for one, other in zip(found, tensors, strict=True):
        close(one.reshape(other.shape), other.grad)


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("masked", ["not", "padded", "causal"])
def test_the_layer_is_multihead_attention(across: bool, masked: str, random: Any):
    x, memory, dy = random(N, T, D), random(N, S, E), random(N, T, D)
    length = S if across else T
    mask = np.arange(length)[None] < np.array([length, 3])[:, None]
    layer = fnn.MultiHeadAttention(HEADS, causal=masked == "causal", block=3)
    given = (x, *([memory] if across else []), *([mask] if masked == "padded" else []))
    given = given if len(given) > 1 else x
    params, _ = layer.init(jax.random.key(0), given)
    params = jax.tree.map(lambda leaf: leaf + 0.3 * random(*leaf.shape), params)
    got, _, cache = layer.forward(params, {}, given)
    dparams, dgiven = layer.backward(cache, jnp.asarray(dy))
    dmembers = dgiven if isinstance(dgiven, tuple) else (dgiven,)

    width = E if across else D
    theirs = torch.nn.MultiheadAttention(D, HEADS, kdim=width, vdim=width, batch_first=True, dtype=torch.float64)
    store_torch(layer, params, {}, theirs)
    tensors = [tensor(x)] + [tensor(memory)] * across
    y, _ = theirs(
        tensors[0],
        tensors[-1],
        tensors[-1],
        key_padding_mask=torch.tensor(~mask) if masked == "padded" else None,
        attn_mask=torch.tensor(~np.tri(T, length, dtype=bool)) if masked == "causal" else None,
        need_weights=False,
    )
    y.backward(torch.tensor(dy))
    close(got, y.detach())
    for one, other in zip(dmembers, tensors, strict=False):
        close(one, other.grad)
    close(dparams, gradients(layer, theirs, given))


def test_the_block_is_a_pre_norm_encoder_layer(random: Any):
    x, mask, dy = random(N, T, D), np.arange(T)[None] < np.array([T, 4])[:, None], random(N, T, D)
    block = fnn.TransformerBlock(HEADS, 8)
    params, _ = block.init(jax.random.key(0), (x, mask))
    params = jax.tree.map(lambda leaf: leaf + 0.3 * random(*leaf.shape), params)
    (got, _), _, cache = block.forward(params, {}, (x, mask))
    dparams, (dx, _) = block.backward(cache, (jnp.asarray(dy), None))

    theirs = torch.nn.TransformerEncoderLayer(
        D, HEADS, 8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    store_torch(block, params, {}, theirs)
    given = tensor(x)
    y = theirs(given, src_key_padding_mask=torch.tensor(~mask))
    y.backward(torch.tensor(dy))
    close(got, y.detach())
    close(dx, given.grad)
    close(dparams, gradients(block, theirs, (x, mask)))
