"""Bad input, one row a fault: the error's type, its message and the one note with the place, eagerly and under jit."""

# Arguments are wrong on purpose, and a row is a line.
# pyright: reportArgumentType=false
# ruff: noqa: E501

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import (
    AvgPool,
    BatchNorm,
    BinaryCrossEntropy,
    Conv,
    CrossEntropy,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Frozen,
    GlobalAvgPool,
    LayerNorm,
    MaxPool,
    Parallel,
    Relu,
    Remat,
    Repeat,
    Reshape,
    Residual,
    Serial,
    Softmax,
    Tanh,
)
from fnn.layer import Layer

KEY = jax.random.key(0)


def zeros(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    return np.zeros(shape, dtype)


def places(error: BaseException) -> list[str]:
    """The notes that say where; JAX may add notes of its own."""
    return [note for note in getattr(error, "__notes__", []) if note.startswith("in ")]


# ---- the configuration

CONFIGURATIONS = [
    (lambda: Dense(0), ValueError, "features is at least 1, got 0"),
    (lambda: Dense(2.0), TypeError, "features is an integer, got 2.0"),
    (lambda: Dense(True), TypeError, "features is an integer, got True"),
    (lambda: Conv(4, 0), ValueError, "kernel_size is at least 1, got 0"),
    (lambda: Conv(4, (3, 0)), ValueError, "kernel_size is at least 1, got 0"),
    (lambda: Conv(4, 3, strides=-1), ValueError, "strides is at least 1, got -1"),
    (lambda: Conv(4, 3, dilation=0), ValueError, "dilation is at least 1, got 0"),
    (lambda: Conv(4, 3, groups=3), ValueError, "groups=3 does not divide features=4"),
    (lambda: Conv(4, 3, padding="FULL"), ValueError, "unknown padding 'FULL': expected 'SAME', 'VALID', 'CAUSAL' or a"),
    (lambda: Conv(4, 3, padding="same"), ValueError, "unknown padding 'same'"),
    (lambda: Conv(4, 3, padding=((1, -1),)), ValueError, "padding is a pair (before, after) of integers of at least 0"),
    (lambda: Conv(4, 3, padding=-1), ValueError, "padding is a pair (before, after) of integers of at least 0"),
    (lambda: MaxPool(2, padding="FULL"), ValueError, "unknown padding 'FULL'"),
    (lambda: MaxPool(0), ValueError, "window is at least 1, got 0"),
    (lambda: AvgPool(2, strides=0), ValueError, "strides is at least 1, got 0"),
    (lambda: Dropout(1.0), ValueError, "rate is the fraction dropped and lies in [0, 1), got 1.0"),
    (lambda: Dropout(-0.1), ValueError, "rate is the fraction dropped and lies in [0, 1), got -0.1"),
    (lambda: Dropout(np.float32(1.5)), ValueError, "lies in [0, 1), got 1.5"),
    (lambda: Dropout(float("nan")), ValueError, "lies in [0, 1), got nan"),
    (lambda: BatchNorm(decay=1.5), ValueError, "decay lies in [0, 1], got 1.5"),
    (lambda: BatchNorm(epsilon=-1.0), ValueError, "epsilon is at least 0, got -1.0"),
    (lambda: Embedding(0, 3), ValueError, "vocabulary is at least 1, got 0"),
    (lambda: Reshape((-1, -1)), ValueError, "at most one −1, got (-1, -1)"),
    (lambda: Repeat(Relu(), 0), ValueError, "n is at least 1, got 0"),
    (
        lambda: Serial(Dense(2), Relu),
        TypeError,
        "Serial is made of layers, got <class 'fnn.layers.activation.rectifiers.Relu'>; did you mean Relu(…)?",
    ),
    (lambda: Serial(jnp.tanh), TypeError, "Serial is made of layers, got <PjitFunction"),
    (lambda: Residual(Relu(), 3), TypeError, "Residual is made of layers, got 3"),
    (lambda: Frozen(Relu), TypeError, "Frozen is made of layers, got <class 'fnn.layers.activation.rectifiers.Relu'>"),
    (lambda: Remat(None), TypeError, "Remat is made of layers, got None"),
    (lambda: Parallel(), ValueError, "Parallel needs at least one branch"),
    (lambda: Parallel(Relu(), merge="mean"), ValueError, "merge is 'sum', 'concatenate' or 'multiply', got 'mean'"),
    (lambda: Serial(Relu(), relu_0=Relu()), ValueError, "two layers are named 'relu_0'; give one of them another name"),
    (
        lambda: Serial(**{"a/b": Relu()}),
        ValueError,
        "a name is a non-empty string without '/' and without *, ? and [, got 'a/b'",
    ),
    (lambda: CrossEntropy(label_smoothing=1.0), ValueError, "label_smoothing lies in [0, 1), got 1.0"),
    (lambda: fnn.L2(-1.0), ValueError, "strength is at least 0, got -1.0"),
]


@pytest.mark.parametrize(("make", "error", "message"), CONFIGURATIONS, ids=[row[2] for row in CONFIGURATIONS])
def test_configuration(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


# ---- the input, inside a nested model


@dataclasses.dataclass(frozen=True)
class BadInput:
    """A layer that is given a wrong input: the error comes from ``init`` already, unless ``made`` is another input."""

    layer: Layer
    x: Any
    error: type
    message: str
    made: Any = None
    train: bool = False
    eager_only: bool = False


IMAGE = zeros(2, 5, 5, 4)
ROWS = [
    BadInput(Dense(2), zeros(3, 5), ValueError, "'kernel' has shape (4, 2) where this input needs (5, 2)", made=zeros(3, 4)),
    BadInput(Dense(2), zeros(3, 4, dtype=np.int32), TypeError, "expected an array of floating dtype, got int32[3,4]; convert"),
    BadInput(Dense(2), zeros(3, 4, dtype=bool), TypeError, "expected an array of floating dtype, got bool[3,4]"),
    BadInput(Dense(2), zeros(3, 4, dtype=np.float32), TypeError, "'kernel' is float64 but the input is float32", made=zeros(3, 4)),
    BadInput(Dense(2), (zeros(3, 4), zeros(3, 4)), TypeError, "expected one array, got (float64[3,4], float64[3,4])", made=zeros(3, 4)),
    BadInput(Dense(2), zeros(0, 4), ValueError, "the batch is empty: float64[0,4]", made=zeros(3, 4)),
    BadInput(Conv(2, (3, 3)), zeros(2, 5, 4), ValueError, "expected an input (N, spatial, spatial, C) for kernel_size=(3, 3)"),
    BadInput(Conv(2, 3), zeros(2, 4), ValueError, "expected an input (N, …, C) for kernel_size=3, got the shape (2, 4)"),
    BadInput(Conv(2, 3), zeros(2, 5, 5, 3), ValueError, "'kernel' has shape (3, 3, 4, 2) where this input needs (3, 3, 3, 2)", made=IMAGE),
    BadInput(Conv(2, 6, padding="VALID"), IMAGE, ValueError, "a window of 6×6 does not fit into an image of 5×5 with padding 'VALID'"),
    BadInput(Conv(2, 3, dilation=3, padding="VALID"), IMAGE, ValueError, "a window of 7×7 does not fit into an image of 5×5"),
    BadInput(Conv(3, 3, groups=3), IMAGE, ValueError, "groups=3 does not divide the 4 channels of the input"),
    BadInput(Conv(2, 3, strides=(1, 2, 1)), IMAGE, ValueError, "strides has 3 entries for 2 spatial axes: (1, 2, 1)"),
    BadInput(Conv(2, 3, padding=((1, 1),)), IMAGE, ValueError, "padding ((1, 1),) has 1 entries for 2 spatial axes"),
    BadInput(Conv(2, 3), zeros(0, 5, 5, 4), ValueError, "the batch is empty", made=IMAGE),
    BadInput(MaxPool(6), IMAGE, ValueError, "a window of 6×6 does not fit into an image of 5×5 with padding 'VALID'"),
    BadInput(MaxPool(2), zeros(2, 4), ValueError, "expected an input (N, spatial, …, C), got the shape (2, 4)"),
    BadInput(MaxPool((2, 2, 2)), IMAGE, ValueError, "the window has 3 entries for 2 spatial axes: (2, 2, 2)"),
    BadInput(AvgPool(2, padding=2), IMAGE, ValueError, "with padding 2 some windows of 2 would hold only padding"),
    BadInput(GlobalAvgPool(), zeros(2, 4), ValueError, "expected an input (N, spatial, …, C), got the shape (2, 4)"),
    BadInput(BatchNorm(), zeros(4), ValueError, "expected an input (N, …, C), got the shape (4,)"),
    BadInput(BatchNorm(), zeros(3, 5), ValueError, "state 'mean' has shape float64[4] where this input needs (5,)", made=zeros(3, 4), train=True),
    BadInput(BatchNorm(), zeros(1, 4), ValueError, "training needs at least two values per channel", train=True),
    BadInput(BatchNorm(), zeros(3, 4), ValueError, "this batch norm has no statistics yet (count is 0)", made=zeros(3, 4), eager_only=True),
    BadInput(LayerNorm(), zeros(3, 5), ValueError, "'scale' has shape (4,) where this input needs (5,)", made=zeros(3, 4)),
    BadInput(Dropout(0.5), zeros(3, 4), ValueError, "Dropout(rate=0.5) is random in training and needs a key", made=zeros(3, 4), train=True),
    BadInput(Reshape((3, 2)), zeros(2, 5), ValueError, "a sample of float64[2,5] has 5 entries and does not fit the shape (3, 2)"),
    BadInput(Reshape((0, -1)), zeros(2, 5), ValueError, "does not fit the shape (0, -1)"),
    BadInput(Embedding(5, 2), zeros(3), TypeError, "expected integer indices, got float64[3]"),
    BadInput(Embedding(5, 2), (zeros(3, dtype=int),), TypeError, "expected one array of indices, got (int64[3])"),
    BadInput(Embedding(5, 2), np.array([0, 5]), ValueError, "indices lie in [0, 5), got values from 0 to 5", made=zeros(2, dtype=int), eager_only=True),
    BadInput(Embedding(5, 2), np.array([-1, 3]), ValueError, "indices lie in [0, 5), got values from -1 to 3", made=zeros(2, dtype=int), eager_only=True),
    BadInput(Embedding(5, 2), zeros(0, dtype=int), ValueError, "the batch is empty: int64[0]", made=zeros(2, dtype=int)),
    BadInput(Relu(), zeros(3, dtype=int), TypeError, "expected an array of floating dtype, got int64[3]"),
    BadInput(Softmax(), zeros(3, dtype=int), TypeError, "expected an array of floating dtype, got int64[3]"),
    BadInput(Residual(Dense(3)), zeros(2, 4), ValueError, "Residual adds the inner output float64[2,3] to float64[2,4], but they differ; pass a shortcut"),
    BadInput(Repeat(Dense(3), 2), zeros(2, 4), ValueError, "a repeated layer keeps the shape and dtype of its input, got float64[2,4] in and float64[2,3] out"),
    BadInput(Parallel(Dense(3), Dense(2)), zeros(2, 4), ValueError, "cannot sum branch outputs of these shapes and dtypes: dense_0: float64[2,3], dense_1: float64[2,2]"),
    BadInput(Parallel(Tanh(), Flatten(), merge="concatenate"), zeros(2, 3, 4), ValueError, "cannot concatenate branch outputs"),
]  # fmt: skip


def nested(layer: Layer) -> Layer:
    return Serial(body=Serial(Serial(), faulty=layer))


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("row", ROWS, ids=[f"{row.layer!r}: {row.message}" for row in ROWS])
def test_input(row: BadInput, jit: bool):
    model = nested(row.layer)

    def run(x: Any) -> Any:
        params, state = model.init(KEY, x if row.made is None else row.made)
        return model.forward(params, state, x, train=row.train)

    if jit and row.eager_only:
        jax.jit(run)(row.x)  # where values cannot be looked at, it runs
        return
    with pytest.raises(row.error, match=re.escape(row.message)) as raised:
        (jax.jit(run) if jit else run)(row.x)
    notes = places(raised.value)
    assert len(notes) == 1
    assert re.match(r"in body/faulty(/dense_\d)?: [A-Z]\w*\(.*\), applied to ", notes[0]), notes


def test_the_note_says_which_layer_and_what_it_was_applied_to():
    model = Serial(encoder=Serial(Relu(), Conv(32, (3, 3))), head=Dense(2))
    with pytest.raises(ValueError, match="expected an input") as raised:
        model.init(KEY, zeros(64, 28, 1, dtype=np.float32))
    assert places(raised.value) == [
        "in encoder/conv_0: Conv(features=32, kernel_size=(3, 3)), applied to float32[64,28,1]"
    ]


@pytest.mark.parametrize("wrap", [Residual, Remat, lambda inner: Repeat(inner, 2), fnn.with_manual_vjp])
@pytest.mark.parametrize("method", ["init", "forward", "apply"])
def test_combinators_without_a_segment_of_their_own_add_none(wrap: Callable[[Layer], Layer], method: str):
    model = Serial(body=wrap(Serial(Relu(), Dense(4))))
    params, state = model.init(KEY, zeros(2, 4))
    bad = zeros(2, 4, dtype=np.int32)
    arguments = (KEY, bad) if method == "init" else (params, state, bad)
    with pytest.raises(TypeError, match="expected an array of floating dtype") as raised:
        getattr(model, method)(*arguments)
    assert places(raised.value) == ["in body/relu_0: Relu(), applied to int32[2,4]"]


def test_a_fault_in_the_backward_says_where_too():
    model = Serial(body=Serial(Dense(3), Tanh()))
    params, state = model.init(KEY, zeros(2, 4))
    _, _, cache = model.forward(params, state, zeros(2, 4))
    with pytest.raises(ValueError, match=r"expected the gradient of an output of shape \(2, 3\)") as raised:
        model.backward(cache, jnp.zeros((2, 5)))
    assert len(places(raised.value)) == 1
    assert places(raised.value)[0].startswith("in body/tanh_0: Tanh(), given the output gradient float64[2,5]")


def test_a_fault_of_the_loss_is_placed_at_the_loss():
    objective = fnn.Objective(Serial(Dense(3)), CrossEntropy())
    params, state = objective.init(KEY, zeros(2, 4))
    batch = (jnp.zeros((2, 4)), jnp.zeros(3, int))
    for run in (objective, objective.value_and_grad):
        with pytest.raises(ValueError, match="expected labels") as raised:
            run(params, state, batch)
        assert len(places(raised.value)) == 1
        assert places(raised.value)[0].startswith("in loss: CrossEntropy(")


# ---- parameters and state of another model

MODEL = Serial(Dense(3), norm=BatchNorm())


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda p, s: ({**p, "dense_0": {"kernel": p["dense_0"]["kernel"]}}, s), ValueError, "expected a parameter 'bias', found ['kernel']; were these params made by this model's init?"),
        (lambda p, s: ({"norm": p["norm"]}, s), ValueError, "expected a parameter 'kernel', found []"),
        (lambda p, s: ({**p, "dense_1": {}}, s), ValueError, "params hold ['dense_1'], but the layers here are ['dense_0', 'norm']"),
        (lambda p, s: ({**p, "dense_0": jnp.ones(3)}, s), ValueError, "expected a parameter 'kernel', found"),
        (lambda p, s: (jax.tree.leaves(p), s), TypeError, "params is a nested dict as init returns it, got ("),
        (lambda p, s: (None, s), TypeError, "params is a nested dict as init returns it, got None"),
        (lambda p, s: (p, {}), ValueError, "expected a state 'mean', found []; pass the state that init or the last step returned"),
        (lambda p, s: (p, None), TypeError, "state is a nested dict as init returns it, got None"),
        (lambda p, s: (p, {**s, "other": {}}), ValueError, "state hold ['other'], but the layers here are"),
        (lambda p, s: ({**p, "dense_0": {**p["dense_0"], "bias": jnp.zeros(3, jnp.float32)}}, s), TypeError, "parameter 'bias' is float32 but the input is float64; cast one of them explicitly"),
    ],
)  # fmt: skip
def test_params_and_state_of_another_model(change: Any, error: type, message: str, jit: bool):
    params, state = change(*MODEL.init(KEY, zeros(4, 2)))

    def run(x: Any) -> Any:
        return MODEL.forward(params, state, x, train=True)

    with pytest.raises(error, match=re.escape(message)):
        (jax.jit(run) if jit else run)(np.ones((4, 2)))


