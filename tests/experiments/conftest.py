"""Experiments run as users run them: in float32, without the strict settings of the other tests."""

import pytest

from tests.experiments.studying import Finished, finished


@pytest.fixture(autouse=True)
def strict_numerics():
    return


@pytest.fixture(scope="module")
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A quick run of the experiment that the module is named after."""
    name = request.path.stem.removeprefix("test_")
    return finished(name, tmp_path_factory.mktemp("runs") / name)
