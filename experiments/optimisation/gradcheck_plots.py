"""The pictures of the gradient check: the V-curves, and how often a fault stands out."""

from pathlib import Path

import numpy as np

from experiments.plots import BLUE, DIM, GREEN, GREY, ORANGE, clean, legend, new_figure, save

STYLES = ((ORANGE, ":"), (BLUE, "-"), (GREEN, "--"))


def v_curves(
    path: Path, epsilons: np.ndarray, errors: dict[str, dict[str, np.ndarray]], *, notes: float, tolerance: float
) -> None:
    """By dtype and formula, three quantiles of the error (3, ε); thin lines for the notes' ε and the tolerance."""
    figure = new_figure(11, 4.8)
    panels = figure.subplots(1, len(errors), sharey=True)
    for axes, (dtype, curves) in zip(panels, errors.items(), strict=True):
        for (name, (low, middle, high)), (colour, style) in zip(curves.items(), STYLES, strict=True):
            axes.fill_between(epsilons, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(epsilons, middle, color=colour, linestyle=style, label=name)
        axes.axvline(notes, color=DIM, linewidth=0.8)
        axes.axhline(tolerance, color=GREY, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlabel="ε", title=f"{dtype}\n", ylim=(1e-13, 10))
        clean(axes)
        legend(axes)
    panels[0].set(ylabel="relative error of the gradient")
    save(figure, path)


def fault(
    path: Path, epsilons: np.ndarray, shares: dict[str, dict[str, np.ndarray]], *, draws: int, notes: float
) -> None:
    """By dtype and tolerance, the share of the draws in which right and wrong are told apart, with 95 % intervals."""
    figure = new_figure(8, 4)
    axes = figure.subplots()
    for (dtype, tolerances), colour in zip(shares.items(), (BLUE, ORANGE), strict=True):
        for (name, share), style in zip(tolerances.items(), ("-", "--"), strict=True):
            half = 1.96 * np.sqrt(share * (1 - share) / draws)
            axes.fill_between(
                epsilons, 100 * (share - half), 100 * (share + half), color=colour, alpha=0.18, linewidth=0
            )
            axes.plot(epsilons, 100 * share, color=colour, linestyle=style, label=f"{dtype}, {name}")
    axes.axvline(notes, color=DIM, linewidth=0.8)
    axes.set(xscale="log", xlabel="ε of central differences", ylabel="draws told apart in %")
    clean(axes)
    legend(axes, columns=2)
    save(figure, path)
