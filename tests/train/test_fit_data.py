"""Data from the host: memory-mapped files and iterables train as arrays on the device do, and bad ones are refused."""

import functools
import itertools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.stream import Stream, grouped
from tests.comparing import close, same
from tests.drawing import drawn

X = drawn("inputs from the host", 45, 4).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int32) + (X[:, 1] > 0)
MODEL = fnn.Serial(fnn.Dense(8, use_bias=False), fnn.BatchNorm(), fnn.Tanh(), fnn.Dropout(0.2), fnn.Dense(3))
OBJECTIVE = fnn.Objective(MODEL, fnn.CrossEntropy())
ROUNDED = {"rtol": 1e-5, "atol": 1e-6}
METRICS = (fnn.Accuracy(),)
PIECES = [(X[start : start + 8], Y[start : start + 8]) for start in range(0, 45, 8)]


def fit(data, **options):
    options = {"epochs": 3, "batch_size": 8, "key": jax.random.key(1), "progress": False} | options
    return fnn.fit(OBJECTIVE, options.pop("optimizer", fnn.optim.sgd(1e-1)), data, **options)


@functools.cache
def validated():
    return fit((X, Y), validation=(X, Y), metrics=METRICS)


@functools.cache
def of_batches():
    return fit(PIECES)


def mapped(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return tuple(np.load(folder / f"{name}.npy", mmap_mode="r") for name in arrays)


@pytest.mark.full
def test_memory_mapped_files_train_as_arrays_do(tmp_path):
    data = mapped(tmp_path, x=X, y=Y)
    assert isinstance(data[0], np.memmap)
    close(fit(data, validation=data, metrics=METRICS), validated(), **ROUNDED)


@pytest.mark.full
def test_a_list_of_batches_trains_as_arrays_in_that_order_do():
    in_order = fit((X, Y), shuffle=False, validation=(X, Y))
    close(fit(PIECES, batch_size=None, validation=PIECES), in_order, **ROUNDED)


@pytest.mark.full
def test_a_function_of_the_epoch_gives_its_batches():
    told = []

    def batches(epoch):
        told.append(epoch)
        return iter(PIECES)

    same(fit(batches, batch_size=None), of_batches())
    assert told == [0, 1, 2]


@pytest.mark.full
def test_an_iterator_serves_one_epoch_and_no_more():
    same(fit(iter(PIECES), epochs=1), fit(PIECES, epochs=1))
    with pytest.raises(ValueError, match="an iterator, which can be iterated once, not 3 times"):
        fit(iter(PIECES))
    with pytest.raises(ValueError, match="an iterator, which can be iterated once, not 3 times"):
        fit((X, Y), validation=iter(PIECES))


class Loader:
    """Like PyTorch's: lists of arrays of another library, with ``__len__``."""

    class Tensor:
        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, str(array.dtype)

        def __array__(self, dtype=None, copy=None):
            return self.array

    def __len__(self):
        return len(PIECES)

    def __iter__(self):
        return ([self.Tensor(x), self.Tensor(y.astype(np.int64))] for x, y in PIECES)


@pytest.mark.full
def test_a_loader_of_another_library_trains_as_its_arrays_do():
    same(fit(Loader()), of_batches())


@pytest.mark.full
def test_how_batches_are_grouped_changes_no_bit(monkeypatch):
    monkeypatch.setattr("fnn.train.stream.BATCHES_A_GROUP", 1)
    close(fit(PIECES), of_batches(), **ROUNDED)
    monkeypatch.setattr("fnn.train.stream.BATCHES_A_GROUP", 4)
    part = fit(PIECES)
    monkeypatch.setattr("fnn.train.stream.BYTES_A_GROUP", 0)
    close(fit(PIECES), part, **ROUNDED)


def test_groups_hold_batches_of_one_shape_in_order():
    like = (np.zeros((8, 4), np.float32), np.zeros(8, np.int32))
    groups = list(grouped(iter(PIECES), like))
    assert [(group.number, group.size, group.data[0].shape) for group in groups] == [(5, 8, (256, 4)), (1, 5, (5, 4))]
    np.testing.assert_array_equal(groups[0].data[0][:40], X[:40])
    assert not groups[0].data[0][40:].any()


def test_what_a_slow_loader_has_goes_on_its_way(monkeypatch):
    monkeypatch.setattr("fnn.train.stream.SECONDS_A_GROUP", 0.0)
    assert [group.number for group in grouped(iter(PIECES), PIECES[0])] == [1] * 6


@pytest.mark.full
def test_weights_go_along():
    weights = np.linspace(0, 1, 45, dtype=np.float32)
    pieces = [(*piece, weights[8 * n : 8 * n + 8]) for n, piece in enumerate(PIECES)]
    close(fit(pieces), fit((X, Y, weights), shuffle=False), **ROUNDED)


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ([], ValueError, "the data have no batch"),
        (lambda epoch: PIECES if epoch == 0 else [], ValueError, "the data have no batch in this epoch"),
        (5, TypeError, r"data are \(inputs, targets\), an iterable of such batches, or a function .* got int"),
        (lambda epoch: 5, TypeError, "got int"),
        ([X, "text"], TypeError, r"a batch is \(inputs, targets\)"),
        ([(X, Y), (X[:, :3], Y)], ValueError, "parameter 'kernel' has shape"),
        ([(X, Y), (X, Y + 1)], ValueError, r"labels lie in \[0, 3\), got \[3\]"),
        ([(X, Y), (np.full_like(X, np.nan), Y)], ValueError, "the inputs of the data are not finite in sample 0"),
        ([(X, Y), (X, Y.astype(np.int64) + 2**40)], ValueError, "expected integers that int32 can hold"),
        ([(X, Y), (X, Y[:3])], ValueError, "have the same length"),
    ],
)
def test_bad_data_are_refused_where_they_enter(data, error, match):
    with pytest.raises(error, match=match):
        fit(data, batch_size=None)
    assert not [thread for thread in threading.enumerate() if thread.name == "fnn batches"]


