"""Logs of a run: one line of JSON per epoch, and event files for TensorBoard."""

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

    ``time`` is in seconds since 1970. Arrays become lists; NaN and infinities, which JSON lacks, become ``null``.

    A new run replaces the file of an earlier one. A resumed run keeps the lines of its finished epochs and drops later
    ones, which it will run again; missing lines (of epochs run without this callback, or lost in a power cut) are
    filled in from the history, with ``null`` for what it does not know.

    Errors: ``ValueError`` for a file with other contents or, if the run is resumed, with lines of another run;
    ``RuntimeError`` while another run writes the file. The file is then left unchanged.

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
        """The rows of the epochs that a resumed run has finished."""
        rows, history = [], run.history
        behind = ({name: entries[epoch] for name, entries in history.items()} for epoch in range(run.epoch))
        for epoch, values in enumerate(map(_listed, behind), 1):
            row = found.get(epoch, {})
            if other := [name for name in values if name in row and row[name] != values[name]]:
                name = other[0]
                raise ValueError(
                    f"{self.path} holds lines of another run (epoch {epoch}: {name} is {row[name]} there, and"
                    f" {values[name]} in the resumed run) and was not changed: give another path"
                )
            steps = None if run.count is None else epoch * run.count
            rows.append({"epoch": epoch, "steps": steps, "time": None} | values | row)
        return rows


class TensorBoard(Callback):
    """Writes the values of every epoch into event files that TensorBoard shows, against the steps so far.

    Validation values are written under ``validation/``, training values under ``training/``; arrays are left out. Needs
    tensorboardX: ``pip install "fnn[tensorboard]"``.

    A new run hides the events of earlier runs in its folder, except those at step 0; a resumed run hides the events of
    the steps that it will run again. Their files stay. TensorBoard's default loader ignores this: it drops an event
    only when the same value is written at its step or an earlier one. Old values that the new run does not write, or
    not as early, stay visible there; ``tensorboard --load_fast=false`` hides them.

    Errors: ``RuntimeError`` while another run writes into the folder.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.folder = path_of("folder", folder)
        self._lock = Lock(self.folder, self.folder / ".events.fnn-lock")

    def __repr__(self) -> str:
        return f"TensorBoard({str(self.folder)!r})"

    def on_start(self, run: Run) -> None:
        try:
            # Not its SummaryWriter, which overwrites a file made in the same second (tensorboardX issue 776), and whose
            # flush leaves the last event in a queue, lost if the process is killed.
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
            # A session start hides earlier events from its step on. Inside an epoch, that is the current step, because
            # the end of the epoch may have been written already. The first start in a folder hides nothing: hence two.
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
    """The rows of a ``JsonLines`` file by epoch, without a last line that was cut short by a kill."""
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
                f"line {number} of {path} was not written by JsonLines; the file was not changed: give another path"
            ) from None
    return rows


def _line(row: dict[str, Any]) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _listed(value: Any) -> Any:
    """Values as JSON can hold them."""
    if isinstance(value, dict):
        return {name: _listed(np.asarray(each).tolist()) for name, each in value.items()}
    if isinstance(value, list):
        return [_listed(each) for each in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _name_of_events(others: list[str]) -> str:
    """A name for an event file that sorts after all others: TensorBoard reads them in the order of their names."""
    seconds = [int(match[1]) for name in others if (match := re.search(r"tfevents\.(\d+)", name))]
    latest = max([int(time.time()), *(second + 1 for second in seconds)])
    return f"events.out.tfevents.{latest:010d}.{socket.gethostname()}.{secrets.token_hex(4)}"
