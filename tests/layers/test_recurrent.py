"""Recurrent layers against NumPy loops written from the equations, numbers worked by hand, and their conventions."""

# In the tables of errors a row is a line.

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

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


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def with_options(layer: Any, **options: Any) -> Any:
    return type(layer)(**vars(layer) | options)


def made(layer: Any, seed: int = 0) -> tuple[dict, np.ndarray, Any]:
    """Random parameters, x, and a carry to start from."""
    x = random(seed, N, T, D)
    shapes = jax.eval_shape(lambda: layer.init(jax.random.key(0), jnp.asarray(x))[0])
    params = {name: random(seed + 1 + i, *shapes[name].shape) for i, name in enumerate(sorted(shapes))}
    if "recurrent_kernel" in params and isinstance(layer, fnn.FeedbackRNN):
        own = np.eye(H, dtype=bool)
        params["recurrent_kernel"] *= np.where(own, layer.self_feedback, layer.lateral)
    members = tuple(random(seed + 50 + i, N, size) for i, size in enumerate(layer.carry_sizes()))
    return params, x, outside(members)


def outside(members: Any) -> Any:
    """A carry as the layers take and give it: one member stands alone."""
    return members if len(members) > 1 else members[0]


def to_jax(tree: Any) -> Any:
    return jax.tree.map(jnp.asarray, tree)


@partial(jax.jit, static_argnums=0)
def compiled(layer: Any, params: dict, x: Any, dy: Any) -> tuple[Any, Any, Any]:
    y, _, cache = layer.forward(params, {}, x)
    return (y, None, None) if dy is None else (y, *layer.backward(cache, dy))


def run(layer: Any, params: dict, x: Any, dy: Any = None) -> tuple[Any, Any, Any]:
    """The output and, given dy, the gradients."""
    return compiled(layer, *to_jax((params, x, dy)))


def close(got: Any, expected: Any) -> None:
    """Equal, tuples and dicts member by member."""
    if isinstance(got, tuple | dict):
        assert len(got) == len(expected)
        for place in got if isinstance(got, dict) else range(len(got)):
            close(got[place], expected[place])
        return
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


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


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("layer", [*EVERY, *(kind(H, layer_norm=True) for kind in KINDS)], ids=shown)
def test_the_forward_is_the_equations_step_by_step(layer: Any, reverse: bool):
    layer = with_options(layer, reverse=reverse, return_carry=True)
    params, x, carry = made(layer)
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
    close(y, [[[h1], [h2]]])
    np.testing.assert_allclose(h2, 0.7711, atol=1e-4)
    d2 = 10 * (1 - h2**2)
    d1 = (1 + 2 * d2) * (1 - h1**2)
    close(dx, [[[d1], [d2]]])
    close(dparams, {"kernel": [[0.5 * d1 - d2]], "recurrent_kernel": [[h1 * d2]], "bias": [d1 + d2]})


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
    close(dparams["bias"], deltas)
    close(dx[0], [[[deltas[1] + 2 * deltas[2] - deltas[3]]]])
    close(dx[2], (np.zeros((1, 1)), [[dc * f]]))


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
    close(y, [[[0.75]]])
    # dn = ¼, dz = 1 · ¾ · ¼, dr = ¼ · (−2) · ¼; the reset scales what the recurrent product gets
    close(dparams["bias"], [-0.125, 0.1875, 0.25])
    close(dparams["recurrent_bias"], [-0.125, 0.1875, 0.125])
    close(dparams["recurrent_kernel"], [[-0.125, 0.1875, 0.125]])
    close(dx[0], [[[0.1875 * np.log(3.0) + 0.25]]])
    close(dx[2], [[0.75 + 2 * 0.125]])


def test_two_steps_of_a_jordan_network_worked_by_hand():
    layer = fnn.FeedbackRNN(1, 1, lateral=False, self_feedback=False)
    scalars = {"kernel": 1.0, "output_kernel": 2.0, "feedback_kernel": 0.5}
    params = {name: np.array([[value]]) for name, value in scalars.items()}
    params |= {"bias": np.zeros(1), "output_bias": np.ones(1)}
    y, dparams, dx = run(layer, params, np.array([[[0.0], [-0.5]]]), np.array([[[0.0], [1.0]]]))
    # y₁ = 2 tanh 0 + 1 = 1, a₂ = −½ + ½ · 1 = 0, y₂ = 1
    close(y, [[[1.0], [1.0]]])
    # da₂ = 2, dy₁ = 2 · ½ = 1, da₁ = 2
    close(dx, [[[2.0], [2.0]]])
    close(dparams["feedback_kernel"], [[2.0]])
    close(dparams["output_kernel"], [[0.0]])
    close(dparams["output_bias"], [2.0])


