"""What ``fit`` says of its checkpoints: from where a run resumes, what an interrupt saved, and how to go on."""

import sys
from pathlib import Path

from fnn.describe.rendering import encodable
from fnn.train.callbacks import Run
from fnn.train.signals import INTERRUPTED, TERMINATED


def say(run: Run, words: str) -> None:
    """A line on stderr, where the progress is, unless the run shows none."""
    if run.shown:
        print(encodable(f"training {words}", getattr(sys.stderr, "encoding", None)), file=sys.stderr, flush=True)


def resumed(run: Run, path: Path) -> str:
    """From where a run resumes.

    >>> from types import SimpleNamespace
    >>> resumed(SimpleNamespace(epoch=3, step=12, steps=132, epochs=10), Path("runs/step_132.safetensors"))
    'resumes after epoch 3 of 10 and 12 steps (132 in all), from runs/step_132.safetensors'
    """
    begun = f" and {run.step} step{'' if run.step == 1 else 's'}" if run.step else ""
    left = "; no epoch is left to train" if run.epoch >= run.epochs else ""
    return f"resumes after epoch {run.epoch} of {run.epochs}{begun} ({run.steps} in all), from {path}{left}"


def interrupted(run: Run) -> bool:
    """Whether a signal ended the run, not one of its own rules."""
    return run.ending in (INTERRUPTED, TERMINATED)
