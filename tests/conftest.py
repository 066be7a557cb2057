"""The numerics of the tests in this folder: float64, no silent promotion of dtypes, none of ranks.

The folders below run at JAX's own settings, as programs do, and ask for these by name where they want them:
``pytest.mark.usefixtures("strict_numerics")``.
"""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest


@pytest.fixture
def strict_numerics() -> Iterator[None]:
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture(scope="module")
def quick_compilation() -> Iterator[None]:
    """XLA without its costly passes, for tests that compile much and whose numbers do not depend on them."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _strict_here(request: pytest.FixtureRequest) -> None:
    if request.path.parent == Path(__file__).parent:
        request.getfixturevalue("strict_numerics")
