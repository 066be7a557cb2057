"""Predictions: the outputs of the model, whatever form the inputs have and however they are cut into batches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.compiled import compiled_outputs
from tests.comparing import close, same

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((23, 4)).astype(np.float32)
MODEL = fnn.Serial(fnn.Dense(5), fnn.BatchNorm(), fnn.Tanh(), fnn.Dropout(0.5), fnn.Dense(3))


def trained() -> tuple[Any, Any]:
    """Parameters, and a state with statistics."""
    params, state = MODEL.init(KEY, X)
    _, state = MODEL.apply(params, state, X, train=True, key=KEY)
    return params, state


PARAMS, STATE = trained()
EXPECTED = np.asarray(MODEL.apply(PARAMS, STATE, X)[0])


def batches() -> Any:
    return (X[i : i + 5] for i in range(0, 23, 5))


class Loader:
    """An iterable that is no tree."""

    def __iter__(self) -> Any:
        return batches()


FORMS: dict[str, Any] = {
    "NumPy": lambda: X,
    "JAX": lambda: jnp.asarray(X),
    "a list of batches": lambda: list(batches()),
    "a generator": batches,
    "a loader": Loader,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("batch_size", [8, 23, 256])
def test_the_outputs_are_those_of_the_model_on_everything(form: str, batch_size: int):
    found = fnn.predict(MODEL, PARAMS, STATE, FORMS[form](), batch_size=batch_size)
    assert type(found) is np.ndarray
    close(found, EXPECTED, rtol=1e-5, atol=1e-6)


def test_a_memory_mapped_file_is_read_batch_by_batch(tmp_path: Any):
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", mode="w+", dtype=X.dtype, shape=X.shape)
    mapped[:] = X
    close(fnn.predict(MODEL, PARAMS, STATE, mapped, batch_size=7), EXPECTED, rtol=1e-5, atol=1e-6)


@pytest.mark.full
def test_inputs_and_outputs_may_be_trees():
    layer = fnn.Serial(fnn.SimpleRNN(3))
    x, lengths = np.random.default_rng(1).standard_normal((9, 4, 2)).astype(np.float32), np.arange(9) % 4 + 1
    params, state = layer.init(KEY, (x, lengths))
    found = fnn.predict(layer, params, state, (x, lengths), batch_size=4)
    close(found, jax.device_get(layer.apply(params, state, (x, lengths))[0]), rtol=1e-5, atol=1e-6)


def test_a_shape_is_compiled_once_for_equal_models():
    fnn.clear_compiled()
    for _ in range(2):
        fnn.predict(fnn.Serial(fnn.Tanh()), {}, {}, X, batch_size=10)
    compiled: Any = compiled_outputs(fnn.Serial(fnn.Tanh())).outputs
    assert compiled._cache_size() == 2  # 10 samples, and 3
    fnn.clear_compiled()
    assert compiled_outputs(fnn.Serial(fnn.Tanh())).outputs is not compiled


@pytest.mark.full
def test_an_objective_gives_what_its_loss_makes_of_the_outputs():
    objective = fnn.Objective(fnn.Dense(5), fnn.LinearCrossEntropy(3))
    params, state = objective.init(KEY, X)
    hidden = fnn.Dense(5).apply(params["dense_0"], {}, X)[0]
    found = fnn.predict(objective, params, state, X, batch_size=10)
    close(found, hidden @ params["loss"]["kernel"], rtol=1e-5, atol=1e-6)


def test_predictions_keep_dtypes_and_what_is_not_floating():
    model = fnn.Lambda(lambda x: {"classes": x.argmax(-1), "half": x.astype(jnp.bfloat16)})
    found = fnn.predict(model, {}, {}, X, batch_size=9)
    same(found["classes"], X.argmax(-1).astype(np.int32))
    assert found["half"].dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ("text", TypeError, "inputs are arrays of numbers, got text; encode it as integers first"),
        ((X, X[:3]), ValueError, "inputs have one length, that of their first axis"),
        (np.float32(3), ValueError, "inputs have one length"),
        ({"x": 3.0}, TypeError, r"inputs are arrays of numbers, got .*; write numpy.asarray\(inputs\)"),
        ([], ValueError, "there are no inputs to predict from"),
        (X[:0], ValueError, "there are no inputs to predict from"),
        (["a", "b"], TypeError, "inputs are arrays of numbers, got text"),
    ],
    ids=["text", "two lengths", "a scalar", "numbers", "no batch", "no sample", "batches of text"],
)
def test_what_is_no_input_is_refused(inputs: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        fnn.predict(MODEL, PARAMS, STATE, inputs)


def test_an_index_past_its_table_is_an_error():
    model = fnn.Serial(fnn.Embedding(4, 2), fnn.Dense(1))
    symbols = np.array([[0, 1], [3, 2], [4, 0]])
    params, state = model.init(KEY, symbols)
    with pytest.raises(ValueError, match="4") as raised:
        fnn.predict(model, params, state, symbols, batch_size=2)
    assert "for sample 0 of the inputs from 2 on" in str(getattr(raised.value, "__notes__", ""))


def test_a_model_that_cannot_be_run_is_refused():
    params, state = MODEL.init(KEY, X)
    with pytest.raises(ValueError, match="the batch norm at batch_norm_0 has no statistics yet"):
        fnn.predict(MODEL, params, state, X)
    with pytest.raises(TypeError, match=r"predict takes a model, which is a layer, got <class 'fnn.*Dense'>"):
        fnn.predict(fnn.Dense, params, state, X)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="batch_size"):
        fnn.predict(MODEL, PARAMS, STATE, X, batch_size=0)


def test_a_tree_with_one_array_is_a_tree():
    """It was compared with its array, which NumPy cannot decide."""
    inputs = {"only": np.arange(6.0, dtype=np.float32)}
    same(fnn.predict(fnn.Lambda(lambda x: 2 * x["only"]), {}, {}, inputs, batch_size=4), 2 * inputs["only"])


@pytest.mark.parametrize("function", [jnp.sum, lambda x: x.mean(0)], ids=["a number", "a mean"])
def test_outputs_that_are_not_one_for_each_sample_are_refused(function: Any):
    with pytest.raises(ValueError, match="of 2 samples, not one output for each; if its loss has a head, give the Obj"):
        fnn.predict(fnn.Lambda(function), {}, {}, np.ones((6, 3), np.float32), batch_size=2)


def test_inside_jit_a_model_is_applied():
    with pytest.raises(TypeError, match=r"inside jit or vmap, call model.apply"):
        jax.jit(lambda x: fnn.predict(fnn.Relu(), {}, {}, x))(np.ones((6, 3)))
