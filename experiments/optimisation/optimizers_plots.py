"""The pictures of the optimisers: losses by rate, curves at the best rate, and what each does to its steps."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm

from experiments.optimisation.optimizers_runs import DIVERGED, best
from experiments.plots import BLUE, DIM, GREEN, GREY, INK, ORANGE, PURPLE, RED, clean, legend, new_figure, save

FAMILIES = {
    "descent": ("sgd", "ema_momentum", "momentum", "nesterov", "schedule_free_sgd"),
    "a rate for every entry": ("adagrad", "adadelta", "rmsprop", "adafactor"),
    "Adam and variants": ("adam", "adam, uncorrected", "adamw", "amsgrad", "nadam", "radam"),
    "others": ("adamax", "schedule_free_adamw", "lion", "lamb", "muon"),
}
STYLES = ((BLUE, "-"), (ORANGE, "--"), (GREEN, "-."), (PURPLE, ":"), (RED, (0, (5, 1))), (INK, (0, (1, 1))))


def rates(path: Path, rates: np.ndarray, swept: dict[str, Any]) -> None:
    """A map of optimisers and rates, coloured by the loss on a logarithmic scale."""
    figure = new_figure(9, 1.6 + 0.3 * len(swept))
    axes = figure.subplots()
    losses = [np.array(each["last"]) for each in swept.values()]
    means = np.array([each.mean(1) for each in losses])
    norm = LogNorm(max(means.min(), 1e-3), DIVERGED)
    image = axes.imshow(means, cmap="cividis_r", norm=norm, aspect="auto", interpolation="nearest")
    for row, each in enumerate(losses):
        axes.plot(best(each), row, "o", color="white", markeredgecolor=INK, markersize=7)
    axes.set_xticks(range(len(rates)), [f"{rate:.2g}" for rate in rates])
    axes.set_yticks(range(len(swept)), list(swept))
    axes.set(xlabel="learning rate")
    axes.tick_params(labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, pad=0.02)
    bar.set_label("training loss at the end (lower is better; guessing: 2.3)", fontsize=9)
    bar.outline.set_visible(False)  # pyright: ignore
    save(figure, path)


def curves(path: Path, rates: np.ndarray, swept: dict[str, Any]) -> None:
    """One panel a family: the loss by pass of every optimiser at its best rate."""
    families = {family: [name for name in names if name in swept] for family, names in FAMILIES.items()}
    families = {family: names for family, names in families.items() if names}
    figure = new_figure(11, 4.4 * -(-len(families) // 2))
    panels = figure.subplots(-(-len(families) // 2), 2, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (family, names) in zip(panels, families.items(), strict=False):
        for name, (colour, style) in zip(names, STYLES, strict=False):
            place = best(np.array(swept[name]["last"]))
            history = np.array(swept[name]["history"])
            passes = np.arange(1, history.shape[1] + 1)
            axes.fill_between(passes, history.min(0), history.max(0), color=colour, alpha=0.12, linewidth=0)
            label = f"{name}, {rates[place]:.2g}"
            axes.plot(passes, history.mean(0), color=colour, linestyle=style, linewidth=2, label=label)
        axes.set(yscale="log", xlabel="pass", ylabel="mean loss of the pass")
        axes.set_title(family, loc="left", fontsize=10, pad=54)
        clean(axes)
        axes.set_xticks(passes)
        legend(axes, columns=2)
    for axes in panels[len(families) :]:
        axes.set_visible(False)
    save(figure, path)


def peculiarities(path: Path, effective: dict[str, Any], lengths: dict[str, Any]) -> None:
    """The effective rate over 2/λ by step, and the length of Adam's steps without bias correction over that with it."""
    figure = new_figure(10.5, 4.2)
    left, right = figure.subplots(1, 2)
    for name, colour, style in (("sgd", GREY, ":"), ("AdaGrad", BLUE, "-"), ("RMSProp", ORANGE, "--")):
        spread(left, effective[name], colour, style, name)
    left.axhline(1, color=DIM, linewidth=1)
    left.annotate("2/λ", (1.1, 1), (0, 3), textcoords="offset points", fontsize=9, color=DIM)
    left.set(xscale="log", yscale="log", xlabel="step", ylabel="effective rate / (2/λ)")
    spread(right, lengths, BLUE, "-", "without bias correction / with it")
    right.axhline(1, color=DIM, linewidth=1)
    right.set(xlabel="step", ylabel="length of the step, ratio", ylim=(0, None), xlim=(0, None))
    for axes in (left, right):
        clean(axes)
        legend(axes)
    save(figure, path)


def spread(axes: Any, found: dict[str, Any], colour: str, style: str, label: str) -> None:
    """The median over the seeds by step, and their range."""
    axes.fill_between(found["steps"], found["low"], found["high"], color=colour, alpha=0.18, linewidth=0)
    axes.plot(found["steps"], found["median"], color=colour, linestyle=style, linewidth=2, label=label)
