"""Every row of the table: norms and clipped mean are those of the automatic gradients of its samples."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given, settings

import fnn
from fnn.calls import output_shape
from fnn.walk import walk
from tests.cases import LAYERS, LayerCase
from tests.generated.grammar import Case, cases
from tests.generated.test_generated import COMMON
from tests.points import drawn_point
from tests.rules import alone

pytestmark = pytest.mark.usefixtures("strict_numerics")

ASIDE = {
    "dense on one vector": "its input has no leading axis of samples",
    "frozen, of parameters that are not floating": "jax.grad takes no such parameters",
    "a user's layer with noise": "nor such",
}


def has_parameters(layer: fnn.Layer, x: Any) -> bool:
    return bool(jax.tree.leaves(jax.eval_shape(layer.init, jax.random.key(0), x)[0]))


def rows() -> list[Any]:
    with jax.enable_x64(True):
        chosen = [case for case in LAYERS if case.name not in ASIDE and has_parameters(case.layer, case.input())]
    return [pytest.param(case, id=case.name, marks=() if case.name in FIRST else pytest.mark.full) for case in chosen]


FIRST = ("dense", "conv", "embedding", "LSTM")
"""The rows of the quick proof."""


@pytest.mark.parametrize("case", rows())
def test_the_examples_of_a_row(case: LayerCase):
    check(case.layer, case.input(), train=case.per_example)


@pytest.mark.full
def test_the_examples_of_random_models():
    @settings(COMMON, max_examples=25)
    @given(cases())
    def run(case: Case) -> None:
        if has_parameters(case.model, case.input()):
            check(case.model, case.input(), train=case.train)

    run()


def check(layer: fnn.Layer, x: Any, *, train: bool) -> None:
    statistics = any(isinstance(each, fnn.BatchNorm) for _, each in walk(layer))
    point = drawn_point(layer, x, train=train and not statistics, trained=False)
    objective = fnn.Objective(layer, alone.Energy())
    outputs = jax.tree.leaves(output_shape(layer, point.params, point.state, point.x))
    batch = point.x, jnp.zeros(outputs[0].shape)  # a target that nothing reads, with the steps that are left
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "in .*: the gradients of")  # of users' layers, and kernels with holes
        alone.check(objective, point.params, point.state, batch, key=point.key, train=point.train)
