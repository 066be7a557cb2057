import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.optim.line_search import LinePoint, strong_wolfe

# Functions of Moré and Thuente's tests and others, all falling at 0, with the smallest scale at which they are tried.
FUNCTIONS = {
    "a parabola": lambda a: (a - 3) ** 2,
    "a far minimum": lambda a: -a / (a * a + 2e3),
    "a flat start": lambda a: (a + 0.004) ** 5 - 2 * (a + 0.004) ** 4,
    "waves": lambda a: (a - 2) ** 2 + 0.3 * jnp.sin(20 * a) - 7 * a,
    "a narrow valley": lambda a: 1e3 * (a - 1e-3) ** 2,
    "a wall": lambda a: -a - 0.1 * jnp.log(0.3 - a),  # NaN from 0.3 on
    "an edge of infinity": lambda a: jnp.exp(100 * a) - 150 * a,
}


@functools.cache
def compiled(function, dtype, max_steps):
    phi = jax.value_and_grad(function)

    def run(curv_rtol):
        zero = jnp.zeros((), dtype)
        start = LinePoint(zero, *phi(zero))
        step, evaluations = strong_wolfe(phi, start, curv_rtol=curv_rtol, max_steps=max_steps)
        return step, evaluations, phi(step), start[1:]

    return jax.jit(run)


def search(function, dtype="float64", curv_rtol=0.9, max_steps=20):
    with jax.enable_x64(dtype == "float64"):
        return jax.device_get(compiled(function, dtype, max_steps)(curv_rtol))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("curv_rtol", [0.9, 0.1, 1e-3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_step_satisfies_both_conditions(name, curv_rtol, dtype):
    if (name, dtype) == ("a flat start", "float32"):
        pytest.skip("the slope at 0 is smaller than that between two neighbouring numbers at the minimum")
    step, evaluations, (value, slope), (start, downhill) = search(
        FUNCTIONS[name], dtype, curv_rtol=curv_rtol, max_steps=40
    )
    noise = 1e-12 if dtype == "float64" else 1e-5
    assert step > 0
    assert value <= start + 1e-4 * step * downhill + noise * abs(start)
    assert abs(slope) <= curv_rtol * abs(downhill) * (1 + noise)
    assert evaluations < 40


def test_a_step_of_one_is_taken_at_once_if_it_will_do():
    assert search(lambda a: (a - 1.2) ** 2)[:2] == (1.0, 1)


def test_uphill_and_level_directions_are_not_followed():
    assert search(lambda a: a)[:2] == (0.0, 0)
    assert search(lambda a: (a - 1) * 0)[:2] == (0.0, 0)


def test_without_enough_steps_the_lowest_that_decreases_is_taken():
    # Doubling: at 4 the value still falls, and 3 evaluations are spent.
    step, evaluations, _, _ = search(lambda a: -a, max_steps=3)
    assert (step, evaluations) == (4.0, 3)
    # Nothing decreases, since the slope lies: no step.
    wrong = LinePoint(jnp.array(0.0), jnp.array(0.0), jnp.array(-1.0))
    step, evaluations = strong_wolfe(lambda a: (a, jnp.ones_like(a)), wrong, max_steps=5)
    assert (float(step), int(evaluations)) == (0.0, 5)


def test_a_nan_everywhere_is_no_step():
    step, evaluations = strong_wolfe(
        lambda a: (a * jnp.nan, a * jnp.nan), LinePoint(jnp.array(0.0), jnp.array(1.0), jnp.array(-1.0)), max_steps=6
    )
    assert (float(step), int(evaluations)) == (0.0, 6)


def test_a_decrease_below_rounding_is_judged_by_the_slope():
    # The value is one unit of rounding too high; that the slope has fallen to a third says that the step is good.
    def phi(a):
        return 1 + jnp.finfo(a.dtype).eps * a, -1e-9 * jnp.ones_like(a)

    start = LinePoint(jnp.array(0.0), jnp.array(1.0), jnp.array(-3e-9))
    step, evaluations = strong_wolfe(phi, start)
    assert (float(step), int(evaluations)) == (1.0, 1)
    higher = start._replace(value=jnp.array(1 - 1e-6))  # more than rounding: not taken
    assert float(strong_wolfe(phi, higher)[0]) == 0


def test_a_step_no_lower_than_the_one_before_ends_the_doubling():
    # 2 decreases enough and still falls steeply, but is higher than 1: a minimum lies between them.
    def phi(a):
        value = jnp.select([a == 1, a == 2, a < 2], [-5.0, -3.0, -6.0], -100.0)
        return value, jnp.where((a == 1) | (a == 2), -2.0, 0.0)

    step, evaluations = strong_wolfe(phi, LinePoint(jnp.array(0.0), jnp.array(0.0), jnp.array(-1.0)))
    assert 1 < float(step) < 2
    assert int(evaluations) == 3


def test_searches_can_be_batched():
    targets = jnp.array([0.5, 1.0, 7.0])

    def one(target):
        phi = jax.value_and_grad(lambda a: (a - target) ** 2)
        return strong_wolfe(phi, LinePoint(jnp.array(0.0), *phi(jnp.array(0.0))), curv_rtol=0.01)[0]

    np.testing.assert_allclose(jax.vmap(one)(targets), targets, rtol=0.01)
