"""Class weights: against PyTorch's and scikit-learn's numbers, in every form of target, balanced by a run, refused."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from sklearn.utils.class_weight import compute_class_weight

import fnn
from tests.comparing import close
from tests.drawing import drawn
from tests.losses.compiled import by_both, gradient

pytestmark = pytest.mark.usefixtures("strict_numerics")

Z = drawn("logits of four classes", 6, 4)
LABELS = np.array([0, 3, 1, 1, 2, 0])
W = np.array([1.0, 0.0, 2.0, 0.5, 3.0, 1.0])
C = np.array([0.5, 2.0, 0.0, 1.5])


def test_class_weights_multiply_the_weights_of_examples():
    plain = by_both(fnn.CrossEntropy(), Z, LABELS, W * C[LABELS])
    close(by_both(fnn.CrossEntropy(class_weight=C), Z, LABELS, W), plain)
    as_dict = fnn.CrossEntropy(class_weight={0: 0.5, 1: 2, 2: 0.0, 3: 1.5})
    close(by_both(as_dict, Z, LABELS, W), plain)
    close(by_both(as_dict, Z, np.eye(4)[LABELS], W), plain)
    close(as_dict.weight(Z, LABELS, W), (W * C[LABELS]).sum())
    # A class that the dict leaves out weighs 1, as in scikit-learn.
    close(fnn.CrossEntropy(class_weight={3: 5})(Z, LABELS), fnn.CrossEntropy(class_weight=[1, 1, 1, 5])(Z, LABELS))


def test_labels_of_8_bits_find_their_weights_among_more_classes_than_8_bits_count():
    loss = fnn.CrossEntropy(class_weight=dict.fromkeys(range(100), 2.0) | {199: 1.0})
    np.testing.assert_array_equal(loss.factors(np.array([99, 100], np.int8), (2,)), [2.0, 1.0])


def test_class_weights_of_cross_entropy_are_those_of_scikit_learn():
    p = np.exp(Z) / np.exp(Z).sum(-1, keepdims=True)
    expected = sklearn.metrics.log_loss(LABELS, p, sample_weight=W * C[LABELS], labels=range(4))
    close(fnn.CrossEntropy(class_weight=C)(Z, LABELS, W), expected)


@pytest.mark.full
def test_class_weights_of_cross_entropy_are_those_of_torch():
    torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
    z = torch.tensor(Z, requires_grad=True)
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(C), ignore_index=1)(z, torch.tensor(LABELS))
    loss.backward()
    ours = fnn.CrossEntropy(class_weight=C, ignore_index=1)
    value, by_hand, automatic = by_both(ours, Z, LABELS)
    close((value, by_hand, automatic), (loss.item(), z.grad.numpy(), z.grad.numpy()))


@pytest.mark.full
def test_a_distribution_weighs_the_mean_of_its_classes_and_smoothing_does_not_change_it():
    q = np.abs(drawn("shares of four classes", 6, 4))
    q /= q.sum(-1, keepdims=True)
    smooth = functools.partial(fnn.CrossEntropy, label_smoothing=0.3)
    close(by_both(smooth(class_weight=C), Z, q, W), by_both(smooth(), Z, q, W * (q @ C)))
    close(smooth(class_weight=C)(Z, LABELS), smooth()(Z, LABELS, C[LABELS]))


@pytest.mark.full
def test_the_classes_of_two_answers_are_0_and_1_or_signs():
    z, y = drawn("answers", 5, 2), np.array([[0, 1], [1, 1], [0, 0], [1, 0], [0, 1]])
    each = np.array([0.5, 3.0])[y]
    close(by_both(fnn.BinaryCrossEntropy(class_weight=[0.5, 3]), z, y), by_both(fnn.BinaryCrossEntropy(), z, y, each))
    for loss in (fnn.Hinge, fnn.PerceptronLoss):
        close(by_both(loss(class_weight={-1: 0.5, 1: 3}), z, 2 * y - 1), by_both(loss(), z, 2 * y - 1, each))
    half = fnn.BinaryCrossEntropy(class_weight=[1, 3])
    close(half.weight(np.zeros(2), np.array([0.5, 0.25])), 2 + 1.5)


@pytest.mark.full
def test_every_loss_of_labels_takes_class_weights():
    for loss in (fnn.Focal, fnn.MultiClassHinge):
        close(by_both(loss(class_weight=C), Z, LABELS), by_both(loss(), Z, LABELS, C[LABELS]))
    hidden, kernel = drawn("hidden", 6, 3), drawn("kernel", 3, 4)
    projected = fnn.LinearCrossEntropy(4, chunk=4, class_weight=C)
    plain = fnn.LinearCrossEntropy(4, chunk=4)
    close(by_both(projected, (hidden, kernel), LABELS, W), by_both(plain, (hidden, kernel), LABELS, W * C[LABELS]))
    assert projected.of_logits == fnn.CrossEntropy(class_weight=C)
    assert projected.likelihood == plain


@pytest.mark.full
def test_class_weights_of_sequences_count_within_their_lengths():
    z, labels, lengths = drawn("sequences", 3, 4, 4), LABELS[[0, 1, 2, 3] * 3].reshape(3, 4), np.array([4, 2, 0])
    within = np.arange(4) < lengths[:, None]
    loss = fnn.CrossEntropy(class_weight=C)
    close(loss((z, lengths), labels), fnn.CrossEntropy()(z, labels, within * C[labels]))


@pytest.mark.full
def test_a_class_of_weight_0_has_no_gradient_and_a_masked_target_may_be_nan():
    found = gradient(fnn.CrossEntropy(class_weight=C), Z, LABELS)
    assert not found[LABELS == 2].any()
    assert found[LABELS != 2].any(-1).all()
    y, w = np.array([0.0, np.nan]), np.array([1.0, 0.0])
    close(by_both(fnn.BinaryCrossEntropy(class_weight=[2, 1]), np.zeros(2), y, w)[0], np.log(2))


def test_class_weights_may_be_traced_and_are_nan_below_0():
    @jax.jit
    def value(c: Any) -> Any:
        return fnn.CrossEntropy(class_weight=c)(Z, LABELS), fnn.CrossEntropy(class_weight=(1, c[0], 1, 1))(Z, LABELS)

    expected = fnn.CrossEntropy(class_weight=C)(Z, LABELS), fnn.CrossEntropy(class_weight={1: 0.5})(Z, LABELS)
    close(value(C), expected)
    assert jnp.isnan(value(-C)[0])


def test_class_weights_are_values_that_compare_and_print():
    assert fnn.CrossEntropy(class_weight=C) == fnn.CrossEntropy(class_weight=tuple(C))
    assert hash(fnn.Focal(class_weight={1: 2})) == hash(fnn.Focal(class_weight={np.int64(1): jnp.float64(2)}))
    assert "class_weight=(1.0, 2.0)" in repr(fnn.BinaryCrossEntropy(class_weight=[1, 2]))


# ---- balanced


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.array([0, 0, 0, 0, 1, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    close(fnn.balanced_class_weight(labels, 3), expected)
    close(fnn.balanced_class_weight(labels.tolist(), 3), expected)
    close(fnn.balanced_class_weight(np.eye(3)[labels], 3), expected)
    close(jax.jit(lambda y: fnn.balanced_class_weight(y, 3))(labels), expected)
    assert jnp.isnan(jax.jit(lambda y: fnn.balanced_class_weight(y, 4))(labels)).all()
    # An example of weight 2 counts as two.
    w = np.array([2, 1, 1, 1, 3, 1, 0])
    close(fnn.balanced_class_weight(labels, 3, w), fnn.balanced_class_weight(np.repeat(labels, w), 3))


def test_a_balanced_loss_counts_what_counts_in_it():
    loss = fnn.CrossEntropy(class_weight="balanced", ignore_index=-1)
    labels, w = np.array([0, 0, -1, 1, -1, 0]), np.array([1.0, 1, 9, 1, 9, 0])
    close(loss.balanced(Z[:, :2], labels, w).class_weight, (3 / 4, 3 / 2))
    close(
        fnn.Hinge(class_weight="balanced").balanced(Z[:, 0], np.array([-1, 1, 1, 1, 1, 1]), None).class_weight, (3, 0.6)
    )
    soft = fnn.BinaryCrossEntropy(class_weight="balanced").balanced(Z[:2, 0], np.array([0.5, 0.25]), None)
    close(soft.class_weight, (2 / 2.5, 2 / 1.5))


# ---- refused


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([1, 2, 3], ValueError, "class_weight holds one weight a class, 4 in all, got 3"),
        ({7: 1.0}, ValueError, r"class_weight names the classes \[7\], and the classes are \[0, 1, 2, 3\]"),
        ("balanced", ValueError, r"is computed from the training targets by fnn\.fit and fnn\.make_train; elsewhere"),
    ],
)
def test_class_weights_of_other_classes_raise_where_the_classes_are_known(given: Any, error: type, words: str):
    for loss in (fnn.CrossEntropy, fnn.Focal, fnn.MultiClassHinge):
        with pytest.raises(error, match=words):
            loss(class_weight=given)(Z, LABELS)
    if given != "balanced":
        with pytest.raises(error, match=words):
            fnn.LinearCrossEntropy(4, class_weight=given)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([1, -1], ValueError, "the weight of a class is a finite number of at least 0, got -1"),
        ([1, np.inf], ValueError, "the weight of a class is a finite number of at least 0, got inf"),
        ([1, "2"], TypeError, "the weight of a class is a number, got '2'"),
        ([0, 0], ValueError, "class_weight is 0 for every class, so no example counts"),
        ({}, TypeError, r"class_weight as a dict is \{class: weight\}, with classes that are integers, got \{\}"),
        ({"cat": 1}, TypeError, r"with classes that are integers, got \{'cat': 1\}"),
        ("uniform", TypeError, "a weight a class, a dict {class: weight} or 'balanced', got 'uniform'"),
        (2.0, TypeError, r"a weight a class, a dict {class: weight} or 'balanced', got 2\.0"),
        ([], ValueError, r"class_weight holds one weight a class, got \(\)"),
        (np.ones((2, 2)), ValueError, r"class_weight holds one weight a class, got float64\[2,2\]"),
        ([1, 2, 3], ValueError, "class_weight holds one weight a class, 2 in all, got 3"),
        ({2: 1}, ValueError, r"class_weight names the classes \[2\], and the classes are \[0, 1\]"),
    ],
)
def test_class_weights_that_are_none_raise(given: Any, error: type, words: str):
    with pytest.raises(error, match=words):
        fnn.BinaryCrossEntropy(class_weight=given)


def test_traced_class_weights_of_another_shape_raise():
    with pytest.raises(ValueError, match=r"class_weight holds one weight a class, got float64\[2,2\]"):
        jax.eval_shape(lambda c: fnn.CrossEntropy(class_weight=c), np.ones((2, 2)))


def test_a_class_without_examples_cannot_be_balanced():
    with pytest.raises(ValueError, match=r"and of class 2, 4 there are none in int64\[3\]; leave it out of the model"):
        fnn.balanced_class_weight(np.array([0, 1, 3]), 5)
    with pytest.raises(ValueError, match=r"labels lie in \[0, 2\), got \[3\]"):
        fnn.balanced_class_weight(np.array([0, 1, 3]), 2)
