"""A quick run of the digits experiment: every file is written, and the files agree."""

import contextlib
import io
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments import digits_plots, digits_report
from experiments.__main__ import main
from experiments.claims import verdict
from experiments.data import load_digits
from experiments.digits import Digits
from tests.experiments.studying import cut_short

pytestmark = pytest.mark.full

FILES = {
    "config.json", "results.json", "metrics.jsonl", "report.md", "checkpoint.safetensors",
    "learning_curves.png", "confusion_matrix.png", "misclassified.png",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a quick run and what it printed."""
    folder, printed = tmp_path_factory.mktemp("runs") / "digits", io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["digits", "--quick", "--out", str(folder)]) == 0
    return folder, printed.getvalue()


@pytest.fixture
def folder(finished):
    return finished[0]


@pytest.fixture
def metadata(folder):
    return fnn.read_metadata(folder / "checkpoint.safetensors")


def test_every_file_is_there_and_no_other(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_options_in_the_folder_make_the_same_experiment(folder):
    options = json.loads((folder / "config.json").read_text())
    assert options["experiment"] == "digits"
    assert options["out"] == str(folder)
    assert Digits.again(folder / "config.json") == Digits.quickly()


def test_metrics_have_one_row_for_each_seed_and_epoch(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    quick = Digits.quickly()
    assert [(row["seed"], row["epoch"]) for row in rows] == [
        (seed, epoch + 1) for seed in range(quick.seeds) for epoch in range(quick.epochs)
    ]
    for row in rows:
        assert row.keys() == {"seed", "epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"}
        assert all(np.isfinite(value) for value in row.values())
    assert rows[quick.epochs - 1]["loss"] < 0.8 * rows[0]["loss"]


def test_even_a_quick_run_learns_to_read(metadata):
    assert metadata["test_accuracy"] > 0.7


def test_the_checkpoint_reproduces_the_accuracies_reported(folder, metadata):
    model, digits = Digits.quickly().model(), load_digits()
    params, state = jax.eval_shape(model.init, jax.random.key(0), digits.test.images)
    network = fnn.load(folder / "checkpoint.safetensors", like={"params": params, "state": state})
    for part, name in ((digits.validation, "validation_accuracy"), (digits.test, "test_accuracy")):
        outputs, _ = model.apply(network["params"], network["state"], jnp.asarray(part.images))
        assert np.mean(np.asarray(outputs).argmax(-1) == part.labels) == pytest.approx(metadata[name])


def test_the_saved_seed_is_the_one_that_validates_best(folder, metadata):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = {row["seed"]: row["validation_accuracy"] for row in rows}
    assert last[metadata["seed"]] == pytest.approx(max(last.values()))
    assert metadata["validation_accuracy"] == pytest.approx(max(last.values()))


def test_the_report_states_the_split_the_results_and_shows_every_picture(folder, metadata):
    report = (folder / "report.md").read_text()
    assert load_digits().checksum in report
    assert f"{100 * metadata['test_accuracy']:.2f}" in report
    for words in ("1293", "144", "360", "jaxlib", "CPUs"):
        assert words in report
    embedded = re.findall(r"!\[[^]]+\]\(([^)]+)\)", report)
    assert sorted(embedded) == sorted(name for name in FILES if name.endswith(".png"))


def test_the_terminal_shows_the_same_accuracies_and_where_the_files_are(finished, metadata):
    folder, printed = finished
    assert f"{100 * metadata['test_accuracy']:.2f}" in printed
    assert str(folder) in printed.splitlines()[-1]


def test_the_rules_of_its_claims_can_say_no(folder):
    figures = json.loads((folder / "results.json").read_text())["figures"]
    for accuracies, words in (([0.98, 0.995], "does not hold"), ([0.99, 0.991], "holds")):
        changed = figures | {"accuracy": {"test": accuracies}}
        assert verdict(Digits().claims(changed), "reads 99 %") == words
    assert verdict(Digits().claims(figures | {"train_seconds": 80.0, "compile_seconds": 9.0}), "90 seconds") == "holds"
    slow = figures | {"train_seconds": 80.0, "compile_seconds": 10.5}
    assert verdict(Digits().claims(slow), "90 seconds") == "does not hold"


def test_the_snippet_of_the_report_runs_and_gives_the_accuracy_reported(folder, metadata, monkeypatch):
    report, printed = (folder / "report.md").read_text(), io.StringIO()
    (snippet,) = re.findall(r"```python\n(.*?)```", report, re.DOTALL)
    monkeypatch.chdir(folder)
    with contextlib.redirect_stdout(printed):
        exec(compile(snippet, "report.md", "exec"), {})
    accuracy = float(re.findall(r"\d\.\d+", printed.getvalue())[0])
    assert accuracy == pytest.approx(metadata["test_accuracy"], abs=1e-6)


def test_a_run_that_was_cut_short_after_training_is_only_drawn(folder, tmp_path, monkeypatch):
    left = cut_short(folder, tmp_path / "left")
    (left / "confusion_matrix.png").unlink()
    monkeypatch.setattr(Digits, "measure_in", lambda *_: pytest.fail("it has been measured"))
    assert main(["digits", "--resume", str(left)]) == 0
    assert {path.name for path in left.iterdir()} == FILES
    one, other = (json.loads((each / "results.json").read_text()) for each in (folder, left))
    assert (one["figures"], one["claims"]) == (other["figures"], other["claims"])


def test_a_mistake_shows_the_most_common_wrong_answer():
    labels = np.array([3, 5, 7])
    probabilities = np.full((3, 3, 10), 0.01)
    for network, guesses in enumerate([(3, 6, 1), (3, 6, 7), (3, 5, 7)]):
        for place, guess in enumerate(guesses):
            probabilities[network, place, guess] = 0.5 + 0.1 * network
    found = digits_report.mistakes(labels, probabilities)
    assert [(m.place, m.label, m.predicted, m.wrong) for m in found] == [(1, 5, 6, 2), (2, 7, 1, 1)]
    assert [m.confidence for m in found] == pytest.approx([0.55, 0.5])


def test_pictures_work_without_misread_digits_and_for_a_single_epoch(tmp_path):
    labels = np.arange(10)
    digits_plots.misread(tmp_path / "none.png", np.zeros((10, 8, 8, 1)), [], networks=1)
    digits_plots.confusion(tmp_path / "perfect.png", labels[None], labels)
    names = ("loss", "accuracy", "validation_loss", "validation_accuracy")
    digits_plots.learning_curves(tmp_path / "short.png", {name: np.ones((1, 1)) for name in names})
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_no_networks_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Digits(seeds=0)


def test_too_few_networks_end_the_command_with_2(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["digits", "--seeds", "0"])
    assert stopped.value.code == 2
