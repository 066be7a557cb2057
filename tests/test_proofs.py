"""The quick proof is a part of the full one, and says what it leaves out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE = "tests/train/test_history.py"


def pytest_says(*arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments, FILE]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300).stdout


def collected(*arguments: str) -> set[str]:
    return set(re.findall(r"^tests/\S+::.*$", pytest_says("--collect-only", *arguments), re.MULTILINE))


@pytest.mark.full
def test_the_quick_proof_is_a_part_of_the_full_one_and_says_what_it_leaves_out():
    quick, full = collected(), collected("-m", "full")
    assert quick < full
    left = len(full - quick)
    line = f"This was the quick proof. Tests left to `pytest -m full -n 2`: {left:,} (train {left})."
    for workers in ("0", "2"):
        assert line in pytest_says("-n", workers)
    assert "Tests left" not in pytest_says("--collect-only", "-k", "history")  # what -k leaves out is nobody's
