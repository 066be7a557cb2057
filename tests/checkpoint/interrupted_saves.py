"""Saves checkpoints in child processes that fail or die on the way, and prints as JSON what came of each.

    python interrupted_saves.py calls FOLDER    with LD_PRELOAD naming the library made of interrupted_saves.c
    python interrupted_saves.py limits FOLDER STEP   no file may grow past N bytes, for every STEP-th N

In every child one thing happens: one call of the system fails, or writes half of what it was given, or the process is
killed before, during or after it. What a child leaves is compared bit for bit with what was there and what it saved.
"""

import collections
import ctypes
import functools
import json
import os
import resource
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fnn.checkpoint.file import load, save
from fnn.checkpoint.folder import CheckpointFolder

MODES = {"fail": 1, "die before": 2, "die after": 3, "half": 4, "die half": 5}


def tree_of(step: int) -> dict:
    """Small arrays, which are collected into one write, and two that are written by themselves."""
    arrays = {f"small_{n}": np.full(n, step, np.float32) for n in range(4)}
    return arrays | {"large": np.full(9000, step, np.float64), "wide": np.full((30, 99), step, np.int32), "step": step}


OLD, NEW, NEXT = (tree_of(step) for step in (1, 2, 3))

with tempfile.TemporaryDirectory() as name:
    OLD_FILE = save(Path(name) / "old", OLD).read_bytes()


def which(path: Path) -> str:
    """Which tree a checkpoint holds."""
    found = load(path, OLD)
    for name, tree in (("old", OLD), ("new", NEW), ("next", NEXT)):
        if all(np.array_equal(found[key], tree[key]) for key in tree):
            return name
    raise AssertionError(f"{path} holds neither the old tree nor the new one")


class Over:
    """Saves over the previous checkpoint."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / "model.safetensors"

    def prepare(self) -> None:
        self.path.write_bytes(OLD_FILE)

    def save(self) -> None:
        save(self.path, NEW)

    def found(self) -> str:
        return which(self.path)

    def afterwards(self) -> None:
        pass


class First(Over):
    """Saves the first checkpoint, into folders that are made for it."""

    def __init__(self, folder: Path):
        self.folder, self.path = folder / "a" / "b", folder / "a" / "b" / "model.safetensors"

    def prepare(self) -> None:
        pass

    def found(self) -> str:
        return which(self.path) if self.path.exists() else "old"


class Kept(Over):
    """Saves into a folder that keeps one checkpoint, and in which a killed process left an unfinished one."""

    def prepare(self) -> None:
        (self.folder / "step_000000001.safetensors").write_bytes(OLD_FILE)
        (self.folder / f".fnn-{'0' * 16}.tmp").write_bytes(b"half")

    def save(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a removal that fails
            CheckpointFolder(self.folder, keep_last=1).save(2, NEW)

    def found(self) -> str:
        """With warnings as errors: nothing torn stands under the name of a checkpoint."""
        folder = CheckpointFolder(self.folder)
        paths, latest = folder.paths(), folder.latest()
        trees = [which(path) for path in paths]
        if latest is None or latest != paths[-1] or trees not in (["old"], ["old", "new"], ["new"]):
            raise AssertionError(f"found {paths}, the latest {latest}")
        return which(latest)

    def afterwards(self) -> None:
        """The next save cleans up."""
        path = CheckpointFolder(self.folder, keep_last=1).save(3, NEXT)
        if which(path) != "next" or list(self.folder.iterdir()) != [path]:
            raise AssertionError(f"the next save left {sorted(os.listdir(self.folder))}")


def child(work: Callable[[], None]) -> str:
    """What becomes of a process that does the work: done, OSError or killed."""
    process = os.fork()
    if process == 0:
        status = 1
        try:
            work()
            status = 2
        except OSError:
            status = 3
        finally:
            os._exit(status)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return {2: "done", 3: "OSError"}.get(os.WEXITSTATUS(status), "another error")


def attempt(scenario: type[Over], folder: Path, fault: Callable[[], None]) -> str:
    """One save with one fault: ``outcome, what is there``; raises if that is not as promised."""
    folder.mkdir()
    here = scenario(folder)
    here.prepare()

    def work() -> None:
        fault()
        here.save()

    outcome = child(work)
    found = here.found()
    if outcome == "another error" or (outcome == "done" and found != "new"):
        raise AssertionError(f"{outcome}, and the {found} checkpoint is there")
    here.afterwards()
    left = sorted(os.listdir(here.folder)) if here.folder.exists() else []
    hidden = [name for name in left if name.startswith(".") and name != f".fnn-{'0' * 16}.tmp"]
    if len(hidden) > (outcome == "killed") or (outcome != "killed" and hidden):
        raise AssertionError(f"{outcome}, and {hidden} stays")
    return f"{outcome}, {found}"


def by_calls(folder: Path) -> Iterator[dict]:
    library = ctypes.CDLL(None)
    library.fault_disarm.restype = ctypes.c_char_p
    for scenario in (Over, First, Kept):
        place = folder / scenario.__name__
        (place / "whole").mkdir(parents=True)
        here = scenario(place / "whole")
        here.prepare()
        library.fault_arm(-1, 0)
        here.save()
        names = library.fault_disarm().decode().replace("64", "").split()
        counts, faults = collections.Counter(), []
        renaming = names.index("rename")
        for at, name in enumerate(names):
            modes = MODES if name == "write" else list(MODES)[:3]
            for mode in modes:
                where = f"{mode} at {at} {name}"
                try:
                    fault = functools.partial(library.fault_arm, at, MODES[mode])
                    outcome = attempt(scenario, place / where.replace(" ", "_"), fault)
                    renamed = at > renaming or (at, mode) == (renaming, "die after")
                    if outcome.endswith("new") != (renamed or outcome.startswith("done")):
                        raise AssertionError(outcome)
                    counts[f"{mode}: {outcome}"] += 1
                except Exception as error:
                    faults.append(f"{where}: {error!r}")
        yield {"scenario": scenario.__name__, "calls": names, "outcomes": counts, "faults": faults}


def limited(size: int, action: signal.Handlers) -> None:
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def by_limits(folder: Path, step: int) -> Iterator[dict]:
    """The system refuses to write past the limit, or kills with its signal, after writing what still fits."""
    size = save(folder / "whole", NEW).stat().st_size
    for action in (signal.SIG_IGN, signal.SIG_DFL):
        counts, faults = collections.Counter(), []
        limits = [*range(0, size - 3, step), *range(size - 3, size + 2)]
        for limit in limits:
            try:
                fault = functools.partial(limited, limit, action)
                outcome = attempt(Over, folder / f"{action.name}_{limit}", fault)
                cut = "OSError, old" if action == signal.SIG_IGN else "killed, old"
                if outcome != ("done, new" if limit >= size else cut):
                    raise AssertionError(outcome)
                counts[outcome] += 1
            except Exception as error:
                faults.append(f"{limit} {action.name}: {error!r}")
        yield {"size": size, "action": action.name, "limits": len(limits), "outcomes": counts, "faults": faults}


if __name__ == "__main__":
    warnings.simplefilter("error")
    _, folder, *step = sys.argv[1:]
    print(json.dumps(list(by_limits(Path(folder), int(step[0])) if step else by_calls(Path(folder)))))
