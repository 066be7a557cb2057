"""The checkers, tested by planting faults that show on kinks, in narrow dtypes or inside combinators alone."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from fnn.testing import check_layer, check_loss, check_penalty
from fnn.testing.comparison import agree
from fnn.testing.violations import Violations
from tests.planted import ROWS, caught, faulty

SQUARE = ROWS[:3]


def test_a_wrong_slope_on_a_kink_that_the_input_does_not_meet():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return jnp.where(x > 0, x, 0), state, {"x": x}

    def open_at_zero(self: Any, cache: Any, dy: Any) -> Any:
        return {}, jnp.where(cache["x"] < 0, 0, dy)

    layer = faulty(Layer, forward=forward, backward=open_at_zero)()
    message = caught(layer, np.where(abs(ROWS) < 0.1, 0.1, ROWS), "backward on kinks against jax.vjp, dx")
    assert "backward against jax.vjp" not in message


def rough(self: Any, cache: Any, dy: Any) -> Any:
    """The gradient of a dense layer, of an output gradient that was rounded to three digits if it is of float32."""
    rounded = dy.astype(jnp.bfloat16).astype(dy.dtype) * 1.001 / 1.001 if dy.dtype == jnp.float32 else dy
    dparams, dx = fnn.Dense.backward(self, cache, rounded)
    return dparams, (dx.astype(jnp.bfloat16).astype(dx.dtype) if dx.dtype == jnp.float32 else dx)


def test_a_gradient_that_loses_digits_in_float32():
    message = caught(
        faulty(fnn.Dense, backward=rough)(2),
        ROWS,
        "float32, dx: ",
        "units in the last place off by hand",
        dtypes=("float32", "bfloat16"),
    )
    assert "bfloat16" not in message
    check_layer(faulty(fnn.Dense, backward=rough)(2), ROWS, dtypes=("float32",), precision=1e6, finite=False)


def test_a_cache_that_is_kept_elsewhere_is_caught_inside_a_scan():
    hidden = {}

    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        hidden["x"] = x
        return jnp.sin(x), state, {}

    def backward(self: Any, cache: Any, dy: Any) -> Any:
        return {}, jnp.cos(hidden["x"]) * dy

    message = caught(
        faulty(Layer, forward=forward, backward=backward)(), SQUARE, "inside Repeat: raised UnexpectedTracer"
    )
    assert "backward against" not in message


def test_what_is_asked_once_a_class_can_be_left_out():
    hidden = {}

    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        hidden["x"] = x
        return jnp.sin(x), state, {"x": x}

    # Inside Repeat the hidden x is one of a loop that has ended. The slope's own derivative is zero, by stop_gradient.
    def backward(self: Any, cache: Any, dy: Any) -> Any:
        return {}, jnp.cos(jax.lax.stop_gradient(cache["x"])) * dy

    def elsewhere(self: Any, cache: Any, dy: Any) -> Any:
        return {}, jnp.cos(hidden["x"]) * dy

    frozen = faulty(Layer, forward=forward, backward=backward)()
    caught(frozen, SQUARE, "the derivative of backward against that of jax.vjp, dx")
    assert np.isnan(check_layer(frozen, SQUARE, second=False).second)
    lost = faulty(Layer, forward=forward, backward=elsewhere)()
    caught(lost, SQUARE, "inside Repeat: raised UnexpectedTracer")
    check_layer(lost, SQUARE, inside=False, finite=False, dtypes=())


def test_a_loss_is_asked_on_its_kinks_and_in_narrow_dtypes():
    target = ROWS[:, 0]
    prediction = target + np.array([0.01, -0.8, 0.7, 0.9, -0.6])  # the first is one of the target's multiples of ½

    def left(self: Any, cache: Any, dterms: Any) -> Any:
        return jnp.where(cache["difference"] >= 0, 1.0, -1.0).astype(cache["difference"].dtype) * dterms

    with pytest.raises(AssertionError) as raised:
        check_loss(faulty(fnn.MeanAbsoluteError, terms_backward=left)(), prediction, target, finite=False)
    assert "backward on kinks against jax.vjp, dprediction" in str(raised.value)
    assert "backward against" not in str(raised.value)


def test_an_input_that_is_a_random_key_is_fine_under_vmap():
    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return x[0] * 2, state, {}

    layer = faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, (2 * dy, None)))()
    check_layer(layer, (SQUARE, jax.random.split(jax.random.key(0), 3)), per_example=False)


def test_a_loss_whose_plain_gradient_loses_digits():
    def rough(self: Any, cache: Any, dvalue: Any = 1.0) -> Any:
        gradient = fnn.MeanSquaredError.backward(self, cache, dvalue)
        plain = jnp.ndim(cache["share"]) == 0 and gradient.dtype == jnp.float32
        return gradient.astype(jnp.bfloat16).astype(gradient.dtype) if plain else gradient

    with pytest.raises(AssertionError, match=r"float32, dprediction: .* units in the last place off by hand"):
        check_loss(faulty(fnn.MeanSquaredError, backward=rough)(), ROWS, ROWS + 1.3)


def test_a_penalty_that_is_not_finite_on_a_kink_is_no_fault():
    @dataclasses.dataclass(frozen=True)
    class Root(fnn.L2):
        def value(self, w: Any) -> Any:
            return self.strength * jnp.sqrt(w).sum()

        def slope(self, w: Any) -> Any:
            return self.strength / (2 * jnp.sqrt(w))

    check_penalty(Root(0.1), {"kernel": np.array([0.1, 2.0, 3.0])})


def test_a_layer_that_gives_something_else_the_second_time():
    calls = itertools.count()

    def forward(self: Any, params: Any, state: Any, x: Any, **options: Any) -> Any:
        return x + 1e-14 * next(calls), state, {}

    layer = faulty(Layer, forward=forward, backward=lambda self, cache, dy: ({}, dy))()
    caught(layer, ROWS, "a round trip a second time: expected the same bits, y differ")


def test_an_oracle_that_is_infinite_proves_nothing():
    found = Violations("")
    agree(found, "gradient", {"x": np.ones(2)}, {"x": np.array([np.inf, 1.0])}, 1e-12)
    assert found.lines == ["gradient: expected finite numbers to compare with, got a norm of inf"]
