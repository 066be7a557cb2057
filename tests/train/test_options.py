"""Options of a wrong type or out of range are refused where they are given, with what to write instead."""

# A row is a line, and arguments are wrong on purpose.
# ruff: noqa: E501
# pyright: reportArgumentType=false

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

KEY, NAN = jax.random.key(0), float("nan")
X = np.ones((8, 3), np.float32)
Y = np.zeros(8, np.int32)
OBJECTIVE = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
SGD = fnn.optim.sgd(0.1)
PARAMS = {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}


def fit(data: Any = (X, Y), **options: Any) -> Any:
    options = {"epochs": 1, "batch_size": 4, "key": KEY, "progress": False} | options
    return fnn.fit(options.pop("objective", OBJECTIVE), options.pop("optimizer", SGD), data, **options)


def make_train(**options: Any) -> Any:
    options = {"epochs": 1, "batch_size": 4} | options
    return fnn.make_train(options.pop("objective", OBJECTIVE), options.pop("optimizer", SGD), **options)


def train(key: Any = KEY, data: Any = (X, Y), **options: Any) -> Any:
    given = {name: options.pop(name) for name in ("validation",) if name in options}
    return jax.eval_shape(lambda: make_train(**options)(key, data, **given))


def evaluate(data: Any = (X, Y), *, params: Any = PARAMS, **options: Any) -> Any:
    state = options.pop("state", {})
    return fnn.evaluate(options.pop("objective", OBJECTIVE), params, state, data, **options)


def early(*arguments: Any, **options: Any) -> Any:
    return fnn.EarlyStopping(*arguments, **options)


