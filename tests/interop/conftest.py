"""Float64 for tests of other libraries, which do not hold to strict promotion."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield
