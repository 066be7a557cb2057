"""A quick run of the bench: every file, and plausible figures."""

import json
import re

import pytest

from experiments.__main__ import main
from experiments.bench.rules import row
from experiments.in_turn import against

# Of the experiments, the quick proof runs that on digits.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "bench"
    assert main(["bench", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def results(folder):
    return json.loads((folder / "results.json").read_text())["results"]


@pytest.mark.full
def test_whole_steps_and_single_layers_are_measured_both_ways(results):
    names = " ".join(result["name"] for result in results)
    for words in (
        "digits network, a step",
        "perceptron, a step",
        "in a loop",
        "Conv",
        "Dense",
        "BatchNorm",
        "LayerNorm",
    ):
        assert words in names
    for result in results:
        assert result["auto_over_manual"] > 0
        for method in ("manual", "auto"):
            assert 0 < result[method]["seconds"] < 10


@pytest.mark.full
def test_both_ways_do_the_same_work(results):
    for result in results:
        manual, auto = (result[method]["flops"] for method in ("manual", "auto"))
        if manual and auto and "step" in result["name"]:
            assert 0.5 < manual / auto < 2


@pytest.mark.full
def test_the_report_has_a_row_for_each_case_and_the_picture(folder, results):
    report = (folder / "report.md").read_text()
    assert all(f"| {result['name']} |" in report for result in results)
    assert "![Ratios](ratios.png)" in report
    for line in report.splitlines():
        if re.match(r"\| .* \| \d", line):
            assert re.search(r"\d(×| %) (less|more) \||the same \|", line), f"a figure without its better side: {line}"
    assert "jaxlib" in report
    assert (folder / "ratios.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (1.136, 1.0, "14 % more"),
        (0.88, 1.0, "12 % less"),
        (1.0, 0.88, "14 % more"),
        (1.0, 22.4, "22× less"),
        (2.0, 1.0, "2.0× more"),
        (1.0, 1.004, "the same"),
        (3.0, 3.0, "the same"),
    ],
)
def test_a_figure_is_told_by_its_better_side(ours, theirs, words):
    assert against(ours, theirs) == words


def test_a_row_says_less_where_by_hand_is_faster_and_more_where_it_needs_more_memory():
    """Printed as a ratio, a memory of 0.88 read as a saving and was 14 % more."""
    manual = {"seconds": 0.1, "temporary_bytes": 1_140_000}
    auto = {"seconds": 0.2, "temporary_bytes": 1_000_000}
    shown = row({"name": "a step", "manual": manual, "auto": auto, "auto_over_manual": 1.25})
    assert shown == ("a step", "100.00", "200.00", "20 % less", "1.14", "1.00", "14 % more")
