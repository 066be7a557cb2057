"""Add, Multiply and Concatenate: by hand, with lengths, and what they refuse."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Add, Concatenate, Multiply
from tests.comparing import same

ONE, TWO = np.array([[1.0, 2.0]], np.float32), np.array([[0.0, 5.0]], np.float32)


@pytest.mark.parametrize(
    ("layer", "y", "dx"),
    [
        (Add(), [[2.0, 9.0]], [[[1.0, 3.0]]] * 3),
        (Multiply(), [[0.0, 20.0]], [[[0.0, 30.0]], [[1.0, 12.0]], [[0.0, 30.0]]]),  # 1 · 0 · 1 and 2 · 5 · 2
    ],
    ids=repr,
)
def test_worked_by_hand(layer: fnn.Layer, y: Any, dx: Any):
    found, _, cache = layer.forward({}, {}, (ONE, TWO, ONE))
    same(found, np.array(y, np.float32))
    same(layer.backward(cache, jnp.array([[1.0, 3.0]]))[1], tuple(np.array(each, np.float32) for each in dx))


def test_a_concatenation_worked_by_hand():
    found, _, cache = Concatenate().forward({}, {}, (ONE, TWO[:, :1]))
    same(found, np.array([[1.0, 2.0, 0.0]], np.float32))
    same(
        Concatenate().backward(cache, jnp.array([[1.0, 2.0, 3.0]]))[1],
        (np.array([[1.0, 2.0]], np.float32), np.array([[3.0]], np.float32)),
    )


def test_joined_sequences_have_the_shortest_lengths():
    x = np.ones((2, 3, 1), np.float32)
    given = ((x, np.array([3, 1])), x, (x, np.array([2, 2])))
    for layer in (Add(), Multiply(), Concatenate()):
        (y, lengths), _, cache = layer.forward({}, {}, given)
        assert lengths.tolist() == [2, 1]
        for dy in (jnp.ones_like(y), (jnp.ones_like(y), None)):
            dx = layer.backward(cache, dy)[1]
            assert [type(each) for each in dx] == [tuple, type(y), tuple]
            assert dx[0][1] is dx[2][1] is None


REFUSED = [
    (Add(), ONE, TypeError, r"Add takes a tuple of arrays, got float32\[1,2\]"),
    (Add(), (), TypeError, r"Add takes a tuple of arrays, got \(\)"),
    (Add(), (ONE, TWO[:, :1]), ValueError, r"Add takes arrays of one shape, got .*; nothing is broadcast"),
    (Multiply(), (ONE, TWO[0]), ValueError, r"Multiply takes arrays of one shape, got"),
    (Add(), (ONE, ONE.astype(int)), TypeError, r"Add takes arrays of one dtype, got .*; cast them explicitly"),
    (Concatenate(), (ONE, np.ones((2, 2), np.float32)), ValueError, "takes arrays that differ on axis -1 alone, got"),
    (Concatenate(), (ONE, np.ones((1, 2, 1), np.float32)), ValueError, "takes arrays that differ on axis -1 alone"),
    (Concatenate(2), (ONE, TWO), ValueError, r"the inputs of Concatenate\(axis=2\) have that axis behind the batch's"),
    (Concatenate(-2), (ONE, TWO), ValueError, "have that axis behind the batch's"),
    (
        Concatenate(1),
        ((np.ones((2, 3, 1), np.float32), np.array([3, 1])),) * 2,
        ValueError,
        r"Concatenate\(axis=1\) joins sequences along their steps, and padding would come to lie between them",
    ),
]


@pytest.mark.parametrize(("layer", "x", "kind", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_joined(layer: fnn.Layer, x: Any, kind: type[Exception], message: str):
    with pytest.raises(kind, match=message):
        layer.init(jax.random.key(0), x)
    with pytest.raises(kind, match=message):
        layer.forward({}, {}, x)


def test_an_axis_that_is_none():
    with pytest.raises(ValueError, match="axis 0 is that of the batch, whose samples stay apart"):
        Concatenate(0)
    with pytest.raises(TypeError, match=r"axis is an integer, got 1\.0"):
        Concatenate(1.0)
