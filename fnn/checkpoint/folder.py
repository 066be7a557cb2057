"""A folder of checkpoints of one run: keeps the last and the best, and finds the newest one that is intact."""

import contextlib
import math
import operator
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fnn.checkpoint import durable
from fnn.checkpoint.file import read_metadata, save
from fnn.errors import positive
from fnn.guards.ranges import AT_LEAST_ZERO, in_range

NAME = re.compile(r"step_([0-9]{9,})\.safetensors")


class Score(NamedTuple):
    """A score (NaN if there is none), and whether higher is better (``None`` if that is not known)."""

    value: float
    higher: bool | None = None


class CheckpointFolder:
    """Saves the checkpoints of a run, one per step, and removes those that are neither among the last nor the best.

    Keeps the last ``keep_last`` checkpoints and the ``keep_best`` with the best scores; on a tie the earlier step wins.
    The metadata of a checkpoint hold its score as ``"score"`` and the direction as ``"higher_is_better"``, so both
    outlive the process. A checkpoint without a score, or whose score is not finite, is never among the best.

    ``higher_is_better`` defaults to what the checkpoints in the folder say, and to false if none says so. If given, it
    decides the ranking; but a score cannot be saved next to scores of the other direction.

    A checkpoint is removed only once the new one is on disk. A damaged one is never removed and does not count. Other
    files are left alone, except the unfinished ones that a killed process left behind.

    Saving a step again replaces its checkpoint. If a run goes back and saves a step while later ones are in the folder,
    those belong to an abandoned continuation and would be mistaken for the end of the run: they are moved, with a
    warning, into a subfolder ``superseded_1`` (or ``_2``, ...), which is a ``CheckpointFolder`` too.

    One process at a time may save into a folder; any number may read.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as name:
    ...     folder = CheckpointFolder(name, keep_last=1, keep_best=1)
    ...     for step, loss in [(10, 0.5), (20, 0.3), (30, 0.4)]:
    ...         path = folder.save(step, {"bias": jnp.zeros(3)}, {"epoch": step // 10}, score=loss)
    ...     print([path.name for path in folder.paths()], read_metadata(folder.best()))
    ['step_000000020.safetensors', 'step_000000030.safetensors'] {'epoch': 2, 'score': 0.3, 'higher_is_better': False}
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        *,
        keep_last: int = 2,
        keep_best: int = 0,
        higher_is_better: bool | None = None,
    ):
        positive("keep_last", keep_last)
        if isinstance(keep_best, bool) or not isinstance(keep_best, int):
            raise TypeError(f"keep_best is an integer, got {keep_best!r}")
        in_range("keep_best", keep_best, AT_LEAST_ZERO)
        if not isinstance(higher_is_better, bool | None):
            raise TypeError(f"higher_is_better is True, False or None, got {higher_is_better!r}")
        self.folder = Path(folder)
        self.keep_last, self.keep_best, self.higher_is_better = keep_last, keep_best, higher_is_better
        # The files that this process has verified: (name, size, time of writing) → score, or None if damaged.
        self._scores: dict[tuple[str, int, int], Score | None] = {}

    def __repr__(self) -> str:
        options = f"keep_last={self.keep_last}, keep_best={self.keep_best}"
        if self.higher_is_better is not None:
            options += f", higher_is_better={self.higher_is_better}"
        return f"CheckpointFolder({str(self.folder)!r}, {options})"

    def save(self, step: int, tree: Any, metadata: dict[str, Any] | None = None, score: float | None = None) -> Path:
        """Writes the checkpoint of a step as ``fnn.save`` does, then removes those no longer kept; returns the path.

        An error means that nothing was written and nothing removed; a failure after that is a warning. Raises
        ``ValueError`` for a negative step, for metadata that use an entry of the folder, and for a score if
        ``check_direction`` raises; ``TypeError`` if the step is not an integer.
        """
        step = _checked_step(step)
        if not isinstance(metadata, dict | None):
            raise TypeError(f"the metadata is a dict, got {type(metadata).__name__}")
        for name, instead in (("score", "score=... "), ("higher_is_better", "it to the CheckpointFolder ")):
            if metadata and name in metadata:
                raise ValueError(
                    f"the metadata has an entry {name!r}, which the folder writes itself; give {instead}instead"
                )
        path, entry = self.folder / f"step_{step:09d}.safetensors", Score(math.nan)
        if score is not None or self.keep_best:
            others = self._known(apart=path)
            higher = self._direction(others)  # raises now, not when old checkpoints are removed
            if score is not None:
                self._expect(higher, others)
                entry = Score(float(score), higher)
                metadata = {**(metadata or {}), "score": entry.value, "higher_is_better": higher}
        with contextlib.suppress(OSError):
            durable.remove_abandoned(self.folder)
        save(path, tree, metadata)
        self._scores[_key(path)] = entry
        self._set_aside([each for each in self.paths() if _step(each) > step])
        self._remove_superfluous(path)
        return path

    def paths(self) -> list[Path]:
        """The checkpoints in order of step, damaged ones included; ``[]`` if there is no folder."""
        with contextlib.suppress(FileNotFoundError):
            found = [each for each in self.folder.iterdir() if _step(each) >= 0 and each.is_file()]
            return sorted(found, key=_step)
        return []

    def latest(self) -> Path | None:
        """The newest checkpoint that verifies. Warns of newer ones that are damaged, and leaves them in place."""
        return next((path for path in reversed(self.paths()) if _score(path) is not None), None)

    def best(self) -> Path | None:
        """The checkpoint with the best score, among those that verify and have a finite score.

        Raises ``ValueError`` if ``higher_is_better`` was not given and the checkpoints disagree about it.
        """
        scores = {path: _score(path) for path in self.paths()}
        return next(iter(_ranked(scores, self._direction(scores))), None)

    def check_direction(self) -> bool:
        """Whether a higher score is better; ``ValueError`` if checkpoints in the folder say otherwise."""
        scores = self._known()
        higher = self._direction(scores)
        self._expect(higher, scores)
        return higher

    def _expect(self, higher: bool, scores: dict[Path, Score | None]) -> None:
        if other := [path.name for path in _saying(scores, not higher)]:
            raise ValueError(
                f"a higher score is {'better' if higher else 'worse'} here, but not in the checkpoints that"
                f" {self.folder} holds, {', '.join(other)}: save these scores in another folder"
            )

    def _direction(self, scores: dict[Path, Score | None]) -> bool:
        """Whether higher is better: as given to the folder, else as the files say, else false."""
        if self.higher_is_better is not None:
            return self.higher_is_better
        higher, lower = (_saying(scores, each) for each in (True, False))
        if higher and lower:
            raise ValueError(
                f"the scores in {self.folder} have two directions: higher is better in"
                f" {', '.join(path.name for path in higher)} and worse in {', '.join(path.name for path in lower)};"
                f" give higher_is_better=True or False"
            )
        return bool(higher)

    def _known(self, apart: Path | None = None) -> dict[Path, Score | None]:
        """The score of every checkpoint except ``apart``. A process verifies each file once, not at every save."""
        keys = {path: _key(path) for path in self.paths() if path != apart}
        scores = {path: self._scores[key] if key in self._scores else _score(path) for path, key in keys.items()}
        self._scores = {keys[path]: score for path, score in scores.items()}
        return scores

    def _remove_superfluous(self, saved: Path) -> None:
        scores = self._known()
        whole = [path for path, score in scores.items() if score is not None]
        best = _ranked(scores, self._direction(scores))[: self.keep_best] if self.keep_best else []
        kept = {saved, *whole[-self.keep_last :], *best}
        for path in whole:
            if path not in kept:
                with _warning(f"checkpoint {path} could not be removed"):
                    path.unlink(missing_ok=True)

    def _set_aside(self, later: list[Path]) -> None:
        if not later:
            return
        names = ", ".join(path.name for path in later)
        with _warning(f"checkpoints of later steps could not be moved aside: {names}"):
            number = 1
            while (aside := self.folder / f"superseded_{number}").exists():
                number += 1
            aside.mkdir()
            for path in later:
                path.rename(aside / path.name)
            warnings.warn(f"a checkpoint was saved in {self.folder} before {names}: moved to {aside}", stacklevel=3)


def _checked_step(step: Any) -> int:
    try:
        if isinstance(step, bool):
            raise TypeError
        step = operator.index(step)
    except TypeError as error:
        raise TypeError(f"a step is an integer, got {step!r}") from error
    if step < 0:
        raise ValueError(f"a step is at least 0, got {step}")
    return step


def _step(path: Path) -> int:
    """The step in a checkpoint's name, -1 if the name is not that of a checkpoint."""
    match = NAME.fullmatch(path.name)
    return int(match[1]) if match and path.name == f"step_{int(match[1]):09d}.safetensors" else -1


