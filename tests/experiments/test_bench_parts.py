"""Quick runs of the parts of the bench, with the peers that are installed here."""

import importlib.util
import json

import numpy as np
import pytest

from experiments.__main__ import main
from experiments.bench import experiment
from experiments.bench.measuring import Unequal

# Peers may warn when they are imported; that is theirs to mend.
pytestmark = [pytest.mark.full, pytest.mark.filterwarnings("ignore")]

ROW = {"part", "workload", "peer", "turns", "seconds", "temporary_bytes", "peer_over_fnn"}


def ran(folder, *parts):
    assert main(["bench", "--quick", *parts, "--out", str(folder)]) == 0
    results, report = json.loads((folder / "results.json").read_text()), (folder / "report.md").read_text()
    assert {"machine", "options", "rows"} <= set(results)
    assert {"jax", "XLA_FLAGS", "CPUs", "devices", "flax", "torch", "threads of PyTorch"} <= set(results["machine"])
    keys = {(row["part"], row["workload"], row["peer"]) for row in results["rows"]}
    assert len(keys) == len(results["rows"])  # --against finds a row by these
    for row in results["rows"]:
        assert set(row) == ROW
        time = row["peer_over_fnn"]["time"]
        assert 0 < time["low"] <= time["median"] <= time["high"]
        assert f"| {row['workload']} | {row['peer']} |" in report
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"]({picture.name})" in report
    return results


def peers_here():
    modules = {"Flax": "flax", "Equinox": "equinox", "Haiku": "haiku", "PyTorch": "torch"}
    found = {peer for peer, module in modules.items() if importlib.util.find_spec(module)}
    return found if importlib.util.find_spec("optax") else found & {"PyTorch"}


@pytest.mark.skipif(not peers_here(), reason="no peer is installed")
def test_steps_are_measured_against_the_peers_that_are_there(tmp_path, capsys):
    results = ran(tmp_path / "bench", "--steps", "--json", str(tmp_path / "rows.json"))
    assert {row["peer"] for row in results["rows"]} == peers_here()
    assert json.loads((tmp_path / "rows.json").read_text())["rows"] == results["rows"]
    shown = " ".join(capsys.readouterr().out.split())
    for peer in {"Flax", "Equinox", "Haiku", "PyTorch"} - peers_here():
        assert f"{peer} is left out: there is no module" in shown
    if {"Flax", "PyTorch"} & peers_here():
        words = " ".join(row["workload"] for row in results["rows"])
        assert all(name in words for name in ("Transformer", "Repeat", "Perceptron", "Convolutional", "LSTM"))


def test_norms_and_clipped_gradients_are_those_of_every_example(tmp_path):
    rows = ran(tmp_path / "bench", "--examples")["rows"]
    assert {row["peer"] for row in rows} == {"an ordinary gradient", "jax.vmap of jax.grad"}
    assert len(rows) == 4 * 2 * 2
    perceptron = next(row for row in rows if "Perceptron" in row["workload"] and "vmap" in row["peer"])
    assert perceptron["peer_over_fnn"]["memory"] > 10


def test_every_layer_computes_what_flax_computes(tmp_path):
    pytest.importorskip("flax")
    results = ran(tmp_path / "bench", "--layers")
    assert len(results["rows"]) == 29
    assert "Geometric mean" in (tmp_path / "bench" / "report.md").read_text()


def test_compiling_and_growth(tmp_path):
    pytest.importorskip("flax")
    results = ran(tmp_path / "bench", "--compile", "--growth")
    assert {row["part"] for row in results["rows"]} == {"compile", "growth"}
    assert all(row["turns"] == 3 for row in results["rows"] if row["part"] == "compile")
    for each in results["exponents"]:
        assert set(each["time"]) == set(each["memory"]) == {"fnn", "Flax"}
        assert all(np.isfinite(value) for value in each["time"].values())
    assert (tmp_path / "bench" / "exponents.png").exists()


def test_runs_in_one_program_equal_the_same_runs_alone(tmp_path):
    results = ran(tmp_path / "bench", "--sweep")
    assert results["rows"][0]["peer"] == "3 calls"


def test_unequal_results_end_the_run_with_exit_code_1(tmp_path, monkeypatch, capsys):
    def unequal(settings):
        raise Unequal("Perceptron 8×16: the loss of step 1 of fnn and of Flax differ by 1")

    monkeypatch.setattr(experiment.steps, "measure", unequal)
    assert main(["bench", "--quick", "--steps", "--out", str(tmp_path / "bench")]) == 1
    assert "Perceptron 8×16" in capsys.readouterr().out
