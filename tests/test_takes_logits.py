"""A sigmoid or softmax in front of a loss that applies one itself is warned of, once, by its path."""

import dataclasses
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Dense, Serial
from fnn.layer import Layer
from fnn.losses import Loss


def ending_in(*layers: Layer) -> Serial:
    return Serial(Dense(2), *layers)


BINARY, CLASSES = fnn.BinaryCrossEntropy(), fnn.CrossEntropy()

# The model, the loss, and how the warning goes on after "the model".
WARNED = [
    (ending_in(fnn.Sigmoid()), BINARY, "ends in sigmoid_0: Sigmoid();"),
    (ending_in(fnn.HardSigmoid()), BINARY, "ends in hard_sigmoid_0: HardSigmoid();"),
    (ending_in(fnn.LogSigmoid()), BINARY, "ends in log_sigmoid_0: LogSigmoid();"),
    (ending_in(fnn.Softmax()), BINARY, "ends in softmax_0: Softmax();"),
    (ending_in(fnn.LogSoftmax()), BINARY, "ends in log_softmax_0: LogSoftmax();"),
    (ending_in(fnn.Softmax()), CLASSES, "ends in softmax_0: Softmax();"),
    (ending_in(fnn.Softmax(1)), fnn.Focal(), "ends in softmax_0: Softmax(axis=1);"),
    (ending_in(fnn.Sigmoid()), fnn.Focal(), "ends in sigmoid_0: Sigmoid();"),
    (ending_in(fnn.Softmax()), fnn.KLDivergence(), "ends in softmax_0: Softmax();"),
    (ending_in(fnn.Softmax()), fnn.CTC(), "ends in softmax_0: Softmax();"),
    (fnn.Sigmoid(), BINARY, "is Sigmoid();"),
    (fnn.Cast(fnn.Sigmoid()), BINARY, "is Sigmoid();"),
    (Serial(body=Dense(3), head=ending_in(fnn.Sigmoid())), BINARY, "ends in head/sigmoid_0: Sigmoid();"),
    (fnn.Remat(fnn.Cast(ending_in(fnn.Softmax()))), CLASSES, "ends in softmax_0: Softmax();"),
    (Serial(steps=fnn.TimeDistributed(ending_in(fnn.Softmax()))), CLASSES, "ends in steps/softmax_0: Softmax();"),
    (Serial(first=fnn.First(fnn.Softmax(), whole=True)), CLASSES, "ends in first: Softmax();"),
    (fnn.SpectralNorm(ending_in(fnn.Sigmoid())), BINARY, "ends in inner/sigmoid_0: Sigmoid();"),
    (ending_in(fnn.Sigmoid(), fnn.Reshape((2,)), fnn.Identity()), BINARY, "ends in sigmoid_0: Sigmoid();"),
]
SILENT = [
    (ending_in(), BINARY),
    (ending_in(fnn.Sigmoid(), Dense(1)), BINARY),
    (ending_in(fnn.Tanh()), BINARY),
    (ending_in(fnn.LogSoftmax()), CLASSES),  # which a softmax leaves as it is
    (ending_in(fnn.LogSoftmax()), fnn.KLDivergence()),
    (ending_in(fnn.Sigmoid()), fnn.MeanSquaredError()),
    (ending_in(fnn.Softmax()), fnn.MeanSquaredError()),
    (ending_in(fnn.Sigmoid()), fnn.LinearCrossEntropy(3)),  # its head comes after
    (ending_in(fnn.Residual(fnn.Sigmoid())), BINARY),
    (fnn.Identity(), BINARY),
    (Serial(fnn.Identity()), BINARY),
    (fnn.TransformerBlock(2, 4), CLASSES),
]


@pytest.mark.parametrize(("model", "loss", "place"), WARNED, ids=lambda each: str(each))
def test_probabilities_in_front_of_a_loss_that_takes_logits_are_warned_of(model: Layer, loss: Loss, place: str):
    layer = re.search(r"(\w+\(.*\));", place)
    assert layer
    advice = (
        f" leave that layer out of the model, and where you want probabilities apply it to the outputs: fnn.{layer[1]}"
    )
    message = f"{type(loss).__name__} takes logits, it applies the {loss.applies} itself, and the model {place}{advice}"
    with pytest.warns(UserWarning, match=re.escape(message)) as said:
        fnn.Objective(model, loss)
    assert [each.filename for each in said] == [__file__]


def test_other_models_and_losses_are_not():
    for model, loss in SILENT:
        fnn.Objective(model, loss)  # a warning is an error here


def test_it_is_said_when_the_objective_is_made_and_not_again(random: Any):
    with pytest.warns(UserWarning, match="takes logits"):
        objective = fnn.Objective(ending_in(fnn.Sigmoid()), BINARY)
    batch = random(4, 3), np.ones((4, 2))
    params, state = objective.init(jax.random.key(0), batch[0])
    jax.eval_shape(lambda *each: objective.value_and_grad(*each), params, state, batch)
    with pytest.warns(UserWarning, match="takes logits"):
        dataclasses.replace(objective, penalties=(fnn.L2(0.1),))


@pytest.mark.full
def test_a_comparison_of_its_gradients_does_not_say_it_again(random: Any):
    with pytest.warns(UserWarning, match="takes logits"):
        objective = fnn.Objective(ending_in(fnn.Sigmoid()), BINARY)
    batch = random(4, 3), np.ones((4, 2))
    params, state = objective.init(jax.random.key(0), batch[0])
    assert fnn.compare_gradients(objective, params, state, batch, methods=("manual", "reverse")).ok


def test_a_loop_says_it_once():
    """By Python's own rule for warnings of one line."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            fnn.Objective(ending_in(fnn.Sigmoid()), BINARY)
    assert len(said) == 1


def test_a_user_declares_what_a_loss_applies():
    @dataclasses.dataclass(frozen=True)
    class Own(Loss):
        applies = "softmax"

    with pytest.warns(UserWarning, match="Own takes logits, it applies the softmax itself"):
        fnn.Objective(fnn.Softmax(), Own())


def test_an_objective_of_another_model_keeps_its_head_its_loss_and_its_penalties():
    objective = fnn.Objective(Dense(4), fnn.LinearCrossEntropy(3), (fnn.L2(0.1),))
    assert objective.with_model(Dense(5)) == fnn.Objective(Dense(5), fnn.LinearCrossEntropy(3), (fnn.L2(0.1),))


@pytest.mark.full
@pytest.mark.parametrize("metric", [fnn.Accuracy(), fnn.F1(), fnn.ConfusionMatrix(2)], ids=repr)
def test_a_metric_that_cuts_at_zero_is_told_of_a_sigmoid(metric: fnn.Metric):
    model = fnn.Serial(fnn.Dense(1), fnn.Sigmoid())
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    data = (jnp.ones((4, 2)), jnp.array([[0.0], [1.0], [1.0], [0.0]]))
    params, state = objective.init(jax.random.key(0), data[0])
    with pytest.warns(UserWarning, match="takes logits, above 0 for a yes, and the model ends in sigmoid_0"):
        fnn.evaluate(objective, params, state, data, metrics=[metric])
    fnn.evaluate(objective, params, state, data, metrics=[fnn.AUC()])  # which an order is enough for
