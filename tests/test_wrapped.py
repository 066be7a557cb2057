"""Every row of the table inside the combinators that run any layer, and on kinks and ties.

A layer that keeps the shape of its input is put under ``Residual`` and ``Repeat``, and every layer under ``Remat``; all
are compiled as one program, which then runs at the row's own input and at multiples of one half, where most kinks are.
"""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn.errors import describe, is_floating
from fnn.layer import floating_leaves
from fnn.testing.comparison import agree, arrays
from fnn.testing.violations import Violations
from tests.cases import LAYERS, LOSSES, PENALTIES, LayerCase, LossCase, PenaltyCase
from tests.points import Point, drawn_point, finite, rounded

TOLERANCE = 1e-12


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_layer(case: LayerCase):
    point = drawn_point(case.layer, case.input(), train=True)
    found = Violations(case.name)
    for each in modes(point):
        wrapped = wraps(each)
        inputs = [(each.params, each.state, each.x)]
        inputs.append((rounded(each.params), each.state, rounded(each.x)))
        dys = {name: other.output_gradient() for name, other in wrapped.items()}

        def everything(params: Any, state: Any, x: Any, wrapped: dict = wrapped, dys: dict = dys) -> Any:
            results = {}
            for name, other in wrapped.items():
                repeated = isinstance(other.layer, fnn.Repeat)
                arguments = (stacked(params), stacked(state), x) if repeated else (params, state, x)
                results[name] = other.gradients(*arguments, other.key, dys[name])[:2]
            return results

        compiled = jax.jit(everything)
        for place, at in zip(("", " on kinks"), inputs, strict=True):
            for name, (manual, automatic) in compiled(*at).items():
                manual, automatic = arrays(manual), arrays(automatic)
                if not place or finite(automatic):
                    agree(found, f"train={each.train}, {name}{place}", manual, automatic, TOLERANCE)
    found.finish()


def modes(point: Point) -> list[Point]:
    """The point in training, and in inference if that is another program."""
    other = Point(*(point.layer, *point.arguments), train=False)
    programs = {str(jax.make_jaxpr(each.output)(*each.arguments)) for each in (point, other)}
    return [point, other][: len(programs)]


def wraps(point: Point) -> dict[str, Point]:
    """The layer inside what can hold it."""
    layer, params, state, x = point.layer, point.params, point.state, point.x
    wrapped: dict[str, tuple] = {"Remat": (fnn.Remat(layer), params, state)}
    y = jax.eval_shape(point.output, *point.arguments)
    if describe(y) == describe(x) and floating_leaves(x)[0]:
        wrapped["Residual"] = (fnn.Residual(layer), params, state)
        wrapped["Repeat"] = (fnn.Repeat(layer, 2), stacked(params), stacked(state))
    return {
        name: Point(layer, params, state, x, point.key, point.train) for name, (layer, params, state) in wrapped.items()
    }


def stacked(tree: Any) -> Any:
    """Parameters or state of two layers, not the same ones."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf, 0.75 * leaf if is_floating(leaf) else leaf]), tree)


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_loss_on_kinks(case: LossCase):
    prediction, target, *weights = (rounded(each) for each in case.batch())
    prediction, target = jax.tree.map(jnp.asarray, (prediction, target))
    leaves, rebuild = floating_leaves(prediction)

    def everything(leaves: list) -> Any:
        def value(leaves: list) -> jax.Array:
            return case.loss(rebuild(leaves), target, *weights)

        cache = case.loss.forward(rebuild(leaves), target, *weights)[1]
        return floating_leaves(case.loss.backward(cache))[0], jax.grad(value)(leaves)

    try:
        manual, automatic = map(arrays, jax.jit(everything)(leaves))
    except ValueError:
        pytest.skip("a rounded target is out of the range of this loss")
    found = Violations(case.name)
    if finite(automatic):
        agree(found, "on kinks", manual, automatic, TOLERANCE)
    found.finish()


@pytest.mark.parametrize("case", PENALTIES, ids=lambda case: case.name)
def test_penalty_on_kinks(case: PenaltyCase):
    params = jax.tree.map(jnp.asarray, rounded(case.params()))
    manual, automatic = case.penalty.backward(case.penalty.forward(params)[1]), jax.grad(case.penalty)(params)
    found = Violations(case.name)
    agree(found, "on kinks", arrays(manual), arrays(automatic), TOLERANCE)
    found.finish()
