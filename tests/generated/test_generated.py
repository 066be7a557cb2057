"""Random models: some in every run, always the same; thousands more by ``pytest -m generated``, always others."""

import dataclasses
import random
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings

import fnn
from tests.generated.grammar import Case, cases
from tests.generated.property import Record, check

pytestmark = pytest.mark.usefixtures("strict_numerics")

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
MODELS, BATCHES = 5000, 20
COMMON = settings(
    deadline=None,
    print_blob=True,
    database=None,
    suppress_health_check=SLOW,
    derandomize=True,
)


@pytest.mark.full
def test_the_gradient_of_two_hundred_random_models_is_the_automatic_one():
    @settings(COMMON, max_examples=200)
    @given(cases())
    def run(case: Case) -> None:
        check(case)

    run()


@pytest.mark.generated
@pytest.mark.parametrize("batch", range(BATCHES))
def test_thousands_of_random_models(batch: int, record_property: Callable[[str, object], None]):
    number, record = random.SystemRandom().randrange(2**32), Record()

    @seed(number)
    @settings(COMMON, max_examples=MODELS // BATCHES, derandomize=False)
    @given(cases())
    def run(case: Case) -> None:
        check(case, record)

    print(f"@seed({number}) draws these models again")  # pytest shows it where one fails
    try:
        run()
    finally:
        record_property("record", dataclasses.asdict(record))
        jax.clear_caches()  # or thousands of compiled programs fill the memory


@pytest.mark.full
def test_a_planted_fault_is_found_and_shrinks(monkeypatch: pytest.MonkeyPatch):
    original = fnn.Dense.backward

    def without_bias(layer: fnn.Dense, cache: Any, dy: Any) -> Any:
        dparams, dx = original(layer, cache, dy)
        return {name: 1.01 * leaf if name == "bias" else leaf for name, leaf in dparams.items()}, dx

    monkeypatch.setattr(fnn.Dense, "backward", without_bias)
    small = find(cases(3), _fails, settings=settings(COMMON, max_examples=60, phases=[Phase.generate, Phase.shrink]))
    assert "Dense" in repr(small.model)
    assert repr(small.model).count("(") <= 6, small


@pytest.mark.full
def test_a_nan_is_not_taken_for_rounding(monkeypatch: pytest.MonkeyPatch):
    original = fnn.Dense.backward

    def with_nan(layer: fnn.Dense, cache: Any, dy: Any) -> Any:
        dparams, dx = original(layer, cache, dy)
        return {name: leaf.at[0].set(jnp.nan) for name, leaf in dparams.items()}, dx

    monkeypatch.setattr(fnn.Dense, "backward", with_nan)
    with pytest.raises(AssertionError, match="relative error nan"):
        check(Case(fnn.Dense(2), (2, 3), seed=0, train=True))


NORMALISED = (fnn.LayerNorm(epsilon=0.01), fnn.BatchNorm(epsilon=0.01, use_scale=False, use_bias=False))
NOISY = fnn.Serial(fnn.Serial(fnn.Serial(fnn.GaussianNoise(0.3), *NORMALISED)), fnn.LayerNorm(epsilon=0.01))
"""On this model, compiled as the tests compile, a gradient of ``jax.vjp`` meets noise that is rounded otherwise."""


@pytest.mark.full
def test_noise_that_a_program_rounds_in_two_ways_is_no_fault():
    check(Case(NOISY, (2, 3, 2, 4), seed=0, train=True))


@pytest.mark.full
def test_a_small_fault_is_not_taken_for_such_noise(monkeypatch: pytest.MonkeyPatch):
    original = fnn.LayerNorm.backward

    def off_by_a_little(layer: fnn.LayerNorm, cache: Any, dy: Any) -> Any:
        dparams, dx = original(layer, cache, dy)
        return dparams, (1 + 1e-9) * dx

    monkeypatch.setattr(fnn.LayerNorm, "backward", off_by_a_little)
    with pytest.raises(AssertionError, match=r"backward against jax\.vjp"):
        check(Case(NOISY, (2, 3, 2, 4), seed=0, train=True))


STEEP = fnn.Repeat(fnn.Parallel(fnn.Tanh(), fnn.Identity(), NORMALISED[1], merge="multiply"), 7)
"""Its output grows with the 128th power of its input, and beside tanh reverse mode of JAX 0.9 is absorbed."""


@pytest.mark.full
def test_a_gradient_that_reverse_mode_loses_is_held_to_forward_mode(monkeypatch: pytest.MonkeyPatch):
    check(Case(STEEP, (2, 2, 2, 2), seed=0, train=False))
    original = fnn.Tanh.backward
    monkeypatch.setattr(fnn.Tanh, "backward", lambda layer, cache, dy: ({}, (1 + 1e-9) * original(layer, cache, dy)[1]))
    with pytest.raises(AssertionError, match=r"backward against jax\.vjp"):
        check(Case(STEEP, (2, 2, 2, 2), seed=0, train=False))


def _fails(case: Case) -> bool:
    try:
        check(case, compiled=False)
    except AssertionError:
        return True
    return False
