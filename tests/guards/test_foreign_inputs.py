"""Inputs that are not arrays: shapes, tuples, tables, sparse matrices, text, objects. Every layer refuses them."""

# A row is a line.
# ruff: noqa: E501

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

import fnn
from fnn.errors import exact_numpy, floating_array, one_array
from fnn.guards.foreign import foreign
from tests.cases import LAYERS

KEY = jax.random.key(0)
FIRST = list({case.kind: case for case in reversed(LAYERS)}.values())
SHAPE = "write a shape as jax.ShapeDtypeStruct((1, 5), 'float32')"


@pytest.mark.parametrize("shape", [(1, 5), [1, 5], (None, 5), ((1, 5), (1, 5))], ids=repr)
def test_every_layer_says_how_to_write_a_shape(shape: Any):
    for layer in [case.layer for case in FIRST if case.kind.__module__.startswith("fnn.")] + [
        fnn.Objective(fnn.Dense(2), fnn.MeanSquaredError())
    ]:
        with pytest.raises(TypeError, match=re.escape(f"got {shape!r}; {SHAPE}")):
            layer.init(KEY, shape)


def test_a_summary_says_how_to_write_a_shape_too():
    with pytest.raises(TypeError, match=re.escape(SHAPE)):
        fnn.summary(fnn.Serial(fnn.Dense(2)), (1, 5))


X = jnp.ones((2, 4, 4, 4))


@pytest.mark.parametrize(
    "layer",
    [
        fnn.Dense(3), fnn.Conv(3, 3), fnn.ConvTranspose(3, 3), fnn.DepthwiseConv(3), fnn.SeparableConv(3, 3),
        fnn.MaxPool(2), fnn.AvgPool(2), fnn.GlobalMaxPool(), fnn.GlobalAvgPool(), fnn.BatchNorm(), fnn.LayerNorm(),
        fnn.RMSNorm(), fnn.GroupNorm(2), fnn.InstanceNorm(), fnn.Dropout(0.5), fnn.GaussianNoise(0.1), fnn.Flatten(),
        fnn.Reshape((64,)), fnn.Transpose((2, 1, 0)), fnn.UpSample(2), fnn.Pad(1), fnn.PixelShuffle(2), fnn.Relu(),
        fnn.Softmax(), fnn.Maxout(2), fnn.PRelu(), fnn.TrainableSwish(), fnn.GLU(3), fnn.Cast(fnn.Dense(3)),
        fnn.WeightNorm(fnn.Dense(3)), fnn.Remat(fnn.Dense(3)),
    ],
    ids=repr,
)  # fmt: skip
def test_a_layer_of_one_array_refuses_two(layer: fnn.Layer):
    """Some layers stacked a tuple of arrays of one shape; others failed with an error of Python."""
    params, state = layer.init(KEY, X)
    hint = r"expected one array, got \(.*\); First\(layer\) applies a layer to the first of them"
    for pair in ((X, jnp.ones(2, int)), (X, X), [X, X]):
        with pytest.raises(TypeError, match=hint if isinstance(pair, tuple) else "expected one array, got"):
            layer.forward(params, state, pair)
    if params:
        with pytest.raises(TypeError, match=hint):
            layer.init(KEY, (X, jnp.ones(2, int)))
    for nothing in (None, {"x": X}):
        with pytest.raises(TypeError, match="expected one array, got"):
            layer.apply(params, state, nothing)


def test_init_takes_arrays_or_shapes_only():
    for layer in (fnn.Dense(2), fnn.Serial(fnn.Dense(2)), fnn.LSTM(2), fnn.Bilinear(2)):
        for wrong in (3.0, [[1.0, 2.0], [3.0, 4.0]], {"x": 3.0}):
            with pytest.raises(TypeError, match=r"expected arrays or their shapes, jax\.ShapeDtypeStruct"):
                layer.init(KEY, wrong)
    with pytest.raises(TypeError, match=r"write numpy\.asarray"):
        fnn.Dense(2).init(KEY, [[1.0, 2.0]])
    with pytest.raises(TypeError, match="expected arrays or their shapes, got text"):
        fnn.Dense(2).init(KEY, "x")
    with pytest.raises(TypeError, match="expected one array, got None"):
        fnn.Dense(2).init(KEY, None)


# ---- things of other libraries


