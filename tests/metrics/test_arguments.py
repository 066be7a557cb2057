"""The names of metrics, and the arguments that they refuse."""

import jax
import numpy as np
import pytest

import fnn

N, V = 60, 4
OUTPUTS, LABELS, VALUES = np.zeros((N, V)), np.zeros(N, int), np.zeros((N, 3))


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
    "one class": (lambda: fnn.Accuracy()(OUTPUTS[:, :1], LABELS), "two or more classes"),
    "k of 0": (lambda: fnn.TopKAccuracy(0), "k is at least 1, got 0"),
    "k of 5": (lambda: fnn.TopKAccuracy(5)(OUTPUTS, LABELS), "k is at most the number of classes, 4, got 5"),
    "average": (lambda: fnn.F1("mean"), "average is one of"),  # type: ignore[arg-type]
    "binary of four": (
        lambda: fnn.F1()(OUTPUTS, LABELS),
        r"F1\(\) is the score of class 1 of two, .* outputs have 4 classes",
    ),
    "positive and all": (
        lambda: fnn.F1("macro", positive=1),
        "positive needs average='binary', got 'macro'",
    ),
    "positive": (lambda: fnn.F1(positive=4)(OUTPUTS, LABELS), "positive is one of the 4 classes, got 4"),
    "one-hot": (lambda: fnn.F1("macro")(OUTPUTS, jax.nn.one_hot(LABELS, V)), "convert distributions to labels"),
    "classes": (lambda: fnn.ConfusionMatrix(3)(OUTPUTS, LABELS), "expected the outputs of 3 classes, got outputs of 4"),
    "no class": (lambda: fnn.ConfusionMatrix(0), "classes is at least 1, got 0"),
    "bins": (lambda: fnn.AUC(1), "bins is at least 2"),
    "four classes": (lambda: fnn.AUC()(OUTPUTS, LABELS), "needs two classes, got the outputs of 4"),
    "regression": (lambda: fnn.R2()(VALUES, VALUES[:, :1]), "nothing is broadcast"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_arguments_that_do_not_fit(name: str):
    call, message = FAULTS[name]
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("positive", [True, 1.5, "cat"])
def test_the_positive_class_is_an_integer(positive):
    with pytest.raises(TypeError, match="positive is a class, an integer, got"):
        fnn.F1(positive=positive)
    assert fnn.F1(positive=np.int64(1)).name == "f1_of_1"  # type: ignore[arg-type]


def test_scores_of_two_classes_have_two_names():
    assert (fnn.F1().name, fnn.F1(positive=0).name, fnn.F1(positive=1).name) == ("f1", "f1_of_0", "f1_of_1")
