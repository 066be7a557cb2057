"""The pictures of the experiment on generative adversarial networks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, DIM, GREEN, GREY, INK, ORANGE, PURPLE, band, clean, legend, new_figure, save


def samples(path: Path, images: list[Any], steps: Sequence[int]) -> None:
    """A row of samples (10, 64) for each moment."""
    figure = new_figure(9, 4.8)
    for digits, step, line in zip(images, steps, figure.subplots(len(images), 10), strict=True):
        for digit, axes in zip(digits, line, strict=True):
            axes.imshow(np.reshape(digit, (8, 8)), cmap="gray_r", vmin=0, vmax=1)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color(GREY)
        words = f"{step:,} steps" if step else "the start"
        line[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=10, color=INK)
    save(figure, path)


def curves(path: Path, figures: dict[str, Any], lowest: float) -> None:
    """Losses, accuracy and distance by step, and the shares of the digits."""
    figure = new_figure(10, 7.4)
    (losses, accuracy), (distance, shares) = figure.subplots(2, 2)
    steps = figures["steps"]
    band(losses, steps, np.array(figures["discriminator"]), "discriminator", color=BLUE)
    band(losses, steps, np.array(figures["generator"]), "generator", color=ORANGE, linestyle="--")
    losses.axhline(lowest, color=INK, linestyle=":", linewidth=1.3, label="ln 4")
    losses.set(ylabel="loss", ylim=(0, None))
    band(accuracy, steps, 100 * np.array(figures["accuracy"]), "discriminator", color=BLUE)
    accuracy.axhline(50, color=INK, linestyle=":", linewidth=1.3, label="guessing")
    accuracy.set(ylabel="accuracy (%)", ylim=(0, 100))
    band(distance, steps, np.array(figures["distance"]), "samples", color=GREEN)
    distance.axhline(figures["between real"], color=INK, linestyle=":", linewidth=1.3, label="training digits")
    distance.set(ylabel="Fréchet distance to held-out digits", yscale="log")
    distance.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    distance.minorticks_off()
    found = 100 * np.array(figures["shares"])
    for place, values in enumerate(found.T):
        across = place + np.linspace(-0.2, 0.2, len(values))
        label = "a seed" if place == 0 else None
        shares.scatter(across, values, s=24, color=PURPLE, alpha=0.8, linewidth=0, label=label)
    shares.axhline(10, color=DIM, linestyle=":", linewidth=1.3, label="equal shares")
    shares.set(ylabel="share of the samples (%)", xlabel="digit, as a classifier reads it", ylim=(0, None))
    shares.set_xticks(range(10))
    for axes in (losses, accuracy, distance):
        axes.set(xlabel="step")
    for axes in (losses, accuracy, distance, shares):
        axes.set_title("\n", fontsize=9)
        clean(axes)
        legend(axes)
    save(figure, path)