STOP, IS_KEY = "early_stopping is an EarlyStopping or None, got", "key is a random key, got"
BOTH = [  # of fit and of make_train
    ({"early_stopping": True}, TypeError, f"{STOP} True; write early_stopping=EarlyStopping(patience=5)"),
    ({"early_stopping": False}, TypeError, f"{STOP} False; write early_stopping=EarlyStopping(patience=5)"),
    ({"early_stopping": 3}, TypeError, f"{STOP} 3; write early_stopping=EarlyStopping(patience=3)"),
    ({"early_stopping": fnn.EarlyStopping}, TypeError, STOP),
    ({"metrics": fnn.Accuracy}, TypeError, "write metrics=[Accuracy(…)]"),
    ({"metrics": fnn.Accuracy()}, TypeError, "metrics is a list, got one Accuracy; write metrics=[Accuracy("),
    ({"metrics": None}, TypeError, "metrics is a list of objects of Metric, got None"),
    ({"metrics": "accuracy"}, TypeError, "metrics is a list of objects of Metric, got 'accuracy'"),
    ({"metrics": ["accuracy"]}, TypeError, "metrics holds objects of Metric, got 'accuracy'"),
    ({"metrics": [fnn.Accuracy]}, TypeError, "did you mean Accuracy(…)?"),
    ({"epochs": 2.5}, TypeError, "epochs is an integer, got 2.5"),
    ({"epochs": True}, TypeError, "epochs is an integer, got True"),
    ({"epochs": 0}, ValueError, "epochs is at least 1, got 0"),
    ({"batch_size": True}, TypeError, "batch_size is an integer, got True"),
    ({"batch_size": "4"}, TypeError, "batch_size is an integer, got '4'"),
    ({"batch_size": 0}, ValueError, "batch_size is at least 1, got 0"),
    ({"validate_every": 2.0}, TypeError, "validate_every is an integer, got 2.0"),
    ({"validate_every": 0}, ValueError, "validate_every is at least 1, got 0"),
    ({"shuffle": "no"}, TypeError, "shuffle is True or False, got 'no'"),
    ({"shuffle": None}, TypeError, "shuffle is True or False, got None"),
    ({"evaluate_averaged": "no"}, TypeError, "evaluate_averaged is True or False, got 'no'"),
    ({"method": "hand"}, ValueError, "method is 'manual' or 'auto', got 'hand'"),
    ({"method": ["auto"]}, ValueError, "method is 'manual' or 'auto', got ['auto']"),
    ({"augment": "flip"}, TypeError, "expected an augmentation or a function (key, images) -> images, got 'flip'"),
    ({"augment": lambda inputs: inputs}, TypeError, "an augmentation is called with (key, images), but <lambda> takes (inputs)"),
    ({"key": 0}, TypeError, f"{IS_KEY} 0; write jax.random.key(0)"),
    ({"key": 7}, TypeError, f"{IS_KEY} 7; write jax.random.key(7)"),
    ({"key": None}, TypeError, f"{IS_KEY} None; write jax.random.key(0)"),
    ({"key": "a"}, TypeError, f"{IS_KEY} 'a'; write jax.random.key(0)"),
    ({"key": np.zeros(2)}, TypeError, f"{IS_KEY} an array of float64; write jax.random.key(0)"),
    ({"key": jnp.array(3)}, TypeError, f"{IS_KEY} an array of int32"),
    ({"key": jax.random.split(KEY, 3)}, ValueError, "key is one random key, got an array of keys of shape (3,)"),
    ({"key": jax.random.split(jax.random.PRNGKey(0), 3)}, ValueError, "got an array of keys of shape (3, 2)"),
    ({"objective": fnn.Dense(2)}, TypeError, "expected an"),
    ({"objective": fnn.Relu()}, TypeError, "expected an"),
    ({"optimizer": "adam"}, TypeError, "expected an"),
    ({"validation": 3}, TypeError, "validation data"),
]  # fmt: skip
FIT = [
    ({"early_stopping": early(3, monitor="val_loss")}, ValueError, "early stopping watches 'val_loss', but the history holds ['loss']"),
    ({"callbacks": fnn.Callback}, TypeError, "write callbacks=[Callback(…)]"),
    ({"callbacks": fnn.JsonLines("x")}, TypeError, "callbacks is a list, got one JsonLines; write callbacks=[JsonLines('x')]"),
    ({"callbacks": len}, TypeError, "callbacks is a list of objects of Callback, got <built-in function len>"),
    ({"callbacks": None}, TypeError, "callbacks is a list of objects of Callback, got None"),
    ({"callbacks": [len]}, TypeError, "callbacks holds objects of Callback, got <built-in function len>"),
    ({"batch_size": 2.5, "data": [(X, Y)]}, TypeError, "batch_size is an integer, got 2.5"),
    ({"batch_size": -3, "data": [(X, Y)]}, ValueError, "batch_size is at least 1, got -3"),
    ({"steps_per_epoch": True, "data": [(X, Y)], "batch_size": None}, TypeError, "steps_per_epoch is an integer, got True"),
    ({"steps_per_epoch": 0, "data": [(X, Y)], "batch_size": None}, ValueError, "steps_per_epoch is at least 1, got 0"),
    ({"params": [1], "state": {}}, TypeError, "params is a nested dict as init returns it, got (int)"),
    ({"params": PARAMS, "state": []}, TypeError, "state is a nested dict as init returns it, got ()"),
    ({"params": PARAMS}, ValueError, "give params and state together"),
    ({"data": lambda: [(X, Y)], "batch_size": None}, TypeError, "a function of the epoch is called with (epoch), but <lambda> takes ()"),
    ({"resume": "yes"}, ValueError, "resume is True, False or 'force', got 'yes'"),
    ({"resume": np.zeros(2)}, ValueError, "resume is True, False or 'force', got array"),
    ({"checkpoint": True}, TypeError, "checkpoint is the name of a file or folder, got True"),
    ({"checkpoint": fnn.Checkpoints}, TypeError, "did you mean Checkpoints(…)?"),
    ({"progress": "no"}, TypeError, "progress is True or False, got 'no'"),
    ({"progress": None}, TypeError, "progress is True or False, got None"),
]  # fmt: skip
TRAIN = [
    ({"on_epoch": 3}, TypeError, "on_epoch is a function of (epoch, values), got 3"),
    ({"on_epoch": lambda epoch: None}, TypeError, "on_epoch is called with (epoch, values), but <lambda> takes (epoch)"),
    ({"objective": lambda: OBJECTIVE}, TypeError, "is taken for a function of hyperparams"),
    ({"checkpoint_steps": "a"}, TypeError, "checkpoint_steps is an integer, got 'a'"),
    ({"checkpoint_steps": 0}, ValueError, "checkpoint_steps is at least 1, got 0"),
    ({"epochs": None, "steps": 1.5}, TypeError, "steps is an integer, got 1.5"),
    ({"steps": 3}, ValueError, "one of the two; got epochs=1, steps=3"),
    ({"batch_size": None}, TypeError, "batch_size is an integer, got None"),
]  # fmt: skip
EVALUATE = [
    ({"params": [PARAMS]}, TypeError, "params is a nested dict as init returns it, got ("),
    ({"state": None}, TypeError, "state is a nested dict as init returns it, got None"),
    ({"batch_size": 2.5}, TypeError, "batch_size is an integer, got 2.5"),
    ({"metrics": fnn.Accuracy}, TypeError, "write metrics=[Accuracy(…)]"),
    ({"objective": fnn.Dense(2)}, TypeError, "expected an Objective(model, loss), got Dense(features=2)"),
]  # fmt: skip
EARLY = [
    ({"patience": 0}, ValueError, "patience is at least 1, got 0"),
    ({"patience": -1}, ValueError, "patience is at least 1, got -1"),
    ({"patience": True}, TypeError, "patience is an integer, got True"),
    ({"patience": 2.5}, TypeError, "patience is an integer, got 2.5"),
    ({"patience": 2, "min_delta": -0.1}, ValueError, "min_delta is a finite number of at least 0, got -0.1"),
    ({"patience": 2, "min_delta": NAN}, ValueError, "min_delta is a finite number of at least 0, got nan"),
    ({"patience": 2, "min_delta": float("inf")}, ValueError, "min_delta is a finite number of at least 0, got inf"),
    ({"patience": 2, "min_delta": "0.1"}, TypeError, "min_delta is a number, got '0.1'"),
    ({"patience": 2, "min_delta": True}, TypeError, "min_delta is a number, got True"),
    ({"patience": 2, "monitor": fnn.Accuracy()}, TypeError, "monitor is the name of an entry of the history, got Accuracy("),
]  # fmt: skip
SAVING = [
    ({"folder": 3}, TypeError, "folder is the name of a file or folder, got 3"),
    ({"every_seconds": -1}, ValueError, "every_seconds is at least 0, got -1"),
    ({"every_seconds": NAN}, ValueError, "every_seconds is at least 0, got nan"),
    ({"every_seconds": "60"}, TypeError, "every_seconds is a number, got '60'"),
    ({"keep_last": 0}, ValueError, "keep_last is at least 1, got 0"),
    ({"keep_last": True}, TypeError, "keep_last is an integer, got True"),
    ({"keep_best": -1}, ValueError, "keep_best is at least 0, got -1"),
    ({"keep_best": 1.5}, TypeError, "keep_best is an integer, got 1.5"),
    ({"monitor": 3}, TypeError, "monitor is the name of an entry of the history, got 3"),
    ({"monitor": "validation_accuracy"}, ValueError, "monitor='validation_accuracy' says which checkpoints are the best: give keep_best"),
    ({"roll_back_after": 0}, ValueError, "roll_back_after is at least 1, got 0"),
    ({"roll_back_after": True}, TypeError, "roll_back_after is an integer, got True"),
]  # fmt: skip


