"""What the hand rules save in memory, as XLA's compiler counts it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn

SHAPE = (64, 28, 28, 32)  # of small arrays XLA keeps none at all
BYTES = 4 * math.prod(SHAPE)


def arguments(layer: fnn.Layer) -> tuple:
    x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    params, state = jax.eval_shape(layer.init, jax.random.key(0), x)
    return params, state, x, x


def temporary(layer: fnn.Layer, *, by_hand: bool) -> int:
    """Bytes that forward and backward need, compiled, beside their arguments and results."""

    def manual(params: Any, state: Any, x: Any, dy: Any) -> Any:
        y, new_state, cache = layer.forward(params, state, x, train=True)
        return y, new_state, layer.backward(cache, dy)

    def automatic(params: Any, state: Any, x: Any, dy: Any) -> Any:
        def apply(params: Any, x: Any) -> Any:
            return layer.apply(params, state, x, train=True)

        y, vjp, new_state = jax.vjp(apply, params, x, has_aux=True)
        return y, new_state, vjp(dy)

    analysis: Any = jax.jit(manual if by_hand else automatic).lower(*arguments(layer)).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def test_the_cache_of_batch_norm_is_its_input_and_one_row_of_each_statistic():
    layer = fnn.BatchNorm()
    params, state, x, _ = arguments(layer)
    _, _, cache = jax.eval_shape(lambda *args: layer.forward(*args, train=True), params, state, x)
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))
    assert kept == BYTES + 3 * 4 * SHAPE[-1]


# Against jax.vjp, in arrays of the size of x.
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
@pytest.mark.parametrize(
    ("layer", "by_hand", "automatic"),
    [(fnn.BatchNorm(), 0.1, 1.8), (fnn.GroupNorm(8), 0.2, 0.9), (fnn.Gelu(), 1.1, 1.9)],
    ids=repr,
)
def test_by_hand_a_layer_needs_less_temporary_memory(layer: fnn.Layer, by_hand: float, automatic: float):
    assert temporary(layer, by_hand=True) <= by_hand * BYTES
    assert temporary(layer, by_hand=False) >= automatic * BYTES


def test_remat_runs_forward_again_behind_a_barrier_that_the_gradient_passes_too():
    """XLA would else merge the two runs, and keep what was to be given up (CPUs' counts of memory do not show it)."""
    x = jnp.ones((2, 3))
    _, _, cache = fnn.Remat(fnn.Tanh()).forward({}, {}, x)
    program = jax.make_jaxpr(fnn.Remat(fnn.Tanh()).backward)(cache, x)
    (barrier,) = (each for each in program.eqns if each.primitive.name == "optimization_barrier")
    assert set(program.jaxpr.invars) == set(barrier.invars)
