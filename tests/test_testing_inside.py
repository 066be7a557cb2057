"""The checkers, tested by planting faults that show on kinks, in narrow dtypes or inside combinators alone."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import Layer
from fnn.testing import check_layer, check_loss
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


def test_a_cache_that_is_kept_elsewhere_does_not_live_inside_a_scan():
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


def test_a_state_that_decides_about_the_gradient_is_that_of_each_repetition():
    def backward(self: Any, cache: Any, dy: Any) -> Any:
        dparams, dx = fnn.BatchNorm.backward(self, cache, dy)
        return dparams, (dx if cache["train"].value else dx * 1.001)

    caught(faulty(fnn.BatchNorm, backward=backward)(), SQUARE, "train=False: inside Repeat against jax.vjp, dx")


def test_a_loss_is_asked_on_its_kinks_and_in_narrow_dtypes():
    target = ROWS[:, 0]
    prediction = target + np.array([0.01, -0.8, 0.7, 0.9, -0.6])  # the first is one of the target's multiples of ½

    def left(self: Any, cache: Any, dterms: Any) -> Any:
        return jnp.where(cache["difference"] >= 0, 1.0, -1.0).astype(cache["difference"].dtype) * dterms

    with pytest.raises(AssertionError) as raised:
        check_loss(faulty(fnn.MeanAbsoluteError, terms_backward=left)(), prediction, target, finite=False)
    assert "backward on kinks against jax.vjp, dprediction" in str(raised.value)
    assert "backward against" not in str(raised.value)
