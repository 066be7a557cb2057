"""A model with its weights in one file: used in a fresh process, found among the checkpoints of a run, and refused."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.checkpoint import registry
from tests.comparing import close, same

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
Y = np.arange(12) % 3
MODEL = fnn.Serial(fnn.Dense(5), fnn.BatchNorm(), fnn.Repeat(fnn.Residual(fnn.Dense(5)), 3), fnn.Dense(3))


def trained(model: fnn.Layer = MODEL) -> tuple[Any, Any]:
    params, state = model.init(KEY, X)
    return params, model.apply(params, state, X, train=True, key=KEY)[1]


def test_what_was_saved_comes_back_with_its_structure(tmp_path: Path):
    params, state = trained()
    model, loaded, statistics = fnn.load_model(fnn.save_model(tmp_path / "model.safetensors", MODEL, params, state))
    assert model == MODEL
    same((loaded, statistics), (params, state))
    assert isinstance(loaded["repeat_0"], fnn.Stacked)
    same(model.apply(loaded, statistics, X)[0], MODEL.apply(params, state, X)[0])


def test_a_model_without_parameters_or_state(tmp_path: Path):
    path = fnn.save_model(tmp_path / "model.safetensors", fnn.Tanh(), {}, {})
    assert fnn.load_model(path) == (fnn.Tanh(), {}, {})


FRESH = """
import sys, numpy as np, fnn
model, params, state = fnn.load_model(sys.argv[1])
np.save(sys.argv[3], fnn.predict(model, params, state, np.load(sys.argv[2])))
"""


@pytest.mark.full
def test_a_fresh_process_predicts_the_same(tmp_path: Path):
    params, state = trained()
    path = fnn.save_model(tmp_path / "model.safetensors", MODEL, params, state)
    np.save(tmp_path / "x.npy", X)
    files = [str(path), str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    done = subprocess.run([sys.executable, "-c", FRESH, *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    close(np.load(tmp_path / "y.npy"), fnn.predict(MODEL, params, state, X), rtol=1e-5, atol=1e-6)


def fitted(folder: Any, model: fnn.Layer = MODEL, loss: Any = None, optimizer: Any = None, **options: Any) -> Any:
    objective = fnn.Objective(model, fnn.CrossEntropy() if loss is None else loss)
    optimizer = fnn.optim.sgd(0.1) if optimizer is None else optimizer
    given = {"epochs": 3, "batch_size": 6, "validation": (X, Y), "progress": False} | options
    return objective, fnn.fit(objective, optimizer, (X, Y), key=KEY, checkpoint=folder, **given)


@pytest.mark.full
def test_the_last_checkpoint_of_a_run_holds_what_it_returned(tmp_path: Path):
    objective, result = fitted(tmp_path)
    model, params, state = fnn.load_model(tmp_path)
    assert model == objective.model
    same((params, state), (result.params, result.state))


@pytest.mark.full
def test_the_best_checkpoint_is_the_best_epoch(tmp_path: Path):
    checkpoints = fnn.Checkpoints(tmp_path, keep_best=1)
    other = X, (Y + 1) % 3  # what is learned makes these worse
    objective, result = fitted(checkpoints, validation=other)
    model, params, state = fnn.load_model(tmp_path, best=True)
    found = fnn.evaluate(fnn.Objective(model, objective.loss), params, state, other)["loss"]
    close(found, result.history["validation_loss"].min(), rtol=1e-5)
    assert result.history["validation_loss"].argmin() < 2  # the last one is another


@pytest.mark.full
def test_averaged_weights_and_the_head_of_a_loss_are_stored(tmp_path: Path):
    optimizer = fnn.optim.chain(fnn.optim.sgd(0.1), fnn.optim.ema(0.5))
    objective, result = fitted(tmp_path, fnn.Dense(5), fnn.LinearCrossEntropy(3), optimizer)
    model, params, state = fnn.load_model(tmp_path)
    assert model == objective.model
    same(params, result.params)
    assert state == {}


@pytest.mark.full
def test_a_model_that_cannot_be_stored_does_not_stop_a_run(tmp_path: Path):
    model = fnn.Serial(fnn.Dense(5), fnn.Lambda(lambda x: x + 1), fnn.Dense(3))
    fitted(tmp_path, model)
    with pytest.raises(ValueError, match=r"could not be stored .*: in lambda_0/fn: .*<lambda> is a function"):
        fnn.load_model(tmp_path)


@dataclasses.dataclass(frozen=True)
class Mine(fnn.Layer):
    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return 2 * x, state


def test_a_class_of_ones_own_is_needed_where_it_is_loaded(tmp_path: Path):
    fnn.register(Mine)
    path = fnn.save_model(tmp_path / "model.safetensors", fnn.Serial(Mine()), {}, {})
    assert fnn.load_model(path)[0] == fnn.Serial(Mine())
    del registry.REGISTERED["Mine"]
    with pytest.raises(ValueError, match="in mine_0: there is no class 'Mine' here") as raised:
        fnn.load_model(path)
    assert f"of the model in {path}" in raised.value.__notes__


# ---- what is refused


def test_files_without_a_model(tmp_path: Path):
    plain, empty = fnn.save(tmp_path / "plain.safetensors", {"params": {}}), tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"holds no model, only arrays: read it with fnn.load"):
        fnn.load_model(plain)
    with pytest.raises(ValueError, match="best=True chooses among the checkpoints of a folder"):
        fnn.load_model(plain, best=True)
    with pytest.raises(FileNotFoundError, match="there is no checkpoint in"):
        fnn.load_model(empty)
    with pytest.raises(FileNotFoundError):
        fnn.load_model(tmp_path / "nothing.safetensors")


@pytest.mark.full
def test_a_folder_without_scores_has_no_best(tmp_path: Path):
    fitted(tmp_path)
    with pytest.raises(ValueError, match=r"has a score: Checkpoints\(folder, keep_best=1\) keeps the best"):
        fnn.load_model(tmp_path, best=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entry: {}, "describes its model in another way than fnn.save_model writes it"),
        (lambda entry: {**entry, "structure": {"params": {}, "state": {}}}, "describes its model in another way"),
        (lambda entry: {**entry, "structure": {"params": None, "state": None}}, "describes its model in another way"),
        (lambda entry: {**entry, "text": 3}, "describes its model in another way"),
        (lambda entry: {**entry, "text": "{}"}, "the JSON of a model is"),
        (lambda entry: {**entry, "text": entry["text"].replace("Dense", "Dance")}, "there is no class 'Dance' here"),
    ],
)
def test_a_changed_description_is_refused(tmp_path: Path, change: Any, message: str):
    layer = fnn.Dense(3)
    params, state = layer.init(KEY, X)
    path = fnn.save_model(tmp_path / "model.safetensors", layer, params, state)
    entry = json.loads(json.dumps(fnn.read_metadata(path)["model"]))
    fnn.save(path, {"params": params, "state": state}, {"model": change(entry)})
    with pytest.raises(ValueError, match=message):
        fnn.load_model(path)


def test_a_damaged_file_is_refused(tmp_path: Path):
    params, state = trained()
    path = fnn.save_model(tmp_path / "model.safetensors", MODEL, params, state)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        fnn.load_model(path)


def test_what_is_no_nested_dict_of_arrays_is_not_saved(tmp_path: Path):
    with pytest.raises(TypeError, match="params/kernel is a nested dict of arrays, as init returns it"):
        fnn.save_model(tmp_path / "model.safetensors", fnn.Dense(3), {"kernel": "text"}, {})


def test_arguments_in_another_order_are_told_the_order(tmp_path: Path):
    save_model: Any = fnn.save_model
    path = tmp_path / "model.safetensors"
    order = r"^save_model takes \(path, model, params, state\) in this order, got \("
    with pytest.raises(TypeError, match=rf"{order}Dense, dict, dict, \w+\)$"):
        save_model(fnn.Dense(3), {}, {}, path)
    with pytest.raises(TypeError, match=rf"{order}.*did you mean Dense"):
        save_model(path, fnn.Dense, {}, {})
    assert not path.exists()


def test_random_keys_in_a_state_stay_keys(tmp_path: Any):
    path = fnn.save_model(tmp_path / "model", fnn.Relu(), {}, {"key": jax.random.key(3)})
    found = fnn.load_model(path)[2]["key"]
    assert jax.numpy.issubdtype(found.dtype, jax.dtypes.prng_key)
    assert (jax.random.key_data(found) == jax.random.key_data(jax.random.key(3))).all()
