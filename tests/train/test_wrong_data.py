"""Data that are no arrays of numbers, or do not fit: every way in says what they are, whose, and what to write."""

# A row is a line.
# ruff: noqa: E501

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

import fnn
from tests.comparing import same
from tests.guards.test_foreign_inputs import Table, Tensor, ragged
from tests.train.stand_ins import Frame

KEY = jax.random.key(0)
X = np.ones((8, 3), np.float32)
Y = np.zeros(8, np.int32)
OBJECTIVE = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
PARAMS = {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}
OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 4}
TRAIN = fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **OPTIONS)
fit = functools.partial(fnn.fit, OBJECTIVE, fnn.optim.sgd(0.1), **OPTIONS, key=KEY, progress=False)

WAYS_IN = {
    "fit": fit,
    "fit, a list of batches": lambda data: fit([data], batch_size=None),
    "evaluate": lambda data: fnn.evaluate(OBJECTIVE, PARAMS, {}, data),
    "train": lambda data: jax.eval_shape(lambda: TRAIN(KEY, data)),
    "sweep": lambda data: fnn.sweep(TRAIN, KEY, data),
}
VALIDATION = {
    "fit": lambda data: fit((X, Y), validation=data, params=PARAMS, state={}),
    "fit, a list of batches": lambda data: fit((X, Y), batch_size=8, validation=[data], params=PARAMS, state={}),
    "train": lambda data: jax.eval_shape(lambda: TRAIN(KEY, (X, Y), validation=data)),
    "sweep": lambda data: fnn.sweep(TRAIN, KEY, (X, Y), validation=data),
}
KINDS = [
    ("a table with text", lambda: (Frame(size=X[:, 0], town=Y.astype(str)), Y), "inputs are numbers, and of the Frame the columns ['town'] are not; encode"),
    ("a sparse matrix", lambda: (scipy.sparse.csr_matrix(X), Y), "inputs are numbers, got a sparse csr_matrix; write inputs.toarray()"),
    ("a sparse matrix of JAX", lambda: (sparse.BCOO.fromdense(jnp.asarray(X)), Y), "inputs are numbers, got a sparse BCOO; write inputs.todense()"),
    ("objects", lambda: (X.astype(object), Y), "inputs are numbers, got an array of objects (float); write inputs.astype('float32')"),
    ("ragged lists", lambda: ([[1.0, 2.0], [3.0]], Y[:2]), "inputs are arrays, got list; its rows have different lengths"),
    ("ragged objects", lambda: (ragged(), Y[:2]), "inputs are numbers, got an array of sequences of different lengths"),
    ("lists of text", lambda: ([[1.0, "a"]] * 8, Y), "inputs are numbers, got an array of <U"),
    ("a dict", lambda: {"x": X, "inputs": X}, "got a dict of ['x', 'inputs']; name its entries inputs, targets and weights"),
    ("a word", lambda: (X, "yes"), "targets are numbers, got text; encode it as integers first"),
    ("words", lambda: (X, list("abcdefgh")), "targets are numbers, got text; encode it as integers first"),
    ("an array of words", lambda: (X, np.array(list("abcdefgh"))), "targets are numbers, got an array of <U1; encode them as integers first"),
    ("words as weights", lambda: (X, Y, "balanced"), "weights are numbers, got text"),
    ("a generator", lambda: ((row for row in X), Y), "inputs are numbers, got a generator, which can be read only once; write numpy.stack(list(inputs))"),
    ("a tensor with a gradient", lambda: (X, Tensor(grad=True)), "targets are numbers, got a Tensor that NumPy cannot read"),
    ("masked entries", lambda: (np.ma.masked_greater(X, 0), Y), "inputs are numbers, got an array with masked entries; the mask would be lost"),
    ("times", lambda: (X.astype("M8[s]"), Y), "inputs are numbers, got an array of datetime64[s]"),
    ("two targets", lambda: (X, (Y, Y)), "do not fit the loss: expected one array, got (int32["),
    ("named targets", lambda: (X, {"y": Y}), "do not fit the loss: expected one array, got {y: int32["),
    ("no targets", lambda: (X, None), "do not fit the loss: expected one array, got None"),
    ("too many", lambda: (X, Y, Y, Y), "a batch is (inputs, targets) or (inputs, targets, weights), got (float32[8,3], int32[8], int32[8], int32[8])"),
    ("no sample", lambda: (X[:0], Y[:0]), "the number of samples is at least 1, got (float32[0,3], int32[0])"),
    ("numbers", lambda: (np.float32(1), np.float32(2)), "inputs, targets and weights have the same length"),
]  # fmt: skip


