"""In float32 and bfloat16 a hand rule is about as exact as ``jax.grad``: never more than twice as far off.

Every row stands at a point whose numbers bfloat16 can hold, so that all dtypes compute the gradient of one function at
one point, and float64 knows it. One program a row computes it all.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.errors import is_floating
from fnn.layer import floating_leaves
from fnn.testing import oracles
from fnn.testing.comparison import ZERO, arrays, norm
from tests.cases import LAYERS, LOSSES, LayerCase, LossCase
from tests.points import Point, drawn_point

DTYPES = ("float32", "bfloat16")

FACTOR = 2.0

# Two correct programs differ by the roundings of their last operations, each at most half an ulp of what it rounds:
# where the automatic gradient happens to be exact, or nearly so, twice its error would forbid even those.
FLOOR = 2.0

# One error is luck, above all in a sum that cancels; the norm over several output gradients is not.
DRAWS = 8


def narrowed(tree: Any, dtype: str) -> Any:
    """The floating leaves in another dtype, with numbers that bfloat16 can hold."""

    def each(leaf: Any) -> Any:
        return jnp.asarray(leaf).astype(jnp.bfloat16).astype(dtype) if is_floating(leaf) else leaf

    return jax.tree.map(each, tree)


def compared(errors: list[str], dtype: str, manual: dict, automatic: dict, exact: dict[str, np.ndarray]) -> None:
    """Adds a line for every leaf that the hand rule has more than twice as wrong as ``jax.grad`` has."""
    ulp, whole = float(jnp.finfo(dtype).eps), norm(exact.values())
    for path, reference in exact.items():
        size = norm([reference])
        size = whole if size <= ZERO * whole else size  # of a leaf that is zero, only rounding is left
        ours, theirs = (norm([leaves[path] - reference]) / max(size, 1e-300) for leaves in (manual, automatic))
        if not ours <= FACTOR * theirs + FLOOR * ulp and np.isfinite(theirs):
            errors.append(f"{dtype}, {path}: {ours / ulp:.2f} ulp by hand, {theirs / ulp:.2f} by jax.grad")


@pytest.mark.parametrize("case", [case for case in LAYERS if floating_leaves(case.input())[0]], ids=lambda c: c.name)
def test_layer(case: LayerCase):
    point = drawn_point(case.layer, case.input(), train=True)
    draws = [point.output_gradient(seed) for seed in range(DRAWS)]
    dys = jax.tree.map(lambda *each: jnp.stack(each), *draws)
    wide = narrowed((point.params, point.x, dys), "float64")
    state = narrowed(point.state, "float64")

    def everything(params: Any, state: Any, x: Any, dy: Any) -> dict[str, tuple]:
        results = {}
        for dtype in ("float64", *DTYPES):
            narrow = narrowed((params, x, dy), dtype)
            states = jax.eval_shape(case.layer.init, point.key, narrow[1])[1]
            own = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), state, states)
            at = Point(case.layer, narrow[0], own, narrow[1], point.key, point.train)
            results[dtype] = jax.vmap(lambda dy, at=at: at.gradients(*at.arguments, dy)[:2])(narrow[2])
        return results

    results = jax.jit(everything)(wide[0], state, *wide[1:])
    exact, errors = arrays(results["float64"][1]), []
    for dtype in DTYPES:
        manual, automatic = results[dtype]
        compared(errors, dtype, arrays(manual), arrays(automatic), exact)
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_loss(case: LossCase):
    batch = narrowed(oracles.to_float(case.batch(), jnp.float64), "float64")

    def everything(batch: tuple) -> dict[str, tuple]:
        results = {}
        for dtype in ("float64", *DTYPES):
            prediction, target, *weights = narrowed(batch, dtype)
            leaves, rebuild = floating_leaves(prediction)
            cache = case.loss.forward(rebuild(leaves), target, *weights)[1]
            manual = floating_leaves(case.loss.backward(cache))[0]

            def value(leaves: list, rebuild: Any = rebuild, target: Any = target, weights: list = weights) -> Any:
                return case.loss(rebuild(leaves), target, *weights)

            results[dtype] = manual, jax.grad(value)(leaves)
        return results

    results = jax.jit(everything)(batch)
    exact, errors = arrays(results["float64"][1]), []
    for dtype in DTYPES:
        manual, automatic = results[dtype]
        compared(errors, dtype, arrays(manual), arrays(automatic), exact)
    assert not errors, "\n".join(errors)
