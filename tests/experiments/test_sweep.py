"""A quick run of the sweep: every file is written, and the files agree."""

import csv
import json

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.sweep import Sweep, whole_batches
from tests.experiments.studying import cut_short

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "sweep"
    assert main(["sweep", "--quick", "--out", str(folder)]) == 0
    return folder


def test_every_file_is_there_and_no_other(folder):
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "accuracy.png", "learning_rate.png", "report.md", "results.json", "runs.csv",
    }  # fmt: skip
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_there_is_a_row_for_each_run(folder):
    quick = Sweep.quickly()
    rows = list(csv.DictReader((folder / "runs.csv").read_text().splitlines()))
    assert len(rows) == quick.rates * len(quick.momenta) * quick.seeds
    assert {float(row["momentum"]) for row in rows} == set(quick.momenta)
    assert all(float(row["validation_loss"]) > 0 for row in rows if row["diverged"] == "False")


def test_both_layouts_are_measured_and_the_right_one_is_chosen(folder):
    layouts = json.loads((folder / "results.json").read_text())["figures"]["layouts"]
    assert [each["chosen"] for each in layouts] == ["vmap", "map"]
    assert all(0 < each[method] < 30 for each in layouts for method in ("vmap", "map"))


def test_the_report_shows_the_table_and_the_pictures(folder):
    report = (folder / "report.md").read_text()
    for words in ("| learning\\_rate |", "(learning_rate.png)", "(accuracy.png)", "perceptron", "jaxlib"):
        assert words in report


def test_a_run_that_was_cut_short_after_measuring_is_not_measured_again(folder, tmp_path, monkeypatch):
    left = cut_short(folder, tmp_path / "left")
    monkeypatch.setattr(Sweep, "measure_in", lambda *_: pytest.fail("it has been measured"))
    assert main(["sweep", "--resume", str(left)]) == 0
    assert {path.name for path in left.iterdir()} == {path.name for path in folder.iterdir()}


def test_samples_that_do_not_fill_a_batch_are_left_out():
    samples = np.arange(13), np.arange(13)
    assert [len(each) for each in whole_batches(samples, 4)] == [12, 12]
    assert [len(each) for each in whole_batches(samples, 20)] == [13, 13]


def test_the_rules_of_its_claims_can_say_no(folder):
    figures = json.loads((folder / "results.json").read_text())["figures"]

    def verdicts(rates, ratios, chosen):
        combinations = [
            {"momentum": momentum, "learning_rate": rate, "loss": loss, "accuracy": 0.5}
            for momentum, best in zip((0.0, 0.9), rates, strict=True)
            for rate, loss in ((best, 0.1), (10 * best, 0.2), (100 * best, None))
        ]
        names = ("perceptron", "convolutional network")
        layouts = [
            {"model": name, "map_over_vmap": ratio, "chosen": each}
            for name, ratio, each in zip(names, ratios, chosen, strict=True)
        ]
        return [each.verdict for each in Sweep().claims(figures | {"combinations": combinations, "layouts": layouts})]

    assert verdicts((1.0, 0.1), (1.25, 0.4), ("vmap", "map")) == ["holds"] * 3
    assert verdicts((0.1, 0.1), (0.9, 0.4), ("map", "map")) == ["does not hold", "does not hold", "holds"]
    assert verdicts((1.0, 0.1), (1.25, 0.4), ("map", "map"))[2] == "does not hold"
