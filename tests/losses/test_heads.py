"""A loss with a head of its own in an objective: its paths, and everything that takes an objective."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Dense, Embedding, LinearCrossEntropy, Objective, Remat, Serial, Tanh
from tests.comparing import close, same
from tests.drawing import generator

KEY = jax.random.key(0)
LOSS = LinearCrossEntropy(7, chunk=4)
BODY = Serial(Embedding(7, 5), mix=Dense(5), tanh=Tanh())
OBJECTIVE = Objective(BODY, LOSS, (fnn.L2(1e-2),))
X = generator("words of a vocabulary of 7").integers(0, 7, (13, 3), np.int32)
Y = (X + 1) % 7
PLAIN = Objective(Serial(**BODY.children(), loss=Dense(7, use_bias=False)), fnn.CrossEntropy(), (fnn.L2(1e-2),))


# ---- where the head stands


def test_the_layers_of_a_serial_keep_their_names():
    assert OBJECTIVE.model == Serial(**BODY.children(), loss=LOSS.head)
    params, _ = OBJECTIVE.init(KEY, X)
    assert sorted(params) == ["embedding_0", "loss", "mix"]
    assert params["loss"]["kernel"].shape == (5, 7)


def test_any_other_model_is_the_first_layer():
    assert Objective(Dense(5), LOSS).model == Serial(Dense(5), loss=LOSS.head)
    assert Objective(Remat(BODY), LOSS).model == Serial(Remat(BODY), loss=LOSS.head)
    params, _ = Objective(Dense(5), LOSS).init(KEY, jnp.zeros((1, 2)))
    assert sorted(params) == ["dense_0", "loss"]


def test_an_objective_made_from_the_fields_of_another_is_equal_to_it():
    again = dataclasses.replace(OBJECTIVE)
    assert again == OBJECTIVE
    assert hash(again) == hash(OBJECTIVE)
    assert dataclasses.replace(OBJECTIVE, penalties=()).model == OBJECTIVE.model


@pytest.mark.full
@pytest.mark.parametrize("wrap", [lambda model: model, Remat, fnn.with_manual_vjp])
def test_a_model_that_comes_with_the_head_keeps_it(wrap: Any):
    model = wrap(Serial(**BODY.children(), loss=LOSS.head))
    assert Objective(model, LOSS).model == model


def test_a_layer_named_loss_that_is_no_head_is_told():
    objective = Objective(Serial(Embedding(7, 5), loss=Dense(7)), LOSS)
    params, state = objective.init(KEY, X)
    with pytest.raises(TypeError, match="unless the model already has a layer named 'loss'") as raised:
        objective(params, state, (X, Y))
    assert any(note.startswith("in loss: LinearCrossEntropy(") for note in raised.value.__notes__)


def test_other_losses_bring_no_head():
    assert fnn.CrossEntropy().head is None
    assert Objective(BODY, fnn.CrossEntropy()).model == BODY
    assert fnn.CrossEntropy().predictions(X) is X


def test_the_head_starts_as_a_dense_layer_of_its_name():
    same(OBJECTIVE.init(KEY, X)[0], PLAIN.init(KEY, X)[0])
    zeros = dataclasses.replace(LOSS, kernel_init=fnn.initializers.Zeros())
    assert not Objective(BODY, zeros).init(KEY, X)[0]["loss"]["kernel"].any()


# ---- everything that takes an objective


@pytest.mark.parametrize(
    "weights",
    [pytest.param((), marks=pytest.mark.full), (np.linspace(0, 1, 13, dtype=np.float32),)],
    ids=["plain", "weighted"],
)
def test_the_gradient_by_hand_by_grad_and_of_dense_and_cross_entropy(weights: tuple):
    @jax.jit
    def everything(params: Any, state: Any, batch: Any) -> Any:
        by_hand, grads = OBJECTIVE.value_and_grad(params, state, batch)
        automatic, auto = OBJECTIVE.value_and_grad(params, state, batch, method="auto")
        plain, expected = PLAIN.value_and_grad(params, state, batch)
        value = OBJECTIVE(params, state, batch)[0]
        return (by_hand[0], grads), (automatic[0], auto), (plain[0], expected), value, by_hand[1].outputs

    mine, automatic, plain, value, (hidden, kernel) = everything(*OBJECTIVE.init(KEY, X), (X, Y, *weights))
    close(mine, automatic, rtol=1e-5, atol=1e-6)
    close(mine, plain, rtol=1e-5, atol=1e-6)
    close(value, mine[0], rtol=1e-5, atol=1e-6)
    assert (hidden.shape, kernel.shape) == ((13, 3, 5), (5, 7))


def test_predictions_are_the_logits():
    params, state = OBJECTIVE.init(KEY, X)
    outputs, _ = OBJECTIVE.model.apply(params, state, X)
    close(LOSS.predictions(outputs), PLAIN.model.apply(params, state, X)[0], rtol=1e-5, atol=1e-6)
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), outputs)
    assert LOSS.predictions(narrow).dtype == jnp.float32
    with pytest.raises(TypeError, match="expected the pair"):
        LOSS.predictions(outputs[0])


@pytest.mark.full
@pytest.mark.parametrize("options", [{"methods": ("manual", "reverse"), "cost": False}, {}], ids=str)
def test_compare_gradients(options: dict):
    model = fnn.with_manual_vjp(Serial(Embedding(7, 3), fnn.LayerNorm()))
    objective = Objective(model, LinearCrossEntropy(7, chunk=4, z_loss=0.1, label_smoothing=0.1))
    params, state = objective.init(KEY, X)
    report = fnn.compare_gradients(objective, params, state, (X[:3], Y[:3]), **options)
    assert report.ok, report
    assert {row.path for row in report.rows if row.path.startswith("loss")} == {"loss/kernel", "loss/0", "loss/1"}
    assert report.max_error < 1e-13
    assert {cost.method for cost in report.cost} == (set() if options else {"manual", "reverse", "forward", "finite"})
    assert report["loss/kernel"].rule == "hand"


def test_summary():
    result = fnn.summary(OBJECTIVE.model, X)
    assert [row.path for row in result.rows] == ["embedding_0", "mix", "tanh", "loss"]
    assert result.rows[-1].output == "(float32[13,3,5], float32[5,7])"
    assert result.rows[-1].parameters == 35


OPTIONS: dict = {"epochs": 30, "batch_size": 5, "metrics": (fnn.Accuracy(),)}
ADAM = fnn.optim.adam(0.05)


@pytest.fixture(scope="module")
def trained() -> Any:
    return jax.jit(fnn.make_train(OBJECTIVE, ADAM, **OPTIONS))(KEY, (X, Y), validation=(X, Y))


@pytest.mark.full
def test_make_train_with_metrics(trained: Any):
    assert trained.history["accuracy"][-1] == 1
    assert trained.history["validation_accuracy"][-1] == 1


@pytest.mark.full
def test_fit_does_as_make_train_and_as_a_dense_layer(trained: Any):
    result, plain = (
        fnn.fit(objective, ADAM, (X, Y), key=KEY, progress=False, validation=(X, Y), **OPTIONS)
        for objective in (OBJECTIVE, PLAIN)
    )
    close(dict(result.history), dict(trained.history), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(result.history["loss"], plain.history["loss"], rtol=1e-3)


def test_labels_out_of_range_are_caught_before_the_first_step():
    with pytest.raises(ValueError, match=r"labels lie in \[0, 7\), got \[7\]"):
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y + 1), epochs=1, batch_size=5, key=KEY, progress=False)


def test_save_and_load(tmp_path: Any):
    params, _ = OBJECTIVE.init(KEY, X)
    fnn.save(tmp_path / "model.safetensors", params)
    same(fnn.load(tmp_path / "model.safetensors", like=params), params)


def test_options_may_be_traced():
    params, state = OBJECTIVE.init(KEY, X)

    def gradient(z_loss: Any) -> Any:
        objective = Objective(BODY, LinearCrossEntropy(7, chunk=4, z_loss=z_loss))
        return objective.value_and_grad(params, state, (X, Y))[1]

    close(jax.jit(gradient)(0.3), jax.jit(lambda: gradient(0.3))(), rtol=1e-5, atol=1e-6)
