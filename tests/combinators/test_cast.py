"""Mixed precision: what is computed in which dtype."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.backprop import backprop
from fnn.combinators.cast import uncast
from tests import compiled
from tests.comparing import same

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
INNER = fnn.Serial(fnn.Dense(8), fnn.BatchNorm(), fnn.Gelu(), fnn.Dense(4))


def test_parameters_state_outputs_and_gradients_keep_their_dtypes_and_the_inside_has_its_own(random: Any):
    layer, x = fnn.Cast(INNER), np.float32(random(6, 3))
    params, state = compiled.init(layer, KEY, x)
    y, new_state, cache = compiled.forward(layer, params, state, x, train=True)
    dparams, dx = compiled.backward(layer, cache, y)
    assert {leaf.dtype.name for leaf in jax.tree.leaves((params, y, dparams, dx))} == {"float32"}
    assert new_state["batch_norm_0"]["mean"].dtype == jnp.float32
    assert cache["inner"]["dense_0"]["x"].dtype == jnp.bfloat16
    assert cache["inner"]["dense_1"]["kernel"].dtype == jnp.bfloat16


@pytest.mark.full
def test_it_is_the_inner_layer_run_on_cast_values(random: Any):
    # Not compiled as a whole: XLA then leaves out roundings between operations, not the same in both programs.
    layer, x = fnn.Cast(INNER), np.float32(random(6, 3))
    params, state = compiled.init(layer, KEY, x)
    assert jax.tree.structure(params) == jax.tree.structure(jax.eval_shape(INNER.init, KEY, x)[0])
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    y, _, cache = layer.forward(params, state, x, train=True)
    inside, _, inner_cache = INNER.forward(low, state, x.astype(jnp.bfloat16), train=True)
    same(y, inside.astype(jnp.float32))
    dparams, dx = layer.backward(cache, y)
    inner_dparams, inner_dx = INNER.backward(inner_cache, y.astype(jnp.bfloat16))
    same((dparams, dx), jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (inner_dparams, inner_dx)))


def test_the_gradient_is_that_of_jax_grad_up_to_the_rounding_of_bfloat16(random: Any):
    layer, x = fnn.Cast(INNER), np.float32(random(6, 3))
    params, state = compiled.init(layer, KEY, x)

    def value(params: dict, x: jax.Array) -> jax.Array:
        return (compiled.apply(layer, params, state, x, train=True)[0] ** 2).sum()

    automatic = jax.jit(jax.grad(value, (0, 1)))(params, x)
    y, _, cache = compiled.forward(layer, params, state, x, train=True)
    manual = compiled.backward(layer, cache, 2 * y)
    for got, expected in zip(jax.tree.leaves(manual), jax.tree.leaves(automatic), strict=True):
        if float(jnp.abs(expected).max()) > 1e-2:  # a bias before batch norm has a gradient of rounding alone
            np.testing.assert_allclose(got, expected, atol=0.02 * float(jnp.abs(expected).max()))


def test_masks_and_indices_pass_as_they_are():
    x = jnp.array([[1, 2]])
    layer = fnn.Cast(fnn.Embedding(4, 3))
    params, state = compiled.init(layer, KEY, x)
    y, _, cache = compiled.forward(layer, params, state, x)
    dparams, dx = compiled.backward(layer, cache, y)
    assert (y.dtype, dparams["embedding"].dtype, dx) == (jnp.float64, jnp.float64, None)
    assert (y == params["embedding"][x].astype(jnp.bfloat16).astype(jnp.float64)).all()


def test_a_report_that_is_no_gradient_passes_unchanged(random: Any):
    layer, x = fnn.Cast(fnn.Serial(fnn.Dense(4), fnn.Tanh())), np.float32(random(2, 3))
    params, state = compiled.init(layer, KEY, x)
    y, _, cache = compiled.forward(layer, params, state, x)
    taps, _ = backprop(layer, cache, y, lambda path, layer, cache, dy: (dy, compiled.backward(layer, cache, dy)[1]))
    assert {name: (tap.shape, tap.dtype) for name, tap in taps.items()} == {
        "dense_0": ((2, 4), jnp.bfloat16),
        "tanh_0": ((2, 4), jnp.bfloat16),
    }


@pytest.mark.full
def test_the_report_of_gradients_checks_the_rules_inside_without_the_rounding(random: Any):
    objective = fnn.Objective(fnn.Serial(fnn.Cast(INNER), fnn.Dense(2)), fnn.CrossEntropy())
    batch = (np.float32(random(6, 3)), jnp.array([0, 1, 1, 0, 0, 1]))
    params, state = objective.init(KEY, batch[0])
    report = fnn.compare_gradients(objective, params, state, batch, cost=False)
    assert report.ok
    assert report.max_error < 1e-8
    assert {row.path for row in report.rows if row.kind == "delta"} >= {"cast_0/dense_0", "cast_0/gelu_0"}


def test_uncast_leaves_every_other_combinator_as_it_is():
    model = fnn.Serial(fnn.Residual(fnn.Cast(fnn.Dense(3))), fnn.Repeat(fnn.Cast(fnn.Tanh()), 2))
    assert uncast(model) == fnn.Serial(fnn.Residual(fnn.Dense(3)), fnn.Repeat(fnn.Tanh(), 2))


def test_dtypes_are_named_in_one_way():
    assert fnn.Cast(fnn.Tanh()) == fnn.Cast(fnn.Tanh(), jnp.bfloat16)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="compute is a floating dtype such as 'bfloat16', got 'int32'"):
        fnn.Cast(fnn.Tanh(), "int32")
    with pytest.raises(TypeError, match="compute is a floating dtype such as 'bfloat16', got 'half a float'"):
        fnn.Cast(fnn.Tanh(), "half a float")
