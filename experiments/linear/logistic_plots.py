"""The pictures of logistic regression: coefficients, and how reliable the probabilities are."""

from pathlib import Path

import numpy as np

from experiments.plots import BLUE, GREY, ORANGE, clean, legend, new_figure, save

OWN, THEIRS = "one neuron in fnn", "scikit-learn"


def coefficients(path: Path, names: list[str], own: np.ndarray, theirs: np.ndarray) -> None:
    """One row a feature, in the order of scikit-learn's coefficients."""
    figure = new_figure(7, 7.5)
    axes, order, places = figure.subplots(), np.argsort(theirs), np.arange(len(theirs))
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.scatter(theirs[order], places, s=70, facecolor="none", edgecolor=ORANGE, label=THEIRS)
    axes.scatter(own[order], places, s=30, marker="x", color=BLUE, label=OWN)
    axes.set_yticks(places, [names[i] for i in order])
    axes.set(xlabel="coefficient of the standardised feature, above 0 for benign", ylim=(-1, len(order)))
    clean(axes)
    legend(axes)
    save(figure, path)


def reliability(path: Path, own: np.ndarray, theirs: np.ndarray) -> None:
    """Rows of a mean prediction, the share that came true, and half its interval."""
    figure = new_figure(6, 5.5)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    # Drawn a little aside, so that both can be seen.
    for rows, colour, line, label, aside in ((theirs, ORANGE, "s-", THEIRS, -0.006), (own, BLUE, "o--", OWN, 0.006)):
        predicted, shares, halves = rows.T
        axes.errorbar(predicted + aside, shares, halves, fmt=line, color=colour, capsize=3, markersize=5, label=label)
    axes.set(xlabel="predicted probability of benign", ylabel="share that is benign", aspect="equal")
    clean(axes)
    legend(axes)
    save(figure, path)
