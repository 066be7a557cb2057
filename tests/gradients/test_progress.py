"""The line that says how far a comparison is."""

import io
import sys

import pytest

from fnn.gradients import progress
from fnn.gradients.compare import compare_gradients
from fnn.gradients.progress import Progress
from tests.gradients.reports import good


class Terminal(io.StringIO):
    """A stream that passes for a terminal."""

    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What stands on a terminal whose user has waited long enough; pytest has streams of its own in a fixture."""
    for name, value in {"TERM": "xterm", "COLUMNS": "100"}.items():
        monkeypatch.setenv(name, value)
    for name in ("NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(progress, "DELAY", 0.0)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    return terminal


def test_a_comparison_on_a_terminal_says_how_far_it_is_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    assert compare_gradients(*good(), methods=("manual", "reverse"), cost=False).ok
    shown = terminal.getvalue()
    assert "comparing gradients" in shown
    assert "manual" in shown
    assert shown.endswith("\x1b[2K"), "the line is erased"


def test_the_pieces_are_counted(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with Progress("comparing", total=3) as work:
        with work.piece("reverse"):
            pass
        assert list(work.over("forward", "ab")) == ["a", "b"]
    assert work.done == 3
    assert "2/3" in terminal.getvalue()
    assert "forward" in terminal.getvalue()


def test_the_line_comes_while_a_long_piece_is_under_way(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with Progress("comparing", total=1) as work:
        work.timer.join()
        assert "0/1" in terminal.getvalue()


@pytest.mark.parametrize("why", ["a pipe", "not asked for", "quick work", "no stderr"])
def test_nothing_is_shown_to(why: str, monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    if why == "quick work":
        monkeypatch.setattr(progress, "DELAY", 3600.0)
    stream = {"a pipe": io.StringIO(), "no stderr": None}.get(why, terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    methods = ("manual", "reverse")
    assert compare_gradients(*good(), methods=methods, cost=False, progress=why != "not asked for").ok
    assert stream is None or stream.getvalue() == ""


def test_an_error_ends_the_line(monkeypatch: pytest.MonkeyPatch):
    terminal = on_terminal(monkeypatch)
    with pytest.raises(ValueError, match="the model"), Progress("comparing", total=1) as work, work.piece("manual"):
        raise ValueError("the model raises")
    assert terminal.getvalue().endswith("\x1b[2K")
    assert not work.shown
