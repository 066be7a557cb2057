"""What a sweep returns: all runs, the table of their scores, and the best run."""

import dataclasses
import os
from typing import Any, NamedTuple

import jax
import numpy as np

from fnn.describe.html import html_text
from fnn.describe.rendering import printable, spelled
from fnn.guards.options import flag
from fnn.sweep.placement import Layout
from fnn.sweep.table import At, SweepTable, finite_results
from fnn.train.history import History
from fnn.train.result import TrainResult

NOT_FINITE = "parameters or state are not finite"


class BestRun(NamedTuple):
    """The run that ``SweepResult.best`` chose: its number, hyper-parameters, seed, score and result."""

    run: int
    hyperparams: dict[str, Any]
    seed: int
    score: float
    result: TrainResult


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class SweepResult:
    """All runs of a sweep; ``print`` shows its table.

    ``results`` is a ``TrainResult`` whose leaves have an extra first axis with one entry per run. ``hyperparams``
    (arrays by name), ``seeds`` and ``keys`` have one entry per run too: the seeds of a combination together, the
    combinations in the order of the grid, its last axis fastest. ``layout`` says how the runs were laid out.
    ``refusals`` says for each run what is wrong with its hyper-parameters, or ``None``; it may be empty.
    """

    results: TrainResult
    hyperparams: dict[str, np.ndarray]
    seeds: np.ndarray
    keys: jax.Array
    layout: Layout
    refusals: tuple[str | None, ...] = ()

    def __len__(self) -> int:
        return len(self.seeds)

    def combination(self, run: int) -> dict[str, Any]:
        """The hyper-parameters of a run as Python numbers; give them to ``train`` to repeat it by itself."""
        return {name: values[run].item() for name, values in self.hyperparams.items()}

    def result(self, run: int) -> TrainResult:
        """The result of a run, as ``train`` would return it."""
        return jax.tree.map(lambda leaf: leaf[run], self.results)

    def table(self, score: str | None = None, *, at: At = "final", higher_is_better: bool | None = None) -> SweepTable:
        """The scores of all runs and of all combinations.

        ``score`` is the name of an entry of the history, by default ``validation_loss`` if there is one, else ``loss``.
        ``at`` says which value of a run ranks the combinations: "final", of the last epoch that ran, whose parameters
        the run returns; or "best", whose parameters it returns with early stopping. ``higher_is_better`` defaults to
        what the history says: false for a loss, and what a metric declares.

        A run diverged if a loss was not finite in an epoch that ran, or if its parameters or its state are not finite;
        the column ``reason`` says which it was, or which hyper-parameter was out of range.

        Raises ``ValueError`` for a score that the history does not hold, or holds as arrays, or if it does not say
        which direction is better (a plain dict, for which only the direction of the loss is known).
        """
        history = {name: np.asarray(values) for name, values in self.results.history.items()}
        if score is None:
            score = "validation_loss" if "validation_loss" in history else "loss"
        numbers = [name for name, values in history.items() if values.ndim == 2]
        if score not in numbers:
            kind = "an array in each epoch" if score in history else "not in the history"
            raise ValueError(f"the score {score!r} is {kind}; a score is one of {', '.join(numbers)}")
        if at not in ("final", "best"):
            raise ValueError(f"at is 'final' or 'best', got {at!r}")
        if higher_is_better is not None:
            flag("higher_is_better", higher_is_better)
        epochs_run = np.asarray(self.results.epochs_run)
        if higher_is_better is None:
            higher_is_better = self._direction(score)
        return SweepTable.of(
            score,
            history[score],
            self.hyperparams,
            self.seeds,
            epochs_run,
            self._reasons(history, epochs_run),
            at=at,
            higher=higher_is_better,
        )

    def _reasons(self, history: dict[str, np.ndarray], epochs_run: np.ndarray) -> list[str | None]:
        """For every run, why it diverged; ``None`` if it did not."""
        reasons = list(self.refusals) or [None] * len(self)
        for name in ("loss", "validation_loss"):
            if name in history:
                judged = np.arange(history[name].shape[1]) < epochs_run[:, None]
                if name == "validation_loss":
                    # Epochs without validation are NaN in every run that got that far.
                    judged &= ~np.isnan(history[name]).all(0)
                for run, epochs in enumerate(judged & ~np.isfinite(history[name])):
                    if epochs.any():
                        reasons[run] = reasons[run] or f"{name} is not finite in epoch {epochs.argmax() + 1}"
        finite = finite_results((self.results.params, self.results.state), len(self))
        return [reason or (None if sound else NOT_FINITE) for reason, sound in zip(reasons, finite, strict=True)]

    def _direction(self, score: str) -> bool:
        """Whether a higher score is better."""
        history = self.results.history
        if isinstance(history, History):
            return history.higher_is_better(score)
        if score.removeprefix("validation_") != "loss":
            raise ValueError(
                f"nothing says whether a higher {score!r} is better: the run returned a plain dict as its history; give"
                f" higher_is_better=True or False"
            )
        return False

    def best(self, score: str | None = None, *, at: At = "final", higher_is_better: bool | None = None) -> BestRun:
        """The best seed of the best combination, which has the best mean over seeds (the first line of the table).

        The arguments are those of ``table``. Raises ``ValueError`` if every run diverged.
        """
        table = self.table(score, at=at, higher_is_better=higher_is_better)
        chosen = table.best_run()
        if chosen is None:
            raise ValueError(f"none of the {len(self)} runs has a finite {table.score}: there is no best")
        value = table.rows[chosen][table.column]
        return BestRun(chosen, self.combination(chosen), int(self.seeds[chosen]), value, self.result(chosen))

    def to_csv(self, path: str | os.PathLike, score: str | None = None, **options: Any) -> None:
        """Writes the table, one line per run; the other arguments are those of ``table``."""
        self.table(score, **options).to_csv(path)

    def to_json(self, score: str | None = None, *, indent: int | None = None, **options: Any) -> str:
        """The table as strict JSON, one object per run; the other arguments are those of ``table``."""
        return self.table(score, **options).to_json(indent=indent)

    def to_markdown(self, score: str | None = None, **options: Any) -> str:
        """The table over seeds as GitHub Markdown; the arguments are those of ``table``."""
        return self.table(score, **options).to_markdown()

    def plot(self, path: str | os.PathLike, *, x: str | None = None, score: str | None = None, **options: Any) -> None:
        """Draws the score against the hyper-parameter ``x``, with a line for each value of the others; saves the plot.

        Lines are means over seeds, bands reach from the worst seed to the best, and every run is a point; runs that
        diverged are crosses at the edge. ``x`` defaults to ``learning_rate``, else to the hyper-parameter with the most
        values. The other arguments are those of ``table``; the suffix of ``path`` gives the format.

        Raises ``ValueError`` for an ``x`` that was not swept, ``ImportError`` if matplotlib is not installed.
        """
        from fnn.sweep.plot import save_plot

        save_plot(self.table(score, **options), path, x)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_() + html_text(f"{self.layout}.")

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield self.table()
        yield from spelled(console, options, f"{self.layout}.")

    def __str__(self) -> str:
        return printable(f"{self.table()}\n{self.layout}.")

    def __repr__(self) -> str:
        return f"SweepResult(runs={len(self)}, hyperparams={list(self.hyperparams)}, seeds={len(set(self.seeds))})"
