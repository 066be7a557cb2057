"""A summary and a gradient report fit the page at every width, in every encoding, and break no name inside a word."""

import io
import re
import sys

import jax
import pytest
from rich.console import Console

import fnn
from fnn.describe.fitting import broken, page_width
from fnn.gradients.report import GradientReport
from fnn.gradients.rows import Comparison, Row

MODEL = fnn.Serial(
    encoder=fnn.Serial(first=fnn.Conv(4, (3, 3)), narrow=fnn.Conv(4, 3, strides=2), pool=fnn.MaxPool(2)),
    flat=fnn.Flatten(),
    body=fnn.Repeat(fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.FeedForward(8))), 3),
    classification_head=fnn.Dense(3),
)
SUMMARY = fnn.summary(MODEL, jax.ShapeDtypeStruct((2, 8, 8, 1), "float32"))


def row(name: str) -> Row:
    fine = [Comparison(method, "ok", 1e-16, 1e-15, 1.0, 1.0, (1, 0, 2, 3), 2.0, 3.0, 1.0) for method in METHODS]
    return Row("parameter", name, (3, 3, 1, 4), "hand", 1.0, False, tuple(fine))


METHODS = ("manual", "forward", "finite")
REPORT = GradientReport(
    rows=tuple(map(row, ("encoder/first/kernel", "body/layer_norm_0/scale", "classification_head/kernel"))),
    methods=("manual", "reverse", "forward", "finite"),
    reference="reverse",
    dtype="float64",
    train=True,
    value=1.0,
    tolerances=dict.fromkeys(METHODS, 1e-12),
)
NAMES = {"summary": [each.path for each in SUMMARY.rows], "report": [each.name for each in REPORT.rows]}
SUBJECTS = {"summary": SUMMARY, "report": REPORT}
WIDTHS = (40, 60, 80, 100, 120)


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def shown(subject: object, width: int) -> str:
    page = io.StringIO()
    Console(file=page, width=width).print(subject)
    return page.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_it_fits_a_terminal(name: str, width: int, encoding: str, monkeypatch: pytest.MonkeyPatch):
    page = Terminal(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", page)
    monkeypatch.setenv("COLUMNS", str(width))
    print(SUBJECTS[name])
    page.seek(0)
    text = page.read()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert "?" not in text


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_names_are_broken_behind_a_slash_alone(name: str, width: int):
    words = set(re.findall(r"\w+", shown(SUBJECTS[name], width)))
    for path in NAMES[name]:
        assert set(path.split("/")) <= words


def test_narrow_pages_say_all_that_wide_ones_do():
    for each in SUMMARY.rows:
        assert f"parameters {each.parameters:,}" in shown(SUMMARY, 60) or not each.parameters
    for words in ("max abs", "cosine", "worst at [1, 0, 2, 3]"):
        assert words in shown(REPORT, 60)
    assert "max abs" in shown(REPORT, 120)
    assert "max abs" not in shown(REPORT, 80)  # left out there, not squeezed


def test_a_convolution_says_what_axes_it_takes_however_its_window_is_written():
    seen = {each.path: each.seen for each in SUMMARY.rows}
    assert seen["encoder/first"] == "2-D over 8×8, 1 channel"
    assert seen["encoder/narrow"] == "2-D over 8×8, 4 channels"
    assert seen["encoder/pool"] == "2-D over 4×4, 4 channels"


def test_the_page_is_that_of_the_terminal_and_120_without_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert page_width() == 120
    monkeypatch.setattr(sys, "stdout", Terminal(io.BytesIO()))
    for columns, width in ((70, 70), (500, 120), (3, 40)):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert page_width() == width


def test_a_word_longer_than_the_page_is_broken_at_an_underscore_or_where_the_page_ends():
    assert broken("a/multi_head_attention_0", 12, "/") == ["a/multi_", "head_", "attention_0"]
    assert broken("abcdefgh", 5, "/") == ["abcde", "fgh"]
    assert broken("Dense(features=8, use_bias=False)", 18, ",(") == ["Dense(features=8,", "use_bias=False)"]
