"""A progress bar leaves columns out where a terminal is narrow, and squeezes none."""

import io
import re

import pytest
from rich.console import Console

from fnn.train.progress import ProgressBar

VALUES = {"loss": 0.123456, "accuracy": 0.98765}


def last_line(width: int, title: str = "seed 1/5", values: dict[str, float] = VALUES, epochs: int = 30) -> str:
    page = io.StringIO()
    console = Console(file=page, force_terminal=True, width=width, color_system=None, legacy_windows=False)
    with ProgressBar(title, epochs=epochs, steps=10, console=console) as bar:
        for epoch in range(15):
            bar.step(epoch, 5, "12,345 samples/s")
            bar.epoch(epoch, values, "12,345 samples/s")
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", page.getvalue()).replace("\r", "\n").split("\n")
    shown = [line.rstrip() for line in lines if line.strip()]
    assert all(line.startswith(title) for line in shown)  # nothing goes on in a second line
    assert max(map(len, shown)) <= width
    return shown[-1]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 100, 120, 200])
def test_the_epochs_are_whole_at_every_width(width: int):
    assert re.search(r"15/30 epochs( |$)", last_line(width))


def test_columns_are_left_out_from_the_least_wanted():
    says = {
        "loss 0.1235": 60,
        "accuracy 0.9877": 80,
        "left": 60,
        "12,345 samples/s": 100,
        "\u2501": 120,
    }
    for words, width in says.items():
        for each in (60, 80, 100, 120):
            assert (words in last_line(each)) == (each >= width), (words, each, last_line(each))
    assert re.search(r"epochs \d:\d\d:\d\d left", last_line(120))


def test_values_that_do_not_fit_are_left_out_whole():
    many = {f"metric_{number}": 0.5 for number in range(9)}
    assert last_line(80, values=many).endswith(" metric_0 0.5  metric_1 0.5")
    assert last_line(60, values=many).endswith(" metric_0 0.5")
