"""The pictures of the experiment on saturation."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments import plots
from experiments.plots import band, legend_above

STYLES = {"squares": (plots.BLUE, "o"), "cross-entropy": (plots.ORANGE, "s")}


def gradients(path: Path, by_logit: dict[str, Any], descents: dict[str, Any], starts: list[float]) -> None:
    """The gradient of the logits against the logit; and the losses from the first and the last start, by step."""
    figure = plots.new_figure(11, 4.4)
    left, right = figure.subplots(1, 2)
    for output, line in (("sigmoid", "-"), ("softmax", "--")):
        for loss, (colour, _) in STYLES.items():
            label = f"{output}, {loss}"
            left.plot(by_logit["logits"], by_logit[output][loss], line, color=colour, linewidth=2, label=label)
    left.set(yscale="log", xlabel="logit of the right answer", ylabel="norm of the gradient of the logits")
    for i, line in ((0, "--"), (-1, "-")):
        for loss, (colour, marker) in STYLES.items():
            runs = np.array(descents[loss]["losses"][i])
            style = {"color": colour, "linestyle": line, "marker": marker, "markevery": 4}
            label = f"{loss}, from −{-starts[i]:g}"
            band(right, np.array(descents[loss]["shown"]) + 1, runs / runs[:, :1], label, **style)
    right.set(xscale="log", xlabel="step at a learning rate of 1", ylabel="loss of the sigmoid, over the first")
    for axes in (left, right):
        plots.clean(axes)
        plots.legend(axes, columns=2)
    plots.save(figure, path)


def steps(path: Path, found: dict[str, Any], starts: list[float], label: str) -> None:
    """Steps against the start, by output, way of choosing the rate, and loss: arrays (starts, seeds)."""
    figure = plots.new_figure(11, 4.4)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (output, ways) in zip(panels, found.items(), strict=True):
        for (way, by_loss), line in zip(ways.items(), ("-", "--", ":"), strict=True):
            for loss, (colour, marker) in STYLES.items():
                band(axes, starts, by_loss[loss].T, f"{loss}, {way}", color=colour, linestyle=line, marker=marker)
        axes.set(yscale="log", xlabel="logit at the start", xticks=starts)
        axes.set_title(output, loc="left", fontsize=10)
        axes.invert_xaxis()
        plots.clean(axes)
    panels[0].set_ylabel(label)
    legend_above(figure, panels[0], columns=3)
    plots.save(figure, path)


def scaling(path: Path, found: dict[str, Any]) -> None:
    """The targets, and the outputs of the first seed for unscaled and for scaled targets."""
    figure = plots.new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(found["x"], found["y"], color=plots.GREY, linewidth=5, alpha=0.5, label="target")
    styles = (plots.RED, "--", "sigmoid, unscaled"), (plots.BLUE, "-", "sigmoid, scaled to 0 to 1")
    for fit, (colour, line, label) in zip(found["fits"], styles, strict=True):
        axes.plot(found["x"], fit, line, color=colour, linewidth=2, label=label)
    axes.set(xlabel="x", ylabel="target and output")
    plots.clean(axes)
    plots.legend(axes, columns=3)
    plots.save(figure, path)
