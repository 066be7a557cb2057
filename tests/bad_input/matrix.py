"""The matrix of bad inputs: what each does eagerly and under jit.

    python -m tests.bad_input.matrix        prints the matrix

Nothing may be silent. Where a shape, a dtype or a static value is wrong there is an error, also while jit traces. Where
a value is wrong, there is an error where values can be looked at, and under jit a flag: NaN in the result, or a counter
in the state that stands still. Data are looked at on the host where they enter ``fit``.
"""

# A row is a line, and arguments are wrong on purpose.
# ruff: noqa: E501
# pyright: reportArgumentType=false

import dataclasses
import re
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn.optim import adam, sgd

KEY = jax.random.key(0)
NAN, INF = float("nan"), float("inf")


@dataclasses.dataclass(frozen=True)
class Bad:
    """A bad input to ``run``, a function of these arguments; under jit all of them are traced.

    ``error`` is a part of the message; ``flag`` says whether a result that comes out instead is marked as bad.
    ``jit=False``: a Python object is wrong, or it is ``fit`` that looks at the data, and there is nothing to trace.
    """

    name: str
    run: Callable[..., Any]
    arguments: tuple
    error: str = ""
    flag: Callable[[Any], Any] | None = None
    jit: bool = True


def is_nan(result: Any) -> bool:
    return bool(jnp.isnan(result).any())


