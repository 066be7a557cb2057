import math
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn import optim

STEPS = [0, 1, 3, 4, 5, 9, 13, 14, 15, 1000, 2**31 - 1]


def test_constant_is_constant():
    assert [float(optim.constant(0.25)(step)) for step in STEPS] == [0.25] * len(STEPS)


def test_cosine_follows_its_formula():
    schedule = optim.cosine(0.8, 14, final=0.2)
    for step in STEPS:
        expected = 0.2 + 0.6 * (1 + math.cos(math.pi * min(step, 14) / 14)) / 2
        np.testing.assert_allclose(schedule(step), expected, rtol=1e-6)
    assert (schedule(0), schedule(14)) == (np.float32(0.8), np.float32(0.2))


def test_warmup_cosine_by_hand():
    schedule = optim.warmup_cosine(1.0, 4, 10, final=0.5)
    expected = [0, 0.25, 0.5, 0.75, 1.0, 0.25 * math.cos(math.pi / 6) + 0.75, 0.875, 0.75, 0.625]
    np.testing.assert_allclose([float(schedule(step)) for step in range(9)], expected, rtol=1e-6)
    assert float(schedule(10)) == float(schedule(99)) == 0.5


def test_no_warmup_begins_at_the_peak():
    assert float(optim.warmup_cosine(0.5, 0, 10)(0)) == 0.5


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optim.cosine(0.3, 14), optax.cosine_decay_schedule(0.3, 14)),
        (optim.cosine(0.3, 14, 0.06), optax.cosine_decay_schedule(0.3, 14, 0.2)),
        (optim.warmup_cosine(0.3, 4, 14), optax.warmup_cosine_decay_schedule(0.0, 0.3, 4, 14)),
        (optim.exponential(0.3, 0.5, 7), optax.exponential_decay(0.3, 7, 0.5)),
        (optim.step_decay(0.3, 0.5, 4), optax.exponential_decay(0.3, 4, 0.5, staircase=True)),
        (optim.polynomial(0.3, 10, 0.1), optax.linear_schedule(0.3, 0.1, 10)),
        (optim.polynomial(0.3, 10, 0.1, 3), optax.polynomial_schedule(0.3, 0.1, 3, 10)),
        (optim.piecewise((0.4, 0.2, 0.6), (4, 9)), optax.piecewise_constant_schedule(0.4, {4: 0.5, 9: 3.0})),
        (optim.one_cycle(0.3, 14), optax.cosine_onecycle_schedule(14, 0.3)),
        (
            optim.one_cycle(0.3, 14, 0.5, 10.0, 100.0),
            optax.cosine_onecycle_schedule(14, 0.3, 0.5, div_factor=10.0, final_div_factor=100.0),
        ),
        (
            optim.join((optim.polynomial(0.0, 4, 0.3), optim.cosine(0.3, 9)), (4,)),
            optax.join_schedules([optax.linear_schedule(0.0, 0.3, 4), optax.cosine_decay_schedule(0.3, 9)], [4]),
        ),
        (
            optim.warm_restarts(0.3, 5, 0.1),
            lambda step: optax.cosine_decay_schedule(0.3, 5, 1 / 3)(step % 5),
        ),
        (
            optim.warmup_stable_decay(0.3, 3, 5, 14, 0.1),
            optax.join_schedules(
                [optax.linear_schedule(0.0, 0.3, 3), optax.constant_schedule(0.3), optax.linear_schedule(0.3, 0.1, 5)],
                [3, 9],
            ),
        ),
        (optim.warmup_cosine(0.3, 4, 14, 0.1), optax.warmup_cosine_decay_schedule(0.0, 0.3, 4, 14, 0.1)),
    ],
)
def test_schedules_agree_with_optax(ours, theirs):
    with jax.enable_x64(True):
        found, expected = (jax.jit(jax.vmap(schedule))(np.array(STEPS[:-1])) for schedule in (ours, theirs))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)


