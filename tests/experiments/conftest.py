"""Experiments run as a user runs them: in float32, without the strictness of the other tests."""

import pytest


@pytest.fixture(autouse=True)
def strict_numerics():
    return
