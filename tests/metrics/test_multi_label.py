"""Several labels a sample: what scikit-learn says of them, and no plausible number from metrics of one label."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

import fnn
from tests.comparing import close
from tests.drawing import drawn, generator

N, L = 60, 6
LOGITS = drawn("logits of labels", N, L)
TARGETS = (LOGITS + drawn("noise of labels", N, L) > 0.5).astype(int)
WEIGHTS = generator("weights of samples").uniform(0, 2, N)
EACH = generator("weights of labels").uniform(0, 2, (N, L))
AVERAGES = ("macro", "micro", "weighted", None)


def of_predictions(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda weights: function(TARGETS, (LOGITS > 0).astype(int), sample_weight=weights, **options)


def of_logits(average: Any) -> Callable[..., Any]:
    return lambda weights: sklearn.metrics.roc_auc_score(TARGETS, LOGITS, average=average, sample_weight=weights)


def by_label(weights: Any) -> Any:
    return np.average((LOGITS > 0) == TARGETS, axis=0, weights=weights)


REFERENCES: dict[fnn.Metric, Callable[..., Any]] = {
    fnn.MultiLabelAccuracy(): lambda weights: 1 - of_predictions(sklearn.metrics.hamming_loss)(weights),
    fnn.MultiLabelAccuracy(None): by_label,
    fnn.MultiLabelAccuracy(subset=True): of_predictions(sklearn.metrics.accuracy_score),
    fnn.ConfusionMatrix(L, multi_label=True): of_predictions(sklearn.metrics.multilabel_confusion_matrix),
    fnn.F1(positive=2, multi_label=True): lambda weights: of_predictions(sklearn.metrics.f1_score, average=None)(
        weights
    )[2],
}
KINDS = {fnn.F1: "f1_score", fnn.Precision: "precision_score", fnn.Recall: "recall_score"}
for kind, function in KINDS.items():
    for average in AVERAGES:
        score = of_predictions(getattr(sklearn.metrics, function), average=average)
        REFERENCES[kind(average, multi_label=True)] = score
for average in AVERAGES:
    REFERENCES[fnn.AUC(multi_label=True, average=average)] = of_logits(average)


# Precision and recall average as F1 does, and what is averaged of areas is the array of them.
FULL = [metric for metric in REFERENCES if isinstance(metric, fnn.Precision | fnn.Recall | fnn.AUC) and metric.average]


@pytest.mark.full
@pytest.mark.parametrize(
    "metrics", [[metric for metric in REFERENCES if metric not in FULL], pytest.param(FULL, marks=pytest.mark.full)]
)
def test_of_several_labels_every_metric_is_scikit_learns(metrics: list[fnn.Metric]):
    @jax.jit
    def measured(*data: Any) -> list[jax.Array]:
        halves = [[leaf[part] for leaf in data] for part in (slice(0, N // 2), slice(N // 2, N))]
        return [metric.value(metric.merge(*(metric.update(*half) for half in halves))) for metric in metrics]

    for weights in (np.ones(N), WEIGHTS):
        for metric, got in zip(metrics, measured(LOGITS, TARGETS, weights), strict=True):
            np.testing.assert_allclose(got, REFERENCES[metric](weights), rtol=1e-12, err_msg=repr(metric))


@pytest.mark.full
def test_weights_of_every_label():
    right = (LOGITS > 0) == TARGETS
    several = [fnn.MultiLabelAccuracy(), fnn.MultiLabelAccuracy(None), fnn.F1(None, multi_label=True)]
    several += [fnn.AUC(multi_label=True, average="micro")]
    got = jax.jit(lambda *data: [metric(*data) for metric in several])(LOGITS, TARGETS, EACH)
    columns = [(TARGETS[:, label], LOGITS[:, label], EACH[:, label]) for label in range(L)]
    expected = [
        np.average(right, weights=EACH),
        np.average(right, axis=0, weights=EACH),
        np.array([sklearn.metrics.f1_score(y, z > 0, sample_weight=w) for y, z, w in columns]),
        sklearn.metrics.roc_auc_score(TARGETS.reshape(-1), LOGITS.reshape(-1), sample_weight=EACH.reshape(-1)),
    ]
    close(got, expected)


def test_labels_that_are_ignored_and_answers_that_are_not_there():
    targets = np.array([[1, 0, 1], [0, -1, 1], [-1, -1, -1], [1, 1, 0]])
    logits = np.array([[2.0, -1, 3], [-1, 5, 1], [1, 1, 1], [np.nan, 1, -1]])
    metrics = [
        fnn.MultiLabelAccuracy(ignore_index=-1),
        fnn.MultiLabelAccuracy(subset=True, ignore_index=-1),
        fnn.MultiLabelAccuracy(None, ignore_index=-1),
        fnn.Recall(None, multi_label=True, ignore_index=-1),
        fnn.Precision(None, multi_label=True, ignore_index=-1),
        fnn.ConfusionMatrix(3, multi_label=True, ignore_index=-1),
    ]
    got = jax.jit(lambda *data: [metric(*data) for metric in metrics])(logits, targets)
    matrix = [[[1.0, 0], [0, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 2]]]
    close(got, [7 / 8, 2 / 3, np.array([2 / 3, 1, 1]), np.array([0.5, 1, 1]), np.ones(3), np.array(matrix)])


@pytest.mark.full
def test_a_label_of_which_nothing_counts_has_no_score():
    weights = EACH * (np.arange(L) != 3)
    several = [fnn.F1(None, multi_label=True), fnn.MultiLabelAccuracy(None), fnn.F1("macro", multi_label=True)]
    scores, shares, macro = jax.jit(lambda *data: [metric(*data) for metric in several])(LOGITS, TARGETS, weights)
    assert np.isnan(scores[3])
    assert np.isnan(shares[3])
    np.testing.assert_allclose(macro, np.delete(scores, 3).mean())
    one = np.where(np.arange(L) == 3, 0, TARGETS)  # a label that is never 1 has no area: neither has the mean
    cells = jax.jit(fnn.AUC(multi_label=True).update)(LOGITS, one)
    assert np.isnan(fnn.AUC(multi_label=True, average=None).value(cells)).tolist() == [i == 3 for i in range(L)]
    assert np.isnan(fnn.AUC(multi_label=True).value(cells))
    assert np.isfinite(fnn.AUC(multi_label=True, average="weighted").value(cells))


def test_names_and_options():
    several = [metric for metric in REFERENCES if not isinstance(metric, fnn.Precision | fnn.Recall)]
    assert [metric.name for metric in several] == [
        *("multi_label_accuracy", "multi_label_accuracy_by_label", "subset_accuracy", "confusion_matrix", "f1_of_2"),
        *("macro_f1", "micro_f1", "weighted_f1", "f1_by_label", "macro_auc", "micro_auc", "weighted_auc"),
        "auc_by_label",
    ]
    assert repr(fnn.AUC()).startswith("AUC(")


FAULTS: dict[str, tuple[Callable[[], Any], str]] = {
    "average of accuracy": (lambda: fnn.MultiLabelAccuracy("macro"), "average is 'micro', .* or None, .* got 'macro'"),  # type: ignore[arg-type]
    "subset by label": (lambda: fnn.MultiLabelAccuracy(None, subset=True), "judges all labels of a sample together"),
    "weights of a subset": (
        lambda: fnn.MultiLabelAccuracy(subset=True)(LOGITS, TARGETS, EACH),
        r"one weight per sample, \(60,\) .* got float64\[60,6\]; leave labels out with ignore_index",
    ),
    "binary": (lambda: fnn.F1(multi_label=True), "F1 needs an average, one of .*'macro'.* or positive, one of"),
    "average of an area": (lambda: fnn.AUC(average="binary"), "average is one of .*'micro'.*, got 'binary'"),  # type: ignore[arg-type]
    "area of one label": (lambda: fnn.AUC(average="micro"), "average='micro' is for several labels.*multi_label=True"),
    "one axis": (
        lambda: fnn.F1("macro", multi_label=True)(LOGITS[:, 0], TARGETS[:, 0]),
        r"logits \(N, …, L\) .* got float64\[60\]; for yes-or-no answers \(N,\) omit multi_label",
    ),
    "shapes": (lambda: fnn.MultiLabelAccuracy()(LOGITS, TARGETS[:, 0]), "do not belong together"),
    "labels of 2": (lambda: fnn.MultiLabelAccuracy()(LOGITS, 2 * TARGETS), r"are 0 or 1, got \[2\]"),
    "classes": (
        lambda: fnn.ConfusionMatrix(3, multi_label=True)(LOGITS, TARGETS),
        "expected the outputs of 3 classes, got outputs of 6",
    ),
    "positive": (lambda: fnn.F1(positive=6, multi_label=True)(LOGITS, TARGETS), "one of the 6 classes, got 6"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_several_labels(name: str):
    call, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        call()


# ---- metrics of one label


ONE_LABEL: list[fnn.Metric] = [fnn.Accuracy(), fnn.TopKAccuracy(2), fnn.Perplexity()]


SEVERAL_RIGHT = (LOGITS > 0).astype(int)


@pytest.mark.parametrize("metric", ONE_LABEL, ids=repr)
def test_accuracy_of_several_labels_a_sample_is_refused(metric: fnn.Metric):
    with pytest.raises(ValueError, match=r"distributions, .* sum to 1, got one with the sum .* MultiLabelAccuracy\(\)"):
        metric.check(LOGITS, SEVERAL_RIGHT)
    with pytest.raises(ValueError, match=r"smallest entry -1"):
        metric.check(LOGITS, np.tile([2, -1, 0, 0, 0, 0], (N, 1)))
    with pytest.raises(ValueError, match=r"MultiLabelAccuracy\(\)"):
        metric.update(LOGITS, SEVERAL_RIGHT)
    metric.check(LOGITS, SEVERAL_RIGHT, (SEVERAL_RIGHT.sum(-1) == 1) * 1.0)  # the others may hold anything


def test_inside_a_program_accuracy_of_several_labels_is_not_a_number():
    measured = jax.jit(lambda *data: [metric(*data) for metric in ONE_LABEL])
    assert np.isnan(measured(LOGITS, SEVERAL_RIGHT, np.ones(N))).all()
    alone = SEVERAL_RIGHT.sum(-1) == 1
    close(measured(LOGITS, SEVERAL_RIGHT, alone * 1.0), measured(LOGITS, SEVERAL_RIGHT.argmax(-1), alone * 1.0))
    assert jax.jit(fnn.MultiLabelAccuracy())(LOGITS, SEVERAL_RIGHT) == 1


@pytest.mark.parametrize("metric", [fnn.F1("macro"), fnn.ConfusionMatrix(L), fnn.AUC()], ids=repr)
def test_counts_of_several_labels_say_which_option_reads_them(metric: fnn.Metric):
    with pytest.raises(ValueError, match=r"for several labels set multi_label=True"):
        metric(LOGITS, TARGETS)


def test_distributions_of_few_digits_are_distributions():
    soft = jax.nn.softmax(jnp.asarray(drawn("soft", 40, 1000)), -1).astype(jnp.bfloat16)
    assert fnn.Accuracy()(soft.astype(float), soft) == 1


# ---- in a run


DATA = (LOGITS.astype(np.float32), TARGETS.astype(np.float32))
OBJECTIVE = fnn.Objective(fnn.Dense(L), fnn.BinaryCrossEntropy())
OPTIONS: dict[str, Any] = {"epochs": 1, "batch_size": 30}
SEVERAL = [
    fnn.MultiLabelAccuracy(),
    fnn.F1("macro", multi_label=True),
    fnn.F1(None, multi_label=True),
    fnn.AUC(multi_label=True),
]


def fit(metrics: Any, data: Any = DATA, **options: Any) -> Any:
    key = jax.random.key(0)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        return fnn.fit(
            OBJECTIVE, fnn.optim.sgd(0.1), data, key=key, metrics=metrics, progress=False, **OPTIONS | options
        )


@pytest.mark.full
def test_labels_are_looked_at_before_a_run_begins():
    message = r"distributions, .* MultiLabelAccuracy\(\)"
    with pytest.raises(ValueError, match=message) as caught:
        fit([fnn.Accuracy()])
    assert caught.value.__notes__ == ["for the metric Accuracy(ignore_index=None) of the data"]
    fine = (DATA[0], np.eye(L, dtype=np.float32)[np.arange(N) % L])
    with pytest.raises(ValueError, match=message):
        fit([fnn.Accuracy()], fine, validation=DATA)
    with pytest.raises(ValueError, match=message):
        fit([fnn.Accuracy()], [DATA], batch_size=None)
    params, state = OBJECTIVE.init(jax.random.key(0), LOGITS)
    with pytest.raises(ValueError, match=message):
        fnn.evaluate(OBJECTIVE, params, state, (LOGITS, TARGETS), metrics=[fnn.Accuracy()])
    with pytest.raises(ValueError, match=message):
        fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), metrics=[fnn.Accuracy()], **OPTIONS)(jax.random.key(0), DATA)


@pytest.mark.full
def test_metrics_of_several_labels_have_a_history():
    result = fit(SEVERAL, validation=DATA)
    params, state = jax.tree.map(np.asarray, (result.params, result.state))
    with jax.enable_x64(False):
        logits = np.asarray(OBJECTIVE.model.apply(params, state, DATA[0])[0])
    history = result.history
    assert history["f1_by_label"].shape == (1, L)
    expected = sklearn.metrics.f1_score(TARGETS, logits > 0, average="macro")
    np.testing.assert_allclose(history["validation_macro_f1"][-1], expected, rtol=1e-6)
    expected = sklearn.metrics.roc_auc_score(TARGETS, logits)
    np.testing.assert_allclose(history["validation_macro_auc"][-1], expected, rtol=1e-6)
    np.testing.assert_allclose(history["validation_multi_label_accuracy"][-1], ((logits > 0) == TARGETS).mean())