# Every schedule at its first step, at and around its boundaries, at its last and far beyond: by hand.
BY_HAND = [
    (optim.constant(0.5), {0: 0.5, 10**6: 0.5}),
    (optim.cosine(1.0, 4, 0.5), {0: 1.0, 2: 0.75, 4: 0.5, 5: 0.5, 10**6: 0.5}),
    (optim.cosine(1.0, 1), {0: 1.0, 1: 0.0, 2: 0.0}),
    (optim.step_decay(1.0, 0.5, 3), {0: 1.0, 2: 1.0, 3: 0.5, 5: 0.5, 6: 0.25, 300: 0.5**100}),
    (optim.exponential(1.0, 0.25, 2), {0: 1.0, 1: 0.5, 2: 0.25, 4: 0.0625}),
    (optim.polynomial(1.0, 4, 0.5), {0: 1.0, 1: 0.875, 3: 0.625, 4: 0.5, 5: 0.5, 10**6: 0.5}),
    (optim.piecewise((1.0, 0.5), (3,)), {0: 1.0, 2: 1.0, 3: 0.5, 10**6: 0.5}),
    (
        optim.join((optim.polynomial(0.0, 4, 1.0), optim.cosine(1.0, 2)), (4,)),
        {0: 0.0, 3: 0.75, 4: 1.0, 5: 0.5, 6: 0.0, 9: 0.0},
    ),
    (optim.warmup_cosine(1.0, 0, 4), {0: 1.0, 2: 0.5, 4: 0.0, 5: 0.0}),
    (optim.warmup_cosine(1.0, 3, 4), {0: 0.0, 1: 1 / 3, 2: 2 / 3, 3: 1.0, 4: 0.0, 5: 0.0}),
    (optim.inverse_sqrt(1.0, 1), {0: 0.0, 1: 1.0, 4: 0.5, 10**6: 1e-3}),
    (optim.inverse_sqrt(1.0, 4), {0: 0.0, 3: 0.75, 4: 1.0, 16: 0.5}),
    (optim.warmup_stable_decay(1.0, 0, 4, 4), {0: 1.0, 1: 0.75, 4: 0.0, 5: 0.0}),
    (optim.warmup_stable_decay(1.0, 2, 2, 4), {0: 0.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 0.0, 9: 0.0}),
    (optim.warmup_stable_decay(1.0, 2, 1, 6, 0.5), {2: 1.0, 4: 1.0, 5: 1.0, 6: 0.5, 7: 0.5}),
    (optim.warm_restarts(1.0, 2), {0: 1.0, 1: 0.5, 2: 1.0, 3: 0.5, 4: 1.0}),
    (optim.warm_restarts(1.0, 1), {0: 1.0, 1: 1.0, 7: 1.0}),
    (optim.warm_restarts(1.0, 2, 0.5, 2), {0: 1.0, 1: 0.75, 2: 1.0, 4: 0.75, 6: 1.0, 10: 0.75, 14: 1.0}),
    (optim.one_cycle(1.0, 2, 0.5, 2.0, 2.0), {0: 0.5, 1: 1.0, 2: 0.25, 3: 0.25, 10**6: 0.25}),
    (optim.one_cycle(1.0, 4, 0.5, 2.0, 2.0), {0: 0.5, 1: 0.75, 2: 1.0, 3: 0.625, 4: 0.25, 9: 0.25}),
    (optim.one_cycle(1.0, 4, 0.25, 2.0), {0: 0.5, 1: 1.0, 4: 0.5e-4}),
]


@pytest.mark.parametrize(("schedule", "expected"), BY_HAND, ids=lambda each: repr(each) if callable(each) else "")
def test_first_last_and_boundary_steps_by_hand(schedule, expected):
    found = schedule(jnp.array(list(expected)))
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("steps", [7, 10, 100, 1000])
def test_a_fraction_of_steps_is_rounded_and_the_peak_stands_there(steps):
    # 0.57 of 100 are 56.99999999999999 in floating point: the peak stood at step 56.
    for percent in range(1, 100):
        exact = percent * steps / 100
        nearest = round(exact)
        if 0 < nearest < steps:
            schedule = optim.one_cycle(1.0, steps, warmup_fraction=percent / 100)
            assert schedule._warm_up == nearest
    assert int(np.argmax(jax.vmap(optim.one_cycle(1.0, 100, 0.57))(np.arange(101)))) == 57