# ---- lengths


@pytest.mark.parametrize("layer", [*EVERY, fnn.LSTM(H, layer_norm=True), fnn.GRU(H, reverse=True)], ids=shown)
def test_padding_neither_acts_nor_gets_a_gradient_even_if_it_is_not_finite(layer: Any):
    params, x, carry = made(layer)
    past = np.arange(T).reshape(1, T, 1) >= LENGTHS.reshape(N, 1, 1)
    dy = random(9, N, T, layer.carry_sizes()[layer.visible])
    y, dparams, dx = run(layer, params, (x, LENGTHS, carry), dy)
    assert not np.any(np.where(past, y, 0))
    assert not np.any(np.where(past, dx[0], 0))
    for junk in (np.nan, np.inf, 1e300):
        dirty, ddirty = np.where(past, junk, x), np.where(past, junk, dy)
        again = run(layer, params, (dirty, LENGTHS, carry), ddirty)
        for one, other in zip(jax.tree.leaves(again), jax.tree.leaves((y, dparams, dx)), strict=True):
            np.testing.assert_array_equal(one, other)

    def loss(x: Any) -> Any:
        y = layer.apply(to_jax(params), {}, (x, jnp.asarray(LENGTHS), to_jax(carry)))[0]
        return (y * jnp.asarray(dy)).sum()

    close(dx[0], jax.jit(jax.grad(loss))(jnp.asarray(np.where(past, np.nan, x))))


@pytest.mark.parametrize("layer", EVERY, ids=shown)
def test_a_ragged_batch_is_its_sequences_one_by_one(layer: Any):
    layer = with_options(layer, return_carry=True, reverse=True)
    params, x, carry = made(layer)
    (y, end), _, _ = run(layer, params, (x, LENGTHS, carry))
    for sample, length in enumerate(LENGTHS):
        start = jax.tree.map(lambda member, at=sample: member[at : at + 1], carry)
        if length == 0:
            close(jax.tree.map(lambda member, at=sample: member[at : at + 1], end), start)
            continue
        (alone, final), _, _ = run(layer, params, (x[sample : sample + 1, :length], None, start))
        close(y[sample, :length], alone[0])
        close(jax.tree.map(lambda member, at=sample: member[at : at + 1], end), final)


@pytest.mark.parametrize("layer", [fnn.LSTM(H), fnn.FeedbackRNN(H, OUTPUTS)], ids=shown)
def test_lengths_may_be_traced_and_of_any_integer_dtype(layer: Any):
    params, x, _ = made(layer)
    expected = reference(layer, params, x, LENGTHS)[0]
    for dtype in (np.uint8, np.int32, np.int64):
        close(run(layer, params, (x, LENGTHS.astype(dtype)))[0], expected)


def test_small_lengths_count_beyond_what_their_dtype_holds():
    layer = fnn.SimpleRNN(2)
    x = jnp.ones((1, 200, 1))
    params, _ = layer.init(jax.random.key(0), x)
    y, _ = layer.apply(params, {}, (x, jnp.array([100], jnp.int8)))
    assert np.count_nonzero(np.any(np.asarray(y) != 0, -1)) == 100


# ---- the one-step form


@pytest.mark.parametrize("layer", [*EVERY, *(kind(H, layer_norm=True) for kind in KINDS)], ids=shown)
def test_the_one_step_form_gives_the_sequence_step_by_step(layer: Any):
    layer = with_options(layer, return_carry=True)
    params, x, _ = made(layer)
    (y, end), _, _ = run(layer, params, x)
    carry, step = layer.start(N, jnp.float64), jax.jit(layer.step)
    for t in range(T):
        each, carry = step(to_jax(params), carry, jnp.asarray(x[:, t]))
        close(each, y[:, t])
    close(carry, end)


