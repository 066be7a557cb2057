"""Gated linear units and the activations with parameters: against loops, ``jax.nn`` and numbers by hand."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import fnn
from fnn import initializers
from fnn.layer import Layer
from tests import compiled
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
NAN, INF = math.nan, math.inf


def both_gradients(layer: Layer, params: Any, x: Any, dy: Any) -> list[tuple[Any, Any]]:
    """``(dparams, dx)`` by the hand rule and by ``jax.vjp``."""
    return list(compiled.gradients(layer, params, {}, x, dy)[1:])


# ---- gated linear units

ACTS = {
    fnn.GLU: scipy.special.expit,
    fnn.ReGLU: lambda g: np.maximum(g, 0),
    fnn.GEGLU: lambda g: g * scipy.special.ndtr(g),
    fnn.SwiGLU: lambda g: g * scipy.special.expit(g),
}
each_unit = pytest.mark.parametrize("unit", ACTS, ids=lambda unit: unit.__name__)


def kernels(random: Any, inputs: int, features: int) -> dict[str, Any]:
    return {name: {"kernel": random(inputs, features), "bias": random(features)} for name in ("gate", "value")}


@each_unit
def test_a_gated_unit_is_the_sum_in_its_docstring(unit: Any, random: Any):
    x, params = random(2, 4, 3), kernels(random, 3, 2)
    y, _ = compiled.apply(unit(2), params, {}, x)
    w, b, v, c = (np.asarray(params[name][part]) for name in ("gate", "value") for part in ("kernel", "bias"))
    for n, t, f in np.ndindex(2, 4, 2):
        gate = b[f] + sum(x[n, t, d] * w[d, f] for d in range(3))
        value = c[f] + sum(x[n, t, d] * v[d, f] for d in range(3))
        close(y[n, t, f], ACTS[unit](gate) * value)


def test_glu_is_that_of_jax_with_the_two_halves_exchanged(random: Any):
    x, params = random(4, 3), kernels(random, 3, 2)
    joined = {part: np.concatenate([params["value"][part], params["gate"][part]], -1) for part in ("kernel", "bias")}
    close(compiled.apply(fnn.GLU(2), params, {}, x)[0], jax.nn.glu(x @ joined["kernel"] + joined["bias"].reshape(1, 4)))


@each_unit
def test_a_gated_unit_is_the_product_of_two_branches(unit: Any, random: Any):
    """Its gradients too: those that the combinators compose from Dense and the activation."""
    x, dy, params = random(4, 3), random(4, 2), kernels(random, 3, 2)
    gate = fnn.Serial(map=fnn.Dense(2), act=unit.activation)
    model = fnn.Parallel(gate=gate, value=fnn.Dense(2), merge="multiply")
    wired = {"gate": {"map": params["gate"]}, "value": params["value"]}
    y, _, cache = compiled.forward(model, wired, {}, x)
    close(compiled.apply(unit(2), params, {}, x)[0], y)
    dwired, dx = compiled.backward(model, cache, dy)
    expected = {"gate": dwired["gate"]["map"], "value": dwired["value"]}, dx
    for got in both_gradients(unit(2), params, x, dy):
        close(got, expected)


def test_glu_worked_by_hand():
    params = {"gate": {"kernel": jnp.array([[2.0]])}, "value": {"kernel": jnp.array([[3.0]])}}
    x = jnp.array([[math.log(3) / 2]])  # g = log 3, so that the sigmoid is 3/4 and its slope 3/16; v = 3 log 3 / 2
    layer, v = fnn.GLU(1, use_bias=False), 1.5 * math.log(3)
    close(compiled.apply(layer, params, {}, x)[0], np.array([[0.75 * v]]))
    for dparams, dx in both_gradients(layer, params, x, jnp.array([[4.0]])):
        dgate, dvalue = 4 * v * 3 / 16, 4 * 0.75
        close(dparams["gate"]["kernel"], np.array([[x[0, 0] * dgate]]))
        close(dparams["value"]["kernel"], np.array([[x[0, 0] * dvalue]]))
        close(dx, np.array([[2 * dgate + 3 * dvalue]]))


def test_a_reglu_whose_gate_is_exactly_0_has_slope_0_there():
    one, zero, three = (jnp.array([value]) for value in (1.0, 0.0, 3.0))
    params = {"gate": {"kernel": one[None], "bias": zero}, "value": {"kernel": zero[None], "bias": three}}
    for dparams, dx in both_gradients(fnn.ReGLU(1), params, jnp.array([[0.0], [-0.0]]), jnp.ones((2, 1))):
        assert (dx == 0).all()
        assert dparams["gate"]["bias"] == 0


@pytest.mark.full
@each_unit
def test_the_two_maps_of_a_gated_unit_are_initialised_apart(unit: Any):
    layer = unit(4, bias_init=initializers.Normal())
    params, state = compiled.init(layer, KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    assert state == {}
    assert params.keys() == {"gate", "value"}
    for part, shape in (("kernel", (3, 4)), ("bias", (4,))):
        assert params["gate"][part].shape == params["value"][part].shape == shape
        assert params["gate"][part].dtype == jnp.float32
        assert (params["gate"][part] != params["value"][part]).all()
    bare, _ = jax.eval_shape(unit(4, use_bias=False).init, KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    assert bare["gate"].keys() == bare["value"].keys() == {"kernel"}


def test_a_gated_unit_caches_its_input_its_kernels_and_both_maps(random: Any):
    x, params = random(4, 3), kernels(random, 3, 2)
    _, _, cache = compiled.forward(fnn.SwiGLU(2), params, {}, x)
    assert {name: leaf.shape for name, leaf in cache.items()} == {
        "x": (4, 3),
        "gate": (4, 2),
        "value": (4, 2),
        "gate_kernel": (3, 2),
        "value_kernel": (3, 2),
    }


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@each_unit
def test_far_gates_are_finite(unit: Any, dtype: str, random: Any):
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.dtype(dtype)), kernels(random, 1, 1))
    x = jnp.array([[-1e4], [1e4]], dtype)
    y, _ = compiled.apply(unit(1), params, {}, x)
    assert y.dtype == dtype
    for dparams, dx in both_gradients(unit(1), params, x, jnp.ones_like(y)):
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((y, dparams, dx)))


def test_faults_of_a_gated_unit(random: Any):
    layer, params, x = fnn.GLU(2), kernels(random, 3, 2), jnp.ones((4, 3))
    with pytest.raises(ValueError, match="features is at least 1, got 0"):
        fnn.SwiGLU(0)
    with pytest.raises(TypeError, match=r"features is an integer, got 2\.0"):
        fnn.GEGLU(2.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"expected a parameter 'value', found \['gate'\]; were these params made by"):
        layer.apply({"gate": params["gate"]}, {}, x)
    with pytest.raises(ValueError, match=r"expected a parameter 'kernel', found \['bias'\]"):
        layer.apply({**params, "gate": {"bias": params["gate"]["bias"]}}, {}, x)
    with pytest.raises(ValueError, match=r"'kernel' has shape \(3, 2\) where this input needs \(5, 2\)"):
        layer.apply(params, {}, jnp.ones((4, 5)))
    with pytest.raises(TypeError, match="'kernel' is float64 but the input is float32"):
        layer.apply(params, {}, x.astype(jnp.float32))
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int64"):
        layer.apply(params, {}, jnp.ones((4, 3), int))
    with pytest.raises(ValueError, match="expected an input"):
        layer.init(KEY, jnp.ones(()))


# ---- a parameter for each channel


def test_prelu_worked_by_hand():
    params = {"slope": jnp.array([0.5, -2.0])}
    x, dy = jnp.array([[-1.0, 3.0], [2.0, -4.0], [-3.0, -1.0]]), jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert compiled.apply(fnn.PRelu(), params, {}, x)[0].tolist() == [[-0.5, 3], [2, 8], [-1.5, 2]]
    for dparams, dx in both_gradients(fnn.PRelu(), params, x, dy):
        assert dx.tolist() == [[0.5, 2], [3, -8], [2.5, -12]]
        assert dparams["slope"].tolist() == [-1 * 1 - 3 * 5, -4 * 4 - 1 * 6]


def test_prelu_with_one_slope_is_leaky_relu(random: Any):
    x, dy = random(2, 3, 4), random(2, 3, 4)
    layer = fnn.PRelu(slope_init=initializers.Constant(0.1))
    params, _ = compiled.init(layer, KEY, x)
    y, (_, dx), _ = compiled.gradients(layer, params, {}, x, dy)
    close((y, ({}, dx)), compiled.gradients(fnn.LeakyRelu(0.1), {}, {}, x, dy)[:2])


def test_trainable_swish_worked_by_hand():
    # βx = log 3 in both samples, so that s = 3/4 and s (1 − s) = 3/16.
    params, x = {"beta": jnp.array([2.0])}, jnp.array([[math.log(3) / 2], [math.log(3) / 2]])
    close(compiled.apply(fnn.TrainableSwish(), params, {}, x)[0], x * 3 / 4)
    for dparams, dx in both_gradients(fnn.TrainableSwish(), params, x, jnp.array([[4.0], [1.0]])):
        close(dx, np.array([[3 + math.log(3) * 3 / 4], [3 / 4 + math.log(3) * 3 / 16]]))
        close(dparams["beta"], np.array([5 * (math.log(3) / 2) ** 2 * 3 / 16]))


def test_trainable_swish_is_swish_channel_by_channel(random: Any):
    x, dy, betas = random(4, 3), random(4, 3), [0.5, 0.0, -2.0]
    layer, params = fnn.TrainableSwish(), {"beta": jnp.array(betas)}
    y, dx = compiled.apply(layer, params, {}, x)[0], both_gradients(layer, params, x, dy)[0][1]
    for channel, beta in enumerate(betas):
        alone, (_, dalone), _ = compiled.gradients(fnn.Swish(beta), {}, {}, x[:, channel], dy[:, channel])
        close(y[:, channel], alone)
        close(dx[:, channel], dalone)


@pytest.mark.parametrize(("layer", "name", "start"), [(fnn.PRelu(), "slope", 0.25), (fnn.TrainableSwish(), "beta", 1)])
def test_the_start_and_the_faults_of_a_parameter_for_each_channel(layer: Layer, name: str, start: float):
    params, state = compiled.init(layer, KEY, jax.ShapeDtypeStruct((2, 5, 3), jnp.bfloat16))
    assert state == {}
    assert params.keys() == {name}
    assert (params[name] == jnp.full(3, start, jnp.bfloat16)).all()
    with pytest.raises(ValueError, match=r"expected an input \(…, C\), got a scalar"):
        layer.init(KEY, jnp.ones(()))
    with pytest.raises(ValueError, match=rf"'{name}' has shape \(3,\) where this input needs \(4,\)"):
        layer.apply(params, {}, jnp.ones((2, 4), jnp.bfloat16))
    with pytest.raises(TypeError, match=f"'{name}' is bfloat16 but the input is float64"):
        layer.apply(params, {}, jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=rf"expected a parameter '{name}', found \[\]"):
        layer.apply({}, {}, jnp.ones((2, 3)))


@pytest.mark.full
@pytest.mark.parametrize("layer", [fnn.PRelu(), fnn.TrainableSwish()], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_parameter_for_each_channel_at_the_ends_of_the_number_line(layer: Layer, dtype: str):
    x = jnp.array([[-INF], [-1e4], [-0.0], [0.0], [1e4], [INF], [NAN]], dtype)
    params, _ = compiled.init(layer, KEY, x)
    y, _ = compiled.apply(layer, params, {}, x)
    left = -INF if isinstance(layer, fnn.PRelu) else 0
    assert y[0] == left
    assert y[-2] == INF
    assert jnp.isnan(y[:, 0]).tolist() == 6 * [False] + [True]
    for dparams, dx in both_gradients(layer, params, x[:-1], jnp.ones_like(y)[:-1]):
        assert not jnp.isnan(dx).any()
        assert not jnp.isnan(dparams["beta" if isinstance(layer, fnn.TrainableSwish) else "slope"]).any()


@pytest.mark.parametrize("layer", [fnn.PRelu(), fnn.TrainableSwish()], ids=repr)
def test_the_gradient_of_a_parameter_sums_bfloat16_in_float32(layer: Layer):
    x = np.full((4096, 1), -1.0, jnp.bfloat16)
    params, _ = compiled.init(layer, KEY, x)
    _, _, cache = compiled.forward(layer, params, {}, x)
    (total,) = jax.tree.leaves(compiled.backward(layer, cache, np.ones_like(x))[0])
    first = jax.tree.map(lambda leaf: np.asarray(leaf)[:1], cache)
    (one,) = jax.tree.leaves(compiled.backward(layer, first, np.ones_like(x[:1]))[0])
    np.testing.assert_allclose(float(total[0]), 4096 * float(one[0]), rtol=1e-2)
