"""No bad input passes in silence: eagerly or under jit, and also where Python leaves assertions out."""

import ast
from pathlib import Path

import pytest

from tests.bad_input.matrix import TABLE, matrix

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[str]]:
    return matrix()


def test_every_bad_input_is_an_error_with_its_message_or_is_flagged(outcomes: dict[str, list[str]]):
    for name, each in outcomes.items():
        print(f"{name:44} {each[0][:70]:70} {each[1][:70]}")
    bad = {name: each for name, each in outcomes.items() if not all(map(good, each))}
    assert not bad


def good(outcome: str) -> bool:
    return outcome.startswith("error: ") or outcome in ("flagged", "—")


def test_there_are_forty_and_more_each_looked_at_eagerly(outcomes: dict[str, list[str]]):
    assert len({bad.name for bad in TABLE}) == len(TABLE) == len(outcomes) >= 40
    assert "—" not in [eager for eager, _ in outcomes.values()]


def test_nothing_depends_on_whether_python_leaves_assertions_out():
    """Under ``python -O`` all is as without it: no error is an assertion, and no code asks for ``__debug__``."""
    for file in sorted((ROOT / "fnn").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            assert not isinstance(node, ast.Assert), f"{file}:{node.lineno} asserts"
            assert not (isinstance(node, ast.Name) and node.id == "__debug__"), f"{file}:{node.lineno}"
