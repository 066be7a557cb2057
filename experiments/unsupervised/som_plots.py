"""The pictures of the experiment on self-organising maps."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, clean, legend, new_figure, save

SPECIES = (("setosa", BLUE, "o"), ("versicolor", ORANGE, "s"), ("virginica", GREEN, "^"))


def prototypes(path: Path, kinds: dict[str, Any], side: int) -> None:
    """The weights of the units as images, on the grid, with a neighbourhood and without."""
    figure = new_figure(10, 5.2)
    names = {"map": "with a neighbourhood", "none": "radius 0: only the winner moves"}
    for axes, (kind, words) in zip(figure.subplots(1, 2), names.items(), strict=True):
        images = np.array(kinds[kind]["first"]).reshape(side, side, 8, 8)
        # A blank pixel on every side keeps the images apart.
        images = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        axes.imshow(images.swapaxes(1, 2).reshape(10 * side, 10 * side), cmap="gray_r", vmin=0, vmax=1)
        for line in np.arange(1, side) * 10 - 0.5:
            axes.axhline(line, color=GREY, linewidth=0.6)
            axes.axvline(line, color=GREY, linewidth=0.6)
        axes.set(xticks=[], yticks=[])
        axes.set_title(words, loc="left", fontsize=10)
    save(figure, path)


def species(path: Path, found: dict[str, Any], side: int) -> None:
    """The U-matrix of a map, with the species that each unit wins."""
    figure = new_figure(7.4, 6)
    axes = figure.subplots()
    heights = u_matrix(np.array(found["kinds"]["map"]["first"]).reshape(side**2, -1), side)
    # Even the largest distance is a middle grey, on which the markers stand out.
    shown = axes.imshow(heights, cmap="gray_r", vmin=0, vmax=1.8 * heights.max())
    bar = figure.colorbar(shown, ax=axes, label="mean distance to the neighbours (standard deviations)", shrink=0.85)
    bar.ax.set_ylim(0, heights.max())
    rows, columns = np.divmod(np.arange(side**2), side)
    hits = np.transpose(found["hits"])
    several = (hits > 0).sum(0) > 1
    for shift, (name, colour, marker), counts in zip((-0.27, 0, 0.27), SPECIES, hits, strict=True):
        won = counts > 0
        # The species of a unit that wins several stand side by side.
        across = columns + shift * several
        drawn = {"color": colour, "marker": marker, "edgecolor": "white", "linewidth": 0.7}
        axes.scatter(across[won], rows[won], s=18 * counts[won], **drawn)
        axes.scatter([], [], s=60, label=name, **drawn)
    axes.set(xticks=[], yticks=[], title="\n")
    legend(axes)
    save(figure, path)


def u_matrix(units: np.ndarray, side: int) -> np.ndarray:
    """The mean distance of each unit's weights to those of its two to four neighbours (side, side)."""
    grid = units.reshape(side, side, -1)
    total, count = np.zeros((side, side)), np.zeros((side, side))
    for axis in (0, 1):
        apart = np.linalg.norm(np.diff(grid, axis=axis), axis=-1)
        for place in (slice(1, None), slice(None, -1)):
            here = (place, slice(None)) if axis == 0 else (slice(None), place)
            total[here] += apart
            count[here] += 1
    return total / count


def trade(path: Path, sets: dict[str, Any]) -> None:
    """The quantisation error, in multiples of that of k-means, and the topographic error, by kind."""
    figure = new_figure(10, 4.2)
    left, right = figure.subplots(1, 2)
    for shift, (name, found), colour, marker in zip((-0.16, 0.16), sets.items(), (BLUE, ORANGE), "os", strict=True):
        reference = np.mean(found["k-means"])
        columns = {kind: each["quantisation"] for kind, each in found["kinds"].items()} | {"k-means": found["k-means"]}
        for place, values in enumerate(columns.values()):
            dots(left, place + shift, np.array(values) / reference, colour, marker, name if place == 0 else None)
        for place, each in enumerate(found["kinds"].values()):
            values = 100 * np.array(each["topographic"])
            dots(right, place + shift, values, colour, marker, name if place == 0 else None)
    left.set(ylabel="quantisation error / that of k-means", ylim=(0, None))
    right.set(ylabel="topographic error (% of the samples)", ylim=(0, 100))
    left.set_xticks(range(4), ["map", "shrunk", "none", "k-means"])
    right.set_xticks(range(3), ["map", "shrunk", "none"])
    for axes in (left, right):
        axes.set(xlabel="neighbourhood", title="\n")
        clean(axes)
        legend(axes)
    save(figure, path)


def dots(axes: Any, place: float, values: np.ndarray, colour: str, marker: str, label: str | None) -> None:
    """The values beside each other, and their mean as a bar."""
    across = place + np.linspace(-0.09, 0.09, len(values))
    axes.scatter(across, values, s=22, color=colour, marker=marker, alpha=0.7, linewidth=0, label=label)
    axes.plot([place - 0.13, place + 0.13], [values.mean()] * 2, color=INK, linewidth=1.8)