def rows() -> list[Any]:
    """Those of the quick proof import no other library of sparse matrices than SciPy's."""
    return [pytest.param(*row[1:], id=row[0], marks=[pytest.mark.full] * ("JAX" in row[0])) for row in KINDS]


@pytest.mark.parametrize("way", WAYS_IN)
@pytest.mark.parametrize(("data", "words"), rows())
def test_every_way_in_says_what_came_and_what_to_write(data: Any, words: str, way: str):
    with pytest.raises((TypeError, ValueError), match=re.escape(words)):
        WAYS_IN[way](data())


@pytest.mark.parametrize("way", VALIDATION)
@pytest.mark.parametrize(
    ("data", "words"),
    [
        *rows(),
        (
            lambda: (X[:, :2], Y),
            "do not fit the model: parameter 'kernel' has shape (3, 2) where this input needs (2, 2)",
        ),
        (lambda: (X, Y[:, None]), "do not fit the loss: expected labels ("),
        (lambda: ((X, X), Y), "do not fit the model: expected one array, got (float32["),
    ],
)
def test_what_is_wrong_with_validation_data_is_said_of_them(data: Any, words: str, way: str):
    """It read as if the model were at fault, or the training data."""
    with pytest.raises((TypeError, ValueError), match="^the validation data.*" + re.escape(words)):
        VALIDATION[way](data())


WHOLE = [
    (X, "ndarray"),
    (Table(), "Table"),
    ("train.csv", "str"),
    (3, "int"),
    (None, "NoneType"),
]


@pytest.mark.parametrize(("data", "kind"), WHOLE, ids=[row[1] for row in WHOLE])
def test_what_is_no_data_at_all_is_told_how_data_look(data: Any, kind: str):
    for way in ("fit", "evaluate"):
        with pytest.raises(TypeError, match=rf"^data are \(inputs, targets\), an iterable of such .*; got {kind}$"):
            WAYS_IN[way](data)
    for way in ("train", "sweep"):
        with pytest.raises(TypeError, match=r"^a batch is \(inputs, targets\) or \(inputs, targets, weights\), got"):
            WAYS_IN[way](data)
    if data is not None:
        with pytest.raises(TypeError, match=rf"^validation data are .*; got {kind}$"):
            VALIDATION["fit"](data)


@pytest.mark.full
def test_inputs_of_a_list_stay_two_inputs():
    """A list of arrays is a model's two inputs, not one array."""
    with pytest.raises(TypeError, match="expected one array, got"):
        fit(([X, X], Y))
    both = fnn.Serial(fnn.Lambda(_sum), fnn.Dense(2))
    fnn.fit(
        fnn.Objective(both, fnn.CrossEntropy()), fnn.optim.sgd(0.1), ([X, X], Y), **OPTIONS, key=KEY, progress=False
    )


def _sum(pair):
    return pair[0] + pair[1]


class Series:
    """What is asked of a pandas Series: its rows go by its index, which is not their place."""

    def __init__(self, values, index):
        self.values, self.index = values, np.asarray(index)
        self.shape, self.dtype = values.shape, values.dtype

    def __array__(self, dtype=None, copy=None):
        return self.values

    def __getitem__(self, rows):
        if isinstance(rows, slice):
            return Series(self.values[rows], self.index[rows])
        return Series(self.values[[int(np.flatnonzero(self.index == row)[0]) for row in rows]], rows)


