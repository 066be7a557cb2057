"""Records of a run: a line of JSON an epoch, and event files for TensorBoard."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from fnn.train.callbacks import Callback, Run


class JsonLines(Callback):
    """Appends a line of JSON to a file after every epoch: its number from 1, the steps so far, the time, the values.

    ``time`` is in seconds since 1970. Arrays are lists; NaN and infinities, which JSON lacks, are ``null``. A run that
    begins anew replaces the file; one that is resumed drops the lines of epochs which it will run again.

    >>> JsonLines("runs/digits/metrics.jsonl")
    JsonLines('runs/digits/metrics.jsonl')
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"JsonLines({str(self.path)!r})"

    def on_start(self, run: Run) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self.path.read_text().splitlines() if run.epoch and self.path.exists() else []
        kept = [line for line in lines if _epoch(line) <= run.epoch]
        beside = self.path.with_name(f".{self.path.name}.tmp")
        beside.write_text("".join(f"{line}\n" for line in kept))
        os.replace(beside, self.path)

    def on_epoch(self, run: Run) -> None:
        row = {"epoch": run.epoch, "steps": run.steps, "time": time.time()}
        row |= {name: _listed(np.asarray(value).tolist()) for name, value in run.values.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")


class TensorBoard(Callback):
    """Writes the values of every epoch into event files that TensorBoard shows, against the steps so far.

    Values of validation stand under ``validation/``, those of training under ``training/``; arrays are left out. Needs
    tensorboardX: ``pip install "fnn[tensorboard]"``. A run that is resumed hides what it will run again.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder, self._writer = Path(folder), None

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"

    def on_start(self, run: Run) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX: pip install "fnn[tensorboard]"') from error
        self._writer: Any = SummaryWriter(str(self.folder), purge_step=run.steps + 1 if run.steps else None)

    def on_epoch(self, run: Run) -> None:
        for name, value in run.values.items():
            if np.ndim(value) == 0:
                part = "validation" if name.startswith("validation_") else "training"
                self._writer.add_scalar(f"{part}/{name.removeprefix('validation_')}", float(value), run.steps)
        self._writer.flush()

    def on_end(self, run: Run) -> None:
        self._writer.close()


def _epoch(line: str) -> float:
    """The epoch of a line; a line that a kill has cut short belongs to none that is kept."""
    try:
        return json.loads(line)["epoch"]
    except (ValueError, KeyError, TypeError):
        return math.inf


def _listed(value: Any) -> Any:
    if isinstance(value, list):
        return [_listed(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