def zeros(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.zeros(shape, dtype)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def poisoned(*shape: int) -> np.ndarray:
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    x[0] = NAN
    return x


def applied(layer: fnn.Layer, *, like: Any = None, train: bool = False, key: Any = None) -> Callable:
    """A function of an input, on parameters made for an input like another one."""

    def run(x: Any) -> Any:
        params, state = layer.init(KEY, x if like is None else like)
        return layer.apply(params, state, x, train=train, key=key)[0]

    return run


def fitted(model: fnn.Layer, loss: fnn.Loss, **options: Any) -> Callable:
    def run(*data: Any) -> Any:
        settings = {"epochs": 1, "batch_size": 4, "key": KEY, "progress": False} | options
        return fnn.fit(fnn.Objective(model, loss), sgd(0.1), data, **settings)

    return run


def after_a_bad_batch(x: Any) -> Any:
    layer = fnn.BatchNorm()
    params, state = layer.init(KEY, x)
    return layer.apply(params, state, x, train=True)[1]


def backward_of(layer: fnn.Layer, x: Any) -> Callable:
    def run(dy: Any) -> Any:
        params, state = layer.init(KEY, x)
        return layer.backward(layer.forward(params, state, x)[2], dy)

    return run


def loaded(saved: Any, like: Any) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        fnn.save(f"{folder}/x.safetensors", saved)
        return fnn.load(f"{folder}/x.safetensors", like=like)


def masked_out(x: Any) -> Any:
    """The output of a row that is masked out, without its bias, and the gradient through it."""
    layer = fnn.MultiHeadAttention(2, use_bias=False)
    params, state = layer.init(KEY, x)
    mask = jnp.ones((2, 3), bool).at[0].set(False)
    y, _, cache = layer.forward(params, state, (x, mask))
    _, (dx, _) = layer.backward(cache, jnp.ones_like(y))
    return y[0], dx[0]


LOGITS, LABELS = zeros(4, 3), np.array([0, 1, 2, 1])
DENSE, CLASSES = fnn.Serial(fnn.Dense(3)), fnn.CrossEntropy()
WORDS = fnn.Serial(fnn.Embedding(5, 4), fnn.GlobalAvgPool(), fnn.Dense(3))
ATTENTION = fnn.MultiHeadAttention(2)
SUM = fnn.Graph({"y": (fnn.Add(), ("x", "z"))}, outputs="y")
BOTH = fnn.MultiLoss({"a": fnn.MeanSquaredError(), "b": CLASSES})

TABLE = (
    # Labels and targets.
    Bad("label −1", CLASSES, (LOGITS, np.array([0, 1, -1, 1])), "labels lie in [0, 3)", is_nan),
    Bad("label n", CLASSES, (LOGITS, np.array([0, 1, 3, 1])), "labels lie in [0, 3)", is_nan),
    Bad("labels that are numbers", CLASSES, (LOGITS, zeros(4)), "labels are integers"),
    Bad("a label beyond int32", CLASSES, (LOGITS, np.array([0, 1, 2, 2**32])), "integers that int32 can hold", jit=False),
    Bad("one label too few", CLASSES, (LOGITS, LABELS[:3]), "expected labels (4,)"),
    Bad("label n of the fused loss", fnn.LinearCrossEntropy(3), ((zeros(4, 2), zeros(2, 3)), LABELS + 1), "labels lie", is_nan),
    Bad("label 2 of a hinge", fnn.Hinge(), (zeros(4), np.array([1, -1, 2, 1])), "labels are", is_nan),
    Bad("targets (4, 1) against predictions (4,)", fnn.MeanSquaredError(), (zeros(4), zeros(4, 1)), "the same shape"),
    Bad("a target of 1.5 for a probability", fnn.BinaryCrossEntropy(), (zeros(2), np.array([0.5, 1.5], np.float32)), "[0, 1]", is_nan),
    Bad("a target of another dtype", fnn.MeanSquaredError(), (zeros(4), zeros(4, dtype=np.int32)), "the target has the prediction's dtype"),
    Bad("weights that are too few", CLASSES, (LOGITS, LABELS, ones(3)), "weights have the shape of the leading axes"),
    Bad("a negative weight", CLASSES, (LOGITS, LABELS, -ones(4)), "weights are at least 0", is_nan),
    Bad("integer logits", CLASSES, (zeros(4, 3, dtype=np.int32), LABELS), "expected an array of floating dtype"),
    # Indices and masks.
    Bad("index −1", applied(fnn.Embedding(5, 4)), (np.array([[0, -1]]),), "indices lie in [0, 5)", is_nan),
    Bad("index V", applied(fnn.Embedding(5, 4)), (np.array([[0, 5]]),), "indices lie in [0, 5)", is_nan),
    Bad("an index beyond int32", applied(fnn.Embedding(5, 4)), (np.array([[0, 2**32]]),), "indices lie in", jit=False),
    Bad("indices that are numbers", applied(fnn.Embedding(5, 4)), (zeros(1, 2),), "expected integer indices"),
    Bad("a mask of numbers of the wrong length", applied(ATTENTION), ((zeros(2, 3, 4), np.ones((2, 5), bool)),), "mask"),
    Bad("a sequence longer than T", applied(fnn.LSTM(3)), ((zeros(2, 4, 3), np.array([4, 5])),), "lengths lie in", is_nan),
    Bad("lengths that are numbers", applied(fnn.LSTM(3)), ((zeros(2, 4, 3), ones(2)),), "lengths"),
    # Shapes.
    Bad("an empty batch", applied(DENSE, like=zeros(1, 2)), (zeros(0, 2),), "the batch is empty"),
    Bad("an empty batch in batch norm", applied(fnn.BatchNorm(), like=zeros(2, 3), train=True), (zeros(0, 3),), "the batch is empty"),
    Bad("one sample in batch norm", applied(fnn.BatchNorm(), train=True), (zeros(1, 3),), "at least two values per channel"),
    Bad("more features than the parameters have", applied(DENSE, like=zeros(1, 2)), (zeros(4, 3),), "where this input needs"),
    Bad("a kernel larger than the image", applied(fnn.Conv(2, 5, padding="VALID")), (zeros(1, 3, 3, 1),), "does not fit into an image"),
    Bad("a window larger than the image", applied(fnn.MaxPool(4)), (zeros(1, 3, 3, 1),), "does not fit into an image"),
    Bad("an image without channels", applied(fnn.Conv(2, (3, 3))), (zeros(1, 3, 3),), "expected an input (N, spatial, spatial, C)"),
    Bad("groups that do not divide", applied(fnn.Conv(4, 3, groups=2)), (zeros(1, 4, 3),), "groups=2 does not divide"),
    Bad("heads that do not divide", applied(fnn.MultiHeadAttention(3)), (zeros(1, 4, 4),), "3"),
    Bad("a residual that changes the shape", applied(fnn.Residual(fnn.Dense(3))), (zeros(2, 4),), "they differ"),
    Bad("a repeated layer that changes the shape", applied(fnn.Repeat(fnn.Dense(3), 2)), (zeros(2, 4),), "keeps the shape"),
    Bad("sizes that do not reshape", applied(fnn.Reshape((5,))), (zeros(2, 4),), "does not fit the shape"),
    # Things that are no arrays.
    Bad("a shape for an input", lambda: DENSE.init(KEY, (1, 5)), (), "write a shape as jax.ShapeDtypeStruct((1, 5), 'float32')", jit=False),
    Bad("text for an input", applied(DENSE, like=zeros(1, 2)), ("text",), "got text; encode it as integers first", jit=False),
    Bad("objects for an input", applied(DENSE, like=zeros(1, 2)), (zeros(4, 2).astype(object),), "write x.astype('float32')", jit=False),
    Bad("masked entries", applied(DENSE, like=zeros(1, 2)), (np.ma.masked_equal(ones(4, 2), 1),), "the mask would be lost", jit=False),
    Bad("two targets for one", CLASSES, (LOGITS, (LABELS, LABELS)), "expected one array"),
    Bad("labels of classes for squares", fnn.MeanSquaredError(), (LOGITS, LABELS), "for class labels use CrossEntropy()"),
    # Dtypes.
    Bad("an input of another dtype", applied(DENSE, like=zeros(1, 2)), (zeros(4, 2, dtype=np.float16),), "cast one of them"),
    Bad("an integer input", applied(DENSE, like=zeros(1, 2)), (zeros(4, 2, dtype=np.int32),), "floating dtype"),
    Bad("two inputs for one", applied(DENSE, like=zeros(1, 2)), ((zeros(4, 2), zeros(4, 2)),), "expected one array"),
    Bad("float64 asked for without x64", lambda: DENSE.init(KEY, jax.ShapeDtypeStruct((1, 2), "float64")), (), "float64 is not available", jit=False),
    Bad("float64 inside without x64", applied(fnn.Cast(fnn.Tanh(), "float64")), (zeros(2, 2),), "'float64' is not available"),
    # Parameters, state, gradients.
    Bad("params of another model", lambda x: DENSE.apply({"conv_0": {}}, {}, x), (zeros(4, 2),), "made by this model's init"),
    Bad("params without a layer", lambda x: DENSE.apply({}, {}, x), (zeros(4, 2),), "expected a parameter 'kernel'"),
    Bad("no state for batch norm", lambda x: fnn.BatchNorm().apply({}, {}, x), (zeros(4, 2),), "expected a state 'mean'"),
    Bad("batch norm before any statistics", applied(fnn.BatchNorm(), like=zeros(2, 3)), (zeros(4, 3),), "no statistics yet", jit=False),
    Bad("dy of another structure", backward_of(fnn.Serial(fnn.Dense(3), fnn.Tanh()), zeros(4, 2)), ((zeros(4, 3),),), ""),
    Bad("dy of another shape", backward_of(fnn.Serial(fnn.Dense(3)), zeros(4, 2)), (zeros(4, 2),), ""),
    # Values.
    Bad("NaN in one sample of batch norm", after_a_bad_batch, (poisoned(4, 3),), "", lambda state: state["count"] == 0 and jnp.isfinite(state["mean"]).all()),
    Bad("a row that may attend to nothing", masked_out, (ones(2, 3, 4),), "", lambda found: all((each == 0).all() for each in found)),
    Bad("labels that no path spells", fnn.CTC(), (zeros(1, 2, 3), np.array([[1, 1]])), "need 3 frames", lambda value: jnp.isinf(value).all()),
    Bad("randomness without a key", applied(fnn.Dropout(0.5), train=True), (zeros(4, 2),), "needs a key"),
    Bad("a key that is a number", lambda x: DENSE.init(0, x), (zeros(4, 2),), "expected a random key"),
    Bad("a rate of 1.5", lambda: fnn.Dropout(1.5), (), "lies in [0, 1)", jit=False),
    Bad("a negative learning rate", lambda: adam(-1e-3), (), "at least 0", jit=False),
    Bad("no features", lambda: fnn.Dense(0), (), "at least 1", jit=False),
    Bad("a class in place of a layer", lambda: fnn.Serial(fnn.Relu), (), "did you mean Relu", jit=False),
    Bad("a glob that selects nothing", fnn.L2(0.1, paths="*/kernle"), ({"kernel": ones(2, 2)},), "matches none of the paths"),
    # Names.
    Bad("a graph that runs in a circle", lambda: fnn.Graph({"a": (fnn.Relu(), "b"), "b": (fnn.Relu(), "a")}, outputs="a"), (), "form a cycle", jit=False),
    Bad("a node that nothing reads", lambda: fnn.Graph({"a": (fnn.Relu(), "x"), "b": (fnn.Relu(), "x")}, outputs="a"), (), "no output depends on", jit=False),
    Bad("an input of a graph that is missing", applied(SUM), ({"x": zeros(2, 3)},), "the input 'z' is missing"),
    Bad("a target of many that is missing", BOTH, ({"a": zeros(4), "b": LOGITS}, {"a": zeros(4)}), "the target lacks ['b']"),
    Bad("a label n of many targets", BOTH, ({"a": zeros(4), "b": LOGITS}, {"a": zeros(4), "b": LABELS + 1}), "labels lie in [0, 3)", is_nan),
    # Data on their way into fit.
    Bad("fit: a label of n", fitted(DENSE, CLASSES), (zeros(4, 2), LABELS + 1), "labels lie in", jit=False),
    Bad("fit: NaN in an input", fitted(DENSE, CLASSES), (poisoned(4, 2), LABELS), "not finite in sample 0", jit=False),
    Bad("fit: an infinite target", fitted(fnn.Dense(1), fnn.MeanSquaredError()), (zeros(4, 2), np.full((4, 1), INF, np.float32)), "not finite in sample 0", jit=False),
    Bad("fit: an index of V", fitted(WORDS, CLASSES), (np.array([[1, 2], [0, 5], [1, 1], [0, 0]]), LABELS), "indices lie in [0, 5)", jit=False),
    Bad("fit: an index beyond int32", fitted(WORDS, CLASSES), (np.array([[1, 2], [0, 2**32], [1, 1], [0, 0]]), LABELS), "integers that int32 can hold", jit=False),
    Bad("fit: a label beyond int32", fitted(DENSE, CLASSES), (zeros(4, 2), np.array([0, 1, 2**32, 1])), "integers that int32 can hold", jit=False),
    Bad("fit: inputs and targets of other lengths", fitted(DENSE, CLASSES), (zeros(5, 2), LABELS), "have the same length", jit=False),
    Bad("fit: no data", fitted(DENSE, CLASSES), (zeros(0, 2), LABELS[:0]), "", jit=False),
    Bad("fit: names for labels", fitted(DENSE, CLASSES), (zeros(2, 2), np.array(["a", "b"])), "encode them as integers", jit=False),
    Bad("fit: words for labels", fitted(DENSE, CLASSES), (zeros(2, 2), ["a", "b"]), "got text; encode it as integers", jit=False),
    Bad("fit: True for early stopping", fitted(DENSE, CLASSES, early_stopping=True), (zeros(4, 2), LABELS), "write early_stopping=EarlyStopping(patience=5)", jit=False),
    Bad("fit: a word for a flag", fitted(DENSE, CLASSES, shuffle="no"), (zeros(4, 2), LABELS), "shuffle is True or False", jit=False),
    Bad("fit: a number for a key", fitted(DENSE, CLASSES, key=0), (zeros(4, 2), LABELS), "write jax.random.key(0)", jit=False),
    Bad("fit: params of another dtype", fitted(DENSE, CLASSES, params={"dense_0": {"kernel": zeros(2, 3, dtype=np.float16), "bias": zeros(3, dtype=np.float16)}}, state={}), (zeros(4, 2, dtype=np.float64), LABELS), "cast one of them", jit=False),
    # Files.
    Bad("a checkpoint of another shape", loaded, ({"kernel": ones(2, 2)}, {"kernel": ones(2, 3)}), "shape", jit=False),
    Bad("a checkpoint of other paths", loaded, ({"kernel": ones(2, 2)}, {"weight": ones(2, 2)}), "weight", jit=False),
    Bad("a checkpoint of another dtype", loaded, ({"kernel": ones(2, 2)}, {"kernel": zeros(2, 2, dtype=np.float16)}), "float16", jit=False),
)  # fmt: skip


def outcome(bad: Bad, traced: bool) -> str:
    """What happens: ``error: …`` with the first line of the message, ``flagged``, ``silent``, or ``—``."""
    if traced and not bad.jit:
        return "—"
    try:
        with jax.enable_x64(False):
            result = (jax.jit(bad.run) if traced else bad.run)(*bad.arguments)
    except (ValueError, TypeError) as error:
        message = re.sub(r"\S*(?=/x\.safetensors)", "", str(error).splitlines()[0])  # a folder of this run alone
        return f"error: {message}" if bad.error in message else f"another error: {type(error).__name__}: {message}"
    return "flagged" if bad.flag is not None and bad.flag(result) else "silent"


def matrix() -> dict[str, list[str]]:
    """The outcomes by name, eagerly and under jit."""
    return {bad.name: [outcome(bad, traced) for traced in (False, True)] for bad in TABLE}


if __name__ == "__main__":
    for name, (eager, traced) in matrix().items():
        print(f"{name:44} {eager[:60]:60} {traced[:60]}")
