"""Metrics stream: sums over batches give what the whole gives, and that is what scikit-learn gives."""

import functools
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
from tests.comparing import close
from tests.drawing import drawn, generator

NAN = float("nan")
N, V = 60, 4
OUTPUTS, LOGITS = drawn("outputs", N, V), drawn("logits", N)
LABELS, ANSWERS = (generator(f"labels of {classes}").integers(0, classes, N) for classes in (V, 2))
WEIGHTS = generator("weights").uniform(0, 2, N)
VALUES = drawn("values", N, 3) + np.array([1.0, -2.0, 5.0])
PREDICTIONS = VALUES + 0.5 * drawn("errors", N, 3)


@functools.partial(jax.jit, static_argnums=0)
def measured(metric: Metric, outputs: Any, targets: Any, weights: Any = None) -> jax.Array:
    return metric(outputs, targets, weights)


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


FIRST = {type(metric): name for name, (metric, *_) in reversed(METRICS.items())}.values()
each_metric = pytest.mark.parametrize(
    "name",
    # One of every class, and every average of one score: precision and recall average as F1 does.
    [pytest.param(name, marks=() if name in FIRST or name.startswith("F1") else pytest.mark.full) for name in METRICS],
)


@each_metric
def test_a_metric_is_scikit_learns(name: str):
    metric, outputs, targets, reference = METRICS[name]
    for weights in (None, WEIGHTS):
        close(measured(metric, outputs, targets, weights), reference(outputs, targets, weights), atol=1e-13)


@pytest.mark.full
@each_metric
def test_a_metric_streams_over_ragged_batches_under_jit(name: str):
    metric, outputs, targets, _ = METRICS[name]

    @jax.jit
    def streamed(data: Any) -> jax.Array:
        first, second = (metric.update(*(leaf[part] for leaf in data)) for part in (slice(0, 17), slice(17, N)))
        return metric.value(metric.merge(metric.merge(jax.tree.map(jnp.zeros_like, first), first), second))

    value = streamed((outputs, targets, WEIGHTS))
    close(value, measured(metric, outputs, targets, WEIGHTS), atol=0)


@each_metric
def test_what_weighs_nothing_may_be_anything(name: str):
    metric, outputs, targets, _ = METRICS[name]
    weights = np.where(np.arange(N) % 3 == 1, 0, WEIGHTS)
    poisoned = np.where((weights == 0).reshape(-1, *(1,) * (outputs.ndim - 1)), NAN, outputs)
    close(measured(metric, poisoned, targets, weights), measured(metric, outputs, targets, weights), atol=0)


@each_metric
def test_nothing_counted_is_not_a_number(name: str):
    metric, outputs, targets, _ = METRICS[name]
    value = np.asarray(measured(metric, outputs, targets, np.zeros(N)))
    assert (value == 0).all() if isinstance(metric, fnn.ConfusionMatrix) else np.isnan(value).all()


@each_metric
def test_weights_below_zero_raise(name: str):
    metric, outputs, targets, _ = METRICS[name]
    with pytest.raises(ValueError, match=r"weights are at least 0, got \[-1.0\]"):
        metric(outputs, targets, np.where(np.arange(N) == 3, -1.0, 1.0))


INDEXED = [
    fnn.Accuracy,
    lambda **options: fnn.TopKAccuracy(2, **options),
    lambda **options: fnn.ConfusionMatrix(V, **options),
    lambda **options: fnn.F1("macro", **options),
    fnn.Perplexity,
]


@pytest.mark.full
@pytest.mark.parametrize("make", INDEXED)
def test_ignored_labels_do_not_count(make: Callable[..., Metric]):
    kept = LABELS != 2
    got = measured(make(ignore_index=-1), OUTPUTS, np.where(kept, LABELS, -1), WEIGHTS)
    close(got, measured(make(), OUTPUTS[kept], LABELS[kept], WEIGHTS[kept]), atol=0)


