"""The forward computations against references that are not this library: numbers worked by hand, NumPy loops,
``jax.lax``, ``jax.nn`` and SciPy."""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
import scipy.special
import scipy.stats
from jax import lax

import fnn
from fnn.layer import Layer
from tests import compiled
from tests.comparing import close, same

KEY = jax.random.key(0)


def run(layer: Layer, x: Any, params: Any = None, state: Any = None, **options: Any) -> np.ndarray:
    """The output for NumPy inputs."""
    return np.asarray(compiled.apply(layer, params or {}, state or {}, x, **options)[0])


# ---- dense, convolution, pools


def test_dense(random: Any):
    x, kernel, bias = random(2, 3, 4), random(4, 5), random(5)
    expected = np.zeros((2, 3, 5))
    for n, t, f in itertools.product(range(2), range(3), range(5)):
        expected[n, t, f] = bias[f] + sum(x[n, t, d] * kernel[d, f] for d in range(4))
    close(run(fnn.Dense(5), x, {"kernel": kernel, "bias": bias}), expected)


def windows(sizes: Any, kernel: Any, strides: Any, dilation: Any, pads: Any) -> tuple[tuple[int, ...], Any]:
    """The output sizes, and a function from an output place to its ``(kernel place, input place)`` inside the image."""
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = tuple((s + sum(p) - e) // t + 1 for s, p, e, t in zip(sizes, pads, extents, strides, strict=True))

    def places(o: tuple) -> Any:
        for k in itertools.product(*map(range, kernel)):
            i = tuple(o[a] * strides[a] + k[a] * dilation[a] - pads[a][0] for a in range(len(k)))
            if all(0 <= i[a] < sizes[a] for a in range(len(k))):
                yield k, i

    return out, places


CONVOLUTIONS = {
    # name: (sizes, channels, features, kernel, strides, dilation, groups, padding as given, pads as they must be)
    "same": ((5,), 2, 3, (3,), (1,), (1,), 1, "SAME", ((1, 1),)),
    "same, the odd element at the end": ((6,), 2, 3, (3,), (2,), (1,), 1, "SAME", ((0, 1),)),
    "same, even kernel": ((5, 4), 1, 2, (2, 4), (1, 1), (1, 1), 1, "SAME", ((0, 1), (1, 2))),
    "same, dilated": ((7,), 1, 2, (3,), (1,), (2,), 1, "SAME", ((2, 2),)),
    "valid, strides with a rest": ((8,), 2, 2, (3,), (2,), (1,), 1, "VALID", ((0, 0),)),
    "causal": ((5,), 2, 2, (3,), (1,), (2,), 1, "CAUSAL", ((4, 0),)),
    "an integer": ((4, 5), 2, 2, (3, 3), (2, 1), (1, 1), 1, 1, ((1, 1), (1, 1))),
    "pairs": ((4, 3), 2, 4, (2, 2), (1, 2), (2, 1), 2, ((1, 0), (0, 2)), ((1, 0), (0, 2))),
    "3-D, groups": ((2, 3, 2), 4, 4, (2, 2, 1), (1, 1, 1), (1, 1, 1), 4, "VALID", ((0, 0),) * 3),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution_is_the_sum_in_its_docstring(name: str, random: Any):
    sizes, channels, features, kernel, strides, dilation, groups, padding, pads = CONVOLUTIONS[name]
    x, bias = random(2, *sizes, channels), random(features)
    w = random(*kernel, channels // groups, features)
    out, places = windows(sizes, kernel, strides, dilation, pads)
    expected = np.zeros((2, *out, features))
    for n, f, o in itertools.product(range(2), range(features), itertools.product(*map(range, out))):
        first = f // (features // groups) * (channels // groups)
        block = slice(first, first + channels // groups)
        expected[n, *o, f] = bias[f] + sum(x[n, *i, block] @ w[*k, :, f] for k, i in places(o))
    layer = fnn.Conv(features, kernel, strides=strides, dilation=dilation, groups=groups, padding=padding)
    close(run(layer, x, {"kernel": w, "bias": bias}), expected)


@pytest.mark.parametrize(("strides", "padding"), [((1, 1), "SAME"), ((2, 3), "SAME"), ((2, 1), "VALID")])
def test_convolution_is_that_of_lax(strides: Any, padding: Any, random: Any):
    x, w = random(2, 7, 6, 3), random(3, 2, 3, 4)
    expected = lax.conv_general_dilated(
        jnp.asarray(x), jnp.asarray(w), strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    close(run(fnn.Conv(4, (3, 2), strides=strides, padding=padding, use_bias=False), x, {"kernel": w}), expected)


def test_convolution_is_the_correlation_of_scipy(random: Any):
    x, w = random(1, 6, 5, 1), random(3, 2, 1, 1)
    expected = scipy.signal.correlate2d(x[0, :, :, 0], w[:, :, 0, 0], mode="valid")
    got = run(fnn.Conv(1, (3, 2), padding="VALID", use_bias=False), x, {"kernel": w})
    close(got[0, :, :, 0], expected)


POOLS = {
    # name: (sizes, window, strides, padding as given, pads as they must be)
    "strides default to the window": ((5, 6), (2, 3), None, "VALID", ((0, 0), (0, 0))),
    "overlapping": ((6,), (3,), (1,), "VALID", ((0, 0),)),
    "same": ((5, 4), (3, 2), (2, 1), "SAME", ((1, 1), (0, 1))),
    "pairs": ((4,), (3,), (2,), ((1, 2),), ((1, 2),)),
    "causal": ((4,), (3,), (1,), "CAUSAL", ((2, 0),)),
}


@pytest.mark.parametrize("name", POOLS)
def test_pools_are_the_maximum_and_the_mean_of_what_is_inside_the_image(name: str, random: Any):
    sizes, window, strides, padding, pads = POOLS[name]
    x = random(2, *sizes, 3)
    out, places = windows(sizes, window, strides or window, (1,) * len(window), pads)
    highest, mean = np.zeros((2, *out, 3)), np.zeros((2, *out, 3))
    for n, o in itertools.product(range(2), itertools.product(*map(range, out))):
        inside = np.array([x[n, *i] for _, i in places(o)])
        highest[n, *o], mean[n, *o] = inside.max(0), inside.mean(0)
    close(run(fnn.MaxPool(window, strides=strides, padding=padding), x), highest)
    close(run(fnn.AvgPool(window, strides=strides, padding=padding), x), mean)


def test_global_avg_pool(random: Any):
    x = random(2, 3, 4, 5)
    close(run(fnn.GlobalAvgPool(), x), x.reshape(2, 12, 5).mean(1))


# ---- normalisation


def batch_norm_state(features: int) -> dict[str, Any]:
    return {"mean": np.zeros(features), "var": np.ones(features), "count": np.int32(0)}


def test_batch_norm_worked_by_hand():
    layer, x = fnn.BatchNorm(epsilon=0.0, decay=0.75), np.array([[1.0], [3.0], [5.0], [7.0]])
    params = {"scale": jnp.array([2.0]), "bias": jnp.array([10.0])}
    state = {"mean": jnp.array([8.0]), "var": jnp.array([1.0]), "count": jnp.array(4, jnp.int32)}
    y, new = compiled.apply(layer, params, state, jnp.asarray(x), train=True)
    # μ = 4 and σ² = (9 + 1 + 1 + 9)/4 = 5, the biased variance.
    close(y, 10 + 2 * (x - 4) / np.sqrt(5))
    close(new["mean"], np.array([0.75 * 8 + 0.25 * 4]))
    close(new["var"], np.array([0.75 * 1 + 0.25 * 5]))
    assert new["count"] == 5
    y, unmoved = compiled.apply(layer, params, state, x)
    close(y, 10 + 2 * (x - 8) / 1)
    same(unmoved, state)


def test_batch_norm_of_a_large_mean_keeps_its_variance(random: Any):
    x = np.float32(4096) + np.float32(0.01) * np.float32(random(512, 1))
    with jax.enable_x64(False):
        params, state = compiled.init(fnn.BatchNorm(), KEY, jnp.asarray(x))
        _, state = compiled.apply(fnn.BatchNorm(decay=0.0), params, state, jnp.asarray(x), train=True)
    exact = np.var(x.astype(np.float64))
    np.testing.assert_allclose(state["var"], [exact], rtol=1e-2)


def test_batch_norm_over_a_mapped_axis_is_that_of_the_whole_batch(random: Any):
    x, dy, params, state = random(6, 3), random(6, 3), {"scale": random(3), "bias": random(3)}, batch_norm_state(3)

    def both(layer: Layer, x: Any, dy: Any) -> Any:
        y, new, cache = layer.forward(params, state, x, train=True)
        return y, new, *layer.backward(cache, dy)

    y, new, dparams, dx = jax.jit(partial(both, fnn.BatchNorm()))(x, dy)
    halves = (leaf.reshape(2, 3, 3) for leaf in (x, dy))
    mapped = jax.jit(jax.vmap(partial(both, fnn.BatchNorm(axis_name="data")), axis_name="data"))(*halves)
    close(mapped[0].reshape(6, 3), y)
    close(mapped[3].reshape(6, 3), dx)
    for name, leaf in dparams.items():
        close(mapped[2][name].sum(0), leaf)
    for name, leaf in new.items():
        close(mapped[1][name], np.stack([leaf, leaf]))


def test_layer_norm_is_that_of_a_loop(random: Any):
    x, scale, bias = random(3, 2, 5), random(5), random(5)
    expected = np.zeros_like(x)
    for n, t in np.ndindex(3, 2):
        row = x[n, t]
        expected[n, t] = scale * (row - row.mean()) / np.sqrt(((row - row.mean()) ** 2).mean() + 1e-3) + bias
    close(run(fnn.LayerNorm(epsilon=1e-3), x, {"scale": scale, "bias": bias}), expected)


# ---- noise, shapes, indices


def test_dropout_keeps_the_fraction_and_the_mean():
    y = run(fnn.Dropout(0.3), np.ones((200, 200)), train=True, key=KEY)
    assert set(np.round(np.unique(y), 12)) == {0.0, round(1 / 0.7, 12)}
    # 40000 draws: the standard deviation of the fraction is 0.0023.
    assert abs((y == 0).mean() - 0.3) < 0.012
    assert (run(fnn.Dropout(0.3), np.ones((4, 5))) == 1).all()


def test_dropout_draws_the_mask_it_documents():
    mask = jax.random.bernoulli(KEY, np.float32(0.7), (4, 5))
    assert ((run(fnn.Dropout(0.3), np.ones((4, 5)), train=True, key=KEY) != 0) == np.asarray(mask)).all()


def test_shapes(random: Any):
    x = random(2, 3, 4)
    assert (run(fnn.Flatten(), x) == x.reshape(2, 12)).all()
    assert (run(fnn.Reshape((4, -1)), x) == x.reshape(2, 4, 3)).all()


def test_embedding(random: Any):
    table, x = random(5, 3), np.array([[0, 4], [2, 2]])
    assert (run(fnn.Embedding(5, 3), x, {"embedding": table}) == table[x]).all()


# ---- activations

GRID = np.concatenate([np.linspace(-30, 30, 121), [0.0, 1e-8, -1e-8]])
ACTIVATIONS = {
    "relu": (fnn.Relu(), jax.nn.relu),
    "leaky relu": (fnn.LeakyRelu(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "sigmoid": (fnn.Sigmoid(), scipy.special.expit),
    "tanh": (fnn.Tanh(), np.tanh),
    "gelu": (fnn.Gelu(), lambda x: x * scipy.stats.norm.cdf(x)),
    "gelu, approximate": (fnn.Gelu(approximate=True), lambda x: jax.nn.gelu(x, approximate=True)),
    "swish": (fnn.Swish(beta=1.5), lambda x: x * scipy.special.expit(1.5 * x)),
    "silu": (fnn.Silu(), jax.nn.silu),
    "softmax": (fnn.Softmax(), lambda x: scipy.special.softmax(x, axis=-1)),
    "softmax along the first axis": (fnn.Softmax(axis=0), lambda x: scipy.special.softmax(x, axis=0)),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str):
    layer, reference = ACTIVATIONS[name]
    x = GRID.reshape(4, 31)
    np.testing.assert_allclose(run(layer, x), reference(x), rtol=1e-10, atol=1e-14)
    same(jax.jit(layer)(x), run(layer, x))  # type: ignore[arg-type]


def test_the_exact_gelu_is_not_the_approximate_one():
    assert 1e-4 < abs(run(fnn.Gelu(), np.ones(1)) - run(fnn.Gelu(approximate=True), np.ones(1))) < 1e-3


def test_activations_are_finite_at_the_ends_of_float32():
    ends = np.array([-3e38, -1e4, 1e4, 3e38], np.float32)
    for layer in (fnn.Sigmoid(), fnn.Tanh(), fnn.Relu(), fnn.Gelu(), fnn.Silu(), fnn.Softmax()):
        y, (_, dx), _ = compiled.gradients(layer, {}, {}, ends, np.ones_like(ends))
        assert np.isfinite(y).all(), layer
        assert np.isfinite(dx).all(), layer


# ---- combinators


def test_the_combinators_by_hand():
    x = np.array([[-1.0, 2.0]])
    tanh, relu = np.tanh(x), np.maximum(x, 0)
    close(run(fnn.Serial(fnn.Relu(), fnn.Tanh()), x), np.tanh(relu))
    close(run(fnn.Residual(fnn.Tanh()), x), x + tanh)
    close(run(fnn.Residual(fnn.Tanh(), fnn.Relu()), x), relu + tanh)
    close(run(fnn.Parallel(fnn.Relu(), fnn.Tanh()), x), relu + tanh)
    close(run(fnn.Parallel(fnn.Relu(), fnn.Tanh(), merge="multiply"), x), relu * tanh)
    close(run(fnn.Parallel(fnn.Relu(), fnn.Tanh(), merge="concatenate"), x), np.concatenate([relu, tanh], -1))
    close(run(fnn.Repeat(fnn.Tanh(), 3), x), np.tanh(np.tanh(tanh)))
    close(run(fnn.Remat(fnn.Tanh()), x), tanh)
    close(run(fnn.with_manual_vjp(fnn.Tanh()), x), tanh)


def test_a_zero_in_one_branch_of_a_product_is_no_division_by_zero():
    model, x = fnn.Parallel(fnn.Relu(), fnn.Tanh(), merge="multiply"), jnp.array([[-1.0, 0.0, 2.0]])
    _, (_, dx), _ = compiled.gradients(model, {}, {}, x, np.ones((1, 3)))
    close(dx, np.array([[0, 0, np.tanh(2) + 2 * (1 - np.tanh(2) ** 2)]]))


def test_the_hand_rule_is_what_jax_grad_sees_in_with_manual_vjp(random: Any):
    calls = []

    class Watched(fnn.Tanh):
        def backward(self, cache: Any, dy: Any) -> Any:
            calls.append(dy.shape)
            return super().backward(cache, dy)

    x = random(2, 3)
    gradient = jax.jit(jax.grad(lambda x: fnn.with_manual_vjp(Watched()).apply({}, {}, x)[0].sum()))(x)
    assert calls == [(2, 3)]
    close(gradient, 1 - np.tanh(np.asarray(x)) ** 2)
