"""The pictures of the printed algorithms: signs, order of updates, and the reach of formulas."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, GREEN, GREY, INK, ORANGE, clean, legend, new_figure, save

KINDS = (("printed", "w + α ∂L/∂w", ORANGE, "--"), ("δ", "w + α δ x", GREEN, ":"), ("fnn", "w − α ∂L/∂w", BLUE, "-"))


def signs(path: Path, losses: dict[str, dict[str, Any]], least: float) -> None:
    """One panel a kind of batch: the loss after every update, over the first, on a logarithmic axis."""
    figure = new_figure(11.5, 4)
    panels = figure.subplots(1, len(losses), sharey=True)
    for axes, (kind, found) in zip(panels, losses.items(), strict=True):
        for name, label, colour, style in KINDS:
            each, updates = found[name], np.arange(1, len(found[name]["median"]) + 1)
            axes.fill_between(updates, each["low"], each["high"], color=colour, alpha=0.15, linewidth=0)
            axes.plot(updates, each["median"], color=colour, linestyle=style, linewidth=2, label=label)
        axes.axhline(least, color=GREY, linewidth=1, label="least squares")
        axes.set(yscale="log", xlabel="update", xlim=(0, len(found["fnn"]["median"])))
        axes.set_title(kind, loc="left", fontsize=11)
        clean(axes)
    panels[0].set(ylabel="loss over that of the first weights")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, loc="outside upper right", ncols=4, fontsize=9)
    save(figure, path)


def order(path: Path, rates: tuple[float, ...], found: dict[str, np.ndarray]) -> None:
    """By learning rate, over the networks: how far off the direction is, and the ratio of the losses it ends with."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    excess = found["losses"][..., 0] / found["losses"][..., 1] - 1
    panels = (
        (left, found["off"], "‖direction − gradient‖ / ‖gradient‖"),
        (right, excess, "relative excess of the loss"),
    )
    for axes, values, label in panels:
        for rate, each in zip(rates, values, strict=True):
            low, middle, high = np.quantile(each, [0.05, 0.5, 0.95])
            spread = rate * np.exp(np.random.default_rng(0).uniform(-0.25, 0.25, len(each)))
            axes.scatter(spread, each, s=6, color=BLUE, alpha=0.35, linewidth=0)
            axes.plot([rate, rate], [low, high], color=INK, linewidth=2)
            axes.plot(rate, middle, "D", color=ORANGE, markersize=8, markeredgecolor=INK, zorder=3)
        axes.set(xscale="log", yscale="log", xlabel="learning rate η", ylabel=label, xlim=(rates[0] / 2, rates[-1] * 2))
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        clean(axes)
    right.axhline(0, color=GREY, linewidth=1)
    right.set_yscale("symlog", linthresh=1e-4)
    right.set_ylabel("loss after training, relative excess\n(above 0: the gradient is better)")
    right.plot([], [], "o", color=BLUE, markersize=4, label="one network")
    right.plot([], [], "-D", color=INK, markerfacecolor=ORANGE, label="median, and 90 % of the networks")
    legend(right)
    save(figure, path)


def reach(path: Path, found: dict[str, Any], last: float) -> None:
    """One row a formula: the sizes of logits for which it is right, as printed and in fnn."""
    figure = new_figure(9, 3.6)
    axes = figure.subplots()
    for row, each in enumerate(found.values()):
        for shift, name, colour, marker in ((-0.13, "printed", ORANGE, "s"), (0.13, "fnn", BLUE, "o")):
            end = each[name]["right up to"]
            axes.plot([1, end], [row + shift] * 2, color=colour, linewidth=4, alpha=0.6, solid_capstyle="butt")
            # An arrow where none of the logits was too large.
            axes.plot(end, row + shift, ">" if end >= last else marker, color=colour, markersize=8)
            axes.annotate(
                f"±{end:,.0f}" if end >= last else f"±{end:g}",
                (end, row + shift),
                (6, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    for name, colour, marker in (("as printed", ORANGE, "s"), ("fnn", BLUE, "o")):
        axes.plot([], [], marker, color=colour, label=name)
    axes.plot([], [], ">", color=GREY, label="no limit found")
    axes.set(
        xscale="log", xlabel="logit up to which it is right, ±", xlim=(1, 20 * last), ylim=(len(found) - 0.5, -0.5)
    )
    axes.set_yticks(range(len(found)), [each["formula"] for each in found.values()])
    clean(axes)
    legend(axes)
    save(figure, path)
