"""The history of a run as text: a row an epoch, the best one marked."""

from typing import Any

import numpy as np

from fnn.describe.rendering import as_text
from fnn.train.history import History

WIDTH = 80
"""The characters of a line."""


def table_of(history: History, epochs_run: Any, score: str | None = None) -> str:
    """The epochs that ran, with every entry that is a number; of several runs the mean, and the range below it.

    An epoch without validation has a dash. The mean with a run that is NaN is NaN, with the range of the others below.
    ``score`` names the entry that says which epoch is best.
    """
    ran = np.asarray(epochs_run).reshape(-1)
    names = [name for name, values in history.items() if np.ndim(values) == np.ndim(epochs_run) + 1]
    if not names or not ran.max(initial=0):
        raise ValueError(f"there is nothing to show: the history holds {', '.join(history) or 'no entries'}")
    if score is None:
        score = "validation_loss" if "validation_loss" in names else names[0] if "loss" not in names else "loss"
    if score not in names:
        raise ValueError(f"score is one of {', '.join(names)}, got {score!r}")
    values = {name: _of_runs(name, history[name], ran) for name in sorted(names, key=lambda name: _order(name, score))}
    higher = history.higher_is_better(score)
    best = _best(values[score], higher=higher)
    size = 6 if len(ran) == 1 else 3  # as many columns as fit
    blocks = [list(values)[start : start + size] for start in range(0, len(values), size)]
    tables = [_block({name: values[name] for name in block}, best) for block in blocks]
    return "\n\n".join([*tables, _caption(score, best, len(ran), higher=higher)])


def _order(name: str, score: str) -> tuple[bool, bool, str]:
    """The loss first, and an entry of validation behind its own."""
    plain = name.removeprefix("validation_")
    return plain != "loss", plain != score.removeprefix("validation_"), plain + name


def _of_runs(name: str, values: Any, ran: np.ndarray) -> np.ma.MaskedArray:
    """(runs, epochs), masked where a run had ended or did not validate: a NaN that is not masked is its value."""
    values = np.asarray(values)
    values = values.reshape(len(ran), -1)[:, : ran.max()]
    there = np.arange(values.shape[1]) < ran[:, None]
    if np.issubdtype(values.dtype, np.integer):
        there &= values != -1
    values = values.astype(np.float64)
    if name.startswith("validation_"):  # all runs of a program validate in the same epochs
        there &= ~np.isnan(values).all(0, where=there)
    return np.ma.array(values, mask=~there)


def _best(values: np.ma.MaskedArray, *, higher: bool) -> int | None:
    """The epoch with the best mean over all runs that got there; ``None`` if none is finite."""
    with np.errstate(invalid="ignore"):  # of infinities
        means = np.ma.filled(values.mean(0), np.nan) * (1 if higher else -1)
    finite = np.isfinite(means)
    return int(np.where(finite, means, -np.inf).argmax()) if finite.any() else None


def _block(values: dict[str, np.ma.MaskedArray], best: int | None) -> str:
    # Imported here, so that importing fnn does not import rich.
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("epoch", *values):
        # Behind a slash stands the name of an output, which must not be cut off.
        table.add_column(heading.replace("_", " ").replace("/", "/\n"), justify="right")
    for epoch in range(next(iter(values.values())).shape[1]):
        cells = (_cell(each[:, epoch]) for each in values.values())
        table.add_row(f"{'* ' if epoch == best else ''}{epoch + 1}", *cells)
    return as_text(table, WIDTH).strip("\n")


def _cell(values: np.ma.MaskedArray) -> str:
    seen = values.compressed()
    if not seen.size:
        return "–"
    if len(values) == 1 or np.isnan(seen).all():
        return f"{seen[0]:.4g}"
    with np.errstate(invalid="ignore"):  # of infinities
        return f"{seen.mean():.4g}\n{np.nanmin(seen):.3g} to {np.nanmax(seen):.3g}"


def _caption(score: str, best: int | None, runs: int, *, higher: bool) -> str:
    name = score.replace("_", " ")
    mean = "" if runs == 1 else "mean "
    which = f"* the {'highest' if higher else 'lowest'} {mean}{name}" if best is not None else f"no finite {name}"
    return which if runs == 1 else f"{which}\nmeans of {runs} runs, with the lowest and the highest below"
