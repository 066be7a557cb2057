"""Recurrent layers against NumPy loops written from the equations, numbers worked by hand, and their conventions."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests import compiled
from tests.comparing import close, same

pytestmark = pytest.mark.usefixtures("strict_numerics")

N, T, D, H, OUTPUTS = 3, 5, 2, 4, 2
GATES = {fnn.SimpleRNN: 1, fnn.LSTM: 4, fnn.GRU: 3}
KINDS = tuple(GATES)
EVERY = (
    *(kind(H) for kind in KINDS),
    fnn.FeedbackRNN(H, OUTPUTS),
    fnn.FeedbackRNN(H, OUTPUTS, lateral=False, self_feedback=False),
    fnn.FeedbackRNN(H, OUTPUTS, output_feedback=False, activation=fnn.Silu()),
)
LENGTHS = np.array([5, 0, 3])


def shown(layer: Any) -> str:
    return repr(layer) if isinstance(layer, fnn.Layer) else layer.__name__


def with_options(layer: Any, **options: Any) -> Any:
    return type(layer)(**vars(layer) | options)


def made(layer: Any, random: Any) -> tuple[dict, np.ndarray, Any]:
    """Random parameters, x, and a carry to start from."""
    x = random(N, T, D)
    params = compiled.drawn_params(random, layer, x)
    if "recurrent_kernel" in params and isinstance(layer, fnn.FeedbackRNN):
        own = np.eye(H, dtype=bool)
        params["recurrent_kernel"] *= np.where(own, layer.self_feedback, layer.lateral)
    return params, x, outside(tuple(random(N, size) for size in layer.carry_sizes()))


def outside(members: Any) -> Any:
    """A carry as the layers take and give it: one member stands alone."""
    return members if len(members) > 1 else members[0]


@partial(jax.jit, static_argnums=0)
def run(layer: Any, params: dict, x: Any, dy: Any = None) -> tuple[Any, Any, Any]:
    """The output and, given dy, the gradients."""
    y, _, cache = layer.forward(params, {}, x)
    return (y, None, None) if dy is None else (y, *layer.backward(cache, dy))


# ---- the equations, one sample and one step at a time


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def one_step(layer: Any, params: dict, x: np.ndarray, carry: tuple) -> tuple[np.ndarray, tuple]:
    """The output (F,) and carry of one sample, from its input (D,)."""
    p = {"input_scale": None, "recurrent_scale": None, "recurrent_bias": 0.0} | params
    if isinstance(layer, fnn.FeedbackRNN):
        h, y = carry
        a = x @ p["kernel"] + p["bias"]
        if "recurrent_kernel" in p:
            a = a + h @ p["recurrent_kernel"]
        if layer.output_feedback:
            a = a + y @ p["feedback_kernel"]
        h = a * sigmoid(a) if layer.activation == fnn.Silu() else np.tanh(a)
        y = h @ p["output_kernel"] + p["output_bias"]
        return y, (h, y)

    def normed(a: np.ndarray, scale: Any) -> np.ndarray:
        return a if scale is None else scale * (a - a.mean()) / np.sqrt(a.var() + 1e-5)

    h = carry[0]
    px = normed(x @ p["kernel"], p["input_scale"]) + p["bias"]
    ph = normed(h @ p["recurrent_kernel"], p["recurrent_scale"]) + p["recurrent_bias"]
    if isinstance(layer, fnn.SimpleRNN):
        h = np.tanh(px + ph)
        return h, (h,)
    if isinstance(layer, fnn.LSTM):
        a = px + ph
        i, f, g, o = a[:H], a[H : 2 * H], a[2 * H : 3 * H], a[3 * H :]
        c = sigmoid(f) * carry[1] + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        return h, (h, c)
    r = sigmoid(px[:H] + ph[:H])
    z = sigmoid(px[H : 2 * H] + ph[H : 2 * H])
    n = np.tanh(px[2 * H :] + r * ph[2 * H :])
    h = (1 - z) * n + z * h
    return h, (h,)


def reference(layer: Any, params: dict, x: np.ndarray, lengths: Any = None, carry: Any = None) -> tuple[Any, tuple]:
    """All outputs (N, T, F), and the members of the carry at the end."""
    sizes = layer.carry_sizes()
    members = tuple(np.zeros((N, size)) for size in sizes) if carry is None else carry
    members = members if isinstance(members, tuple) else (members,)
    outputs = np.zeros((N, T, sizes[layer.visible]))
    final = tuple(member.copy() for member in members)
    for sample in range(N):
        length = T if lengths is None else int(lengths[sample])
        state = tuple(member[sample] for member in members)
        for t in reversed(range(length)) if layer.reverse else range(length):
            outputs[sample, t], state = one_step(layer, params, x[sample, t], state)
        for whole, each in zip(final, state, strict=True):
            whole[sample] = each
    return outputs, final


@pytest.mark.parametrize("reverse", [False, pytest.param(True, marks=pytest.mark.full)])
@pytest.mark.parametrize("layer", [*EVERY, *(kind(H, layer_norm=True) for kind in KINDS)], ids=shown)
def test_the_forward_is_the_equations_step_by_step(layer: Any, reverse: bool, random: Any):
    layer = with_options(layer, reverse=reverse, return_carry=True)
    params, x, carry = made(layer, random)
    expected, final = reference(layer, params, x, LENGTHS, carry)
    y, end = run(layer, params, (x, LENGTHS, carry))[0]
    close(y, expected)
    close(end, outside(final))
    last = with_options(layer, return_sequences=False, return_carry=False)
    close(run(last, params, (x, LENGTHS, carry))[0], final[layer.visible])
    close(run(with_options(layer, return_carry=False), params, x)[0], reference(layer, params, x)[0])


def test_a_simple_rnn_worked_by_hand():
    params = {"kernel": np.array([[1.0]]), "recurrent_kernel": np.array([[2.0]]), "bias": np.array([0.5])}
    x = np.array([[[0.5], [-1.0]]])
    h1 = np.tanh(0.5 + 0.5)  # 0.7615941559557649
    h2 = np.tanh(-1.0 + 2 * h1 + 0.5)  # tanh(1.0231883119115298)
    y, dparams, dx = run(fnn.SimpleRNN(1), params, x, np.array([[[1.0], [10.0]]]))
    close(y, np.array([[[h1], [h2]]]))
    np.testing.assert_allclose(h2, 0.7711, atol=1e-4)
    d2 = 10 * (1 - h2**2)
    d1 = (1 + 2 * d2) * (1 - h1**2)
    close(dx, np.array([[[d1], [d2]]]))
    close(
        dparams,
        {
            "kernel": np.array([[0.5 * d1 - d2]]),
            "recurrent_kernel": np.array([[h1 * d2]]),
            "bias": np.array([d1 + d2]),
        },
    )


def test_one_step_of_an_lstm_worked_by_hand():
    params = {"kernel": np.array([[0.0, 1.0, 2.0, -1.0]]), "recurrent_kernel": np.zeros((1, 4)), "bias": np.zeros(4)}
    layer = fnn.LSTM(1, return_carry=True)
    x, start = np.array([[[1.0]]]), (np.zeros((1, 1)), np.array([[3.0]]))
    dy = (np.array([[[1.0]]]), (np.zeros((1, 1)), np.array([[0.5]])))
    (y, (h, c)), dparams, dx = run(layer, params, (x, None, start), dy)
    i, f, g, o = 0.5, 0.7310585786300049, 0.9640275800758169, 0.2689414213699951
    cell = f * 3 + i * g
    np.testing.assert_allclose(c, [[cell]], rtol=1e-14)
    np.testing.assert_allclose(y, [[[o * np.tanh(cell)]]], rtol=1e-14)
    close(h, y[:, 0])
    dc = 0.5 + o * (1 - np.tanh(cell) ** 2)
    deltas = [dc * g * i * (1 - i), dc * 3 * f * (1 - f), dc * i * (1 - g**2), np.tanh(cell) * o * (1 - o)]
    close(dparams["bias"], np.array(deltas))
    close(dx[0], np.array([[[deltas[1] + 2 * deltas[2] - deltas[3]]]]))
    close(dx[2], (np.zeros((1, 1)), np.array([[dc * f]])))


def test_one_step_of_a_gru_worked_by_hand():
    # r = σ(0) = ½, z = σ(ln 3) = ¾, n = tanh(1 + ½ · (2 · 1 − 4)) = tanh(0) = 0, h' = ¼ · 0 + ¾ · 1
    params = {
        "kernel": np.array([[0.0, np.log(3.0), 1.0]]),
        "recurrent_kernel": np.array([[0.0, 0.0, 2.0]]),
        "bias": np.zeros(3),
        "recurrent_bias": np.array([0.0, 0.0, -4.0]),
    }
    x, start = np.array([[[1.0]]]), np.array([[1.0]])
    y, dparams, dx = run(fnn.GRU(1), params, (x, None, start), np.array([[[1.0]]]))
    close(y, np.array([[[0.75]]]))
    # dn = ¼, dz = 1 · ¾ · ¼, dr = ¼ · (−2) · ¼; the reset scales what the recurrent product gets
    close(dparams["bias"], np.array([-0.125, 0.1875, 0.25]))
    close(dparams["recurrent_bias"], np.array([-0.125, 0.1875, 0.125]))
    close(dparams["recurrent_kernel"], np.array([[-0.125, 0.1875, 0.125]]))
    close(dx[0], np.array([[[0.1875 * np.log(3.0) + 0.25]]]))
    close(dx[2], np.array([[0.75 + 2 * 0.125]]))


def test_two_steps_of_a_jordan_network_worked_by_hand():
    layer = fnn.FeedbackRNN(1, 1, lateral=False, self_feedback=False)
    scalars = {"kernel": 1.0, "output_kernel": 2.0, "feedback_kernel": 0.5}
    params = {name: np.array([[value]]) for name, value in scalars.items()}
    params |= {"bias": np.zeros(1), "output_bias": np.ones(1)}
    y, dparams, dx = run(layer, params, np.array([[[0.0], [-0.5]]]), np.array([[[0.0], [1.0]]]))
    # y₁ = 2 tanh 0 + 1 = 1, a₂ = −½ + ½ · 1 = 0, y₂ = 1
    close(y, np.array([[[1.0], [1.0]]]))
    # da₂ = 2, dy₁ = 2 · ½ = 1, da₁ = 2
    close(dx, np.array([[[2.0], [2.0]]]))
    close(dparams["feedback_kernel"], np.array([[2.0]]))
    close(dparams["output_kernel"], np.array([[0.0]]))
    close(dparams["output_bias"], np.array([2.0]))


# ---- lengths


@pytest.mark.full
@pytest.mark.parametrize(
    "layer",
    [
        *(pytest.param(each, marks=pytest.mark.full) for each in EVERY if each != fnn.FeedbackRNN(H, OUTPUTS)),
        fnn.FeedbackRNN(H, OUTPUTS),
        fnn.LSTM(H, layer_norm=True),
        fnn.GRU(H, reverse=True),
    ],
    ids=shown,
)
def test_padding_neither_acts_nor_gets_a_gradient_even_if_it_is_not_finite(layer: Any, random: Any):
    params, x, carry = made(layer, random)
    past = np.arange(T).reshape(1, T, 1) >= LENGTHS.reshape(N, 1, 1)
    dy = random(N, T, layer.carry_sizes()[layer.visible])
    y, dparams, dx = run(layer, params, (x, LENGTHS, carry), dy)
    assert not np.any(np.where(past, y, 0))
    assert not np.any(np.where(past, dx[0], 0))
    for junk in (np.nan, np.inf, 1e300):
        dirty, ddirty = np.where(past, junk, x), np.where(past, junk, dy)
        again = run(layer, params, (dirty, LENGTHS, carry), ddirty)
        same(again, (y, dparams, dx))

    def loss(x: Any) -> Any:
        return (layer.apply(params, {}, (x, LENGTHS, carry))[0] * dy).sum()

    close(dx[0], jax.jit(jax.grad(loss))(np.where(past, np.nan, x)))


@pytest.mark.full
@pytest.mark.parametrize("layer", EVERY, ids=shown)
def test_a_ragged_batch_is_its_sequences_one_by_one(layer: Any, random: Any):
    layer = with_options(layer, return_carry=True, reverse=True)
    params, x, carry = made(layer, random)
    (y, end), _, _ = run(layer, params, (x, LENGTHS, carry))
    for sample, length in enumerate(LENGTHS):
        start = jax.tree.map(lambda member, at=sample: member[at : at + 1], carry)
        if length == 0:
            close(jax.tree.map(lambda member, at=sample: member[at : at + 1], end), start)
            continue
        (alone, final), _, _ = run(layer, params, (x[sample : sample + 1, :length], None, start))
        close(y[sample, :length], alone[0])
        close(jax.tree.map(lambda member, at=sample: member[at : at + 1], end), final)


@pytest.mark.full
@pytest.mark.parametrize("layer", [fnn.LSTM(H), fnn.FeedbackRNN(H, OUTPUTS)], ids=shown)
def test_lengths_may_be_traced_and_of_any_integer_dtype(layer: Any, random: Any):
    params, x, _ = made(layer, random)
    expected = reference(layer, params, x, LENGTHS)[0]
    for dtype in (np.uint8, np.int32, np.int64):
        close(run(layer, params, (x, LENGTHS.astype(dtype)))[0], expected)


def test_small_lengths_count_beyond_what_their_dtype_holds():
    layer = fnn.SimpleRNN(2)
    x = np.ones((1, 200, 1))
    params, _ = compiled.init(layer, jax.random.key(0), x)
    y, _ = compiled.apply(layer, params, {}, (x, np.array([100], np.int8)))
    assert np.count_nonzero(np.any(np.asarray(y) != 0, -1)) == 100


# ---- the one-step form


@pytest.mark.parametrize("layer", [*EVERY, *(kind(H, layer_norm=True) for kind in KINDS)], ids=shown)
def test_the_one_step_form_gives_the_sequence_step_by_step(layer: Any, random: Any):
    layer = with_options(layer, return_carry=True)
    params, x, _ = made(layer, random)
    carry, step = layer.start(N, jnp.float64), jax.jit(layer.step)
    (y, end), _, _ = run(layer, params, (x, np.full(N, T), carry))
    for t in range(T):
        each, carry = step(params, carry, x[:, t])
        close(each, y[:, t])
    close(carry, end)


def test_decoding_can_go_on_from_the_carry_of_a_sequence(random: Any):
    layer = fnn.GRU(H, return_carry=True)
    params, x, _ = made(layer, random)
    (_, carry), _, _ = run(layer, params, x[:, :3])
    y, _ = layer.step(params, carry, x[:, 3])
    close(y, run(with_options(layer, return_carry=False), params, x)[0][:, 3])


# ---- as records


@pytest.mark.parametrize("layer", EVERY, ids=shown)
def test_every_option_compares_and_prints(layer: Any):
    assert layer == with_options(layer)
    assert hash(layer) == hash(with_options(layer))
    assert eval(repr(layer), dict(vars(fnn))) == layer
