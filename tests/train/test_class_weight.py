"""A run computes balanced class weights from its training targets, and takes sample weights beside its data."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import close, same
from tests.train.blobs import blobs

X, Y = blobs()
FEWER = np.concatenate([np.flatnonzero(Y < 2), np.flatnonzero(Y == 2)[:3]])
X, Y = X[FEWER], Y[FEWER]
BALANCED = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy(class_weight="balanced"))
NUMBERS = dataclasses.replace(BALANCED, loss=fnn.CrossEntropy(class_weight=fnn.balanced_class_weight(Y, 3)))
OPTIONS: Any = {"epochs": 2, "batch_size": 16}
W = np.linspace(0, 1, len(Y), dtype=np.float32)


def fit(objective: fnn.Objective, data: Any = (X, Y), **options: Any) -> Any:
    return fnn.fit(objective, fnn.optim.sgd(0.1), data, key=jax.random.key(0), progress=False, **OPTIONS, **options)


def test_fit_balances_by_the_training_targets():
    same(fit(BALANCED).params, fit(NUMBERS).params)


def test_each_loss_of_several_is_balanced_by_its_own_targets():
    model = fnn.Graph({"kind": (fnn.Dense(3), "x"), "size": (fnn.Dense(1), "x")}, outputs=("kind", "size"))
    data = X, {"kind": Y, "size": X[:, :1]}
    one, other = (
        fit(fnn.Objective(model, fnn.MultiLoss({"kind": each.loss, "size": fnn.MeanSquaredError()})), data)
        for each in (BALANCED, NUMBERS)
    )
    same(one.params, other.params)


@pytest.mark.full
def test_make_train_balances_inside_its_program():
    weights = fnn.balanced_class_weight(Y, 3, W)
    numbers = dataclasses.replace(NUMBERS, loss=fnn.CrossEntropy(class_weight=weights))
    one, other = (
        jax.jit(fnn.make_train(each, fnn.optim.sgd(0.1), **OPTIONS))(jax.random.key(0), (X, Y), sample_weight=W)
        for each in (BALANCED, numbers)
    )
    close(one, other, rtol=1e-5)
    assert jnp.isfinite(one.history["loss"]).all()


@pytest.mark.full
def test_sample_weight_is_the_third_part_of_the_data():
    same(fit(NUMBERS, sample_weight=W), fit(NUMBERS, (X, Y, W)))
    learned = fit(NUMBERS)
    given = fnn.evaluate(NUMBERS, learned.params, learned.state, (X, Y), sample_weight=W)
    assert given == fnn.evaluate(NUMBERS, learned.params, learned.state, (X, Y, W))
    with pytest.raises(
        ValueError, match=r"the data have weights, float32\[.*\], and sample_weight is given too; leave"
    ):
        fit(NUMBERS, (X, Y, W), sample_weight=W)
    with pytest.raises(ValueError, match="sample_weight belongs to arrays; the batches of an iterable bring their own"):
        fit(NUMBERS, [(X, Y)], sample_weight=W)


@pytest.mark.full
def test_steps_past_a_length_are_not_counted():
    x, lengths = np.ones((2, 3, 2), np.float32), np.array([3, 1])
    labels = np.array([[0, 0, 1], [0, 1, 1]])
    objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy(class_weight="balanced"))
    counted = dataclasses.replace(objective, loss=fnn.CrossEntropy(class_weight=(4 / 6, 4 / 2)))
    data = (x, lengths), labels
    same(fit(objective, data).params, fit(counted, data).params)


@pytest.mark.full
def test_what_cannot_be_balanced_raises():
    with pytest.raises(ValueError, match="class_weight='balanced' counts the targets of arrays, and batches are read"):
        fit(BALANCED, [(X, Y)])
    with pytest.raises(ValueError, match="of class 2 there are none"):
        fit(BALANCED, (X[Y < 2], Y[Y < 2]))
    learned = fit(NUMBERS)
    with pytest.raises(ValueError, match=r"elsewhere give the numbers: class_weight=fnn\.balanced_class_weight"):
        fnn.evaluate(BALANCED, learned.params, learned.state, (X, Y))
    shorter = fnn.Objective(fnn.Conv(2, 2, strides=2, padding="VALID"), fnn.CrossEntropy(class_weight="balanced"))
    with pytest.raises(ValueError, match=r"counts the targets within the lengths of the inputs, and the model turns"):
        fit(shorter, ((np.ones((2, 4, 2), np.float32), np.array([4, 2])), np.array([[0, 1], [0, 1]])))


def test_privacy_refuses_class_weights():
    with pytest.raises(ValueError, match="in which its weight cancels, and the numbers of samples in the classes are"):
        fit(NUMBERS, privacy=fnn.Privacy(max_norm=1.0, noise_multiplier=1.0, delta=1e-3))