class Table:
    """The attributes of a pandas or polars table that fnn looks at."""

    columns, shape = ["a", "b"], (2, 2)

    def to_numpy(self):
        return np.ones((2, 2))

    def __array__(self, dtype=None, copy=None):
        return self.to_numpy()


class Tensor:
    """The attributes of a PyTorch tensor that fnn looks at; NumPy reads only tensors without a gradient."""

    shape, dtype, detach = (2,), "torch.float32", None

    def __init__(self, grad=False):
        self.grad = grad

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.ones(2, np.float32)


def ragged():
    rows = np.empty(2, object)
    rows[:] = [[1.0], [1.0, 2.0]]
    return rows


FOREIGN = [
    ("text", lambda: "yes", "got text; encode it as integers first"),
    ("an array of text", lambda: np.array(["a", "b"]), "got an array of <U1; encode them as integers first"),
    ("text in objects", lambda: np.array(["a", 1], object), r"got an array of text; .*numpy.unique\(x, return_inverse=True"),
    ("numbers in objects", lambda: np.array([1, 2.5], object), r"got an array of objects \(float, int\); write x.astype\('fl"),
    ("None in objects", lambda: np.array([1.0, None], object), r"objects \(NoneType, float\); fill in missing values, and wr"),
    ("ragged rows", ragged, "got an array of sequences of different lengths; pad them to one length"),
    ("times", lambda: np.array(["2020-01-01"], "M8[D]"), r"got an array of datetime64\[D\]; convert them to numbers first"),
    ("a structured array", lambda: np.zeros(2, [("a", int)]), r"got an array of \[\('a'"),
    ("a generator", lambda: (each for each in [1.0]), r"got a generator, which can be read only once; write numpy.stack"),
    ("a map", lambda: map(float, [1]), "got a map, which can be read only once"),
    ("a set", lambda: {1.0, 2.0}, r"got a set; write numpy.asarray\(list\(x\)\)"),
    ("a table", Table, r"got a Table; write x.to_numpy\(\)"),
    ("SciPy's sparse matrix", lambda: scipy.sparse.csr_matrix(np.eye(2)), r"got a sparse csr_matrix; write x.toarray\(\)"),
    ("JAX's sparse matrix", lambda: sparse.BCOO.fromdense(jnp.eye(2)), r"got a sparse BCOO; write x.todense\(\)"),
    ("a tensor with a gradient", lambda: Tensor(grad=True), r"a Tensor that NumPy cannot read .*write x.detach\(\).cpu\(\)"),
    ("masked entries", lambda: np.ma.masked_equal([1.0, 2.0], 2.0), r"masked entries; the mask would be lost: write x.fil"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("thing", "match"),
    [pytest.param(*row[1:], id=row[0], marks=[pytest.mark.full] * ("JAX" in row[0])) for row in FOREIGN],
)
def test_a_foreign_input_is_named_with_what_to_write(thing: Any, match: str):
    layer = fnn.Dense(2)
    params, state = layer.init(KEY, jnp.ones((2, 2)))
    calls = [
        floating_array,
        one_array,
        exact_numpy,
        lambda x: layer.init(KEY, x),
        lambda x: layer.apply(params, state, x),
    ]
    calls += [lambda x: fnn.MeanSquaredError()(jnp.ones(2), x), lambda x: fnn.CrossEntropy()(jnp.ones((2, 2)), x)]
    for call in calls:
        with pytest.raises(TypeError, match=match):
            call(thing())


@pytest.mark.parametrize(
    "thing",
    [
        1.5, True, np.float32(2), np.ones(2), np.ones(2, bool), np.ones(2, complex), jnp.ones(2, jnp.bfloat16),
        np.ones(2, jnp.bfloat16), np.ma.masked_equal([1.0, 2.0], 5.0), Tensor(), [1.0], (1.0,), {"x": 1.0}, None, KEY,
        jax.ShapeDtypeStruct((2,), "float32"),
    ],
    ids=lambda thing: type(thing).__name__,
)  # fmt: skip
def test_arrays_and_containers_of_arrays_are_not_foreign(thing: Any):
    assert foreign(thing) is None


def test_a_tracer_is_not_foreign():
    jax.eval_shape(lambda x: [x][foreign(x) is not None], jnp.ones(2))


def test_lists_of_numbers_still_move_and_scalars_still_pass():
    assert fnn.Flatten().apply({}, {}, [[[1.0], [2.0]]])[0].tolist() == [[1.0, 2.0]]
    assert fnn.Relu()(-1.5) == 0
