"""A quick run of the bench: every file, and figures that can be right."""

import json

import pytest

from experiments.__main__ import main

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "bench"
    assert main(["bench", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def results(folder):
    return json.loads((folder / "results.json").read_text())["results"]


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
        assert result["ratio"] > 0
        for method in ("manual", "auto"):
            assert 0 < result[method]["seconds"] < 10


def test_both_ways_do_the_same_work(results):
    for result in results:
        manual, auto = (result[method]["flops"] for method in ("manual", "auto"))
        if manual and auto and "step" in result["name"]:
            assert 0.5 < manual / auto < 2


def test_the_report_has_a_row_a_case_and_the_picture(folder, results):
    report = (folder / "report.md").read_text()
    assert all(f"| {result['name']} |" in report for result in results)
    assert "![Ratios](ratios.png)" in report
    assert "jaxlib" in report
    assert (folder / "ratios.png").read_bytes().startswith(b"\x89PNG")
