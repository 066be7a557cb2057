"""Gated linear units, maxout and the activations with parameters: against loops, ``jax.nn`` and numbers by hand."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

import fnn
from fnn import initializers
from fnn.gradients.kinks import KINKED
from fnn.layer import Layer

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
NAN, INF = math.nan, math.inf


def random(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)


def both_gradients(layer: Layer, params: Any, x: jax.Array, dy: jax.Array) -> list[tuple[Any, Any]]:
    """``(dparams, dx)`` by the hand rule and by ``jax.vjp``."""
    _, _, cache = layer.forward(params, {}, x)
    return [layer.backward(cache, dy), jax.vjp(lambda p, x: layer.apply(p, {}, x)[0], params, x)[1](dy)]


# ---- gated linear units

ACTS = {
    fnn.GLU: scipy.special.expit,
    fnn.ReGLU: lambda g: np.maximum(g, 0),
    fnn.GEGLU: lambda g: g * scipy.special.ndtr(g),
    fnn.SwiGLU: lambda g: g * scipy.special.expit(g),
}
each_unit = pytest.mark.parametrize("unit", ACTS, ids=lambda unit: unit.__name__)


def kernels(seed: int, inputs: int, features: int) -> dict[str, Any]:
    shapes = {"kernel": (inputs, features), "bias": (features,)}
    return {
        name: {part: jnp.asarray(random(seed + place, *shape)) for part, shape in shapes.items()}
        for place, name in enumerate(("gate", "value"))
    }


@each_unit
def test_a_gated_unit_is_the_sum_in_its_docstring(unit: Any):
    x, params = random(3, 2, 4, 3), kernels(5, 3, 2)
    y, _ = unit(2).apply(params, {}, jnp.asarray(x))
    w, b, v, c = (np.asarray(params[name][part]) for name in ("gate", "value") for part in ("kernel", "bias"))
    for n, t, f in np.ndindex(2, 4, 2):
        gate = b[f] + sum(x[n, t, d] * w[d, f] for d in range(3))
        value = c[f] + sum(x[n, t, d] * v[d, f] for d in range(3))
        close(y[n, t, f], ACTS[unit](gate) * value)


def test_glu_is_that_of_jax_with_the_two_halves_exchanged():
    x, params = jnp.asarray(random(3, 4, 3)), kernels(5, 3, 2)
    joined = {part: jnp.concatenate([params["value"][part], params["gate"][part]], -1) for part in ("kernel", "bias")}
    close(fnn.GLU(2).apply(params, {}, x)[0], jax.nn.glu(x @ joined["kernel"] + joined["bias"].reshape(1, 4)))


@each_unit
def test_a_gated_unit_is_the_product_of_two_branches(unit: Any):
    """Its gradients too: those that the combinators compose from Dense and the activation."""
    x, dy, params = jnp.asarray(random(3, 4, 3)), jnp.asarray(random(4, 4, 2)), kernels(5, 3, 2)
    gate = fnn.Serial(map=fnn.Dense(2), act=unit.activation)
    model = fnn.Parallel(gate=gate, value=fnn.Dense(2), merge="multiply")
    wired = {"gate": {"map": params["gate"]}, "value": params["value"]}
    y, _, cache = model.forward(wired, {}, x)
    close(unit(2).apply(params, {}, x)[0], y)
    dwired, dx = model.backward(cache, dy)
    expected = {"gate": dwired["gate"]["map"], "value": dwired["value"]}, dx
    for got in both_gradients(unit(2), params, x, dy):
        jax.tree.map(close, got, expected)


def test_glu_worked_by_hand():
    params = {"gate": {"kernel": jnp.array([[2.0]])}, "value": {"kernel": jnp.array([[3.0]])}}
    x = jnp.array([[math.log(3) / 2]])  # g = log 3, so that the sigmoid is 3/4 and its slope 3/16; v = 3 log 3 / 2
    layer, v = fnn.GLU(1, use_bias=False), 1.5 * math.log(3)
    close(layer.apply(params, {}, x)[0], [[0.75 * v]])
    for dparams, dx in both_gradients(layer, params, x, jnp.array([[4.0]])):
        dgate, dvalue = 4 * v * 3 / 16, 4 * 0.75
        close(dparams["gate"]["kernel"], [[x[0, 0] * dgate]])
        close(dparams["value"]["kernel"], [[x[0, 0] * dvalue]])
        close(dx, [[2 * dgate + 3 * dvalue]])


def test_a_reglu_whose_gate_is_exactly_0_has_slope_0_there():
    one, zero, three = (jnp.array([value]) for value in (1.0, 0.0, 3.0))
    params = {"gate": {"kernel": one[None], "bias": zero}, "value": {"kernel": zero[None], "bias": three}}
    for dparams, dx in both_gradients(fnn.ReGLU(1), params, jnp.array([[0.0], [-0.0]]), jnp.ones((2, 1))):
        assert (dx == 0).all()
        assert dparams["gate"]["bias"] == 0


@each_unit
def test_the_two_maps_of_a_gated_unit_are_initialised_apart(unit: Any):
    layer = unit(4, bias_init=initializers.Normal())
    params, state = layer.init(KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    assert state == {}
    assert params.keys() == {"gate", "value"}
    for part, shape in (("kernel", (3, 4)), ("bias", (4,))):
        assert params["gate"][part].shape == params["value"][part].shape == shape
        assert params["gate"][part].dtype == jnp.float32
        assert (params["gate"][part] != params["value"][part]).all()
    bare, _ = unit(4, use_bias=False).init(KEY, jax.ShapeDtypeStruct((2, 3), jnp.float32))
    assert bare["gate"].keys() == bare["value"].keys() == {"kernel"}


def test_a_gated_unit_caches_its_input_its_kernels_and_both_maps():
    x, params = jnp.asarray(random(3, 4, 3)), kernels(5, 3, 2)
    _, _, cache = fnn.SwiGLU(2).forward(params, {}, x)
    assert {name: leaf.shape for name, leaf in cache.items()} == {
        "x": (4, 3),
        "gate": (4, 2),
        "value": (4, 2),
        "gate_kernel": (3, 2),
        "value_kernel": (3, 2),
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@each_unit
def test_far_gates_are_finite(unit: Any, dtype: str):
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), kernels(5, 1, 1))
    x = jnp.array([[-1e4], [1e4]], dtype)
    y, _ = unit(1).apply(params, {}, x)
    assert y.dtype == dtype
    for dparams, dx in both_gradients(unit(1), params, x, jnp.ones_like(y)):
        assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((y, dparams, dx)))


def test_faults_of_a_gated_unit():
    layer, params, x = fnn.GLU(2), kernels(5, 3, 2), jnp.ones((4, 3))
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
    assert fnn.PRelu().apply(params, {}, x)[0].tolist() == [[-0.5, 3], [2, 8], [-1.5, 2]]
    for dparams, dx in both_gradients(fnn.PRelu(), params, x, dy):
        assert dx.tolist() == [[0.5, 2], [3, -8], [2.5, -12]]
        assert dparams["slope"].tolist() == [-1 * 1 - 3 * 5, -4 * 4 - 1 * 6]


def test_prelu_with_one_slope_is_leaky_relu():
    x, dy = jnp.asarray(random(3, 2, 3, 4)), jnp.asarray(random(4, 2, 3, 4))
    layer = fnn.PRelu(slope_init=initializers.Constant(0.1))
    params, _ = layer.init(KEY, x)
    y, _, cache = fnn.LeakyRelu(0.1).forward({}, {}, x)
    close(layer.apply(params, {}, x)[0], y)
    close(both_gradients(layer, params, x, dy)[0][1], fnn.LeakyRelu(0.1).backward(cache, dy)[1])


def test_trainable_swish_worked_by_hand():
    # βx = log 3 in both samples, so that s = 3/4 and s (1 − s) = 3/16.
    params, x = {"beta": jnp.array([2.0])}, jnp.array([[math.log(3) / 2], [math.log(3) / 2]])
    close(fnn.TrainableSwish().apply(params, {}, x)[0], x * 3 / 4)
    for dparams, dx in both_gradients(fnn.TrainableSwish(), params, x, jnp.array([[4.0], [1.0]])):
        close(dx, [[3 + math.log(3) * 3 / 4], [3 / 4 + math.log(3) * 3 / 16]])
        close(dparams["beta"], [5 * (math.log(3) / 2) ** 2 * 3 / 16])


def test_trainable_swish_is_swish_channel_by_channel():
    x, dy, betas = jnp.asarray(random(3, 4, 3)), jnp.asarray(random(4, 4, 3)), [0.5, 0.0, -2.0]
    layer, params = fnn.TrainableSwish(), {"beta": jnp.array(betas)}
    y, dx = layer.apply(params, {}, x)[0], both_gradients(layer, params, x, dy)[0][1]
    for channel, beta in enumerate(betas):
        alone, _, cache = fnn.Swish(beta).forward({}, {}, x[:, channel])
        close(y[:, channel], alone)
        close(dx[:, channel], fnn.Swish(beta).backward(cache, dy[:, channel])[1])


@pytest.mark.parametrize(("layer", "name", "start"), [(fnn.PRelu(), "slope", 0.25), (fnn.TrainableSwish(), "beta", 1)])
def test_the_start_and_the_faults_of_a_parameter_for_each_channel(layer: Layer, name: str, start: float):
    params, state = layer.init(KEY, jax.ShapeDtypeStruct((2, 5, 3), jnp.bfloat16))
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


@pytest.mark.parametrize("layer", [fnn.PRelu(), fnn.TrainableSwish()], ids=repr)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_parameter_for_each_channel_at_the_ends_of_the_number_line(layer: Layer, dtype: str):
    x = jnp.array([[-INF], [-1e4], [-0.0], [0.0], [1e4], [INF], [NAN]], dtype)
    params, _ = layer.init(KEY, x)
    y, _ = layer.apply(params, {}, x)
    left = -INF if isinstance(layer, fnn.PRelu) else 0
    assert y[0] == left
    assert y[-2] == INF
    assert jnp.isnan(y[:, 0]).tolist() == 6 * [False] + [True]
    for dparams, dx in both_gradients(layer, params, x[:-1], jnp.ones_like(y)[:-1]):
        assert not jnp.isnan(dx).any()
        assert not jnp.isnan(dparams["beta" if isinstance(layer, fnn.TrainableSwish) else "slope"]).any()


@pytest.mark.parametrize("layer", [fnn.PRelu(), fnn.TrainableSwish()], ids=repr)
def test_the_gradient_of_a_parameter_sums_bfloat16_in_float32(layer: Layer):
    x = jnp.full((4096, 1), -1.0, jnp.bfloat16)
    params, _ = layer.init(KEY, x)
    _, _, cache = layer.forward(params, {}, x)
    (total,) = jax.tree.leaves(layer.backward(cache, jnp.ones_like(x))[0])
    (one,) = jax.tree.leaves(layer.backward(jax.tree.map(lambda leaf: leaf[:1], cache), jnp.ones_like(x)[:1])[0])
    np.testing.assert_allclose(float(total[0]), 4096 * float(one[0]), rtol=1e-2)


# ---- maxout


@pytest.mark.parametrize("pieces", [1, 2, 3, 6])
def test_maxout_is_the_largest_of_consecutive_channels(pieces: int):
    x, features = random(3, 2, 4, 6), 6 // pieces
    y = fnn.Maxout(pieces)(jnp.asarray(x))
    assert y.shape == (2, 4, features)
    for n, t, f in np.ndindex(2, 4, features):
        assert y[n, t, f] == max(x[n, t, f * pieces + k] for k in range(pieces))


def test_maxout_sends_each_gradient_to_its_winner():
    x = jnp.array([[1.0, 3.0, -2.0, -5.0], [4.0, 0.0, -7.0, -6.0]])
    dy = jnp.array([[10.0, 20.0], [30.0, 40.0]])
    for dparams, dx in both_gradients(fnn.Maxout(2), {}, x, dy):
        assert dparams == {}
        assert dx.tolist() == [[0, 10, 20, 0], [30, 0, 0, 40]]


def test_a_maxout_of_two_pieces_can_be_the_absolute_value():
    params = {"dense_0": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}}
    x = jnp.array([[-2.0], [0.0], [3.0]])
    assert fnn.Serial(fnn.Dense(2), fnn.Maxout(2)).apply(params, {}, x)[0].tolist() == [[2], [0], [3]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_wins_in_maxout_wherever_it_stands(place: int):
    x = jnp.array([1.0, 5.0, 2.0, 1.0, 2.0, 3.0]).at[place].set(NAN)
    assert jnp.isnan(fnn.Maxout(3)(x)).tolist() == [True, False]
    for _, dx in both_gradients(fnn.Maxout(3), {}, x, jnp.ones(2)):
        assert dx.tolist() == [float(k == place) for k in range(3)] + [0, 0, 1]


def test_infinities_and_the_first_nan_in_maxout():
    x = jnp.array([[-INF, -INF], [INF, INF], [NAN, NAN], [INF, NAN]])
    y = fnn.Maxout(2)(x)
    assert y[:2, 0].tolist() == [-INF, INF]
    assert jnp.isnan(y[2:]).all()
    for _, dx in both_gradients(fnn.Maxout(2), {}, x, jnp.ones((4, 1))):
        assert dx.tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]


def test_maxout_caches_a_byte_an_output():
    _, _, cache = fnn.Maxout(2).forward({}, {}, jnp.ones((3, 4)))
    assert {name: (leaf.dtype, leaf.shape) for name, leaf in cache.items()} == {"winner": (jnp.uint8, (3, 2))}
    for pieces in (256, 300):  # the last winner of 256 is 255, of 300 it is 299
        x = jnp.arange(2.0 * pieces)
        for _, dx in both_gradients(fnn.Maxout(pieces), {}, x, jnp.array([1.0, 2.0])):
            assert dx[pieces - 1 :: pieces].tolist() == [1, 2]
            assert dx.sum() == 3


def test_faults_of_maxout():
    with pytest.raises(ValueError, match="pieces is at least 1, got 0"):
        fnn.Maxout(0)
    with pytest.raises(TypeError, match=r"pieces is an integer, got 2\.0"):
        fnn.Maxout(2.0)  # pyright: ignore[reportArgumentType]
    message = r"pieces=2 does not divide the 5 channels of the input; expected an input \(…, F·pieces\)"
    with pytest.raises(ValueError, match=message):
        fnn.Maxout(2)(jnp.ones((3, 5)))
    with pytest.raises(ValueError, match="pieces=2 does not divide a scalar"):
        fnn.Maxout(2)(jnp.ones(()))
    with pytest.raises(TypeError, match="expected an array of floating dtype, got int64"):
        fnn.Maxout(2)(jnp.ones((3, 4), int))
    with pytest.raises(ValueError, match="pieces=2 does not divide the 5 channels") as raised:
        fnn.Serial(fnn.Dense(5), fnn.Maxout(2)).init(KEY, jnp.ones((3, 4)))
    assert "in maxout_0: Maxout(pieces=2), applied to float64[3,5]" in getattr(raised.value, "__notes__", [])


def test_the_kink_detector_counts_the_ties_of_maxout_and_the_corner_of_prelu():
    x = np.array([[1.0, 1.0, 2.0, 0.0], [0.0, 3.0, 4.0, 4.0]])
    assert KINKED["maxout"](fnn.Maxout(2), x) == (2, 4, "groups of channels have a tie for the maximum")
    assert KINKED["p_relu"](fnn.PRelu(), x)[0] == 2
