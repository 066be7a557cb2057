"""A quick run of the gradients experiment, and that a wrong rule makes it fail."""

import dataclasses
import json
import re

import pytest

import fnn
from experiments.__main__ import main
from experiments.gradients import Gradients
from tests.experiments.studying import cut_short

MODELS = ("mlp", "cnn", "residual")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "gradients"
    assert main(["gradients", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.mark.full
def test_there_is_a_report_and_a_picture_of_every_model(folder):
    assert tuple(Gradients.quickly().models()) == MODELS
    for name in MODELS:
        assert json.loads((folder / f"{name}.json").read_text())["ok"]
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    report = (folder / "report.md").read_text()
    for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", report):
        assert (folder / name).exists()
    assert all(f"{name}.png" in report for name in MODELS)


@pytest.mark.full
def test_all_four_methods_are_compared_to_what_is_claimed(folder):
    for name in MODELS:
        found = json.loads((folder / f"{name}.json").read_text())
        assert set(found["methods"]) == {"manual", "reverse", "forward", "finite"}
        assert found["max_error"] <= 1e-12
        assert found["tolerances"] == {"manual": 1e-12, "forward": 1e-12, "finite": 1e-8}


@pytest.mark.full
def test_a_run_that_was_cut_short_is_not_compared_again_and_fails_as_it_would_have(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(Gradients, "compare", lambda *_: pytest.fail("it has been compared"))
    for ok in (True, False):
        found = json.loads((folder / "results.json").read_text())["figures"]
        left = cut_short(folder, tmp_path / str(ok), cnn=found["cnn"] | {"ok": ok})
        assert main(["gradients", "--resume", str(left)]) == (0 if ok else 1)
        assert (left / "results.json").exists()


def test_the_models_are_what_the_question_is_about():
    models = Gradients().models()
    shown = {name: repr(model) for name, model in models.items()}
    assert "BatchNorm" in shown["cnn"]
    assert "Repeat(Residual" in shown["residual"].replace("inner=", "")
    assert "Dropout" in shown["residual"]
    assert "Dense" in shown["mlp"]


@dataclasses.dataclass(frozen=True)
class WrongTanh(fnn.Tanh):
    """A hyperbolic tangent whose gradient is a thousandth too large."""

    def backward(self, cache, dy):
        dparams, dx = super().backward(cache, dy)
        return dparams, 1.001 * dx


@pytest.mark.full
def test_a_wrong_rule_fails_the_experiment_and_ends_the_command_with_1(tmp_path, monkeypatch, capsys):
    model = fnn.Serial(fnn.Flatten(), fnn.Dense(4), WrongTanh(), fnn.Dense(10))
    monkeypatch.setattr(Gradients, "models", lambda self: {"planted": model})
    assert main(["gradients", "--quick", "--out", str(tmp_path)]) == 1
    assert not json.loads((tmp_path / "planted.json").read_text())["ok"]
    assert "✗" in capsys.readouterr().out
    (claim,) = json.loads((tmp_path / "results.json").read_text())["claims"]
    assert claim["verdict"].endswith("does not hold")
