"""What other modules of these tests have compiled is read."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def read_what_was_compiled(compiled_once: None) -> None:
    pass