def test_inverse_sqrt_by_hand():
    schedule = optim.inverse_sqrt(0.5, 4)
    assert [float(schedule(step)) for step in (0, 1, 2, 4, 16, 64)] == [0, 0.125, 0.25, 0.5, 0.25, 0.125]


def test_restarts_of_growing_cycles():
    # Cycles of 3, 9, 27 … steps, so restarts at 3, 12, 39; half-way through the second at 7.5.
    schedule = optim.warm_restarts(1.0, 3, factor=3)
    assert [float(schedule(step)) for step in (0, 3, 12, 39)] == [1, 1, 1, 1]
    np.testing.assert_allclose(schedule(6), 0.5 * (1 + math.cos(math.pi / 3)), rtol=1e-6)
    assert float(schedule(2)) < 0.3
    assert 0 <= float(schedule(2**31 - 1)) <= 1


@pytest.mark.parametrize("factor", [1, 2, 3, 7])
@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "float32"])
def test_warm_restarts_are_exact_at_steps_of_any_dtype(factor, dtype):
    first, factor = cast(int, np.int32(5)), cast(int, np.int32(factor))
    schedule = optim.warm_restarts(1.0, first, factor=factor)
    steps = np.arange(127)
    expected, start, length = np.zeros(127), 0, 5
    while start < 127:
        inside = (start <= steps) & (steps < start + length)
        expected[inside] = 0.5 * (1 + np.cos(np.pi * (steps[inside] - start) / length))
        start, length = start + length, length * factor
    np.testing.assert_allclose(jax.jit(schedule)(steps.astype(dtype)), expected, atol=1e-6)


def test_warm_restarts_at_the_ends_of_the_integers():
    with jax.enable_x64(True):  # the cycle of 2 ** 33 steps has just begun
        assert optim.warm_restarts(1.0, 1, factor=2)(jnp.asarray(2**33 + 12345)) > 0.999999
    assert 0 <= optim.warm_restarts(1.0, 1, factor=2)(2**31 - 1) <= 1
    assert optim.warm_restarts(1.0, 2**31)(5) > 0.999999
    assert optim.warm_restarts(1.0, 4, factor=10**400)(4) == 1


def test_no_warm_up_begins_at_the_plateau():
    schedule = optim.warmup_stable_decay(0.5, 0, 4, 8)
    assert [float(schedule(step)) for step in (0, 4, 6, 8, 99)] == [0.5, 0.5, 0.25, 0, 0]