@pytest.mark.parametrize("make", INDEXED)
def test_a_label_that_does_not_exist_raises_outside_jit_and_is_nan_inside(make: Callable[..., Metric]):
    metric, labels = make(), np.where(np.arange(N) == 3, V, LABELS)
    with pytest.raises(ValueError, match=r"labels lie in \[0, 4\), got \[4\]"):
        metric(OUTPUTS, labels)
    assert jnp.isnan(measured(metric, OUTPUTS, labels)).any()


@pytest.mark.parametrize("metric", [fnn.F1(), fnn.AUC(), fnn.ConfusionMatrix(2)])
def test_an_answer_that_is_neither_raises_outside_jit_and_is_nan_inside(metric: Metric):
    wrong = 2 * ANSWERS - 1
    with pytest.raises(ValueError, match=r"labels of yes-or-no answers are 0 or 1, got \[-1\]"):
        metric(LOGITS, wrong)
    assert jnp.isnan(measured(metric, LOGITS, wrong)).any()


def test_accuracy_takes_one_hot_targets():
    assert measured(fnn.Accuracy(), OUTPUTS, np.eye(V)[LABELS]) == measured(fnn.Accuracy(), OUTPUTS, LABELS)


def test_sequences_count_place_by_place():
    outputs, labels, weights = OUTPUTS.reshape(20, 3, V), LABELS.reshape(20, 3), WEIGHTS[:20]
    for metric in (fnn.Accuracy(), fnn.TopKAccuracy(2), fnn.ConfusionMatrix(V), fnn.Recall("macro"), fnn.Perplexity()):
        expected = measured(metric, OUTPUTS, LABELS, np.repeat(weights, 3))
        close(measured(metric, outputs, labels, weights), expected, atol=0)


def test_of_equal_outputs_the_first_count():
    equal = np.zeros((1, 3))
    assert measured(fnn.Accuracy(), equal, np.array([0])) == 1
    ranks = [[float(measured(fnn.TopKAccuracy(k), equal, np.array([label]))) for k in (1, 2, 3)] for label in (0, 1, 2)]
    assert ranks == [[1, 1, 1], [0, 1, 1], [0, 0, 1]]


def test_outputs_that_are_nan_are_no_answer():
    outputs, logits = OUTPUTS.copy(), LOGITS.copy()
    outputs[:, 0], logits[0] = NAN, NAN
    assert measured(fnn.TopKAccuracy(V), outputs, LABELS) == 0
    assert jnp.isnan(measured(fnn.AUC(), logits, ANSWERS))


def test_classes_that_do_not_occur_are_left_out_of_a_macro_average():
    outputs, labels = np.eye(5)[[0, 1, 1, 3]], np.array([0, 1, 3, 3])
    expected = sklearn.metrics.f1_score(labels, [0, 1, 1, 3], average="macro")
    np.testing.assert_allclose(measured(fnn.F1("macro"), outputs, labels), expected)


def test_a_class_never_predicted_has_the_precision_zero():
    assert measured(fnn.Precision(), np.array([-1.0, -2.0]), np.array([1, 0])) == 0
    assert measured(fnn.Recall(), np.array([-1.0, 2.0]), np.array([0, 0])) == 0


@pytest.mark.full
def test_answers_may_be_columns_and_booleans():
    for metric in (fnn.F1(), fnn.AUC()):
        expected = measured(metric, LOGITS, ANSWERS)
        assert measured(metric, LOGITS[:, None], ANSWERS[:, None]) == expected
        assert measured(metric, LOGITS, ANSWERS.astype(bool)) == expected
        assert measured(metric, LOGITS, ANSWERS.astype(LOGITS.dtype)) == expected


# ---- the area


def test_the_area_is_exact_for_scores_on_the_grid(draw: np.random.Generator):
    grid = draw.integers(1, 20, N) / 20
    got = measured(fnn.AUC(bins=21), scipy.special.logit(grid), ANSWERS, WEIGHTS)
    np.testing.assert_allclose(got, sklearn.metrics.roc_auc_score(ANSWERS, grid, sample_weight=WEIGHTS))


