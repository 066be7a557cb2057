"""What attention refuses: options, inputs, masks, parameters."""

from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests import compiled

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_heads": 0}, ValueError, "num_heads is at least 1, got 0"),
        ({"num_heads": 4, "kv_heads": 3}, ValueError, "kv_heads=3 does not divide num_heads=4"),
        ({"num_heads": 4, "kv_heads": 0}, ValueError, "kv_heads is at least 1, got 0"),
        ({"num_heads": 4, "head_features": 0}, ValueError, "head_features is at least 1, got 0"),
        ({"num_heads": 4, "head_features": 3, "rotary": True}, ValueError, "an even number per head, got 3"),
        ({"num_heads": 4, "dropout": 1.0}, ValueError, r"rate is the fraction dropped and lies in \[0, 1\), got 1.0"),
        ({"num_heads": 4, "block": 0}, ValueError, "block is at least 1, got 0"),
    ],
)
def test_wrong_options(options: dict, error: type, message: str):
    with pytest.raises(error, match=message):
        fnn.MultiHeadAttention(**options)


X, MEMORY = np.zeros((2, 5, 4)), np.zeros((2, 3, 6))
MEMBERS = r"expected x, \(x, mask\), \(x, memory\) or \(x, memory, mask\), .* got "


@pytest.mark.parametrize(
    ("options", "x", "error", "message"),
    [
        ({"num_heads": 3}, X, ValueError, "num_heads=3 does not divide the 4 features of the input; set head_features"),
        ({"num_heads": 4, "rotary": True}, X, ValueError, "an even number per head, got 1"),
        ({}, X[0], ValueError, r"expected x \(N, T, D\), got the shape \(5, 4\)"),
        ({}, (X, MEMORY[0]), ValueError, r"expected a memory \(N, S, E\) .* got float64\[3,6\] for float64\[2,5,4\]"),
        ({}, (X, MEMORY[:1]), ValueError, r"expected a memory .* got float64\[1,3,6\]"),
        ({}, (X, MEMORY.astype(np.float32)), ValueError, r"expected a memory .* got float32\[2,3,6\]"),
        ({"rotary": True}, (X, MEMORY), ValueError, "rotary positions are for self-attention, got a memory"),
        ({}, (X, np.ones((2, 3), bool)), ValueError, r"expected a mask .* N=2, T=5, S=5 .* got the shape \(2, 3\)"),
        ({}, (X, np.ones((1, 5), bool)), ValueError, r"expected a mask .* got the shape \(1, 5\)"),
        ({}, (X, np.ones((2, 5, 3), bool)), ValueError, r"expected a mask .* got the shape \(2, 5, 3\)"),
        ({}, (X, np.ones((2, 3, 5, 5), bool)), ValueError, r"and 2 heads, got the shape \(2, 3, 5, 5\)"),
        ({}, (X, np.ones(5, bool)), ValueError, r"expected a mask .* got the shape \(5,\)"),
        ({}, (X, MEMORY, np.ones((2, 5), bool)), ValueError, r"expected a mask .* S=3 .* got the shape \(2, 5\)"),
        ({}, (X, np.ones((2, 5), int)), TypeError, MEMBERS + r"\(float64\[2,5,4\], int64\[2,5\]\)"),
        ({}, (X, np.ones((2, 5), bool), MEMORY), TypeError, MEMBERS),
        ({}, (X,), TypeError, MEMBERS),
        ({}, (X, None), TypeError, MEMBERS + r"\(float64\[2,5,4\], None\)"),
        ({}, [X, X], TypeError, MEMBERS),
        ({}, X.astype(int), TypeError, MEMBERS + r"int64\[2,5,4\]"),
    ],
)
def test_wrong_inputs(options: dict, x: Any, error: type, message: str):
    layer = fnn.MultiHeadAttention(**{"num_heads": 2, **options})
    with pytest.raises(error, match=message):
        layer.init(KEY, x)
    with pytest.raises(error, match=message):
        layer.apply({}, {}, x)


def test_an_empty_batch_a_missing_key_and_foreign_parameters():
    layer = fnn.MultiHeadAttention(2, dropout=0.1)
    params, _ = compiled.init(layer, KEY, X)
    with pytest.raises(ValueError, match=r"the batch is empty: float64\[0,5,4\]"):
        layer.apply(params, {}, X[:0])
    with pytest.raises(ValueError, match="is random in training and needs a key"):
        layer.apply(params, {}, X, train=True)
    with pytest.raises(ValueError, match="expected a parameter 'kernel', found None"):
        layer.apply({}, {}, X)
    with pytest.raises(ValueError, match=r"'kernel' has shape \(4, 2, 2\) where this input needs \(6, 2, 3\)"):
        layer.apply(params, {}, np.zeros((2, 5, 6)))
