"""The history of a run is and prints as a dict, and says everywhere which of its entries are better when higher."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.paths import named_leaves
from fnn.train.history import History, better_higher
from tests.comparing import same
from tests.train.blobs import blobs

KEY, DATA = jax.random.key(0), blobs()


def of_one_epoch(**options):
    objective = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())
    metrics = [fnn.Accuracy(), fnn.Perplexity()]
    return fnn.make_train(objective, fnn.optim.sgd(0.1), epochs=1, batch_size=16, metrics=metrics, **options)


@pytest.fixture
def history():
    return History({"loss": jnp.arange(2.0), "accuracy": jnp.ones(2)}, ["accuracy"])


def directions(history):
    assert isinstance(history, History)
    return {name: history.higher_is_better(name) for name in history}


def test_it_is_a_dict(history):
    assert isinstance(history, dict)
    assert list(history) == ["loss", "accuracy"]
    plain = {name: values.tolist() for name, values in history.items()}
    assert plain == jax.tree.map(lambda values: values.tolist(), history) == {"loss": [0, 1], "accuracy": [1, 1]}
    assert repr(History(plain)) == repr(plain)


@pytest.mark.parametrize(
    "passed",
    [
        lambda history: jax.tree.map(lambda values: 2 * values, history),
        jax.jit(lambda history: history),
        lambda history: jax.vmap(lambda _: history)(jnp.arange(3)),
        lambda history: jax.lax.map(lambda _: history, jnp.arange(3)),
        jax.device_get,
        lambda history: pickle.loads(pickle.dumps(history)),
        copy.copy,
        copy.deepcopy,
        lambda history: history.copy(),
        lambda history: history | {"more": jnp.zeros(2)},
        lambda history: History() | history,
    ],
)
def test_directions_go_where_the_values_go(history, passed):
    found = directions(passed(history))
    assert {name: found[name] for name in history} == {"loss": False, "accuracy": True}


def test_its_leaves_are_those_of_a_dict_in_the_same_order(history):
    same(jax.tree.leaves(history), jax.tree.leaves(dict(history)))
    assert list(named_leaves(history)) == list(named_leaves(dict(history))) == ["accuracy", "loss"]
    paths = [[each for each, _ in jax.tree_util.tree_flatten_with_path(tree)[0]] for tree in (history, dict(history))]
    assert paths[0] == paths[1]
    assert list(jax.jit(lambda history: history)(history)) == ["accuracy", "loss"]


def test_an_entry_that_is_not_there_has_no_direction(history):
    with pytest.raises(KeyError, match="no entry 'f1'; it holds loss, accuracy"):
        history.higher_is_better("f1")
    with pytest.raises(TypeError, match="unsupported operand"):
        history | 3  # pyright: ignore[reportUnusedExpression]


def test_of_a_metric_it_is_what_the_metric_says():
    assert better_higher([fnn.Perplexity(), fnn.Accuracy(), fnn.R2()]) == ("accuracy", "r2")


EXPECTED = {"loss": False, "accuracy": True, "perplexity": False}
EXPECTED |= {f"validation_{name}": higher for name, higher in EXPECTED.items()}


@pytest.mark.full
def test_what_a_run_returns_says_so():
    result = jax.jit(of_one_epoch())(KEY, DATA, validation=DATA)
    assert directions(result.history) == EXPECTED
    assert directions(jax.tree.map(lambda leaf: leaf, result).history) == EXPECTED


@pytest.mark.full
def test_what_fit_returns_says_so_too():
    result = fnn.fit(
        fnn.Objective(fnn.Dense(3), fnn.CrossEntropy()), fnn.optim.sgd(0.1), DATA, epochs=1, batch_size=16, key=KEY,
        validation=DATA, metrics=[fnn.Accuracy(), fnn.Perplexity()], progress=False,
    )  # fmt: skip
    assert directions(result.history) == EXPECTED
    assert list(result.history) == list(EXPECTED)


@pytest.mark.full
def test_a_result_is_saved_under_the_names_of_a_dict_and_loaded(tmp_path):
    result = jax.jit(of_one_epoch())(KEY, DATA)
    loaded = fnn.load(fnn.save(tmp_path / "result", result), like=result)
    same(loaded, result)
    assert directions(loaded.history)["accuracy"]
    same(fnn.load(tmp_path / "result", like=result._replace(history=dict(result.history))).history["loss"],
         np.asarray(result.history["loss"]))  # fmt: skip


def test_an_entry_that_is_missing_says_which_there_are():
    with pytest.raises(KeyError, match="no entry 'val_loss'; it holds loss, validation_loss; write 'validation_loss'"):
        History({"loss": 1, "validation_loss": 2})["val_loss"]
    with pytest.raises(KeyError, match=r"it holds loss; fit\(…, validation=…\) adds 'validation_loss'"):
        History({"loss": 1})["val_loss"]
    with pytest.raises(KeyError, match=r"no entry 'accuracy'; it holds loss.$"):
        History({"loss": 1})["accuracy"]
