"""What a checkpoint of a run holds, and how it is restored.

``params``, ``state`` and ``opt_state`` are the weights to use, as the run would return them. If training continues with
others, ``training`` holds those. ``key``, ``totals``, ``watch`` and ``history`` are the rest of a run.
"""

import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from fnn.checkpoint.file import PartialLoad, load, read_metadata
from fnn.checkpoint.matching import listed
from fnn.checkpoint.model_file import ENTRY, described
from fnn.optim.accumulate import accumulating
from fnn.train.callbacks import Run
from fnn.train.fingerprint import differences, not_comparable
from fnn.train.record import missing
from fnn.train.step import Learned

NOT_LEARNED = ("history/", "watch/", "training/", "totals/")
"""What the checkpoint of another run may lack under ``resume="force"``."""


def place_of(run: Run) -> dict[str, Any]:
    """The metadata of a checkpoint: how far the run has come, and the fingerprint that identifies it."""
    return {
        "epoch": run.epoch,
        "step": run.step,
        "steps": run.steps,
        "over": run.epoch == run.epochs,
        "fingerprint": run.fingerprint,
        "firsts": run.firsts(run.epoch + (run.step > 0)),
        ENTRY: _model_of(run),
    }


def _model_of(run: Run) -> dict[str, Any]:
    """What ``fnn.load_model`` reads; a model that cannot be stored never makes a run fail."""
    text, why = run.stored_model
    usable = run.usable if run.apart else run.standing.learned
    return described(text, usable.params, usable.state) if text else {"unstored": why}


def tree_of(run: Run, *, both: bool = False) -> dict[str, Any]:
    """The arrays of a checkpoint; ``both``: always include ``training``."""
    standing = run.standing
    learned = standing.learned
    usable = run.usable if run.apart else learned
    tree = {**usable._asdict(), "key": run.key, "totals": standing.totals, "watch": standing.record.watch}
    if run.apart or both:
        tree["training"] = {"params": learned.params, "state": learned.state}
        if accumulating(learned.opt_state):
            tree["training"]["opt_state"] = learned.opt_state
    return tree | {"history": run.history if run.epoch else {}}


def usable_of(tree: dict[str, Any]) -> Learned:
    """The weights to use."""
    return Learned(tree["params"], tree["state"], tree["opt_state"])


def learned_of(tree: dict[str, Any]) -> Learned:
    """What training continues with."""
    return usable_of(tree)._replace(**tree.get("training", {}))


def read(path: Path, run: Run, *, forced: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """The metadata and the arrays of a checkpoint of this run, or of another run if ``forced``."""
    place = read_metadata(path)
    if not {"epoch", "step", "steps"} <= place.keys():
        raise ValueError(f"{path} was not saved by fit")
    if place["epoch"] > run.epochs:
        raise ValueError(
            f"{path} was saved after {place['epoch']} epochs, more than the {run.epochs} of this run: give more epochs,"
            f" or another folder"
        )
    theirs = place.get("fingerprint", {})
    if "version" not in theirs and not forced:
        raise ValueError(
            f"{path} was saved by an earlier fnn, whose checkpoints do not tell runs apart; resume='force' resumes it"
            f" anyway"
        )
    epochs, other = place["epoch"], differences(theirs, run.fingerprint)
    if other and not forced:
        raise ValueError(
            f"{path} is a checkpoint of another run ({'; '.join(other)}); to begin a new run where that one ended, load"
            f" it and give fit its params and state, and another folder; resume='force' resumes it anyway"
        )
    if forced:
        _check_account(path, theirs, run.fingerprint, other)
    history = {name: missing((epochs, *e.shape), e.dtype) for name, e in run.entries.items()}
    like = tree_of(run, both=forced) | {"history": history if epochs else {}}
    if forced:
        tree = _of_another_run(path, other, like, rename=None if "version" in theirs else {"learned": ""})
    else:
        tree = load(path, like=like)
        if not _same(tree["key"], run.key):
            raise ValueError(
                f"{path} is a checkpoint of a run with another key: give the key of that run, or another folder"
            )
    if unknown := not_comparable(run.fingerprint, theirs):
        warnings.warn(
            f"{path}: whether this is the run that was saved could not be checked for {'; '.join(unknown)}",
            stacklevel=5,
        )
    return place, tree


def _check_account(path: Path, theirs: dict[str, Any], ours: dict[str, Any], other: list[str]) -> None:
    """Raises if the history of a private run would leave out what was spent before."""
    if not any("privacy" in each.get("parts", {}) for each in (theirs, ours)):
        return
    spent = [each for each in other if each.startswith(("privacy:", "batch_size:", "data:"))]
    if spent or "version" not in theirs:
        raise ValueError(
            f"{path} is of a run that spent its privacy otherwise ({'; '.join(spent) or 'it is not said how'}), which"
            f" the epsilon of this run would leave out; resume='force' is not for that: begin a new run in another"
            f" folder, with its params and state, and add up what both spent"
        )


def _of_another_run(path: Path, other: list[str], like: dict[str, Any], rename: dict[str, str] | None) -> Any:
    """The parts of a checkpoint that match this run: what was learned must, history and early stopping need not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PartialLoad)
        tree = load(path, like=like, strict=False, rename=rename)
    unfit = [each for warning in caught for each in _unfit(warning.message)]
    if any(each.startswith("training/") for each in unfit):
        del tree["training"]  # it is what the run began with
    if learned := [each for each in unfit if not each.startswith(NOT_LEARNED)]:
        raise ValueError(f"{path} does not hold what this run learns: {listed(learned)}")
    if not _same(tree["key"], like["key"]):
        other = [*other, "key"]
    left = [each for each in unfit if not each.startswith("training/")]
    if other or left:
        warnings.warn(
            f"resuming {path} because of resume='force', although it is of another run: {'; '.join(other)}"
            + (f"; not restored: {listed(left)}" if left else ""),
            stacklevel=6,
        )
    return tree


def _same(key: jax.Array, other: jax.Array) -> bool:
    """Whether two keys draw the same numbers."""
    return bool(jnp.array_equal(jax.random.key_data(key), jax.random.key_data(other)))


def _unfit(message: Any) -> list[str]:
    fit = message.fit
    return [*fit.missing, *fit.other_dtype, *fit.other_shape] if fit is not None else []