def saving(**options: Any) -> Any:
    return fnn.Checkpoints(options.pop("folder", "runs"), **options)


CALLS = {
    "fit": (fit, BOTH + FIT),
    "train": (train, BOTH + TRAIN),
    "evaluate": (evaluate, EVALUATE),
    "EarlyStopping": (early, EARLY),
    "Checkpoints": (saving, SAVING),
    "JsonLines": (fnn.JsonLines, [({"path": 3}, TypeError, "path is the name of a file or folder, got 3")]),
    "TensorBoard": (
        fnn.TensorBoard,
        [({"folder": None}, TypeError, "folder is the name of a file or folder, got None")],
    ),
}
ROWS = [(name, *row) for name, (_, rows) in CALLS.items() for row in rows]


@pytest.mark.parametrize(("name", "options", "error", "words"), ROWS, ids=[f"{row[0]}: {row[3][:60]}" for row in ROWS])
def test_an_option_is_looked_at_where_it_is_given(name: str, options: dict[str, Any], error: type, words: str):
    with pytest.raises(error, match=re.escape(words)):
        CALLS[name][0](**options)


@pytest.mark.full
def test_options_that_are_good_are_taken(tmp_path):
    """Of NumPy too, and keys of both kinds."""
    fit(
        epochs=np.int64(1),
        shuffle=np.bool_(False),
        key=jax.random.PRNGKey(0),
        early_stopping=early(np.int32(2), np.float32(0), "loss"),
    )
    saving(every_seconds=0, monitor="accuracy", keep_best=1, folder=tmp_path)
    saving(every_seconds=float("inf"))


# ---- what a callback sets of a run


def fit_with(change: Any) -> None:
    class Change(fnn.Callback):
        def on_start(self, run):
            change(run)

    fit(callbacks=[Change()])


@pytest.mark.parametrize("name", ["stop", "stop_training", "parms", "param", "states", "optstate"])
def test_what_nobody_reads_of_a_run_cannot_be_set(name: str):
    with pytest.raises(
        AttributeError, match=rf"run\.{name} has no effect: a callback can set params, state, opt_state"
    ):
        fit_with(lambda run: setattr(run, name, True))


def test_a_callback_can_keep_what_it_wants_on_a_run():
    with pytest.raises(ZeroDivisionError):
        fit_with(lambda run: (setattr(run, "note", 1), setattr(run, "params", run.params), run.note / 0))


@pytest.mark.parametrize(
    ("name", "new", "where"),
    [
        ("params", {"kernel": X}, "['bias'], ['kernel']"),
        ("params", {"kernel": np.ones((3, 2)), "bias": np.ones(3)}, "['bias']"),
        ("state", {"mean": 1.0}, "['mean']"),
        ("opt_state", None, ".count"),
    ],
)
def test_parts_of_other_shapes_cannot_take_the_place_of_what_was_learned(name: str, new: Any, where: str):
    words = f"run.{name} takes arrays with the same paths and shapes as before; they differ at "
    with pytest.raises(ValueError, match=re.escape(words) + ".*" + re.escape(where)):
        fit_with(lambda run: setattr(run, name, new))