def test_decoding_can_go_on_from_the_carry_of_a_sequence():
    layer = fnn.GRU(H, return_carry=True)
    params, x, _ = made(layer)
    (_, carry), _, _ = run(layer, params, x[:, :3])
    y, _ = layer.step(to_jax(params), carry, jnp.asarray(x[:, 3]))
    close(y, run(with_options(layer, return_carry=False), params, x)[0][:, 3])


# ---- options and initial values


@pytest.mark.parametrize("kind", KINDS, ids=shown)
def test_the_parameters_start_as_documented(kind: Any):
    layer, k = kind(H), GATES[kind]
    params, state = layer.init(jax.random.key(3), jax.ShapeDtypeStruct((1, T, 7), jnp.float64))
    assert state == {}
    assert {name: leaf.shape for name, leaf in params.items()} == {
        "kernel": (7, k * H),
        "recurrent_kernel": (H, k * H),
        "bias": (k * H,),
        **({"recurrent_bias": (3 * H,)} if kind is fnn.GRU else {}),
    }
    blocks = np.split(np.asarray(params["recurrent_kernel"]), k, axis=1)
    for block in blocks:
        close(block.T @ block, np.eye(H))
    assert all(np.abs(one - other).max() > 0.1 for one, other in zip(blocks[1:], blocks[:-1], strict=True))
    assert np.abs(params["kernel"]).max() <= np.sqrt(6 / (7 + k * H))
    forget = np.arange(k * H) // H == 1 if kind is fnn.LSTM else np.zeros(k * H)
    np.testing.assert_array_equal(params["bias"], forget)
    np.testing.assert_array_equal(params.get("recurrent_bias", 0), 0)


def test_layer_norm_adds_a_scale_for_each_product():
    params, _ = fnn.GRU(H, layer_norm=True).init(jax.random.key(0), jnp.zeros((1, T, D)))
    for name in ("input_scale", "recurrent_scale"):
        np.testing.assert_array_equal(params[name], np.ones(3 * H))


@pytest.mark.parametrize(
    ("options", "mask"),
    [
        ({}, np.ones((3, 3))),
        ({"lateral": False}, np.eye(3)),
        ({"self_feedback": False}, 1 - np.eye(3)),
        ({"lateral": False, "self_feedback": False}, None),
    ],
)
def test_feedback_connections_that_are_not_allowed_do_not_act(options: dict, mask: Any):
    layer = fnn.FeedbackRNN(3, 2, **options)
    x = jnp.asarray(random(0, 2, 4, 2))
    params, _ = layer.init(jax.random.key(0), x)
    if mask is None:
        assert "recurrent_kernel" not in params
        return
    kernel = np.asarray(params["recurrent_kernel"])
    np.testing.assert_array_equal(kernel != 0, mask != 0)
    full = params | {"recurrent_kernel": jnp.asarray(kernel + 10 * (1 - mask))}
    dy = random(1, 2, 4, 2)
    one, other = run(layer, params, x, dy), run(layer, full, x, dy)
    close(one, other)
    np.testing.assert_array_equal(np.asarray(one[1]["recurrent_kernel"]) != 0, mask != 0)


def test_feedback_of_the_output_can_be_left_out():
    params, _ = fnn.FeedbackRNN(3, 2, output_feedback=False).init(jax.random.key(0), jnp.zeros((2, 4, 2)))
    assert sorted(params) == ["bias", "kernel", "output_bias", "output_kernel", "recurrent_kernel"]


@pytest.mark.parametrize("kind", KINDS, ids=shown)
def test_recurrent_dropout_draws_one_mask_for_all_steps(kind: Any):
    layer, rate = kind(64, recurrent_dropout=0.5), 0.5
    x = jnp.asarray(random(0, 2, 6, 3))
    params, _ = layer.init(jax.random.key(1), x)
    key = jax.random.key(2)
    y, _, cache = layer.forward(params, {}, x, train=True, key=key)
    mask = np.asarray(cache["weights"]["mask"])
    assert set(np.unique(mask)) == {0.0, 1 / (1 - rate)}
    assert 0.3 < (mask == 0).mean() < 0.7
    # By hand: the recurrent product sees m ⊙ h, everything else h.
    weights = {name: np.asarray(leaf) for name, leaf in params.items()}
    h, c = np.zeros((2, 64)), np.zeros((2, 64))
    for t in range(6):
        px = np.asarray(x[:, t]) @ weights["kernel"] + weights["bias"]
        ph = (mask * h) @ weights["recurrent_kernel"] + weights.get("recurrent_bias", 0.0)
        p, q = np.split(px, GATES[kind], -1), np.split(ph, GATES[kind], -1)
        if kind is fnn.SimpleRNN:
            h = np.tanh(px + ph)
        elif kind is fnn.LSTM:
            i, f, g, o = (one + other for one, other in zip(p, q, strict=True))
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        else:
            z = sigmoid(p[1] + q[1])
            h = (1 - z) * np.tanh(p[2] + sigmoid(p[0] + q[0]) * q[2]) + z * h
        close(y[:, t], h)
    close(layer.apply(params, {}, x)[0], kind(64).apply(params, {}, x, train=True)[0])


