"""What a run returns."""

import os
from typing import Any, NamedTuple

import jax

from fnn.layer import Params, State
from fnn.train.history import History


class TrainResult(NamedTuple):
    """The result of a run: a pytree, so runs stack under ``vmap``.

    ``history`` maps each name to an array with one entry per epoch, NaN after an early stop (-1 for integers);
    ``history.higher_is_better(name)`` says which direction is better. ``epochs_run`` counts the epochs, including one
    that was cut short.
    """

    params: Params
    state: State
    opt_state: Any
    history: History
    epochs_run: Any

    def plot(self, path: str | os.PathLike) -> None:
        """Draws the learning curves and saves the picture; the ending gives the format.

        Several runs of one program (``vmap`` over keys) are drawn as their mean, with a band from the lowest to the
        highest. Errors: ``ImportError`` where matplotlib is not installed, ``ValueError`` for a history without epochs.
        """
        from fnn.train.plot import save_curves

        save_curves(self.history, path)

    def table(self, score: str | None = None) -> str:
        """The history as a table for ``print``, 80 characters wide: a row an epoch, the best one marked.

        ``score`` is the entry that says which epoch is best, by default ``validation_loss`` if there is one, else
        ``loss``. Several runs of one program are shown as their mean, with the lowest and the highest below. Errors:
        ``ValueError`` for a history without epochs and for a score that is not in it as a number.
        """
        from fnn.train.table import table_of

        return table_of(self.history, self.epochs_run, score)

    def __repr__(self) -> str:
        """Names and sizes, without the numbers."""
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return f"TrainResult(epochs_run={self.epochs_run}, history of {', '.join(self.history)}, {count:,} parameters)"
