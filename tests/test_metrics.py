"""Metrics stream: sums over batches give what the whole gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

OUTPUTS = jax.random.normal(jax.random.key(0), (30, 5))
LABELS = jax.random.randint(jax.random.key(1), (30,), 0, 5)
WEIGHTS = jax.random.uniform(jax.random.key(2), (30,))


def test_accuracy_is_the_weighted_share_of_hits():
    hits = np.asarray(OUTPUTS).argmax(-1) == np.asarray(LABELS)
    np.testing.assert_allclose(fnn.Accuracy()(OUTPUTS, LABELS), hits.mean())
    np.testing.assert_allclose(fnn.Accuracy()(OUTPUTS, LABELS, WEIGHTS), np.average(hits, weights=WEIGHTS))


def test_accuracy_streams_over_ragged_batches():
    metric = fnn.Accuracy()
    parts = [metric.update(OUTPUTS[part], LABELS[part], WEIGHTS[part]) for part in (slice(0, 7), slice(7, 30))]
    total = jax.tree.map(jnp.add, *parts)
    np.testing.assert_allclose(metric.value(total), metric(OUTPUTS, LABELS, WEIGHTS))


def test_accuracy_takes_one_hot_targets():
    assert fnn.Accuracy()(OUTPUTS, jax.nn.one_hot(LABELS, 5)) == fnn.Accuracy()(OUTPUTS, LABELS)


def test_of_equal_outputs_the_first_counts():
    assert fnn.Accuracy()(jnp.zeros((1, 3)), jnp.array([0])) == 1


def test_nothing_counted_is_not_a_number():
    assert jnp.isnan(fnn.Accuracy()(OUTPUTS, LABELS, jnp.zeros(30)))


def test_outputs_and_targets_must_belong_together():
    with pytest.raises(ValueError, match="do not belong together"):
        fnn.Accuracy()(OUTPUTS, LABELS[:4])