@pytest.mark.full
def test_a_series_beside_a_mapped_file_is_read_by_place(tmp_path):
    """Targets that had been shuffled with their index were put back in the order before."""
    rows = np.arange(8)
    np.save(tmp_path / "x.npy", np.eye(8, dtype=np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    targets = (rows % 2).astype(np.int32)
    expected = fit((x, targets))
    same(fit((x, Series(targets, rows[::-1]))).params, expected.params)


def test_labels_of_classes_for_squares_are_told_where_they_go():
    """The advice was to reshape one of them."""
    words = "for class labels use CrossEntropy(), or make them one-hot: jax.nn.one_hot(target, 3)"
    for loss in (fnn.MeanSquaredError(), fnn.MeanAbsoluteError(), fnn.Huber(), fnn.BinaryCrossEntropy()):
        with pytest.raises(ValueError, match=re.escape(words)):
            loss(jnp.ones((4, 3)), jnp.zeros(4, int))
        with pytest.raises(ValueError, match="reshape one of them"):
            loss(jnp.ones((4, 1)), jnp.zeros(4, int))


HEADS = [fnn.Serial(fnn.Dense(4)), fnn.Serial(fnn.Dense(4), fnn.BatchNorm()), fnn.Dense(4)]


@pytest.mark.parametrize(
    "body", [HEADS[0], *(pytest.param(body, marks=pytest.mark.full) for body in HEADS[1:])], ids=repr
)
def test_the_params_of_an_objective_in_the_body_of_its_model_say_whose_they_are(body: fnn.Layer):
    objective = fnn.Objective(body, fnn.LinearCrossEntropy(3))
    params, state = objective.init(KEY, X)
    words = "params with an entry 'loss' belong to objective.model, which ends with the head of its loss: apply"
    with pytest.raises(ValueError, match=re.escape(words)):
        body.apply(params, state, X)
    with pytest.raises(ValueError, match=r"were these params made by this model's init\?"):
        body.apply({"conv_0": {}}, state, X)


def test_targets_and_weights_of_a_loss_called_by_hand():
    loss, logits = fnn.CrossEntropy(), jnp.ones((2, 3))
    for wrong in ((jnp.zeros(2), jnp.zeros(2)), {"y": jnp.zeros(2)}, None, [np.zeros(2), np.zeros(2)]):
        with pytest.raises(TypeError, match="expected one array, got"):
            loss(logits, wrong)
    with pytest.raises(TypeError, match="got an array of <U1; encode them"):
        loss(logits, ["a", "b"])
    with pytest.raises(
        ValueError, match=r"got rows of different lengths, \(\(int, int\), \(int\)\); pad them to one length"
    ):
        loss(logits, [[1, 2], [3]])
    with pytest.raises(TypeError, match="weights are numbers, got text"):
        loss(logits, np.array([0, 1]), "balanced")


@pytest.mark.full
def test_a_list_of_numbers_is_a_target():
    loss, logits = fnn.CrossEntropy(), jnp.ones((2, 3))
    assert loss(logits, [0, 1]) == loss(logits, (0, 1)) == loss(logits, [np.int64(0), np.int64(1)])


def test_a_long_list_is_described_by_its_beginning():
    """A note held thousands of floats."""
    objective = fnn.Objective(fnn.Identity(), fnn.CrossEntropy())
    with pytest.raises(TypeError, match=re.escape("float, float, … 5000 in all)")) as raised:
        objective({}, {}, (1.0,) * 5000)
    assert len(str(raised.value)) < 300


def test_a_missing_label_is_named():
    """The advice was ``astype(int)``, which makes a label of NaN."""
    objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    data = np.ones((4, 3), np.float32), np.array([0, 1, np.nan, np.nan])
    words = r"labels are integers, and one is missing \(NaN\) in sample 2; leave such samples out"
    with pytest.raises(ValueError, match=words):
        fnn.fit(objective, fnn.optim.sgd(0.1), data, epochs=1, batch_size=4, key=jax.random.key(0), progress=False)
    with pytest.raises(ValueError, match=words):
        objective.loss.check(np.ones((4, 2), np.float32), data[1])
