"""The pictures of the digits experiment."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from experiments.plots import BLUE, GREY, INK, ORANGE, RED, band, clean, new_figure, save, title

SHOWN = 40
"""How many misread digits fit on one picture."""


class Mistake(NamedTuple):
    """A misread digit: its place in the test part, its label, the most common wrong answer, the mean ``confidence`` in
    it, and how many networks are ``wrong``."""

    place: int
    label: int
    predicted: int
    confidence: float
    wrong: int


def learning_curves(path: Path, history: dict[str, np.ndarray]) -> None:
    """Loss and accuracy by epoch, training against validation; arrays (seeds, epochs)."""
    seeds, epochs = history["loss"].shape
    figure = new_figure(10, 4.2)
    title(figure, "Learning curves", f"mean over {seeds} seeds, shaded from the lowest to the highest")
    x = np.arange(1, epochs + 1)
    for axes, name, unit, scale in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("", " (%)"), (1, 100), strict=True
    ):
        train, validation = scale * history[name], scale * history[f"validation_{name}"]
        band(axes, x, train, "training", color=ORANGE)
        band(axes, x, validation, "validation", color=BLUE)
        clean(axes)
        axes.set_title(f"{name}{unit}", loc="left", fontsize=10, color=INK)
        axes.set_xlabel("epoch", color=INK)
        axes.set_xlim(1, max(epochs, 2))
        axes.xaxis.get_major_locator().set_params(integer=True)
        _zoom(axes, np.concatenate([train, validation]), top=100 if name == "accuracy" else None)
        axes.legend(frameon=False, loc="lower right" if name == "accuracy" else "upper right", fontsize=9)
    save(figure, path)


def _zoom(axes: Any, values: np.ndarray, top: float | None) -> None:
    """Leaves out the steep start of long runs, beside which the rest would look flat."""
    late = values[:, values.shape[1] // 10 :]
    low, high = float(late.min()), float(late.max())
    margin = 0.06 * (high - low) or 0.01
    axes.set_ylim(low - margin, high + margin if top is None else top + 0.15 * margin)


def confusion(path: Path, predicted: np.ndarray, labels: np.ndarray) -> None:
    """Counts over all networks (``predicted`` is (seeds, N)); the diagonal is grey so that errors stand out."""
    counts = np.zeros((10, 10), int)
    np.add.at(counts, (np.broadcast_to(labels, predicted.shape), predicted), 1)
    errors = counts * (1 - np.eye(10, dtype=int))
    figure = new_figure(6.4, 6.2)
    subtitle = f"{errors.sum()} errors in {predicted.size} predictions: {len(predicted)} networks, {len(labels)} digits"
    title(figure, "Which digits are mistaken for which", subtitle)
    axes = figure.add_subplot()
    colours = LinearSegmentedColormap.from_list("errors", ["#ffffff", "#f7c9b6", RED])
    most = max(1, errors.max())
    axes.imshow(errors, cmap=colours, vmin=0, vmax=most)
    for (label, guess), count in np.ndenumerate(counts):
        if label == guess:
            axes.add_patch(_cell(label))
        if count:
            dark = label != guess and count > 0.6 * most
            colour = "white" if dark else GREY if label == guess else INK
            weight = "normal" if label == guess else "bold"
            axes.text(guess, label, str(count), ha="center", va="center", fontsize=10, color=colour, weight=weight)
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_xticks(np.arange(-0.5, 10), minor=True)
    axes.set_yticks(np.arange(-0.5, 10), minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.8)
    axes.tick_params(which="both", length=0, labelsize=10)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true", color=INK)
    save(figure, path)


def _cell(place: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((place - 0.5, place - 0.5), 1, 1, facecolor="#f1f1f1", edgecolor="none", zorder=1)


def misread(path: Path, images: np.ndarray, found: Sequence[Mistake], *, networks: int) -> None:
    """The misread digits: label, most common wrong answer, its confidence, and how many networks are wrong."""
    shown = found[:SHOWN]
    columns = min(8, max(5, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = new_figure(1.35 * columns + 0.3, 1.85 * rows + 0.75)
    left_out = f"; the first {SHOWN} of {len(found)}" if len(found) > SHOWN else ""
    subtitle = f"the most common wrong answer, and its mean confidence{left_out}"
    title(figure, "Test digits that at least one network misreads", subtitle if shown else "there are none")
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        axes.set_axis_off()
        if i < len(shown):
            mistake = shown[i]
            image = images[mistake.place]
            axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray_r", vmin=0, vmax=1)
            words = f"{mistake.label} read as {mistake.predicted}"
            axes.set_title(words, fontsize=10, color=RED, pad=4)
            below = f"{100 * mistake.confidence:.0f} % sure\n{mistake.wrong} of {networks} wrong"
            axes.text(0.5, -0.05, below, transform=axes.transAxes, ha="center", va="top", fontsize=8, color=INK)
    save(figure, path)