def test_batches_larger_than_asked_for_are_refused():
    with pytest.raises(ValueError, match="the first with 8 samples, which is more than batch_size=4"):
        fit(PIECES, batch_size=4)


def test_a_length_past_its_sequence_is_told_by_its_layer():
    objective = fnn.Objective(fnn.Serial(fnn.SimpleRNN(3), fnn.Dense(2)), fnn.MeanSquaredError())
    data = ((np.ones((6, 5, 2), np.float32), np.array([5, 5, 99, 1, 2, 3])), np.zeros((6, 5, 2), np.float32))
    with pytest.raises(ValueError, match="lengths lie in") as caught:
        fnn.fit(objective, fnn.optim.sgd(0.1), data, epochs=1, batch_size=3, key=jax.random.key(0), progress=False)
    assert "for sample 2 of the data" in caught.value.__notes__


@pytest.mark.full
def test_fit_prints_the_groups_of_an_optimiser(capsys):
    fit((X, Y), optimizer=fnn.optim.groups({"*/bias": fnn.optim.sgd(0.1), "*": fnn.optim.sgd(0.2)}), epochs=1)
    assert "dense_1/bias" in capsys.readouterr().out


def test_arrays_need_a_batch_size():
    with pytest.raises(ValueError, match="arrays are cut into batches: give batch_size"):
        fit((X, Y), batch_size=None)


def test_bad_memory_mapped_values_are_refused_on_their_way(tmp_path):
    bad = X.copy()
    bad[44, 0] = np.inf
    with pytest.raises(ValueError, match="the inputs of the data are not finite in sample"):
        fit(mapped(tmp_path, x=bad, y=Y))


@pytest.mark.full
@pytest.mark.parametrize("name", ["data", "validation data"])
def test_an_index_past_its_vocabulary_is_caught_in_a_stream(name):
    objective = fnn.Objective(fnn.Serial(fnn.Embedding(4, 3), fnn.Dense(2)), fnn.CrossEntropy())
    good = (np.zeros(6, np.int32), np.zeros(6, np.int32))
    bad = (np.array([0, 1, 9, 2, 3, 1], np.int32), good[1])
    with pytest.raises(ValueError, match=r"indices lie in \[0, 4\), got values from 9 to 9") as caught:
        fnn.fit(
            objective, fnn.optim.sgd(0.1), [good, bad if name == "data" else good], epochs=1,
            key=jax.random.key(0), validation=[good, bad], progress=False,
        )  # fmt: skip
    assert f"for sample 2 of the {name}" in caught.value.__notes__


def test_a_reader_that_hangs_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr("fnn.train.stream.SECONDS_TO_CLOSE", 0.05)
    release = threading.Event()

    def stuck():
        yield PIECES[0]
        release.wait()

    stream = Stream(stuck(), PIECES[0], lambda batch: None)
    with pytest.warns(UserWarning, match="the thread that waits for them is left behind"):
        stream.close()
    release.set()


def test_a_loader_that_fails_is_heard():
    def batches(epoch):
        yield PIECES[0]
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fit(batches)


def test_a_stream_that_is_closed_reads_no_further():
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield PIECES[0]

    stream = Stream(endless(), PIECES[0], lambda batch: None)
    assert next(group for group in stream.groups() if group is not None).number == 32
    stream.close()
    before = len(taken)
    assert not stream.running
    assert len(taken) == before


@pytest.mark.full
def test_streams_keep_float64_where_it_is_enabled():
    with jax.enable_x64(True):
        result = fit([(X.astype(np.float64), Y)], batch_size=None)
    assert result.params["dense_0"]["kernel"].dtype == np.float64


@pytest.mark.full
def test_evaluate_is_the_validation_of_a_run(tmp_path):
    result = validated()
    for data in ((X, Y), PIECES, mapped(tmp_path, x=X, y=Y)):
        values = fnn.evaluate(OBJECTIVE, result.params, result.state, data, batch_size=8, metrics=METRICS)
        assert list(values) == ["loss", "accuracy"]
        np.testing.assert_allclose(values["loss"], result.history["validation_loss"][-1], rtol=1e-5)
        np.testing.assert_allclose(values["accuracy"], result.history["validation_accuracy"][-1], rtol=1e-5)
    whole = fnn.evaluate(OBJECTIVE, result.params, result.state, (jnp.asarray(X), Y))
    np.testing.assert_allclose(whole["loss"], result.history["validation_loss"][-1], rtol=1e-5)


@pytest.mark.full
def test_a_deep_model_that_diverges_on_a_stream_of_indices_goes_on():
    """Ones that stood in for its parameters overflowed, and a sound index was blamed."""
    model = fnn.Serial(fnn.Embedding(5, 256), *(fnn.Dense(256) for _ in range(17)), fnn.Dense(3))
    indices = np.arange(16, dtype=np.int32) % 5
    with pytest.warns(RuntimeWarning, match="the loss of epoch 1 is not finite"):
        fnn.fit(
            fnn.Objective(model, fnn.MeanSquaredError()),
            fnn.optim.sgd(1e30),
            [(indices[:8], np.ones((8, 3), np.float32)), (indices[8:], np.ones((8, 3), np.float32))] * 2,
            epochs=1,
            key=jax.random.key(0),
            progress=False,
        )


def test_validation_data_without_a_batch_are_named():
    with pytest.raises(ValueError, match="the validation data have no batch"):
        fit(PIECES, validation=[])
