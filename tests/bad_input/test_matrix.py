"""No bad input passes in silence: eagerly, under jit, or where Python leaves assertions out."""

import json
import subprocess
import sys
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


def test_without_assertions_everything_is_as_with_them(outcomes: dict[str, list[str]]):
    command = [sys.executable, "-O", "-m", "tests.bad_input.matrix", "--json"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == outcomes
