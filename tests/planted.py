"""Faults planted in a layer, and the message of the checker that catches them."""

import dataclasses
from typing import Any

import pytest

from fnn.layer import Layer
from fnn.testing import check_layer
from tests.drawing import drawn

ROWS = drawn("five rows", 5, 3)


def caught(layer: Layer, x: Any, *lines: str, **options: Any) -> str:
    """The message of ``check_layer``, which must fail and say each of these lines' parts."""
    with pytest.raises(AssertionError) as raised:
        check_layer(layer, x, **{"finite": False, "dtypes": ()} | options)
    message = str(raised.value)
    for line in lines:
        assert line in message
    return message


def faulty(base: type, **methods: Any) -> type:
    """A subclass with these methods, as a frozen dataclass."""
    return dataclasses.dataclass(frozen=True)(type("Faulty", (base,), methods))
