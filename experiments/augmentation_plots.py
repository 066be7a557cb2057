"""The pictures of the augmentation experiment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.plots import BLUE, DIM, GREY, INK, clean, new_figure, save, title


def contact_sheet(path: Path, original: np.ndarray, drawn: dict[str, np.ndarray]) -> None:
    """One row for each augmentation: the original (H, W), then its version for each key (columns, H, W)."""
    columns = 1 + len(next(iter(drawn.values())))
    width, height = 0.62 * columns + 2.1, 0.64 * len(drawn) + 0.95
    figure = new_figure(width, height)
    title(figure, "What each augmentation does to a digit", "the original on the left, then one column for each key")
    room = (0.1 / width, 0, 1 - 0.2 / width, 1 - 0.62 / height)
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0, rect=room)  # pyright: ignore
    grid = figure.subplots(len(drawn), columns, squeeze=False)
    for row, (name, images) in zip(grid, drawn.items(), strict=True):
        for axes, image in zip(row, [original, *images], strict=True):
            axes.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("#cfcfcf")
        row[0].spines[:].set_color(BLUE)
        row[0].spines[:].set_linewidth(1.6)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9.5, color=INK, labelpad=6)
    grid[0][0].set_title("original", fontsize=8.5, color=BLUE, pad=4)
    for number, axes in enumerate(grid[0][1:]):
        axes.set_title(f"key {number}", fontsize=8.5, color=DIM, pad=4)
    save(figure, path)


def strengths(path: Path, values: Sequence[float], accuracies: np.ndarray, *, examples: int) -> None:
    """Test accuracy (strengths, seeds) by strength: thin lines for seeds, a thick one for their mean."""
    figure = new_figure(7, 4.4)
    seeds = accuracies.shape[1]
    subtitle = f"test accuracy in %, trained on {examples} digits; {seeds} seeds thin, their mean thick"
    title(figure, "Motions of growing strength", subtitle)
    axes = figure.add_subplot()
    axes.plot(values, 100 * accuracies, color=GREY, linewidth=0.8, alpha=0.6)
    mean, spread = 100 * accuracies.mean(1), 100 * accuracies.std(1)
    axes.errorbar(values, mean, spread, color=BLUE, linewidth=2.2, marker="o", capsize=4, zorder=3)
    for value, each in zip(values, mean, strict=True):
        words = {"fontsize": 10, "color": BLUE, "weight": "bold", "bbox": {"fc": "white", "ec": "none", "pad": 0.8}}
        axes.annotate(f"{each:.1f}", (value, each), (6, 9), textcoords="offset points", zorder=4, **words)
    clean(axes)
    axes.set_xticks(values, [f"{10 * value:g}°, {value:g} px" if value else "none" for value in values])
    axes.set_xlim(values[0] - 0.12, values[-1] + 0.25)
    axes.set_xlabel("rotations and translations of up to", color=INK)
    save(figure, path)
