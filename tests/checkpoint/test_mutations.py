"""No mutated file crashes the interpreter, runs code, is accepted for what it is not, or takes memory without bound."""

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NAMES = {
    "flipped", "overwritten", "inserted", "removed", "truncated", "repeated", "exchanged", "other_length",
    "other_digits", "forged_bytes", "forged_data", "forged_length", "forged_entry", "forged_duplicate", "forged_notes",
    "forged_nesting",
}  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux counts it")


@pytest.fixture
def drive(quick_folder):
    """Starts one process that loads files."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), "JAX_PLATFORMS": "cpu"}

    def start(way, *numbers):
        command = [sys.executable, str(HERE / "mutated_files.py"), way, str(quick_folder), *map(str, numbers)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def result_of(process):
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return json.loads(output)


@pytest.mark.parametrize(
    ("workers", "count"),
    [pytest.param(1, 400, marks=pytest.mark.full), pytest.param(2, 50_000, marks=pytest.mark.slow)],
    ids=["few", "all"],
)
def test_every_mutated_file_is_refused_or_gives_the_original_tree(drive, workers, count):
    processes = [drive("files", seed, count) for seed in range(workers)]
    results = [result_of(process) for process in processes]
    outcomes, mutations = collections.Counter(), collections.Counter()
    for result in results:
        outcomes.update(result["outcomes"])
        mutations.update(result["mutations"])
    for name, number in outcomes.most_common():
        print(f"{number:7,} {name}")
    for each in ("bytes beyond", "KiB that the process grew"):
        print(each, [result[each] for result in results])
    faults = [fault for result in results for fault in result["faults"]]
    assert faults == []
    assert sum(outcomes.values()) == sum(mutations.values()) == workers * count
    assert set(mutations) == NAMES
    refused = sum(number for name, number in outcomes.items() if "Error" in name)
    assert outcomes["not altered"] < 0.02 * workers * count
    assert refused > 0.9 * workers * count
    assert outcomes["ValueError: its checksum is right, i"] > 0.3 * workers * count
    # Nothing stays behind from file to file.
    assert max(result["KiB that the process grew"] for result in results) < 32 << 10


@pytest.mark.parametrize(
    "megabytes", [pytest.param(16, marks=pytest.mark.full), pytest.param(64, marks=pytest.mark.slow)]
)
def test_a_large_file_takes_its_size_in_memory_and_a_mutated_one_next_to_nothing(drive, megabytes):
    ratios = result_of(drive("large", megabytes))
    print(ratios)
    assert 0.9 < ratios["load"] < 1.2
    assert 0.9 < ratios["load into JAX"] < 1.2
    others = [ratio for name, ratio in ratios.items() if not name.startswith("load")]
    assert len(others) == 10
    assert max(others) < 0.2
