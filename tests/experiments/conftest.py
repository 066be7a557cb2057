"""Experiments run as users run them: in float32, without the strict settings of the other tests."""

import pytest


@pytest.fixture(autouse=True)
def strict_numerics():
    return
