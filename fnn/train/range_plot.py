"""The picture of a range test: the loss against the rate, and where the suggestion lies."""

import os

import numpy as np

from fnn.train.range_test import LearningRates


def save_rates(found: LearningRates, path: str | os.PathLike) -> None:
    """Draws the losses and their means against the rates, on a logarithmic axis, and saves the picture."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend the caller has chosen
    axes, counted = figure.subplots(), len(found.smoothed)
    axes.plot(found.rates, found.losses, color="#9fc4d6", linewidth=1, label="loss of a batch")
    axes.plot(found.rates[:counted], found.smoothed, color="#0b6e99", linewidth=2, label="mean")
    seen, means = found.losses[np.isfinite(found.losses)], found.smoothed
    if counted and np.ptp(means):  # single batches may rise far out of the picture
        axes.set_ylim(seen.min() - 0.1 * np.ptp(means), means.max() + 0.4 * np.ptp(means))
    if counted < len(found.rates):
        axes.axvspan(found.rates[counted], found.rates[-1], color="#f4e3e3", label="diverged")
    if np.isfinite(found.suggestion):
        axes.axvline(found.suggestion, color="#e08e0b", linewidth=2, label=f"suggestion {found.suggestion:.2g}")
    axes.set_xscale("log")
    axes.set_xlim(found.rates[0], found.rates[-1])
    axes.set_xlabel("learning rate, rising step by step")
    axes.set_ylabel("loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