@pytest.mark.full
@pytest.mark.parametrize("bins", [2, 11, *(pytest.param(bins, marks=pytest.mark.full) for bins in (101, 1001))])
def test_the_area_is_within_its_uncertainty(bins: int):
    metric = fnn.AUC(bins)
    sums = jax.jit(metric.update)(LOGITS, ANSWERS, WEIGHTS)
    exact = sklearn.metrics.roc_auc_score(ANSWERS, LOGITS, sample_weight=WEIGHTS)
    assert abs(metric.value(sums) - exact) <= metric.uncertainty(sums) + 1e-12
    assert metric.uncertainty(sums) < (0.5 if bins == 2 else 2 / bins)


def test_one_label_alone_has_no_area():
    assert jnp.isnan(measured(fnn.AUC(), LOGITS, np.ones_like(ANSWERS)))


# ---- R²


def test_a_constant_target_has_one_if_it_is_met_and_else_zero():
    target = np.full(7, 0.1)
    assert measured(fnn.R2(), target, target) == 1
    assert measured(fnn.R2(), target + 1, target) == 0


def test_targets_far_from_zero_keep_their_digits_whatever_the_center(random: Any):
    targets = (1e4 + random(500)).astype(np.float32)
    outputs = targets + (0.3 * random(500)).astype(np.float32)
    with jax.enable_x64(False):
        exact = sklearn.metrics.r2_score(targets.astype(float), outputs.astype(float))
        assert abs(float(measured(fnn.R2(center=-5e7), outputs, targets)) - exact) < 1e-6


# ---- in the history of a run


@pytest.mark.full
def test_an_array_has_a_history_too():
    x, y = np.asarray(OUTPUTS), np.asarray(LABELS)
    objective = fnn.Objective(fnn.Dense(V), fnn.CrossEntropy())
    options: Any = {"epochs": 2, "batch_size": 16, "metrics": (fnn.ConfusionMatrix(V), fnn.F1("macro"))}
    key = jax.random.key(0)
    fitted = fnn.fit(objective, fnn.optim.sgd(0.1), (x, y), key=key, progress=False, validation=(x, y), **options)
    assert fitted.history["validation_confusion_matrix"].shape == (2, V, V)
    np.testing.assert_allclose(fitted.history["confusion_matrix"].sum((1, 2)), N)
    train = jax.jit(fnn.make_train(objective, fnn.optim.sgd(0.1), **options))
    np.testing.assert_allclose(train(key, (x, y)).history["confusion_matrix"], fitted.history["confusion_matrix"])
    stopping = fnn.EarlyStopping(1, monitor="confusion_matrix")
    with pytest.raises(ValueError, match=r"watches a number, but 'confusion_matrix' is an array, float64\[4,4\]"):
        fnn.make_train(objective, fnn.optim.sgd(0.1), early_stopping=stopping, **options)(key, (x, y))


@pytest.mark.full
def test_a_bar_shows_numbers_alone(capsys: pytest.CaptureFixture):
    x, y = np.asarray(OUTPUTS), np.asarray(LABELS)
    objective = fnn.Objective(fnn.Dense(V), fnn.CrossEntropy())
    metrics = (fnn.ConfusionMatrix(V), fnn.Accuracy())
    fnn.fit(objective, fnn.optim.sgd(0.1), (x, y), key=jax.random.key(0), epochs=1, batch_size=60, metrics=metrics)
    shown = capsys.readouterr().err
    assert "accuracy" in shown
    assert "confusion" not in shown


def test_accuracy_of_yes_or_no_answers():
    outputs, labels = np.array([0.5, -1.0, 2.0, -0.1]), np.array([1, 0, 0, 1])
    assert measured(fnn.Accuracy(), outputs, labels) == 0.5
    assert measured(fnn.Accuracy(), outputs[:, None], labels[:, None]) == 0.5
    assert measured(fnn.Accuracy(), outputs, labels, np.array([1.0, 1.0, 0.0, 0.0])) == 1
