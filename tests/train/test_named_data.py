"""Inputs, targets and weights by name, through everything that takes data."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import close
from tests.drawing import drawn, generator

KEY = jax.random.key(0)
MODEL = fnn.Graph(
    {
        "seen": (fnn.Dense(4), "image"),
        "joined": (fnn.Concatenate(), ("seen", "age")),
        "risk": (fnn.Dense(1), "joined"),
        "kind": (fnn.Dense(3), "seen"),
    },
    outputs=("risk", "kind"),
)
LOSS = fnn.MultiLoss({"risk": fnn.MeanSquaredError(), "kind": fnn.CrossEntropy()}, weights={"risk": 0.5})
OBJECTIVE = fnn.Objective(MODEL, LOSS, [fnn.L2(1e-3)])
METRICS = [fnn.Of("risk", fnn.R2()), fnn.Of("kind", fnn.Accuracy())]

COUNT = 24
INPUTS = {"image": drawn("image", COUNT, 5).astype(np.float32), "age": drawn("age", COUNT, 2).astype(np.float32)}
TARGETS = {"risk": drawn("risk", COUNT, 1).astype(np.float32), "kind": generator("kind").integers(0, 3, COUNT)}
WEIGHTS = {"risk": (np.arange(COUNT) % 3 > 0).astype(np.float32)}
DATA = INPUTS, TARGETS, WEIGHTS
OPTIONS: Any = {"epochs": 2, "metrics": METRICS}


def batches(data: Any = DATA, size: int = 6) -> Any:
    return (jax.tree.map(lambda leaf, i=i: leaf[i : i + size], data) for i in range(0, COUNT, size))


def fitted(data: Any, **options: Any) -> fnn.TrainResult:
    return fnn.fit(OBJECTIVE, fnn.optim.adam(0.05), data, key=KEY, progress=False, **OPTIONS | options)


@functools.cache
def result() -> fnn.TrainResult:
    return fitted(DATA, batch_size=6, validation=DATA, shuffle=False)


def dense(name: str, *shape: int) -> dict[str, np.ndarray]:
    return {"kernel": drawn(name, *shape).astype(np.float32), "bias": np.zeros(shape[-1], np.float32)}


PARAMS, STATE = {"seen": dense("seen", 5, 4), "risk": dense("to risk", 6, 1), "kind": dense("to kind", 4, 3)}, {}


@pytest.mark.full
def test_every_output_has_its_metrics_in_the_history():
    names = ["loss", "r2/risk", "accuracy/kind"]
    assert set(result().history) == {*names, *(f"validation_{name}" for name in names)}
    assert result().history["validation_loss"][-1] < 0.9 * result().history["validation_loss"][0]
    assert result().history.higher_is_better("validation_accuracy/kind")


@pytest.mark.full
def test_batches_that_a_generator_makes_give_the_same():
    other = fitted(lambda epoch: batches(), validation=lambda epoch: batches())
    close(other.params, result().params, rtol=1e-4, atol=1e-6)
    close(dict(other.history), dict(result().history), rtol=1e-4, atol=1e-6)


@pytest.mark.full
def test_the_loss_of_the_whole_does_not_depend_on_the_batches():
    """A batch may have few targets of one output and many of another; each is a mean over those that are there."""
    few = {"risk": (np.arange(COUNT) < 8).astype(np.float32), "kind": (np.arange(COUNT) > 5).astype(np.float32)}
    data = INPUTS, TARGETS, few
    expected = jax.jit(lambda *at: OBJECTIVE(*at)[0])(PARAMS, STATE, data)
    found = fnn.evaluate(OBJECTIVE, PARAMS, STATE, data, batch_size=6)
    close(found["loss"], np.asarray(expected), rtol=1e-6)
    plain = [found["loss"] for found in (evaluated(part) for part in batches(data))]
    assert abs(np.mean(plain) / expected - 1) > 0.01  # the mean over the batches is another number


def evaluated(data: Any) -> Any:
    return fnn.evaluate(OBJECTIVE, PARAMS, STATE, data, batch_size=6)


@pytest.mark.full
def test_predictions_come_by_name():
    expected = jax.tree.map(np.asarray, MODEL.apply(PARAMS, STATE, INPUTS)[0])
    for model, inputs in ((MODEL, INPUTS), (OBJECTIVE, batches(INPUTS))):
        found = fnn.predict(model, PARAMS, STATE, inputs, batch_size=6)
        close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.full
def test_a_sweep_varies_the_weight_of_a_loss():
    def objective(h: Any) -> fnn.Objective:
        return fnn.Objective(MODEL, fnn.MultiLoss(dict(LOSS.losses), weights={"risk": h["share"]}))

    train = fnn.make_train(objective, fnn.optim.adam(0.05), epochs=1, batch_size=12, metrics=METRICS[:1])
    swept = fnn.sweep(train, KEY, DATA, share=[0.0, 1.0])
    assert swept.best("r2/risk").hyperparams == {"share": 1.0}
    assert swept.best("loss").hyperparams == {"share": 0.0}  # that of the kind alone


@pytest.mark.full
def test_examples_have_gradients_of_their_own_targets():
    batch = jax.tree.map(lambda leaf: leaf[:5], DATA)
    found = fnn.per_example_norms(OBJECTIVE, PARAMS, STATE, batch)
    alone = jax.jit(lambda batch: OBJECTIVE.value_and_grad(PARAMS, STATE, batch)[1])
    for n in range(5):
        grads = alone(jax.tree.map(lambda leaf, n=n: leaf[n : n + 1], batch))
        close(found.norms[n], jnp.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(grads))), rtol=1e-5)


@pytest.mark.full
def test_gradients_agree_with_every_oracle():
    report = fnn.compare_gradients(OBJECTIVE, PARAMS, STATE, DATA)
    assert report.ok, str(report)
    assert {row.path for row in report.rows if row.kind == "delta"} == {"seen", "joined", "risk", "kind"}


@pytest.mark.full
def test_a_private_run_gives_padding_no_weight_in_any_output():
    """Rows that were not drawn have the weight 0 also where an output has no weights of its own."""
    from fnn.train.poisson import Drawn, poisson

    drawn_batch = Drawn(jax.tree.map(jnp.asarray, DATA), KEY, 0, poisson(COUNT, 6, 1e-5)).of(0)
    weights = drawn_batch[2]
    assert set(weights) == {"risk", "kind"}
    used = np.asarray(weights["kind"])
    assert 0 < used.sum() < len(used)
    assert not np.asarray(weights["risk"])[used == 0].any()


# ---- what is refused, and by which name

SHORT = {**INPUTS, "age": INPUTS["age"][:-1]}
NAN = {**INPUTS, "age": np.where(np.arange(COUNT)[:, None] == 3, np.nan, INPUTS["age"]).astype(np.float32)}
REFUSED = [
    ((SHORT, TARGETS), "have the same length .*: inputs/age has 23, where others have 24$"),
    ((INPUTS, TARGETS, {"risk": WEIGHTS["risk"][:4]}), ": weights/risk has 4, where others have 24$"),
    (({**INPUTS, "age": np.float32(1)}, TARGETS), ": inputs/age is a scalar, where others have 24$"),
    ((INPUTS["age"], TARGETS["kind"][1:]), ": inputs has 24, targets has 23$"),
    ((NAN, TARGETS), "the inputs 'age' of the data are not finite in sample 3"),
    ((INPUTS, {**TARGETS, "risk": np.full((COUNT, 1), np.inf, np.float32)}), "the targets 'risk' of the data are not"),
    ((INPUTS, TARGETS, {"risk": -WEIGHTS["risk"]}), r"the weights of the data are at least 0, got \[-1.0\] for 'risk'"),
    ((INPUTS, {"risk": TARGETS["risk"]}), r"the data do not fit the loss: the target lacks \['kind'\]"),
    ((INPUTS, {**TARGETS, "kind": TARGETS["kind"] + 1}), r"labels lie in \[0, 3\), got \[3\]"),
    (({"image": INPUTS["image"]}, TARGETS), "the input 'age' is missing"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=range(len(REFUSED)))
def test_data_that_do_not_fit_are_refused_by_name(data: Any, message: str):
    with pytest.raises(ValueError, match=message):
        fitted(data, batch_size=6)


@pytest.mark.full
def test_a_batch_from_a_generator_is_refused_by_name():
    with pytest.raises(ValueError, match=r": inputs/age has 5, where others have 6$"):
        fitted(lambda epoch: iter([jax.tree.map(lambda leaf: leaf[:6], DATA[:2]), short_batch()]))


def short_batch() -> Any:
    inputs, targets = jax.tree.map(lambda leaf: leaf[:6], DATA[:2])
    return {**inputs, "age": inputs["age"][:5]}, targets


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (SHORT, "inputs have one length, .*: age has 23, image has 24$"),
        ({**SHORT, "more": INPUTS["age"]}, ": age has 23, where others have 24$"),
    ],
    ids=["two", "three"],
)
def test_predictions_of_inputs_of_other_lengths_are_refused_by_name(inputs: Any, message: str):
    with pytest.raises(ValueError, match=message):
        fnn.predict(MODEL, PARAMS, STATE, inputs)


def test_a_metric_of_an_output_that_is_not_there():
    with pytest.raises(ValueError, match=r"Of\(output='age'.* needs outputs with that name, got \['kind', 'risk'\]"):
        fnn.evaluate(OBJECTIVE, PARAMS, STATE, DATA, metrics=[fnn.Of("age", fnn.R2())])


@pytest.mark.full
def test_a_metric_at_zero_behind_a_sigmoid_is_warned_of():
    model = fnn.Graph({"a": (fnn.Dense(1), "x"), "yes": (fnn.Sigmoid(), "a")}, outputs=("a", "yes"))
    objective = fnn.Objective(model, fnn.MultiLoss({"a": fnn.MeanSquaredError(), "yes": fnn.MeanSquaredError()}))
    x, target = np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)
    params, state = objective.init(KEY, x)
    data = x, {"a": target, "yes": target}
    with pytest.warns(UserWarning, match=r"Accuracy takes logits, above 0 for a yes, .* ends in yes: Sigmoid\(\)"):
        fnn.evaluate(objective, params, state, data, metrics=[fnn.Of("yes", fnn.Accuracy())])
    fnn.evaluate(objective, params, state, data, metrics=[fnn.Of("a", fnn.Accuracy())])  # silent


@pytest.mark.full
def test_a_loss_or_a_metric_for_one_output_of_several_says_what_to_write():
    with pytest.raises(TypeError, match="the data do not fit the loss: expected one array, got") as raised:
        fnn.evaluate(fnn.Objective(MODEL, fnn.CrossEntropy()), PARAMS, STATE, DATA[:2])
    note = "the outputs are ['kind', 'risk']: MultiLoss({name: loss}) has a loss for each"
    assert note in raised.value.__notes__
    for metric in (fnn.Accuracy(), fnn.R2(), fnn.AUC(), fnn.F1(), fnn.MultiLabelAccuracy(), fnn.Perplexity()):
        with pytest.raises(
            TypeError, match=r"expected one output, got \{.*\}; Of\(name, metric\) is a metric of one of"
        ):
            fnn.evaluate(OBJECTIVE, PARAMS, STATE, DATA[:2], metrics=[metric])


def test_weights_by_name_are_those_of_a_multi_loss():
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    with pytest.raises(TypeError, match=r"weights are one array, got \{.*\}; by name they are those of a MultiLoss"):
        fnn.evaluate(objective, *objective.init(KEY, INPUTS["age"]), (INPUTS["age"], TARGETS["risk"], WEIGHTS))


def test_text_in_a_dict_is_named():
    with pytest.raises(TypeError, match=r"targets\['kind'\] are numbers, got an array of <U1; encode them as integers"):
        fitted((INPUTS, {**TARGETS, "kind": np.array(["a"] * COUNT)}), batch_size=6)


@pytest.mark.full
def test_a_list_of_dicts_is_one_of_batches_by_name():
    with pytest.raises(TypeError, match=r"a dict of \[.*\]; name its entries inputs, targets and weights"):
        evaluated(list(DATA))


# ---- sequences


@pytest.mark.full
def test_the_padding_of_named_sequences_counts_nowhere():
    model = fnn.Graph(
        {
            "read": (fnn.GRU(4), "words"),
            "tags": (fnn.Dense(3), "read"),
            "mean": (fnn.GlobalAvgPool(), "read"),
            "joined": (fnn.Concatenate(), ("mean", "age")),
            "risk": (fnn.Dense(1), "joined"),
        },
        outputs=("tags", "risk"),
    )
    objective = fnn.Objective(model, fnn.MultiLoss({"tags": fnn.CrossEntropy(), "risk": fnn.MeanSquaredError()}))
    lengths = np.array([3, 1, 4, 2])
    words, labels = drawn("words", 4, 4, 2).astype(np.float32), generator("tags").integers(0, 3, (4, 4))
    past = np.arange(4)[None] >= lengths[:, None]
    age, risk = INPUTS["age"][:4], TARGETS["risk"][:4]
    metrics = [fnn.Of("tags", fnn.Accuracy()), fnn.Of("risk", fnn.R2())]
    found = []
    for filled, wrong in ((0.0, 0), (np.nan, 99)):
        inputs = {"words": (np.where(past[..., None], filled, words).astype(np.float32), lengths), "age": age}
        targets = {"tags": np.where(past, wrong, labels), "risk": risk}
        result = fnn.fit(
            objective, fnn.optim.adam(0.05), (inputs, targets), epochs=1, batch_size=2, key=KEY, metrics=metrics,
            progress=False,
        )  # fmt: skip
        found.append((result.params, dict(result.history)))
    close(*found, rtol=1e-6)
