"""Metrics stream: sums over batches give what the whole gives, and that is what scikit-learn gives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import sklearn.metrics

import fnn
from fnn.metrics import Metric

NAN = float("nan")
DRAW = np.random.default_rng(0)
N, V = 60, 4
OUTPUTS = DRAW.standard_normal((N, V))
LABELS = DRAW.integers(0, V, N)
WEIGHTS = DRAW.uniform(0, 2, N)
LOGITS = DRAW.standard_normal(N)
ANSWERS = DRAW.integers(0, 2, N)
VALUES = DRAW.standard_normal((N, 3)) + np.array([1.0, -2.0, 5.0])
PREDICTIONS = VALUES + 0.5 * DRAW.standard_normal((N, 3))


def predicted(outputs: Any) -> np.ndarray:
    outputs = np.asarray(outputs)
    return (outputs > 0).astype(int) if outputs.ndim == 1 else outputs.argmax(-1)


def scored(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A function of scikit-learn of labels and predictions."""
    return lambda outputs, targets, weights: function(
        np.asarray(targets), predicted(outputs), sample_weight=weights, **options
    )


def top_k(k: int) -> Callable[..., Any]:
    return lambda outputs, targets, weights: sklearn.metrics.top_k_accuracy_score(
        np.asarray(targets), np.asarray(outputs), k=k, sample_weight=weights, labels=range(V)
    )


def perplexity(outputs: Any, targets: Any, weights: Any) -> Any:
    log_p = np.asarray(outputs) - scipy.special.logsumexp(np.asarray(outputs), -1, keepdims=True)
    return np.exp(np.average(-log_p[np.arange(N), np.asarray(targets)], weights=weights))


def r2(outputs: Any, targets: Any, weights: Any) -> Any:
    return sklearn.metrics.r2_score(np.asarray(targets), np.asarray(outputs), sample_weight=weights)


def auc(outputs: Any, targets: Any, weights: Any) -> Any:
    outputs = np.asarray(outputs)
    score = outputs if outputs.ndim == 1 else outputs[:, 1] - outputs[:, 0]
    # The points that the metric rounds to: its value is exactly the area of these.
    score = np.round(scipy.special.expit(score) * 1000)
    return sklearn.metrics.roc_auc_score(np.asarray(targets), score, sample_weight=weights)


