"""What notebooks show is well-formed HTML, says what the text does, and lets no name through unescaped."""

import builtins
import dataclasses
import xml.etree.ElementTree as ET
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.sweep.table import SweepTable
from fnn.train.history import History
from fnn.train.result import TrainResult
from tests.describe.test_fitting import REPORT, SUMMARY

MODEL = fnn.Serial(
    first=fnn.Dense(8), body=fnn.Repeat(fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.Gelu())), 3), none=fnn.Serial()
)
HISTORY = History({"loss": np.array([1.25, 0.5]), "validation_loss": np.array([1.5, 0.75])})
RESULT = TrainResult({"kernel": np.ones((2, 3))}, {}, (), HISTORY, 2)
ROW = {"rate": 0.1, "seed": 0, "loss": 1.0, "best_loss": 1.0, "diverged": True, "reason": "a<b", "epochs_run": 1}
SWEEP = SweepTable("loss", "final", False, ("rate",), (ROW,), ())


def parsed(html: str) -> ET.Element:
    return ET.fromstring(f"<div>{html}</div>")


def texts(subject: Any) -> list[str]:
    return [text for text in parsed(subject._repr_html_()).itertext() if text.strip()]


def test_a_summary_is_a_table_with_its_totals():
    found = texts(SUMMARY)
    assert found[:3] == ["path", "layer", "output"]
    assert "FLOPs forward" in found
    for row in SUMMARY.rows:
        assert row.output in found
    assert f"{SUMMARY.parameters:,}" in found


def test_a_report_begins_with_its_verdict():
    found = texts(REPORT)
    assert found[0] == f"✓ {REPORT.verdict}"
    for row in REPORT.rows:
        assert row.name in found
    assert any(text.startswith("Tolerance on") for text in found)


def test_a_sweep_table_is_escaped():
    table = dataclasses.replace(SWEEP, combinations=SWEEP._ranked())
    assert "a<b" in texts(table)
    assert "a&lt;b" in table._repr_html_()


def test_a_model_is_a_nested_list():
    root = parsed(MODEL._repr_html_())
    names = [element.text for element in root.iter("b")]
    assert names == ["first", "body", "layer_norm_0", "gelu_0", "none"]
    calls = [element.text for element in root.iter("code")]
    assert calls == [
        "Serial",
        "Dense(features=8)",
        "Repeat ×3",
        "Residual",
        "Serial",
        "LayerNorm()",
        "Gelu()",
        "Serial()",
    ]
    assert fnn.Dense(3)._repr_html_() == "<div><code>Dense(features=3)</code></div>"


def test_a_result_shows_its_curves_as_a_picture():
    pytest.importorskip("matplotlib")
    root = parsed(RESULT._repr_html_())
    picture = root.find("img")
    assert picture is not None
    assert picture.get("src", "").startswith("data:image/png;base64,iVBOR")
    assert picture.get("alt") == "learning curves: loss"


def test_a_result_shows_its_table_without_matplotlib(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "* the lowest validation loss" in "".join(texts(RESULT))
    empty = RESULT._replace(history=History({}))
    assert "matplotlib" not in empty._repr_html_()
    assert texts(empty)[0].startswith("TrainResult(")


def test_several_runs_say_so():
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), RESULT, RESULT, RESULT)
    assert (
        repr(stacked)
        == "TrainResult(3 runs stacked, epochs_run=2, history of loss, validation_loss, 6 parameters each)"
    )
    early = stacked._replace(epochs_run=np.array([1, 2, 2]))
    assert "3 runs stacked, epochs_run=1 to 2," in repr(early)
    assert repr(RESULT) == "TrainResult(epochs_run=2, history of loss, validation_loss, 6 parameters)"
    grid = jax.tree.map(lambda leaf: np.stack([leaf, leaf]), stacked)
    assert "2×3 runs stacked" in repr(grid)
    seen = []
    jax.eval_shape(lambda result: seen.append(repr(result)), stacked)
    assert seen == ["TrainResult(3 runs stacked, history of loss, validation_loss, 6 parameters each)"]