def test_recurrent_dropout_may_be_swept():
    x = jnp.asarray(random(0, 2, 6, 3))
    params, _ = fnn.GRU(8).init(jax.random.key(1), x)

    def output(rate: Any) -> Any:
        return fnn.GRU(8, recurrent_dropout=rate).apply(params, {}, x, train=True, key=jax.random.key(2))[0]

    close(jax.jit(output)(jnp.float64(0.3)), output(0.3))


def test_bfloat16_stays_and_adds_up_in_float32():
    # z ≈ 1 − 1/400 moves h by less than bfloat16 can tell from h itself: a carry kept in it would stand still.
    layer = fnn.GRU(1, return_sequences=False)
    params = {
        "kernel": jnp.zeros((1, 3), jnp.bfloat16),
        "recurrent_kernel": jnp.zeros((1, 3), jnp.bfloat16),
        "bias": jnp.array([0, 6, 8], jnp.bfloat16),
        "recurrent_bias": jnp.zeros(3, jnp.bfloat16),
    }
    y, _ = layer.apply(params, {}, jnp.zeros((1, 1000, 1), jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    exact = 1 - sigmoid(6.0) ** 1000
    np.testing.assert_allclose(np.float64(y[0, 0]), exact, rtol=2**-8)


@pytest.mark.parametrize("layer", EVERY, ids=shown)
def test_every_option_compares_and_prints(layer: Any):
    assert layer == with_options(layer)
    assert hash(layer) == hash(with_options(layer))
    assert eval(repr(layer), dict(vars(fnn))) == layer


# ---- errors

X = np.zeros((2, 4, 3))
BAD_INPUT = [
    (np.zeros((2, 4)), ValueError, r"expected sequences \(N, T, D\), got float64\[2,4\]"),
    ((np.zeros((2, 4)), None), ValueError, r"expected sequences \(N, T, D\)"),
    (np.zeros((2, 0, 3)), ValueError, "the batch is empty"),
    (np.zeros((2, 4, 3), np.int32), TypeError, "expected an array of floating dtype"),
    ((X,), TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ([X, np.array([1, 2])], TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ((X, None, None, None), TypeError, r"expected x, \(x, lengths\) or \(x, lengths, carry\)"),
    ((X, np.array([1.0, 2.0])), TypeError, r"expected integer lengths, got float64\[2\]"),
    ((X, np.array([True, False])), TypeError, r"expected integer lengths, got bool\[2\]; a mask is not a length"),
    ((X, (1, 2)), TypeError, r"expected integer lengths \(2,\), got \(int, int\)"),
    ((X, np.array([1, 2, 3])), ValueError, r"expected one length a sequence, \(2,\), got int64\[3\]"),
    ((X, np.array(2)), ValueError, r"expected one length a sequence, \(2,\), got int64\[\]"),
    ((X, np.array([1, 5])), ValueError, r"lengths lie in \[0, 4\], got values from 1 to 5"),
    ((X, np.array([-1, 4])), ValueError, r"lengths lie in \[0, 4\], got values from -1 to 4"),
]
BAD_CARRY = [
    (
        fnn.GRU(2),
        (np.zeros((2, 2)),),
        TypeError,
        r"expected a carry float64\[2,2\], got \(float64\[2,2\]\); the layer's",
    ),
    (
        fnn.GRU(2),
        np.zeros((2, 3)),
        ValueError,
        r"expected a carry float64\[2,2\], got float64\[2,3\]; the layer's start",
    ),
    (fnn.GRU(2), np.zeros((1, 2)), ValueError, r"expected a carry float64\[2,2\], got float64\[1,2\]"),
    (fnn.GRU(2), np.zeros((2, 2), np.float32), TypeError, r"got float32\[2,2\]; cast one of them explicitly"),
    (
        fnn.LSTM(2),
        np.zeros((2, 2)),
        TypeError,
        r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got float64\[2,2\]",
    ),
    (fnn.LSTM(2), (np.zeros((2, 2)),) * 3, TypeError, r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got \("),
    (fnn.LSTM(2), [np.zeros((2, 2))] * 2, TypeError, r"expected a carry \(float64\[2,2\], float64\[2,2\]\), got \("),
    (
        fnn.FeedbackRNN(2, 1),
        (np.zeros((2, 2)),) * 2,
        ValueError,
        r"expected a carry \(float64\[2,2\], float64\[2,1\]\)",
    ),
]


@pytest.mark.parametrize(("x", "error", "message"), BAD_INPUT, ids=[row[2] for row in BAD_INPUT])
def test_bad_inputs_are_refused(x: Any, error: type, message: str):
    for layer in (fnn.LSTM(2), fnn.FeedbackRNN(2, 1)):
        params, _ = layer.init(jax.random.key(0), X)
        with pytest.raises(error, match=message):
            layer.apply(params, {}, x)


@pytest.mark.parametrize(("layer", "carry", "error", "message"), BAD_CARRY, ids=[row[3] for row in BAD_CARRY])
def test_bad_carries_are_refused(layer: Any, carry: Any, error: type, message: str):
    params, _ = layer.init(jax.random.key(0), X)
    with pytest.raises(error, match=message):
        layer.apply(params, {}, (X, None, carry))
    with pytest.raises(error, match=message):
        layer.step(params, carry, jnp.zeros((2, 3)))


def test_other_bad_values_are_refused():
    with pytest.raises(ValueError, match="features is at least 1, got 0"):
        fnn.LSTM(0)
    with pytest.raises(ValueError, match="outputs is at least 1, got 0"):
        fnn.FeedbackRNN(2, 0)
    with pytest.raises(ValueError, match=r"rate is the fraction dropped and lies in \[0, 1\), got 1"):
        fnn.GRU(2, recurrent_dropout=1)
    with pytest.raises(TypeError, match="activation is an elementwise layer, got Dense"):
        fnn.FeedbackRNN(2, 1, activation=fnn.Dense(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"activation is an elementwise layer, got .*; did you mean Tanh\(…\)\?"):
        fnn.FeedbackRNN(2, 1, activation=fnn.Tanh)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected sequences \(N, T, D\), got float64\[4,3\]"):
        fnn.LSTM(2).init(jax.random.key(0), np.zeros((4, 3)))
    layer = fnn.LSTM(2, recurrent_dropout=0.5)
    params, _ = layer.init(jax.random.key(0), X)
    with pytest.raises(
        ValueError, match=r"LSTM\(features=2, recurrent_dropout=0\.5\) is random in training and needs a"
    ):
        layer.apply(params, {}, X, train=True)
    with pytest.raises(ValueError, match=r"expected the inputs of one step \(N, D\), got the shape \(2, 4, 3\)"):
        layer.step(params, layer.start(2, jnp.float64), X)
    with pytest.raises(ValueError, match=r"parameter 'kernel' has shape \(3, 8\) where this input needs \(5, 8\)"):
        layer.apply(params, {}, np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="expected a parameter 'recurrent_bias'"):
        fnn.GRU(2).apply(
            {"kernel": jnp.zeros((3, 6)), "recurrent_kernel": jnp.zeros((2, 6)), "bias": jnp.zeros(6)}, {}, X
        )


@pytest.mark.parametrize("wrong", [-1, 5])
def test_under_jit_a_sequence_of_a_wrong_length_is_nan_and_the_others_are_not(wrong: int):
    layer, x = fnn.LSTM(2, return_carry=True), np.random.default_rng(0).standard_normal((3, 4, 2))
    params, state = layer.init(jax.random.key(0), jnp.asarray(x))
    run = jax.jit(lambda lengths: layer.apply(params, state, (x, lengths))[0])
    y, carry = run(jnp.array([4, wrong, 0]))
    for each in (y, *carry):
        assert jnp.isnan(each).reshape(3, -1).all(1).tolist() == [False, True, False]
        assert jnp.isfinite(each[::2]).all()