METRICS: dict[str, tuple[Metric, Any, Any, Callable[..., Any]]] = {
    "accuracy": (fnn.Accuracy(), OUTPUTS, LABELS, scored(sklearn.metrics.accuracy_score)),
    "top 1": (fnn.TopKAccuracy(1), OUTPUTS, LABELS, top_k(1)),
    "top 2": (fnn.TopKAccuracy(2), OUTPUTS, LABELS, top_k(2)),
    "confusion": (fnn.ConfusionMatrix(V), OUTPUTS, LABELS, scored(sklearn.metrics.confusion_matrix)),
    "confusion of answers": (fnn.ConfusionMatrix(2), LOGITS, ANSWERS, scored(sklearn.metrics.confusion_matrix)),
    "perplexity": (fnn.Perplexity(), OUTPUTS, LABELS, perplexity),
    "R² of many": (fnn.R2(), PREDICTIONS, VALUES, r2),
    "R² of one": (fnn.R2(center=1.0), PREDICTIONS[:, 0], VALUES[:, 0], r2),
    "area": (fnn.AUC(), LOGITS, ANSWERS, auc),
    "area of two classes": (fnn.AUC(), OUTPUTS[:, :2], ANSWERS, auc),
}
SCORES = {
    fnn.Precision: sklearn.metrics.precision_score,
    fnn.Recall: sklearn.metrics.recall_score,
    fnn.F1: sklearn.metrics.f1_score,
}
for kind, function in SCORES.items():
    METRICS[f"{kind.__name__} of answers"] = (kind(), LOGITS, ANSWERS, scored(function))
    METRICS[f"{kind.__name__} of the negative"] = (kind(positive=0), LOGITS, ANSWERS, scored(function, pos_label=0))
    for average in ("macro", "micro", "weighted", None):
        METRICS[f"{kind.__name__}, {average}"] = (kind(average), OUTPUTS, LABELS, scored(function, average=average))


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_scikit_learns(name: str):
    metric, outputs, targets, reference = METRICS[name]
    for weights in (None, WEIGHTS):
        expected = reference(outputs, targets, weights)
        np.testing.assert_allclose(metric(outputs, targets, weights), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_streams_over_ragged_batches_under_jit(name: str):
    metric, outputs, targets, _ = METRICS[name]
    update = jax.jit(metric.update)
    parts = [update(outputs[part], targets[part], WEIGHTS[part]) for part in (slice(0, 17), slice(17, N))]
    np.testing.assert_allclose(
        jax.jit(metric.value)(jax.tree.map(jnp.add, *parts)), metric(outputs, targets, WEIGHTS), rtol=1e-12
    )


@pytest.mark.parametrize("name", METRICS)
def test_what_weighs_nothing_may_be_anything(name: str):
    metric, outputs, targets, _ = METRICS[name]
    weights = np.where(np.arange(N) % 3 == 1, 0, WEIGHTS)
    poisoned = jnp.where((weights == 0).reshape(-1, *(1,) * (outputs.ndim - 1)), NAN, outputs)
    np.testing.assert_allclose(metric(poisoned, targets, weights), metric(outputs, targets, weights), rtol=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_nothing_counted_is_not_a_number(name: str):
    metric, outputs, targets, _ = METRICS[name]
    value = metric(outputs, targets, jnp.zeros(N))
    assert (value == 0).all() if isinstance(metric, fnn.ConfusionMatrix) else jnp.isnan(value).all()


@pytest.mark.parametrize("name", METRICS)
def test_weights_below_zero_raise(name: str):
    metric, outputs, targets, _ = METRICS[name]
    with pytest.raises(ValueError, match=r"weights are at least 0, got \[-1.0\]"):
        metric(outputs, targets, jnp.ones(N).at[3].set(-1.0))


INDEXED = [
    fnn.Accuracy,
    lambda **options: fnn.TopKAccuracy(2, **options),
    lambda **options: fnn.ConfusionMatrix(V, **options),
    lambda **options: fnn.F1("macro", **options),
    fnn.Perplexity,
]


@pytest.mark.parametrize("make", INDEXED)
def test_ignored_labels_do_not_count(make: Callable[..., Metric]):
    kept = np.asarray(LABELS) != 2
    labels = jnp.where(LABELS == 2, -1, LABELS)
    np.testing.assert_allclose(
        make(ignore_index=-1)(OUTPUTS, labels, WEIGHTS), make()(OUTPUTS[kept], LABELS[kept], WEIGHTS[kept]), rtol=1e-12
    )


@pytest.mark.parametrize("make", INDEXED)
def test_a_label_that_does_not_exist_raises_outside_jit_and_is_nan_inside(make: Callable[..., Metric]):
    metric, labels = make(), jnp.asarray(LABELS).at[3].set(V)
    with pytest.raises(ValueError, match=r"labels lie in \[0, 4\), got \[4\]"):
        metric(OUTPUTS, labels)
    assert jnp.isnan(jax.jit(lambda *batch: metric(*batch))(OUTPUTS, labels)).any()


@pytest.mark.parametrize("metric", [fnn.F1(), fnn.AUC(), fnn.ConfusionMatrix(2)])
def test_an_answer_that_is_neither_raises_outside_jit_and_is_nan_inside(metric: Metric):
    wrong = 2 * ANSWERS - 1
    with pytest.raises(ValueError, match=r"labels of yes-or-no answers are 0 or 1, got \[-1\]"):
        metric(LOGITS, wrong)
    assert jnp.isnan(jax.jit(lambda *batch: metric(*batch))(LOGITS, wrong)).any()


def test_accuracy_takes_one_hot_targets():
    assert fnn.Accuracy()(OUTPUTS, jax.nn.one_hot(LABELS, V)) == fnn.Accuracy()(OUTPUTS, LABELS)


def test_sequences_count_place_by_place():
    outputs, labels, weights = OUTPUTS.reshape(20, 3, V), LABELS.reshape(20, 3), WEIGHTS[:20]
    for metric in (fnn.Accuracy(), fnn.TopKAccuracy(2), fnn.ConfusionMatrix(V), fnn.Recall("macro"), fnn.Perplexity()):
        expected = metric(OUTPUTS, LABELS, jnp.repeat(weights, 3))
        np.testing.assert_allclose(metric(outputs, labels, weights), expected, rtol=1e-12)


def test_of_equal_outputs_the_first_count():
    assert fnn.Accuracy()(jnp.zeros((1, 3)), jnp.array([0])) == 1
    ranks = [
        [float(fnn.TopKAccuracy(k)(jnp.zeros((1, 3)), jnp.array([label]))) for k in (1, 2, 3)] for label in (0, 1, 2)
    ]
    assert ranks == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_outputs_that_are_nan_are_no_answer():
    outputs = jnp.asarray(OUTPUTS).at[:, 0].set(NAN)
    assert fnn.TopKAccuracy(V)(outputs, LABELS) == 0
    assert jnp.isnan(fnn.AUC()(jnp.asarray(LOGITS).at[0].set(NAN), ANSWERS))


def test_classes_that_do_not_occur_are_left_out_of_a_macro_average():
    outputs, labels = jnp.asarray(np.eye(5)[[0, 1, 1, 3]]), jnp.array([0, 1, 3, 3])
    expected = sklearn.metrics.f1_score(labels, [0, 1, 1, 3], average="macro")
    np.testing.assert_allclose(fnn.F1("macro")(outputs, labels), expected)


def test_a_class_never_predicted_has_the_precision_zero():
    assert fnn.Precision()(jnp.array([-1.0, -2.0]), jnp.array([1, 0])) == 0
    assert fnn.Recall()(jnp.array([-1.0, 2.0]), jnp.array([0, 0])) == 0


def test_answers_may_be_columns_and_booleans():
    for metric in (fnn.F1(), fnn.AUC()):
        expected = metric(LOGITS, ANSWERS)
        assert metric(LOGITS[:, None], ANSWERS[:, None]) == expected
        assert metric(LOGITS, ANSWERS.astype(bool)) == expected
        assert metric(LOGITS, ANSWERS.astype(LOGITS.dtype)) == expected


# ---- the area


def test_the_area_is_exact_for_scores_on_the_grid():
    grid = DRAW.integers(1, 20, N) / 20
    logits = jnp.asarray(scipy.special.logit(grid))
    metric = fnn.AUC(bins=21)
    np.testing.assert_allclose(
        metric(logits, ANSWERS, WEIGHTS), sklearn.metrics.roc_auc_score(ANSWERS, grid, sample_weight=WEIGHTS)
    )


@pytest.mark.parametrize("bins", [2, 11, 101, 1001])
def test_the_area_is_within_its_uncertainty(bins: int):
    metric = fnn.AUC(bins)
    sums = metric.update(LOGITS, ANSWERS, WEIGHTS)
    exact = sklearn.metrics.roc_auc_score(ANSWERS, LOGITS, sample_weight=WEIGHTS)
    assert abs(metric.value(sums) - exact) <= metric.uncertainty(sums) + 1e-12
    assert metric.uncertainty(sums) < (0.5 if bins == 2 else 2 / bins)


def test_one_label_alone_has_no_area():
    assert jnp.isnan(fnn.AUC()(LOGITS, jnp.ones_like(ANSWERS)))


# ---- R²


def test_a_constant_target_has_one_if_it_is_met_and_else_zero():
    target = jnp.full(7, 0.1)
    assert fnn.R2()(target, target) == 1
    assert fnn.R2()(target + 1, target) == 0


def test_a_center_keeps_the_digits_of_targets_far_from_zero():
    targets = jnp.asarray(1e4 + DRAW.standard_normal(500), jnp.float32)
    outputs = targets + jnp.asarray(0.3 * DRAW.standard_normal(500), jnp.float32)
    with jax.enable_x64(False):
        exact = sklearn.metrics.r2_score(np.asarray(targets, float), np.asarray(outputs, float))
        near, far = (abs(float(fnn.R2(center=center)(outputs, targets)) - exact) for center in (1e4, 0.0))
    assert near < 1e-6
    assert far > 1e-3


# ---- names, and arguments that do not fit


def test_names():
    metrics = [
        fnn.Accuracy(),
        fnn.TopKAccuracy(5),
        fnn.Precision(),
        fnn.Recall("macro"),
        fnn.F1(None),
        fnn.R2(),
        fnn.AUC(),
    ]
    names = ["accuracy", "top_5_accuracy", "precision", "macro_recall", "f1_by_class", "r2", "auc"]
    assert [metric.name for metric in metrics] == names
    assert fnn.ConfusionMatrix(2).name == "confusion_matrix"
    assert [fnn.Perplexity().name, fnn.Perplexity().higher_is_better] == ["perplexity", False]


FAULTS = {
    "shapes": (lambda: fnn.Accuracy()(OUTPUTS, LABELS[:4]), "do not belong together"),
    "one class": (lambda: fnn.Accuracy()(OUTPUTS[:, :1], LABELS), "two classes or more"),
    "k of 0": (lambda: fnn.TopKAccuracy(0), "k is at least 1, got 0"),
    "k of 5": (lambda: fnn.TopKAccuracy(5)(OUTPUTS, LABELS), "k is at most the number of classes, 4, got 5"),
    "average": (lambda: fnn.F1("mean"), "average is one of"),  # type: ignore[arg-type]
    "binary of four": (
        lambda: fnn.F1()(OUTPUTS, LABELS),
        r"F1\(\) is the score of class 1 of two, .* outputs of 4 classes",
    ),
    "positive and all": (
        lambda: fnn.F1("macro", positive=1),
        "positive goes with the average 'binary', not with 'macro'",
    ),
    "positive": (lambda: fnn.F1(positive=4)(OUTPUTS, LABELS), "positive is one of the 4 classes, got 4"),
    "one-hot": (lambda: fnn.F1("macro")(OUTPUTS, jax.nn.one_hot(LABELS, V)), "give labels"),
    "classes": (lambda: fnn.ConfusionMatrix(3)(OUTPUTS, LABELS), "expected the outputs of 3 classes, got those of 4"),
    "no class": (lambda: fnn.ConfusionMatrix(0), "classes is at least 1, got 0"),
    "bins": (lambda: fnn.AUC(1), "bins is at least 2"),
    "four classes": (lambda: fnn.AUC()(OUTPUTS, LABELS), "of two classes, got the outputs of 4"),
    "regression": (lambda: fnn.R2()(VALUES, VALUES[:, :1]), "nothing is broadcast"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_arguments_that_do_not_fit(name: str):
    call, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        call()


# ---- in the history of a run


def test_an_array_has_a_history_too():
    x, y = np.asarray(OUTPUTS), np.asarray(LABELS)
    objective = fnn.Objective(fnn.Dense(V), fnn.CrossEntropy())
    options: Any = {"epochs": 2, "batch_size": 16, "metrics": (fnn.ConfusionMatrix(V), fnn.F1("macro"))}
    key = jax.random.key(0)
    fitted = fnn.fit(objective, fnn.optim.sgd(0.1), (x, y), key=key, progress=False, validation=(x, y), **options)
    assert fitted.history["validation_confusion_matrix"].shape == (2, V, V)
    np.testing.assert_allclose(fitted.history["confusion_matrix"].sum((1, 2)), N)
    train = fnn.make_train(objective, fnn.optim.sgd(0.1), **options)
    np.testing.assert_allclose(train(key, (x, y)).history["confusion_matrix"], fitted.history["confusion_matrix"])
    stopping = fnn.EarlyStopping(1, monitor="confusion_matrix")
    with pytest.raises(ValueError, match=r"watches a number, but 'confusion_matrix' is an array, float64\[4,4\]"):
        fnn.make_train(objective, fnn.optim.sgd(0.1), early_stopping=stopping, **options)(key, (x, y))


def test_a_bar_shows_numbers_alone(capsys: pytest.CaptureFixture):
    x, y = np.asarray(OUTPUTS), np.asarray(LABELS)
    objective = fnn.Objective(fnn.Dense(V), fnn.CrossEntropy())
    metrics = (fnn.ConfusionMatrix(V), fnn.Accuracy())
    fnn.fit(objective, fnn.optim.sgd(0.1), (x, y), key=jax.random.key(0), epochs=1, batch_size=60, metrics=metrics)
    shown = capsys.readouterr().err
    assert "accuracy" in shown
    assert "confusion" not in shown


def test_accuracy_of_yes_or_no_answers():
    outputs, labels = jnp.array([0.5, -1.0, 2.0, -0.1]), jnp.array([1, 0, 0, 1])
    assert float(fnn.Accuracy()(outputs, labels)) == 0.5
    assert float(fnn.Accuracy()(outputs[:, None], labels[:, None])) == 0.5
    assert float(fnn.Accuracy()(outputs, labels, jnp.array([1.0, 1.0, 0.0, 0.0]))) == 1


@pytest.mark.parametrize("positive", [True, 1.5, "cat"])
def test_the_positive_class_is_an_integer(positive):
    with pytest.raises(TypeError, match="positive is a class, an integer, got"):
        fnn.F1(positive=positive)
    assert fnn.F1(positive=np.int64(1)).name == "f1_of_1"  # type: ignore[arg-type]


def test_scores_of_two_classes_have_two_names():
    assert (fnn.F1().name, fnn.F1(positive=0).name, fnn.F1(positive=1).name) == ("f1", "f1_of_0", "f1_of_1")