def test_repeat_wants_its_own_number_of_layers():
    params, state = Repeat(Dense(4), 3).init(KEY, zeros(2, 4))
    with pytest.raises(ValueError, match="params are stacked on a leading axis of length n=2, got"):
        Repeat(Dense(4), 2).apply(params, state, zeros(2, 4))


def test_an_index_out_of_range_is_nan_inside_jit_and_has_no_gradient():
    layer = Embedding(4, 2)
    params, state = layer.init(KEY, jnp.zeros(1, int))

    @jax.jit
    def run(params: Any, x: Any) -> Any:
        y, _, cache = layer.forward(params, state, x)
        return y, layer.backward(cache, jnp.ones_like(y))[0]["embedding"]

    y, gradient = run(params, jnp.array([-1, 4, 2]))
    assert jnp.isnan(y).all(1).tolist() == [True, True, False]
    assert gradient.sum(1).tolist() == [0, 0, 2, 0]


@pytest.mark.parametrize("good", [True, False])
def test_values_known_while_a_function_is_traced_are_looked_at(good: bool):
    """They were constants of the trace, and looking at them by jnp made tracers of them."""
    label = jnp.array([0, 1 if good else 7])
    layer = Embedding(3, 2)
    params, _ = layer.init(KEY, label)
    runs = {
        "labels lie": lambda: jax.jit(lambda z: CrossEntropy()(z, label))(jnp.zeros((2, 3))),
        "targets are": lambda: jax.jit(lambda z: BinaryCrossEntropy()(z, label))(jnp.zeros(2)),
        "indices lie": lambda: jax.jit(lambda params: layer.apply(params, {}, label))(params),
    }
    for message, run in runs.items():
        if good:
            run()
        else:
            with pytest.raises(ValueError, match=message):
                run()


