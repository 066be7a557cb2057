"""One step after another: every public layer gives what its full pass gives, or says why it cannot."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.calls import start_of, step_of
from tests.cases import LAYERS
from tests.comparing import close
from tests.drawing import drawn, generator

KEY = jax.random.key(0)
N, T, D = 2, 5, 4
X = drawn("sequences for single steps", N, T, D)
TOKENS = generator("tokens for single steps").integers(0, 5, (N, T)).astype(np.int32)
HEADS = X.reshape(N, T, 2, 2)
IMAGES = drawn("images for single steps", N, T, 4, 4, 1)
CAUSAL = fnn.MultiHeadAttention(2, causal=True, rotary=True)
BLOCK = fnn.TransformerBlock(2, 8, causal=True, rotary=True, dropout=0.5, norm=fnn.RMSNorm())
PUBLIC = [kind for kind in vars(fnn).values() if isinstance(kind, type) and issubclass(kind, fnn.Layer)]
MIXED = r"mixes those of a sequence; if it is meant for each of them alone, put it in a TimeDistributed"

# What remembers, and what is made of layers; the input is X unless another stands beside it.
FIRST: list[Any] = [
    fnn.LSTM(3, layer_norm=True),
    fnn.Conv(4, 3, padding="CAUSAL", dilation=2, groups=2),
    fnn.Serial(fnn.PositionalEmbedding(T), fnn.Repeat(BLOCK, 2), fnn.LayerNorm()),
    fnn.Cast(fnn.Serial(fnn.GRU(2), fnn.MultiHeadAttention(1, causal=True)), "float64"),
    fnn.Tied(fnn.Serial(fnn.SimpleRNN(D), fnn.SimpleRNN(D)), {"simple_rnn_1": "simple_rnn_0"}),
]
KEPT: list[Any] = [
    fnn.LSTM(3),
    fnn.SimpleRNN(3),
    fnn.GRU(3, recurrent_dropout=0.5),
    fnn.FeedbackRNN(3, 2, lateral=False),
    fnn.MultiHeadAttention(2, causal=True),
    fnn.MultiHeadAttention(4, head_features=2, kv_heads=2, causal=True, rotary=True, block=2),
    fnn.PositionalEmbedding(T + 1),
    fnn.SinusoidalEmbedding(),
    (fnn.RotaryEmbedding(), HEADS),
    fnn.Conv(4, (2,), padding=((1, 0),)),
    fnn.Conv(4, 1),
    fnn.DepthwiseConv(2, padding="CAUSAL", multiplier=2),
    fnn.SeparableConv(4, 3, padding="CAUSAL"),
    BLOCK,
    fnn.Serial(fnn.Repeat(fnn.GRU(D), 2), fnn.Dense(3)),
    fnn.Residual(fnn.Serial(fnn.LayerNorm(), CAUSAL)),
    fnn.Residual(fnn.LSTM(3), fnn.Dense(3)),
    fnn.Parallel(fnn.GRU(3), fnn.Conv(2, 2, padding="CAUSAL"), merge="concatenate"),
    fnn.Parallel(fnn.GRU(3), fnn.Dense(3), merge="multiply"),
    fnn.Graph(
        {
            "seen": (fnn.GRU(D), "x"),
            "sum": (fnn.Add(), ("seen", "x")),
            "gated": (fnn.Multiply(), ("sum", "x")),
            "joined": (fnn.Concatenate(), ("gated", "seen")),
        },
        outputs=("joined", "sum"),
    ),
    *((layer, (X, X)) for layer in (fnn.Add(), fnn.Multiply(), fnn.Concatenate())),
    fnn.Reversible(fnn.GRU(2), fnn.Dense(2)),
    fnn.Repeat(fnn.Reversible(fnn.Serial(fnn.RMSNorm(), fnn.MultiHeadAttention(1, causal=True)), fnn.Dense(2)), 2),
    fnn.Remat(CAUSAL),
    fnn.Pack(fnn.Serial(fnn.Relu(), fnn.GRU(3))),
    fnn.Frozen(fnn.Serial(fnn.GRU(3), fnn.BatchNorm())),
    fnn.First(fnn.LSTM(3)),
    fnn.WeightNorm(fnn.Serial(fnn.GRU(3), fnn.Dense(2))),
    fnn.SpectralNorm(fnn.GRU(3)),
    fnn.DropConnect(fnn.SimpleRNN(3), 0.5),
    fnn.Tied(fnn.Serial(fnn.LSTM(D), fnn.LSTM(D)), {"lstm_1": "lstm_0"}),
    (fnn.TimeDistributed(fnn.Serial(fnn.Conv(2, 3), fnn.BatchNorm(), fnn.Flatten(), fnn.Dense(3))), IMAGES),
    fnn.FeedForward(5, activation=fnn.PRelu()),
    fnn.FeedForward(5, activation=fnn.GRU(5)),
    (fnn.Embedding(5, 3), TOKENS),
    fnn.BatchNorm(),
    (fnn.Bilinear(3), (X, X[..., :2])),
    fnn.Lambda(jnp.square, over_time="each step"),
    fnn.with_manual_vjp(fnn.GRU(3)),
    fnn.Serial(),
]

# Of every layer that treats each step alone, the rows of the table that have an axis of time.
ALONE = [
    (case.layer, case.input())
    for case in LAYERS
    if case.layer.over_time == "each step" and not case.layer.children() and getattr(case.input(), "ndim", 0) >= 3
]
ALONE += [
    (fnn.Dropout(0.5), X),
    (fnn.GaussianNoise(1.0), X),
    (fnn.Identity(), X),
    *((kind(3), X) for kind in (fnn.GLU, fnn.ReGLU, fnn.GEGLU, fnn.SwiGLU)),
    (fnn.Maxout(2), X),
    (fnn.Dense(3), X),
    *((kind(), X) for kind in (fnn.LayerNorm, fnn.RMSNorm, fnn.PRelu, fnn.TrainableSwish)),
    (fnn.Softmax(2), X),
    (fnn.LogSoftmax(), X),
    *((kind(), X) for kind in PUBLIC if issubclass(kind, fnn.layers.Elementwise)),
]

REFUSED: list[tuple[fnn.Layer, str]] = [
    (fnn.MultiHeadAttention(2), "its queries see later positions too; set causal=True"),
    (fnn.Bidirectional(fnn.GRU(3)), "it reads sequences from their ends too"),
    (fnn.LSTM(3, reverse=True), r"it runs from the ends of sequences to their beginnings \(reverse=True\)"),
    (fnn.Conv(3, 3), r"its windows hold later steps, or not all of the earlier ones; set padding='CAUSAL'"),
    (fnn.Conv(3, 3, padding="VALID"), r"its windows hold later steps, or not all of the earlier ones"),
    (fnn.Conv(3, 2, strides=2, padding="CAUSAL"), "with strides some steps have no output"),
    (fnn.Conv(3, (3, 3), padding="CAUSAL"), "it convolves over more axes than time; if it is meant for each step"),
    (fnn.DepthwiseConv(3), "its windows hold later steps"),
    *(
        (layer, MIXED)
        for layer in (
            *(fnn.ConvTranspose(3, 3), fnn.MaxPool(2), fnn.AvgPool(2), fnn.GlobalMaxPool(), fnn.GlobalAvgPool()),
            *(fnn.Flatten(), fnn.Reshape((-1,)), fnn.Transpose((1, 0)), fnn.Pad(1), fnn.UpSample(2)),
            *(fnn.PixelShuffle(2), fnn.GroupNorm(2), fnn.InstanceNorm(), fnn.Softmax(1), fnn.LogSoftmax(1)),
        )
    ),
    (fnn.Lambda(jnp.square), r"it does not say how it treats them: if each alone, write over_time = \"each step\" in"),
]


def made(layer: fnn.Layer, x: Any) -> tuple[Any, Any]:
    """Random parameters, and a state of ones, in the shapes of those that init makes."""
    params, state = jax.eval_shape(layer.init, KEY, x)
    draw = generator(repr(layer))
    params = jax.tree.map(lambda leaf: (0.5 * draw.standard_normal(leaf.shape)).astype(leaf.dtype), params)
    return params, jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), state)


def both(layer: fnn.Layer, params: Any, state: Any, x: Any) -> tuple[Any, Any]:
    """The outputs of the full pass, and those of one step after another."""
    n = len(jax.tree.leaves(x)[0])
    carry = start_of(layer, n, length=jax.tree.leaves(x)[0].shape[1], params=params, state=state)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        y, carry = step_of(layer, params, carry, x, state=state)
        return carry, y

    over = lambda tree: jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), tree)  # noqa: E731
    _, y = jax.lax.scan(step, carry, over(x))
    return layer.apply(params, state, x)[0], over(y)


def check_equal(rows: list) -> None:
    rows = [row if isinstance(row, tuple) else (row, X) for row in rows]
    given = [(*made(layer, x), x) for layer, x in rows]
    layers = [layer for layer, _ in rows]

    @jax.jit
    def everything(given: list) -> list:
        return [both(layer, *each) for layer, each in zip(layers, given, strict=True)]

    for layer, (full, steps) in zip(layers, everything(given), strict=True):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(full)), layer
        try:
            close(steps, full, 1e-12, 1e-13)
        except AssertionError as error:
            error.add_note(repr(layer))
            raise


@pytest.mark.parametrize("rows", [FIRST, pytest.param(KEPT, marks=pytest.mark.full)], ids=("first", "all"))
def test_steps_with_memory_give_the_full_pass(rows: list):
    check_equal(rows)


@pytest.mark.full
def test_layers_of_each_step_alone_give_their_full_pass_by_themselves():
    check_equal(ALONE)


@pytest.mark.parametrize(("layer", "message"), REFUSED, ids=lambda each: repr(each)[:40])
def test_what_depends_on_later_steps_is_refused_with_its_path_and_reason(layer: fnn.Layer, message: str):
    assert layer.why_no_step()
    model = fnn.Serial(body=fnn.Remat(fnn.Serial(odd=layer)))
    for refused in (
        lambda: model.start(2, length=4, params={}),
        lambda: model.step({}, {}, jnp.ones((2, D))),
    ):
        with pytest.raises(ValueError, match=f"cannot run over single steps: .*{message}") as caught:
            refused()
        assert any(f"in body/odd: {layer!r}" in note for note in caught.value.__notes__)
    if not isinstance(layer, fnn.Bidirectional | fnn.LSTM):  # whose own start makes a carry for a sequence
        with pytest.raises(ValueError, match=message):
            layer.step({}, {}, jnp.ones((2, D)))


def test_every_public_layer_steps_or_is_refused():
    stepping = {type(row[0] if isinstance(row, tuple) else row) for row in (*FIRST, *KEPT, *ALONE)}
    refused = {type(layer) for layer, _ in REFUSED}
    assert set(PUBLIC) - {fnn.Layer, fnn.Combinator} <= stepping | refused
    # These depend on their options.
    assert stepping & refused == {
        *(fnn.Conv, fnn.DepthwiseConv, fnn.MultiHeadAttention, fnn.LSTM, fnn.Lambda, fnn.Softmax, fnn.LogSoftmax)
    }


@pytest.mark.full
def test_a_layer_that_keeps_the_last_step_alone_gives_it_for_the_steps_so_far():
    layer = fnn.Serial(fnn.GRU(3, return_sequences=False), fnn.Dense(2))
    params, state = made(layer, X)
    carry = layer.start(N, length=T, params=params, state=state)
    step, full = jax.jit(layer.step), jax.jit(layer.apply)
    for t in range(3):
        y, carry = step(params, carry, X[:, t])
        close(y, full(params, state, X[:, : t + 1])[0])


def test_positions_past_a_table_raise_and_inside_a_program_are_nan():
    layer = fnn.PositionalEmbedding(2)
    params, _ = made(layer, X[:, :2])
    with pytest.raises(ValueError, match="expected at most 2 positions, got length=3"):
        layer.start(N, length=3, params=params)
    past = {"position": np.int32(2)}
    with pytest.raises(ValueError, match="expected at most 2 positions, got one more"):
        layer.step(params, past, X[:, 0])
    assert np.isnan(jax.jit(layer.step)(params, past, X[:, 0])[0]).all()


def test_a_step_has_no_axis_of_time_and_fits_its_carry():
    with pytest.raises(ValueError, match=r"expected the input of one step \(N, F\), got the shape \(2, 5, 4\)"):
        fnn.SinusoidalEmbedding().step({}, fnn.SinusoidalEmbedding().start(N, length=T, params={}), X)
    with pytest.raises(ValueError, match=r"expected the input of one step \(N, heads, d\), got the shape \(2, 4\)"):
        fnn.RotaryEmbedding().step({}, fnn.RotaryEmbedding().start(N, length=T, params={}), X[:, 0])
    conv = fnn.Conv(2, 3, padding="CAUSAL")
    params, _ = made(conv, X)
    carry = conv.start(N, length=T, params=params)
    for x in (X, X[:1, 0], X[:, 0].astype(np.float32)):
        with pytest.raises(ValueError, match=r"the carry was started for steps of float64\[2,4\], got float"):
            conv.step(params, carry, x)
    with pytest.raises(TypeError, match=r"start needs the number of features, or the parameters: start\(batch_size"):
        CAUSAL.start(N, T)


def test_parameters_of_another_model_are_refused():
    with pytest.raises(ValueError, match=r"params hold \['gru_0'\], but the layers here are \['lstm_0'\]"):
        fnn.Serial(fnn.LSTM(3)).start(N, length=T, params={"gru_0": {}})


class Delay(fnn.Layer):
    """The input before, zeros at first: a layer of a user, without ``over_time``."""

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return jnp.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1], state

    def start(self, batch_size: int, *, length: int, params: Any, state: Any = None) -> Any:
        return jnp.zeros((batch_size, D))

    def step(self, params: Any, carry: Any, x: Any, *, state: Any = None) -> Any:
        return carry, x


class Wrong(Delay):
    """With other arguments."""

    def step(self, params: Any, x: Any) -> Any:  # type: ignore[override]
        return x


class Single(Delay):
    """That returns one value."""

    def step(self, params: Any, carry: Any, x: Any, *, state: Any = None) -> Any:
        return x


def test_a_users_layer_takes_part_by_the_two_methods():
    check_equal([fnn.Serial(Delay(), fnn.Dense(2))])
    given = {}, jnp.zeros((N, D)), jnp.ones((N, D))
    with pytest.raises(TypeError, match=r"Wrong\.step is called with \(params, carry, x, \*, state=…\), but takes"):
        fnn.Remat(Wrong()).step(*given)
    with pytest.raises(TypeError, match=r"Single\.step returns \(y, carry\), got float64\[2,4\]"):
        fnn.Remat(Single()).step(*given)


@pytest.mark.full
def test_16_bits_and_32_bits_keep_their_dtype():
    layer = fnn.Serial(fnn.PositionalEmbedding(T), CAUSAL, fnn.LSTM(3), fnn.Conv(2, 2, padding="CAUSAL"))
    for dtype in ("bfloat16", "float32"):
        x = X.astype(dtype)
        params, state = made(layer, x)
        full, steps = jax.jit(lambda *given: both(layer, *given))(params, state, x)
        assert steps.dtype == full.dtype == dtype
        wide = [np.asarray(each, np.float64) for each in (steps, full)]
        close(*wide, rtol=0.0, atol=0.05 if dtype == "bfloat16" else 1e-5)
