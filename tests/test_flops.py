"""Operations are counted from what JAX traces, as numbers worked by hand say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import fnn
from fnn.flops import flops


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
    "added into rows": (lambda a, i: jnp.zeros((9, 4)).at[i].add(a), (shape(5, 4), shape(5, dtype="int32")), 5 * 4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_count(name: str):
    function, shapes, expected = COUNTS[name]
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        assert flops(function, *shapes) == expected


def of_forward(layer: fnn.Layer, x: jax.ShapeDtypeStruct) -> int:
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
