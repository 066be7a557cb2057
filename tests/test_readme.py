"""The code in the README runs as printed, and its commands are the ones that CI uses."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_six_examples():
    assert len(EXAMPLES) == 6


# The first three and the last go on where the one before ends.
@pytest.mark.full
@pytest.mark.parametrize(
    "example",
    ["".join([*EXAMPLES[:3], EXAMPLES[5]]), EXAMPLES[3], EXAMPLES[4]],
    ids=["runs", "from a model to its use", "a layer"],
)
def test_an_example_runs_as_printed(example, tmp_path):
    # In a process of its own: users do not run under this suite's strict settings.
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    path = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_first_example_has_about_twenty_lines():
    lines = [line for line in EXAMPLES[0].splitlines() if line.strip()]
    assert len(lines) <= 20


def test_each_command_is_one_line():
    commands = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert [command.count("\n") for command in commands] == [1, 1]
    assert commands[0].rstrip().endswith("-m experiments digits")
    assert " -m pytest" in commands[1]
