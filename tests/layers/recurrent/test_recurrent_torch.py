"""Recurrent layers against PyTorch, where it is installed: outputs, states and all gradients.

Weights are turned by the table of ``fnn.interop``: PyTorch has a second bias everywhere, which is 0 here where ours has
none.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import store_torch
from tests import comparing
from tests.interop.against_torch import gradients

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = pytest.mark.usefixtures("strict_numerics")

N, T, D, H = 3, 6, 2, 4
LENGTHS = np.array([4, 6, 1])
KINDS = {fnn.SimpleRNN: (torch.nn.RNN, 1), fnn.LSTM: (torch.nn.LSTM, 4), fnn.GRU: (torch.nn.GRU, 3)}
close = partial(comparing.close, rtol=1e-10, atol=1e-11)


def parameters(random: Any, kind: Any) -> dict[str, np.ndarray]:
    k = KINDS[kind][1]
    params = {"kernel": random(D, k * H), "recurrent_kernel": random(H, k * H), "bias": random(k * H)}
    return params | ({"recurrent_bias": random(3 * H)} if kind is fnn.GRU else {})


def run_module(module: Any, x: Any, lengths: Any, carry: Any) -> tuple[Any, Any]:
    if lengths is None:
        return module(x, carry)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    y, final = module(packed, carry)
    return torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=T)[0], final


def to_jax(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_outputs_states_and_gradients(kind: Any, lengths: Any, random: Any):
    members = 2 if kind is fnn.LSTM else 1
    params, x, dy = parameters(random, kind), random(N, T, D), random(N, T, H)
    carry, dcarry = ([random(N, H) for _ in range(members)] for _ in range(2))

    module = KINDS[kind][0](D, H, batch_first=True, dtype=torch.float64)
    store_torch(kind(H), params, {}, module)
    tensors = [torch.tensor(each, requires_grad=True) for each in (x, *carry)]
    start = [each[None] for each in tensors[1:]]
    y, final = run_module(module, tensors[0], lengths, tuple(start) if members > 1 else start[0])
    final = final if members > 1 else (final,)
    loss = (y * torch.tensor(dy)).sum()
    for each, cotangent in zip(final, dcarry, strict=True):
        loss = loss + (each[0] * torch.tensor(cotangent)).sum()
    loss.backward()

    def one(members: Any) -> Any:
        return tuple(members) if len(members) > 1 else members[0]

    layer = kind(H, return_carry=True)
    (ours, end), _, cache = layer.forward(to_jax(params), {}, to_jax((x, lengths, one(carry))))
    dparams, (dx, dlengths, dstart) = layer.backward(cache, to_jax((dy, one(dcarry))))
    assert dlengths is None
    close(ours, y.detach().numpy())
    close(end, one([each[0].detach().numpy() for each in final]))
    close(dx, tensors[0].grad.numpy())
    close(dstart, one([each.grad.numpy() for each in tensors[1:]]))
    close(dparams, gradients(kind(H), module, x))


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "packed"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_bidirectional(kind: Any, lengths: Any, random: Any):
    params = {"forward": parameters(random, kind), "backward": parameters(random, kind)}
    x, dy = random(N, T, D), random(N, T, 2 * H)
    module = KINDS[kind][0](D, H, batch_first=True, bidirectional=True, dtype=torch.float64)
    layer = fnn.Bidirectional(kind(H))
    store_torch(layer, params, {}, module)
    tensor = torch.tensor(x, requires_grad=True)
    y, final = run_module(module, tensor, lengths, None)
    (y * torch.tensor(dy)).sum().backward()

    ours, _, cache = layer.forward(to_jax(params), {}, to_jax(x if lengths is None else (x, lengths)))
    dparams, dx = layer.backward(cache, jnp.asarray(dy))
    close(ours, y.detach().numpy())
    close(dx if lengths is None else dx[0], tensor.grad.numpy())
    close(dparams, gradients(layer, module, x))

    last = fnn.Bidirectional(kind(H, return_sequences=False))
    h = (final[0] if kind is fnn.LSTM else final).detach().numpy()
    ours, _ = last.apply(to_jax(params), {}, to_jax(x if lengths is None else (x, lengths)))
    close(ours, np.concatenate((h[0], h[1]), -1))
