"""Operations are counted from what JAX traces, and equal counts worked by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
from fnn.describe.flops import flops


def shape(*sizes: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, dtype)


COUNTS = {
    "a product of matrices": (lambda a, b: a @ b, (shape(3, 4), shape(4, 5)), 2 * 3 * 4 * 5),
    "batched": (lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (shape(2, 3, 4), shape(2, 4, 5)), 2 * 2 * 3 * 4 * 5),
    "elementwise": (lambda a: jnp.tanh(a) * a + a, (shape(7),), 3 * 7),
    "a sum": (lambda a: a.sum(0), (shape(3, 4),), 3 * 4),
    "a print is free": (lambda a: (jax.debug.print("{}", a), a + a)[1], (shape(4),), 4),
    "moving is free": (lambda a: a.T.reshape(2, -1)[:, ::2], (shape(3, 4),), 0),
    "integers are free": (lambda a: a * 2 + 1, (shape(5, dtype="int32"),), 0),
    "a loop counts its body each time": (
        lambda a: lax.scan(lambda c, _: (jnp.sin(c) * 2, None), a, None, length=10)[0],
        (shape(4),),
        10 * 2 * 4,
    ),
    "a choice counts its dearest branch": (
        lambda a: lax.cond(a.sum() > 0, jnp.sin, lambda a: jnp.cos(a) * jnp.exp(a) * 2, a),
        (shape(4),),
        4 + 1 + 4 * 4,
    ),
    "inside jit and checkpoint": (lambda a: jax.jit(jax.checkpoint(jnp.sin))(a), (shape(4),), 4),
    "a custom derivative's value": (lambda a: jax.nn.relu6(a), (shape(4),), 2 * 4),
    "of integers a product of matrices is free too": (lambda a: a @ a.T, (shape(3, 4, dtype="int32"),), 0),
    "what nobody uses is not counted": (
        lambda a: jax.jit(lambda a: (jnp.sin(a) * 2, jnp.cos(a)))(a)[1],
        (shape(4),),
        4,
    ),
    "a reduction by a function": (
        lambda a: lax.reduce(a, np.float32(0), lambda x, y: jnp.sin(x) + y, (0,)),
        (shape(3, 5),),
        15 * 2,
    ),
    # 3 of 5 places of the sum over windows of 2 meet an entry of 3, spread out to 5: (0, ·), (·, 1), (1, ·), (·, 2).
    "windows over an input that is spread out": (
        lambda a: lax.reduce_window(a, np.float32(0), lax.add, (2,), (1,), "VALID", base_dilation=(2,)),
        (shape(3),),
        4,
    ),
    "the search for the winners of a pool": (
        jax.grad(lambda a: lax.reduce_window(a, -np.inf, lax.max, (2,), (2,), "VALID").sum()),
        (shape(6),),
        3 * 2,
    ),
    "a program on every device of a mesh": (
        jax.shard_map(
            jnp.sin,
            mesh=jax.sharding.AbstractMesh((4,), ("a",), axis_types=(jax.sharding.AxisType.Auto,)),
            in_specs=jax.sharding.PartitionSpec("a"),
            out_specs=jax.sharding.PartitionSpec("a"),
        ),
        (shape(8),),
        8,
    ),
    "added into rows": (lambda a, i: jnp.zeros((9, 4)).at[i].add(a), (shape(5, 4), shape(5, dtype="int32")), 5 * 4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_count(name: str):
    function, shapes, expected = COUNTS[name]
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert flops(function, *shapes) == expected


UNKNOWN = {
    "a loop that runs until a condition holds": lambda a: lax.while_loop(lambda a: a.sum() < 9, lambda a: a + 1, a),
    "one in a branch": lambda a: lax.cond(a.sum() > 0, lambda a: jnp.linalg.cholesky(a), jnp.sin, a),
    "a decomposition": lambda a: jnp.linalg.eigh(a)[0],
    "a Fourier transform": lambda a: jnp.fft.fft(a),
    "a callback": lambda a: jax.pure_callback(np.sin, a, a),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_count_that_cannot_be_known_is_nan(name: str):
    assert np.isnan(flops(UNKNOWN[name], shape(4, 4)))


IMAGE = (2, 32, 32, 4)

# A layer, its input, and the products of forward, dkernel and dx: 2 · the pairs of an output and a place of the kernel
# · samples · channels of a group · features. Along a size of 7 with strides 2 and 3 places, padded by 1: 4 outputs of 3
# places are 12 pairs; of the 7 positions of dx the 4 even ones are met by the place 1, the 3 odd ones by 0 and 2: 10.
CONVOLUTIONS = {
    "strides like the kernel": (fnn.Conv(5, 4, strides=4), (2, 8, 3), 2 * 2 * 3 * 5 * np.array([8, 8, 8])),
    "strides below it, a rest": (fnn.Conv(5, (3,), strides=2), (2, 7, 3), 2 * 2 * 3 * 5 * np.array([12, 12, 10])),
    "strides beyond it": (
        fnn.Conv(5, 2, strides=3, padding="VALID"),
        (2, 7, 3),
        2 * 2 * 3 * 5 * np.array([2 * 2, 2 * 2, 3 + 2]),
    ),
    # Of dx every position has all places: what does not meet dy meets its padding.
    "dilation": (
        fnn.Conv(5, 3, dilation=2, padding="VALID"),
        (2, 7, 3),
        2 * 2 * 3 * 5 * np.array([3 * 3, 3 * 3, 7 * 3]),
    ),
    "dilation and strides": (
        fnn.Conv(5, 2, dilation=2, strides=2, padding="VALID"),
        (2, 7, 3),
        2 * 2 * 3 * 5 * np.array([3 * 2, 3 * 2, 4 * 2]),
    ),
    "2-D, patches": (fnn.Conv(5, 4, strides=4), IMAGE, 3 * [81_920]),
    "2-D, groups, strides": (fnn.Conv(6, 3, groups=2, strides=2), (1, 6, 6, 4), 3 * [2 * (4 // 2) * 6 * 9 * 9]),
    "3-D, strides": (fnn.Conv(2, 2, strides=2), (1, 4, 4, 4, 3), 3 * [2 * 3 * 2 * 4**3]),
    "transposed, patches": (fnn.ConvTranspose(5, 4, strides=4), (2, 8, 8, 4), 3 * [81_920]),
    "transposed, strides below the kernel": (
        fnn.ConvTranspose(5, 3, strides=2),
        (2, 4, 3),
        2 * 2 * 3 * 5 * np.array([4 * 2 + 4, 12, 12]),
    ),
    # By places, products and the additions between them, of which there is one less; dkernel is a convolution.
    "depthwise, patches": (
        fnn.DepthwiseConv(4, strides=4),
        IMAGE,
        [2 * 64 * 4 * (16 + 15), 2 * 2 * 64 * 4 * 16, 2 * 32 * 32 * 4],
    ),
    "depthwise, strides below the kernel": (
        fnn.DepthwiseConv(3, strides=2),
        (2, 8, 4),
        [2 * 4 * 4 * (3 + 2), 2 * 2 * 4 * 4 * 3, 2 * 4 * 4 * (2 + 1 + 1)],
    ),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_counts_its_products_forward_and_backward(name: str):
    layer, sizes, expected = CONVOLUTIONS[name]
    layer = dataclasses.replace(layer, use_bias=False)
    params, _ = jax.eval_shape(layer.init, jax.random.key(0), shape(*sizes))
    y, _, cache = jax.eval_shape(lambda params, x: layer.forward(params, {}, x), params, shape(*sizes))
    found = [flops(lambda cache, dy, i=i: jax.tree.leaves(layer.backward(cache, dy)[i]), cache, y) for i in (0, 1)]
    assert [of_forward(layer, shape(*sizes)), *found] == list(expected)


def of_forward(layer: fnn.Layer, x: jax.ShapeDtypeStruct) -> float:
    params, _ = jax.eval_shape(layer.init, jax.random.key(0), x)
    return flops(lambda params, x: layer.apply(params, {}, x)[0], params, x)


def test_a_convolution_in_groups():
    layer = fnn.Conv(6, (3, 2), groups=2, padding="VALID", use_bias=False)
    assert of_forward(layer, shape(2, 5, 5, 4)) == 2 * (2 * 3 * 4 * 6) * (3 * 2 * 4 // 2)


def test_a_repeated_layer_costs_n_times_as_much():
    x = shape(3, 8)
    assert of_forward(fnn.Repeat(fnn.Dense(8), 3), x) == 3 * of_forward(fnn.Dense(8), x)


def test_the_count_of_a_product_is_that_of_xla():
    run = lambda a, b: a @ b  # noqa: E731
    a, b = np.zeros((8, 16), np.float32), np.zeros((16, 4), np.float32)
    assert flops(run, a, b) == jax.jit(run).lower(a, b).cost_analysis().get("flops")  # type: ignore[union-attr]
