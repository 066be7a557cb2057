"""A metric of one output: what it measures, under which name, and what it refuses."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Accuracy, Of, Perplexity
from tests.comparing import same

KIND, LABELS = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), np.array([1, 1, 1])
OUTPUTS, TARGETS = {"kind": KIND, "size": np.ones(3)}, {"kind": LABELS, "size": np.ones(3)}


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.0])], ids=["without", "with"])
def test_it_is_the_metric_of_that_output(weights: Any):
    expected = Accuracy()(KIND, LABELS, weights)
    same(Of("kind", Accuracy())(OUTPUTS, TARGETS, weights), expected)
    by_name = {} if weights is None else {"kind": weights}
    same(Of("kind", Accuracy())(OUTPUTS, TARGETS, by_name), expected)
    jitted = jax.jit(lambda *at: Of("kind", Accuracy())(*at))(OUTPUTS, TARGETS, weights)
    same(jitted, expected)


@pytest.mark.full
def test_of_sequences_it_counts_the_steps_within_the_lengths():
    outputs = {"tags": (jnp.array([[[1.0, 2.0], [1.0, 2.0]], [[3.0, 0.0], [1.0, 2.0]]]), jnp.array([1, 2]))}
    targets = {"tags": jnp.array([[1, 0], [1, 1]])}
    assert float(Of("tags", Accuracy())(outputs, targets)) == pytest.approx(2 / 3)


def test_it_takes_name_and_direction_from_the_metric():
    assert Of("kind", Accuracy()).name == "accuracy/kind"
    assert Of("kind", Accuracy()).higher_is_better
    assert not Of("kind", Perplexity()).higher_is_better
    assert Of("kind", Accuracy()).cuts_at_zero
    assert repr(Of("kind", Perplexity())) == "Of(output='kind', metric=Perplexity(ignore_index=None))"


REFUSED = [
    (lambda: Of(Accuracy(), "kind"), TypeError, "Of takes the name of an output first, got Accuracy"),
    (lambda: Of("", Accuracy()), TypeError, "Of takes the name of an output first, got ''"),
    (lambda: Of("kind", Accuracy), TypeError, r"Of takes a metric second, got .*; did you mean Accuracy\(…\)\?"),
    (lambda: Of("kind", fnn.GradientNoise()), ValueError, "is of the gradients of the whole model: give it by itself"),
    (lambda: Of("kind", Accuracy())(KIND, TARGETS), TypeError, "needs outputs by name, a dict, got float64"),
    (lambda: Of("kind", Accuracy())(OUTPUTS, LABELS), TypeError, "needs targets by name, a dict, got int64"),
    (
        lambda: Of("age", Accuracy())(OUTPUTS, TARGETS),
        ValueError,
        r"needs outputs with that name, got \['kind', 'size'",
    ),
    (lambda: Of("kind", Accuracy())(OUTPUTS, {"size": 1}), ValueError, r"needs targets with that name, got \['size'\]"),
]


@pytest.mark.parametrize(("make", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_it_refuses(make: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        make()
