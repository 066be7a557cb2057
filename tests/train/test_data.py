"""Batches leave no sample out, and data are looked at before they enter a compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fnn
from fnn.train.checks import check_data
from fnn.train.data import Batches, arrays, plan

CLASSIFIER = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())


@given(st.integers(1, 500), st.integers(1, 200))
def test_a_plan_covers_every_sample_once_and_leaves_no_single_one(samples, batch_size):
    size, steps, rest = plan(samples, batch_size)
    assert size * steps + rest == samples
    assert size == batch_size
    assert rest <= batch_size + 1
    assert rest != 1 or samples == 1
    assert plan(samples, batch_size).count == steps + (rest > 0)


def test_a_hundred_images_in_batches_of_32_leave_four():
    assert plan(100, 32) == (32, 3, 4)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_at_least_one_sample(batch_size):
    with pytest.raises(ValueError, match="batch_size is at least 1"):
        plan(10, batch_size)


def test_no_data_is_an_error():
    with pytest.raises(ValueError, match="the number of samples is at least 1, got 0"):
        plan(0, 4)


def test_parts_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="have the same length"):
        arrays((np.zeros((4, 2)), np.zeros(5)))


def test_one_array_is_no_data():
    with pytest.raises(TypeError, match="a batch is \\(inputs, targets\\)"):
        arrays(np.zeros((4, 2)))


def test_a_batch_is_cut_from_every_part():
    data = ({"a": jnp.arange(5)}, jnp.arange(5) * 10)
    inputs, targets = Batches(data, jnp.array([4, 1, 3, 0]), 7, 2).of(8)  # the second, as 7 is the first
    assert inputs["a"].tolist() == [3, 0]
    assert targets.tolist() == [30, 0]
    inputs, targets = Batches(data, None, 0, 2).of(1)
    assert targets.tolist() == [20, 30]


def checked(inputs, targets, weights=None):
    params, state = CLASSIFIER.init(jax.random.key(0), inputs)
    check_data(CLASSIFIER, params, state, (inputs, targets) if weights is None else (inputs, targets, weights))


def test_good_data_pass():
    checked(jnp.ones((4, 2)), jnp.array([0, 1, 2, 0]), jnp.ones(4))


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_out_of_range_is_an_error(label):
    with pytest.raises(ValueError, match=rf"labels lie in \[0, 3\), got \[{label}\]"):
        checked(jnp.ones((4, 2)), jnp.array([0, 1, label, 0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_an_error_with_the_sample(bad):
    inputs = np.ones((4, 2), np.float32)
    inputs[2, 1] = bad
    with pytest.raises(ValueError, match="the inputs of the data are not finite in sample 2"):
        checked(jnp.asarray(inputs), jnp.array([0, 1, 2, 0]))
