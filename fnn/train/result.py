"""What a run returns."""

import math
import os
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from fnn.describe.rendering import printable
from fnn.layer import Params, State
from fnn.train.history import History


def _is_known(value: Any) -> bool:
    return not isinstance(value, Tracer | jax.ShapeDtypeStruct)


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
        """Names and sizes, without the numbers; of several runs also how many there are."""
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        runs, epochs = np.shape(self.epochs_run), np.ravel(self.epochs_run) if _is_known(self.epochs_run) else None
        if not runs:
            said = f"epochs_run={self.epochs_run}"
        else:
            least, most = (0, 0) if epochs is None or not epochs.size else (epochs.min(), epochs.max())
            span = f"{most}" if least == most else f"{least} to {most}"
            said = f"{'×'.join(map(str, runs))} runs stacked" + ("" if epochs is None else f", epochs_run={span}")
        share = f"{count // math.prod(runs):,} parameters each" if math.prod(runs) > 1 else f"{count:,} parameters"
        return printable(f"TrainResult({said}, history of {', '.join(self.history)}, {share})")

    def _repr_html_(self) -> str:
        """The learning curves as a picture; the table where matplotlib is not installed or a value is traced."""
        from fnn.train.plot import html_of

        return html_of(self.history, self.epochs_run, repr(self))
