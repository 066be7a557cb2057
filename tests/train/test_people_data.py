"""Data as people have them are the arrays they stand for, in every way in: tables, series, tensors, lists, dicts."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.train.converted import converted
from fnn.train.data import arrays
from tests.comparing import same
from tests.drawing import drawn
from tests.train.stand_ins import Column, Frame, Tensor, Wide

X = drawn("two columns", 8, 2).astype(np.float32)
X[:, 1] = np.round(X[:, 1])
Y = np.array([0, 1, 1, 0, 2, 1, 0, 2], np.int32)
OBJECTIVE = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())
NAMES: dict[str, Any] = {"size": X[:, 0], "count": X[:, 1].astype(np.int64)}
fit = functools.partial(fnn.fit, OBJECTIVE, fnn.optim.sgd(0.1), epochs=1, key=jax.random.key(0), progress=False)

KINDS: dict[str, Any] = {
    "a table and a series of pandas": lambda: (Frame(**NAMES), Column(Y)),
    "a table and a series of polars": lambda: (Wide(**NAMES), Column(Y)),
    "a tensor": lambda: (Tensor(X), Y),
    "lists": lambda: (X.tolist(), Y.tolist()),
    "a dict by name": lambda: {"targets": Y, "inputs": X},
}


@functools.cache
def learned() -> Any:
    return fit((X, Y), batch_size=4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_is_the_arrays_it_stands_for(kind: str):
    data = KINDS[kind]()
    made = arrays(data)
    same(made, arrays((X, Y)))
    same(fit(data, batch_size=4).params, learned().params)
    scores = fnn.evaluate(OBJECTIVE, learned().params, learned().state, data)
    assert scores == fnn.evaluate(OBJECTIVE, learned().params, learned().state, (X, Y))
    inputs = data["inputs"] if isinstance(data, dict) else data[0]
    outputs = [fnn.predict(OBJECTIVE.model, learned().params, learned().state, each) for each in (inputs, X)]
    same(outputs[0], outputs[1])


@pytest.mark.full
def test_a_generator_of_dicts_gives_batches():
    def batches(epoch: int) -> Iterator[dict[str, Any]]:
        del epoch
        for start in (0, 4):
            yield {"inputs": X[start : start + 4].tolist(), "targets": Y[start : start + 4]}

    pieces = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    same(fit(batches).params, fit(pieces).params)
    scored = (fnn.evaluate(OBJECTIVE, learned().params, learned().state, each) for each in (batches, pieces))
    assert next(scored) == next(scored)


def test_columns_keep_their_dtype_if_they_are_floating_alike():
    assert converted(Frame(a=X[:, 0], b=X[:, 1]), "inputs").dtype == np.float32
    assert converted(Frame(a=np.ones(2, bool), b=np.arange(2)), "inputs").dtype == jax.numpy.ones(()).dtype
    assert converted(Column(Y), "targets").dtype == np.int32


def test_a_table_names_its_columns_that_are_not_numbers():
    table = Frame(size=X[:, 0], town=np.array(list("abcdefgh")), day=np.arange(8).astype("M8[D]"))
    words = (
        r"inputs are numbers, and of the Frame the columns \['town', 'day'\] are not; encode them as numbers, or leave"
    )
    for run in (lambda: fit((table, Y), batch_size=4), lambda: fnn.predict(fnn.Dense(1), {}, {}, table)):
        with pytest.raises(TypeError, match=words):
            run()
    with pytest.raises(TypeError, match="targets are numbers, got an array of <U1; encode them as integers first"):
        fit((X, Column(np.array(list("abcdefgh")))), batch_size=4)


def test_a_dict_by_other_names_says_how_to_name_its_entries():
    with pytest.raises(TypeError, match=r"got a dict of \['image', 'label'\]; name its entries inputs, targets"):
        fit([{"image": X, "label": Y}])


def test_a_dataset_of_rows_is_told_how_to_give_batches():
    class Dataset:
        column_names = ("image", "label")
        with_format = map = None

        def __iter__(self) -> Iterator[Any]:
            return iter([{"image": X[0], "label": Y[0]}])

    with pytest.raises(TypeError, match="the data are a Dataset, which gives single rows; give a function"):
        fit(Dataset())


# ---- the libraries themselves, where they are installed


@pytest.mark.full
def test_tables_and_series_of_pandas():
    pandas: Any = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": X[:, 0], "n": pandas.array(X[:, 1].astype(int), "Int64")}, index=range(8, 0, -1))
    labels = pandas.Series(Y, index=frame.index)
    same(arrays((frame, labels)), arrays((X, Y)))
    same(fit((frame, labels), batch_size=4).params, learned().params)
    same(arrays((frame.rename(columns={"n": "a"}), Y))[0], arrays((X, Y))[0])
    missing = frame.assign(n=pandas.array([None, *range(7)], "Int64"))
    assert np.isnan(converted(missing, "inputs")[0, 1])
    with pytest.raises(ValueError, match="the inputs of the data are not finite in sample 0"):
        fit((missing, labels), batch_size=4)
    for column in (pandas.Categorical(list("abababab")), list("abababab"), pandas.date_range("2020", periods=8)):
        with pytest.raises(TypeError, match=r"and of the DataFrame the columns \['c'\] are not"):
            fit((frame.assign(c=column), labels), batch_size=4)
    with pytest.raises(TypeError, match="targets are numbers, got"):
        fit((frame, pandas.Series(list("abababab"))), batch_size=4)


@pytest.mark.full
def test_tables_and_series_of_polars():
    polars: Any = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame({"a": X[:, 0], "n": X[:, 1].astype(int)})
    same(arrays((frame, polars.Series(Y))), arrays((X, Y)))
    same(fit((frame, polars.Series(Y)), batch_size=4).params, learned().params)
    assert np.isnan(converted(polars.DataFrame({"n": [None, 1]}), "inputs")[0, 0])
    texts = frame.with_columns(
        town=polars.Series(list("abababab")), kind=polars.Series(list("abababab"), dtype=polars.Categorical)
    )
    with pytest.raises(TypeError, match=r"and of the DataFrame the columns \['town', 'kind'\] are not"):
        fit((texts, Y), batch_size=4)
    with pytest.raises(TypeError, match="targets are numbers, got"):
        fit((frame, polars.Series(list("abababab"))), batch_size=4)


@pytest.mark.full
def test_tensors_of_torch():
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensor = torch.tensor(X, requires_grad=True)
    same(fit((tensor, torch.tensor(Y)), batch_size=4).params, learned().params)
    with pytest.raises(TypeError, match=r"a Tensor that NumPy cannot read .*write inputs\.detach\(\)\.cpu"):
        fit((tensor.bfloat16(), Y), batch_size=4)


@pytest.mark.full
def test_datasets_of_hugging_face():
    datasets: Any = pytest.importorskip("datasets", reason="datasets is not installed")
    data = datasets.Dataset.from_dict({"image": X, "label": Y})
    with pytest.raises(TypeError, match="the data are a Dataset, which gives single rows"):
        fit(data)
    named = data.rename_columns({"image": "inputs", "label": "targets"}).with_format("numpy")
    pieces = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    same(fit(lambda epoch: named.iter(batch_size=4)).params, fit(pieces).params)
    same(fit(named[:], batch_size=4).params, learned().params)


@pytest.mark.full
def test_loaders_of_grain():
    grain: Any = pytest.importorskip("grain", reason="grain is not installed")
    rows = [{"inputs": x, "targets": y} for x, y in zip(X, Y, strict=True)]
    pieces = [(X[:4], Y[:4]), (X[4:], Y[4:])]
    same(fit(grain.MapDataset.source(rows).batch(4)).params, fit(pieces).params)
    same(fit(grain.MapDataset.source(rows).to_iter_dataset().batch(4)).params, fit(pieces).params)