# ---- NaN in the data goes through, it is not lost


@pytest.mark.parametrize(
    "layer",
    [Dense(2), Conv(2, 1), MaxPool(2), AvgPool(2), GlobalAvgPool(), LayerNorm(), Relu(), Softmax(), Flatten()],
    ids=repr,
)
def test_nan_in_a_sample_reaches_its_output_and_no_other(layer: Layer):
    x = np.ones((3, 2, 2))
    x[1] = np.nan
    y = np.asarray(jax.jit(lambda x: layer.apply(*layer.init(KEY, x), x)[0])(x))
    assert np.isnan(y).reshape(3, -1).all(1).tolist() == [False, True, False]
    assert np.isnan(y).reshape(3, -1).any(1).tolist() == [False, True, False]


# ---- data out of range inside jit, where nothing can raise


def test_indices_out_of_range_have_no_gradient_inside_jit():
    layer, dy = Embedding(3, 1), jnp.array([[1.0], [2.0], [4.0]])

    def gradient(x: Any) -> Any:
        _, _, cache = layer.forward({"embedding": jnp.zeros((3, 1))}, {}, x)
        return layer.backward(cache, dy)[0]["embedding"]

    assert jax.jit(gradient)(jnp.array([-1, 1, 3])).tolist() == [[0], [2], [0]]
