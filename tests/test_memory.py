"""What the hand rules save in memory, as XLA's compiler counts it."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn

SHAPE = (64, 28, 28, 32)  # of small arrays XLA keeps none at all
BYTES = 4 * math.prod(SHAPE)


def arguments() -> tuple:
    x = jax.ShapeDtypeStruct(SHAPE, jnp.float32)
    params, state = fnn.BatchNorm().init(jax.random.key(0), x)
    return params, state, x, x


def manual(params: Any, state: Any, x: Any, dy: Any) -> Any:
    y, new_state, cache = fnn.BatchNorm().forward(params, state, x, train=True)
    return y, new_state, fnn.BatchNorm().backward(cache, dy)


def automatic(params: Any, state: Any, x: Any, dy: Any) -> Any:
    def apply(params: Any, x: Any) -> Any:
        return fnn.BatchNorm().apply(params, state, x, train=True)

    y, vjp, new_state = jax.vjp(apply, params, x, has_aux=True)
    return y, new_state, vjp(dy)


def temporary(run: Any) -> int:
    """Bytes that a compiled function needs beside its arguments and results."""
    analysis: Any = jax.jit(run).lower(*arguments()).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def test_the_cache_of_batch_norm_is_its_input_and_one_row_of_each_statistic():
    params, state, x, _ = arguments()
    _, _, cache = jax.eval_shape(lambda *args: fnn.BatchNorm().forward(*args, train=True), params, state, x)
    kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache))
    assert kept == BYTES + 3 * 4 * SHAPE[-1]


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
def test_batch_norm_by_hand_needs_half_the_temporary_memory_of_jax_vjp():
    by_hand, auto = (temporary(run) for run in (manual, automatic))
    assert by_hand <= 1.1 * BYTES
    assert auto >= 1.8 * by_hand


def test_remat_runs_forward_again_behind_a_barrier_that_the_gradient_passes_too():
    """XLA would else merge the two runs, and keep what was to be given up (CPUs' counts of memory do not show it)."""
    x = jnp.ones((2, 3))
    _, _, cache = fnn.Remat(fnn.Tanh()).forward({}, {}, x)
    program = jax.make_jaxpr(fnn.Remat(fnn.Tanh()).backward)(cache, x)
    (barrier,) = (each for each in program.eqns if each.primitive.name == "optimization_barrier")
    assert set(program.jaxpr.invars) == set(barrier.invars)
