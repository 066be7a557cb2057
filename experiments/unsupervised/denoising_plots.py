"""The pictures of the experiment on denoising."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, clean, new_figure, save


def rows(path: Path, images: dict[str, Any]) -> None:
    """A row of digits (10, 64) of each kind, on one scale of grey."""
    figure = new_figure(9, 5.6)
    for (name, digits), line in zip(images.items(), figure.subplots(len(images), 10), strict=True):
        for digit, axes in zip(digits, line, strict=True):
            axes.imshow(np.reshape(digit, (8, 8)), cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(GREY)
        words = name.replace(" filter", "\nfilter").replace("median of", "median of\n")
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=10, color=INK)
    save(figure, path)


def errors(path: Path, levels: Sequence[float], kinds: Sequence[str], figures: dict[str, Any]) -> None:
    """The error of every way by noise level, one panel for each kind of noise."""
    every = np.array(figures["errors"])
    curves = (
        ("noisy image", np.array(figures["noisy"]), GREY, ":", "x"),
        ("best filter", np.min(list(figures["filters"].values()), 0), GREEN, "-.", "^"),
        ("best linear map", np.array(figures["linear"]), PURPLE, (0, (6, 2)), "D"),
        ("plain", every[0], ORANGE, "--", "s"),
        ("denoising", np.diagonal(every, axis1=0, axis2=3), BLUE, "-", "o"),
    )
    figure = new_figure(10, 4.8)
    panels = figure.subplots(1, len(kinds), sharey=True)
    for place, (axes, kind) in enumerate(zip(panels, kinds, strict=True)):
        for name, values, colour, style, marker in curves:
            noisy = values[:, place, 1:]
            axes.fill_between(levels[1:], noisy.min(0), noisy.max(0), color=colour, alpha=0.18, linewidth=0)
            line = {"color": colour, "linestyle": style, "marker": marker, "markersize": 5, "linewidth": 1.8}
            axes.plot(levels[1:], noisy.mean(0), label=name, **line)
        axes.set(xlabel="root mean square of the noise (pixels 0 to 1)", yscale="log")
        axes.set_title(kind, loc="left", fontsize=10)
        clean(axes)
    panels[0].set_ylabel("mean squared error of a pixel")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=5, frameon=False, fontsize=9)
    save(figure, path)


def matrix(path: Path, levels: Sequence[float], found: np.ndarray) -> None:
    """The errors (levels in training, levels in the test), as multiples of the lowest in each column."""
    figure = new_figure(5.8, 5.4)
    axes, times = figure.subplots(), found / found.min(0)
    axes.imshow(np.log10(times), cmap="Blues", vmin=0, vmax=np.log10(times.max()))
    for i, j in np.ndindex(times.shape):
        dark = times[i, j] > times.max() ** 0.6
        weight = "bold" if times[i, j] == 1 else "normal"
        axes.text(j, i, f"{times[i, j]:.2f}", ha="center", va="center", color="white" if dark else INK, weight=weight)
    names = ["none", *(f"{level:g}" for level in levels[1:])]
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="noise in the test (standard deviation)", ylabel="noise in training (standard deviation)")
    save(figure, path)
