"""Random numbers for tests: they depend on a name alone, so that a test draws the same by itself and in any order."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest


def generator(name: str) -> np.random.Generator:
    """A generator of a name's own."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def drawn(name: str, *shape: int) -> np.ndarray:
    """Standard normal numbers, always the same for a name: for data that stand outside of tests."""
    return generator(name).standard_normal(shape)


@pytest.fixture
def draw(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator of the test's own."""
    return generator(request.node.name)


@pytest.fixture
def random(draw: np.random.Generator) -> Callable[..., np.ndarray]:
    """``random(*shape)``: standard normal numbers of the test's own, others at every call."""
    return lambda *shape: draw.standard_normal(shape)
