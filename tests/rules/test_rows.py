"""Every row of the table: norms and clipped mean are those of the automatic gradients of its samples."""

from typing import Any

import jax
import pytest

import fnn
from fnn.walk import walk
from tests.cases import LAYERS, QUICK, LayerCase
from tests.points import drawn_point
from tests.rules import alone

pytestmark = pytest.mark.usefixtures("strict_numerics")

NO_BATCH = ("dense on one vector",)
"""Rows whose input has no leading axis of samples."""


def has_parameters(case: LayerCase) -> bool:
    return bool(jax.tree.leaves(jax.eval_shape(case.layer.init, jax.random.key(0), case.input())[0]))


def rows() -> list[Any]:
    with jax.enable_x64(True):
        chosen = [case for case in LAYERS if case.name not in NO_BATCH and has_parameters(case)]
    return [pytest.param(case, id=case.name, marks=() if case.name in FIRST else pytest.mark.full) for case in chosen]


FIRST = ("dense", "conv", "embedding", "LSTM")
"""The rows of the quick proof."""


@pytest.mark.parametrize("case", rows())
def test_the_examples_of_a_row(case: LayerCase):
    x = case.input()
    statistics = any(isinstance(layer, fnn.BatchNorm) for _, layer in walk(case.layer))
    train = case.per_example and not statistics
    point = drawn_point(case.layer, x, train=train, trained=False)
    objective = fnn.Objective(case.layer, alone.Energy())
    batch = point.x, jax.tree.leaves(point.x)[0]
    alone.check(objective, point.params, point.state, batch, key=point.key, train=train)
