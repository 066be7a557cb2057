"""Reports print on streams in ASCII or cp1252 too, and are unchanged on others."""

import dataclasses
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import pytest
import rich

import fnn
from fnn.describe.rendering import encodable, printable, spell_on
from fnn.gradients.report import GradientReport
from fnn.gradients.rows import Comparison, Row
from fnn.platform.doctor import Probe, Report
from fnn.sweep.table import SweepTable

ROOT = Path(__file__).parents[2]

SPELLED = {
    "signs": ("2×3 · a−b – c — … ≈ ≠ ≤ ≥", "2x3 * a-b - c - ... ~ != <= >="),
    "verdicts": ("✓ ✗ → ‖g − r‖", "ok X -> ||g - r||"),
    "Greek letters by their names": ("α Δ δ Σ µ λ", "alpha d d sigma u lambda"),
    "letters without their accents": ("naïve Zürich", "naive Zurich"),
    "lines of tables": ("┌─┬━┐│├┼╇", "+-+-+|+++"),
    "anything else": ("漢🙂", "??"),
    "ASCII": ("x -> y", "x -> y"),
}


@pytest.mark.parametrize("name", SPELLED)
def test_characters_that_an_encoding_lacks_are_spelled(name: str):
    text, expected = SPELLED[name]
    assert encodable(text, "ascii") == expected
    assert encodable(text, "utf-8") == encodable(text, None) == encodable(text, "no encoding") == text


def test_characters_that_an_encoding_has_stay():
    assert encodable("naïve 2×3 – ✓", "cp1252") == "naïve 2×3 – ok"


WRONG = Comparison("manual", "FAIL", 1.0, 0.5, 1e-3, 0.9, (1,), 2.0, 3.0, 1.0, note="it is 2 × the rest")
REPORT = GradientReport(
    rows=(Row("parameter", "kernel", (2, 3), "hand", 1.0, False, (WRONG,)),),
    methods=("manual", "reverse"),
    reference="reverse",
    dtype="float64",
    train=True,
    value=1.0,
    tolerances={"manual": 1e-12},
)
ROWS = ({"rate": 0.1, "seed": 0, "loss": 1.0, "best_loss": 1.0, "diverged": False, "reason": None, "epochs_run": 1},)

PRINTED: dict[str, Any] = {
    "summary": lambda: fnn.summary(fnn.Repeat(fnn.Dense(3), 2), jax.ShapeDtypeStruct((2, 3), "float32")),
    "gradient report": lambda: REPORT,
    "sweep table": lambda: dataclasses.replace(
        (table := SweepTable("loss", "final", False, ("rate",), ROWS, ())), combinations=table._ranked()
    ),
    "doctor": lambda: Report({"CPUs": "2 × 4"}, (Probe("scan", True, 0.0, 1.0),), ""),
    "derivation": lambda: fnn.derivation(fnn.Serial(fnn.Gelu(), fnn.LSTM(3))),
}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("name", PRINTED)
def test_a_report_can_be_printed_there(name: str, encoding: str, monkeypatch: pytest.MonkeyPatch):
    """``print`` once raised ``UnicodeEncodeError``."""
    subject, page = PRINTED[name](), io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", page)
    print(subject)
    if not isinstance(subject, str):  # which rich prints as any other
        printed = page.tell()
        rich.print(subject)
        assert page.tell() > printed
    page.flush()
    assert page.tell() > 0
    if encoding == "utf-8":
        text = page.buffer.getvalue().decode()  # pyright: ignore[reportAttributeAccessIssue]
        assert "?" not in text
        assert name == "derivation" or not text.isascii()


def test_a_derivation_stays_whole_where_it_is_not_printed(monkeypatch: pytest.MonkeyPatch):
    whole = fnn.derivation(fnn.Gelu())
    text = f"{whole}"
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert whole + "" == text == whole._repr_markdown_()
    assert printable("×") == "x"


def test_a_command_line_spells_on_its_own_stream():
    page = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    spell_on(page)
    page.write("2×3 ✓")
    page.flush()
    assert page.buffer.getvalue() == b"2x3 ok"  # pyright: ignore[reportAttributeAccessIssue]
    spell_on(io.StringIO())  # which holds everything


COMMANDS = {
    "doctor": ("-m", "fnn", "doctor"),
    "experiments": ("-m", "experiments"),
    "options": ("-m", "experiments", "gradients", "--help"),
}


@pytest.mark.full
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_runs_there(name: str, tmp_path: Path):
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, *COMMANDS[name]]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert b"UnicodeEncodeError" not in done.stderr
    assert done.stdout.decode("ascii")