@pytest.mark.full
@pytest.mark.parametrize(
    "schedule",
    [
        optim.constant(0.5),
        optim.cosine(0.5, 9),
        optim.warmup_cosine(0.5, 3, 9),
        optim.step_decay(0.5, 0.5, 3),
        optim.exponential(0.5, 0.5, 3),
        optim.polynomial(0.5, 9),
        optim.piecewise((0.5, 0.25), (4,)),
        optim.inverse_sqrt(0.5, 3),
        optim.warmup_stable_decay(0.5, 2, 3, 9),
        optim.warm_restarts(0.5, 2, factor=2),
        optim.one_cycle(0.5, 9),
        optim.join((optim.constant(0.5), optim.cosine(0.5, 4)), (5,)),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_a_schedule_is_a_value_and_takes_any_step(schedule):
    assert hash(schedule) == hash(type(schedule)(**vars(schedule)))
    assert schedule == type(schedule)(**vars(schedule))
    assert repr(schedule).startswith(f"{type(schedule).__name__}(")
    eager = [float(schedule(step)) for step in range(12)]
    with jax.numpy_dtype_promotion("strict"):
        np.testing.assert_allclose(jax.jit(schedule)(jnp.arange(12)), eager, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(jax.vmap(schedule)(jnp.arange(12)), eager, rtol=1e-6, atol=1e-8)
        value = jax.jit(schedule)(3)
    assert (value.dtype, value.shape, value.weak_type) == (jnp.float32, (), False)


def test_the_values_of_a_schedule_can_be_swept():
    def last(peak):
        optimizer = optim.sgd(optim.warmup_cosine(peak, 2, 8, final=peak / 2))
        opt_state = optimizer.init(jnp.zeros(()))
        for _ in range(3):
            updates, opt_state = optimizer.update(jnp.ones(()), opt_state)
        return updates

    np.testing.assert_allclose(jax.vmap(last)(jnp.array([0.5, 1.0])), [-0.5, -1.0])


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="value is a finite number of at least 0, got -1"):
        optim.constant(-1)
    with pytest.raises(TypeError, match="value is a number or a scalar array, got 'x'"):
        optim.constant("x")
    with pytest.raises(ValueError, match=r"init is a finite number of at least 0, got -0.1"):
        optim.cosine(-0.1, 10)
    with pytest.raises(ValueError, match=r"final is a finite number of at least 0, got -0.1"):
        optim.cosine(0.1, 10, -0.1)
    with pytest.raises(ValueError, match="steps is at least 1, got 0"):
        optim.cosine(0.1, 0)
    with pytest.raises(TypeError, match=r"steps is an integer, got 10.0"):
        optim.cosine(0.1, 10.0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="peak is a finite number of at least 0, got nan"):
        optim.warmup_cosine(float("nan"), 1, 10)
    with pytest.raises(ValueError, match="0 <= warmup_steps < steps, got warmup_steps=10 and steps=10"):
        optim.warmup_cosine(0.1, 10, 10)
    with pytest.raises(ValueError, match="got warmup_steps=-1 and steps=10; steps counts the whole run"):
        optim.warmup_cosine(0.1, -1, 10)
    with pytest.raises(TypeError, match=r"warmup_steps is an integer, got 0.5"):
        optim.warmup_cosine(0.1, 0.5, 10)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="final is a finite number"):
        optim.warmup_cosine(0.1, 1, 10, -1.0)
    with pytest.raises(ValueError, match="every is at least 1, got 0"):
        optim.step_decay(0.1, 0.5, 0)
    with pytest.raises(ValueError, match="rate is a finite number of at least 0, got -1"):
        optim.exponential(0.1, -1, 10)
    with pytest.raises(ValueError, match="power is a finite number of at least 0"):
        optim.polynomial(0.1, 10, power=-1)
    with pytest.raises(ValueError, match=r"2 pieces have 1 boundaries, growing from above 0, got \(5, 3\)"):
        optim.piecewise((0.1, 0.2), (5, 3))
    with pytest.raises(ValueError, match=r"3 pieces have 2 boundaries, growing from above 0, got \(5, 3\)"):
        optim.join((optim.constant(0.1),) * 3, (5, 3))
    with pytest.raises(TypeError, match=r"join takes schedules, functions of the step, got 0.1"):
        optim.join((0.1, optim.constant(0.1)), (5,))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="warmup_steps is at least 1, got 0"):
        optim.inverse_sqrt(0.1, 0)
    with pytest.raises(ValueError, match="warmup_steps \\+ decay_steps <= steps, got 6 \\+ 6 in a run of 10 steps"):
        optim.warmup_stable_decay(0.1, 6, 6, 10)
    with pytest.raises(ValueError, match="warmup_fraction leaves at least one step before the peak"):
        optim.one_cycle(0.1, 10, warmup_fraction=0.01)
    with pytest.raises(ValueError, match="warmup_fraction leaves at least one step before the peak and one after it"):
        optim.one_cycle(0.1, 10, warmup_fraction=0.99)
    for share in (0.0, 1.0, -0.5, float("nan")):
        with pytest.raises(ValueError, match=r"warmup_fraction is a number in \(0, 1\), got"):
            optim.one_cycle(0.1, 10, warmup_fraction=share)
    with pytest.raises(TypeError, match=r"warmup_fraction is a number, got '0\.3'; it is part of the program"):
        optim.one_cycle(0.1, 10, warmup_fraction="0.3")  # pyright: ignore[reportArgumentType]
    for make in (optim.warm_restarts, optim.polynomial, optim.cosine):
        with pytest.raises(ValueError, match="steps is at least 1, got -3"):
            make(0.1, -3)
    with pytest.raises(ValueError, match="factor is at least 1, got 0"):
        optim.warm_restarts(0.1, 10, factor=0)