def _key(path: Path) -> tuple[str, int, int]:
    """Name, size and time of writing: they change when the file does. The file may be gone already."""
    with contextlib.suppress(OSError):
        status = path.stat()
        return path.name, status.st_size, status.st_mtime_ns
    return path.name, -1, -1


def _score(path: Path) -> Score | None:
    """The score that a checkpoint holds, NaN if none; None, with a warning, if the checkpoint is damaged."""
    try:
        metadata = read_metadata(path)
    except FileNotFoundError:  # removed meanwhile
        return None
    except (OSError, ValueError) as error:
        warnings.warn(f"passed over: {error}", stacklevel=3)
        return None
    value, higher = metadata.get("score"), metadata.get("higher_is_better")
    number = isinstance(value, int | float)
    return Score(value if number else math.nan, higher if number and isinstance(higher, bool) else None)


def _saying(scores: dict[Path, Score | None], higher: bool) -> list[Path]:
    """The checkpoints whose ``higher_is_better`` is this, in order of step."""
    return [path for path, score in scores.items() if score is not None and score.higher is higher]


def _ranked(scores: dict[Path, Score | None], higher: bool) -> list[Path]:
    """Those with a finite score, the best first."""
    sign = -1 if higher else 1
    known = {path: sign * score.value for path, score in scores.items() if score and math.isfinite(score.value)}
    return sorted(known, key=lambda path: (known[path], _step(path)))


@contextlib.contextmanager
def _warning(what: str) -> Iterator[None]:
    """Turns an error into a warning."""
    try:
        yield
    except OSError as error:
        warnings.warn(f"{what}: {error}", stacklevel=4)
