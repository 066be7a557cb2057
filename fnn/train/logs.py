"""Records of a run: a line of JSON an epoch, and event files for TensorBoard."""

import json
import math
import os
import re
import secrets
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np

from fnn.checkpoint import durable
from fnn.checkpoint.lock import FileLock, Lock
from fnn.guards.options import path_of
from fnn.train.callbacks import Callback, Run


class JsonLines(Callback):
    """Appends a line of JSON to a file after every epoch: its number from 1, the steps so far, the time, the values.

    ``time`` is in seconds since 1970. Arrays are lists; NaN and infinities, which JSON lacks, are ``null``.

    A run that begins anew replaces the file of an earlier one. One that is resumed keeps the lines of the epochs behind
    it and drops later ones, which it will run again; lines that are missing (of epochs run without this callback, or
    lost in a power cut) are made up from the history, with ``null`` for what it does not know.

    Errors: ``ValueError`` for a file with anything else in it, or, if the run is resumed, with lines of another run;
    ``RuntimeError`` while another run writes it. The file is left as it is.

    >>> JsonLines("runs/digits/metrics.jsonl")
    JsonLines('runs/digits/metrics.jsonl')
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = path_of("path", path)
        self._lock = FileLock(self.path)

    def __repr__(self) -> str:
        return f"JsonLines({str(self.path)!r})"

    def on_start(self, run: Run) -> None:
        self._lock.acquire()
        try:
            durable.remove_abandoned(self.path.parent)
            rows = self._behind(run, _rows(self.path))
            durable.write(self.path, [_line(row) for row in rows])
        except BaseException:
            self._lock.release()
            raise

    def on_epoch(self, run: Run) -> None:
        row = {"epoch": run.epoch, "steps": run.steps, "time": time.time()} | _listed(run.values)
        with self.path.open("ab") as file:
            file.write(_line(row))

    def on_end(self, run: Run) -> None:
        self._lock.release()

    def _behind(self, run: Run, found: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of the epochs that a resumed run has behind it."""
        rows, history = [], run.history
        behind = ({name: entries[epoch] for name, entries in history.items()} for epoch in range(run.epoch))
        for epoch, values in enumerate(map(_listed, behind), 1):
            row = found.get(epoch, {})
            if other := [name for name in values if name in row and row[name] != values[name]]:
                name = other[0]
                raise ValueError(
                    f"{self.path} holds lines of another run (epoch {epoch}: {name} {row[name]}, and {values[name]} in"
                    f" the run that is resumed): it is left as it is, give another path"
                )
            steps = None if run.count is None else epoch * run.count
            rows.append({"epoch": epoch, "steps": steps, "time": None} | values | row)
        return rows


class TensorBoard(Callback):
    """Writes the values of every epoch into event files that TensorBoard shows, against the steps so far.

    Values of validation stand under ``validation/``, those of training under ``training/``; arrays are left out. Needs
    tensorboardX: ``pip install "fnn[tensorboard]"``.

    A run that begins anew hides the events of earlier ones in its folder, but for those at step 0, and one that is
    resumed those of what it will run again; their files stay. TensorBoard's default loader knows no such hiding: it
    drops an event when the same value comes at its step or an earlier one. Old values which the new run does not write,
    or not as early, stay in the picture there; ``tensorboard --load_fast=false`` hides them.

    Errors: ``RuntimeError`` while another run writes into the folder.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = path_of("folder", folder)
        self._lock = Lock(self.folder, self.folder / ".events.fnn-lock")

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"

    def on_start(self, run: Run) -> None:
        try:
            # Not its SummaryWriter: that one writes over a file of the same second (tensorboardX issue 776), and a
            # flush leaves the last event in a queue, which is lost if the process is killed.
            from tensorboardX import record_writer
            from tensorboardX.proto import event_pb2, summary_pb2
        except ImportError as error:
            raise ImportError('TensorBoard needs tensorboardX: pip install "fnn[tensorboard]"') from error
        self._events: Any = event_pb2
        self._summaries: Any = summary_pb2
        self._lock.acquire()
        try:
            name = _name_of_events(os.listdir(self.folder))
            self._file: Any = record_writer.RecordWriter(str(self.folder / name))
            self._write(file_version="brain.Event:2")
            # The start of a session hides what came before from its step on. Inside an epoch that is the step itself:
            # its end may have been written, and will be again. The first start in a folder hides nothing: hence two.
            start = self._events.SessionLog(status=self._events.SessionLog.START)
            for _ in range(2):
                self._write(step=run.steps if run.step else run.steps + 1, session_log=start)
            self._file.flush()
        except BaseException:
            self._lock.release()
            raise

    def on_epoch(self, run: Run) -> None:
        for name, value in run.values.items():
            if np.ndim(value) == 0:
                part = "validation" if name.startswith("validation_") else "training"
                tag = f"{part}/{name.removeprefix('validation_')}"
                scalar = self._summaries.Summary.Value(tag=tag, simple_value=float(value))
                self._write(step=run.steps, summary=self._summaries.Summary(value=[scalar]))
        self._file.flush()

    def on_end(self, run: Run) -> None:
        try:
            self._file.close()
        finally:
            self._lock.release()

    def _write(self, **content: Any) -> None:
        self._file.write(self._events.Event(wall_time=time.time(), **content).SerializeToString())


def _rows(path: Path) -> dict[int, dict[str, Any]]:
    """The rows of a file of ``JsonLines`` by epoch; a last line that a kill has cut short is none."""
    try:
        *lines, cut = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return {}
    rows, start = {}, b'{"epoch": '
    for number, line in enumerate([*lines, cut], 1):
        try:
            row = json.loads(line)
            if not isinstance(row["epoch"], int):
                raise TypeError
            rows[row["epoch"]] = row
        except (ValueError, KeyError, TypeError, RecursionError):
            if number > len(lines) and (rows or cut.startswith(start) or start.startswith(cut)):
                break
            raise ValueError(
                f"{path} holds something else than JsonLines writes, in line {number}: it is left as it is, give"
                f" another path"
            ) from None
    return rows


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _listed(value: Any) -> Any:
    """Values as JSON has them."""
    if isinstance(value, dict):
        return {name: _listed(np.asarray(each).tolist()) for name, each in value.items()}
    if isinstance(value, list):
        return [_listed(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _name_of_events(others: list[str]) -> str:
    """A name for an event file, after all others: in the order of their names TensorBoard reads them."""
    seconds = [int(match[1]) for name in others if (match := re.search(r"tfevents\.(\d+)", name))]
    latest = max([int(time.time()), *(second + 1 for second in seconds)])
    return f"events.out.tfevents.{latest:010d}.{socket.gethostname()}.{secrets.token_hex(4)}"
