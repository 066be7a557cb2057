"""The pictures of gradient descent: paths on a surface, estimates of the gradient, rates at the edge, escapes."""

from pathlib import Path
from typing import Any

import numpy as np

from experiments.plots import BLUE, DIM, GREY, INK, ORANGE, PALE, PURPLE, clean, legend, new_figure, save

STYLES = {"batch": (BLUE, "o", "-"), "mini-batch": (PURPLE, "^", "--"), "stochastic": (ORANGE, "s", ":")}


def surface(path: Path, samples: tuple[Any, Any], paths: dict[str, Any], sizes: dict[str, int]) -> None:
    """Contours of the loss with the three paths, and the excess loss by passes over the samples."""
    figure = new_figure(10.5, 4.6)
    left, right = figure.subplots(1, 2)
    x, y = samples
    best = np.linalg.lstsq(x, y)[0][:, 0]
    first, second = np.meshgrid(np.linspace(-1.4, 2.4, 120), np.linspace(-2.2, 1.4, 120))
    losses = np.mean(np.square(first[..., None] * x[:, 0] + second[..., None] * x[:, 1] - y[:, 0]), -1)
    levels = losses.min() + np.geomspace(0.02, losses.max() - losses.min(), 12)
    left.contour(first, second, losses, levels=levels, colors=GREY, linewidths=0.6)
    for kind in ("stochastic", "mini-batch", "batch"):
        colour, marker, line = STYLES[kind]
        walked, per_pass = np.array(paths[kind]["path"]), len(y) // sizes[kind]
        walked = walked[: 3 * per_pass + 1] if kind != "batch" else walked
        left.plot(*walked.T, color=colour, linewidth=1.2, marker=marker, markersize=2.5, alpha=0.9)
        low, middle, high = np.array(paths[kind]["excess"])
        passes = np.arange(len(middle))
        right.fill_between(passes, low, high, color=colour, alpha=0.15, linewidth=0)
        right.plot(passes, middle, color=colour, linestyle=line, linewidth=2, label=f"{kind} ({sizes[kind]})")
    left.plot(*best, "*", color=INK, markersize=11, zorder=4)
    left.set(xlabel="w₁", ylabel="w₂", xlim=(-1.4, 2.4), ylim=(-2.2, 1.4))
    right.set(
        yscale="log", xlabel="passes over the samples", ylabel="excess loss / that of the first weights", xlim=(0, None)
    )
    clean(left)
    left.grid(visible=False)
    clean(right)
    legend(right, columns=3)
    save(figure, path)


def estimates(path: Path, sizes: tuple[int, ...], found: list[dict[str, Any]]) -> None:
    """The variance by batch size, and the distance of the mean of single gradients by their number."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    variance = np.array([each["variance"] for each in found])
    means, counts = np.array([each["means"] for each in found]), np.array(found[0]["counts"])
    panels = ((left, np.array(sizes), variance, -1.0, "1 / size"), (right, counts, means, -0.5, "1 / √count"))
    for axes, x, values, exponent, label in panels:
        axes.plot(x, values.T, color=BLUE, linewidth=0.7, alpha=0.5)
        middle = np.median(values, 0)
        axes.plot(x, middle, "o-", color=BLUE, linewidth=2, markersize=5, label="median")
        axes.plot(x, middle[0] * x**exponent, color=ORANGE, linestyle="--", linewidth=2, label=label)
        axes.set(xscale="log", yscale="log")
        clean(axes)
        legend(axes)
    left.set(xlabel="batch size (samples)", ylabel="variance / ‖full gradient‖²")
    left.set_xticks(sizes, [str(size) for size in sizes])
    left.minorticks_off()
    right.set(xlabel="single-sample gradients in the mean", ylabel="‖mean − full gradient‖ / ‖full gradient‖")
    save(figure, path)


def edges(path: Path, shares: np.ndarray, logs: np.ndarray, betas: tuple[float, ...], escapes: dict[str, Any]) -> None:
    """The excess loss by rate around 2/λ, and the share of starts that escape by β."""
    figure = new_figure(10, 4)
    left, right = figure.subplots(1, 2)
    left.plot(shares, 10.0**logs.T, color=BLUE, linewidth=0.8, alpha=0.6)
    left.axvline(1, color=ORANGE, linestyle="--", linewidth=1.5)
    left.axhline(1, color=DIM, linewidth=1)
    left.plot([], [], color=BLUE, label="one seed")
    left.plot([], [], color=ORANGE, linestyle="--", label="2/λ")
    left.set(yscale="log", xlabel="learning rate, as a share of 2/λ", ylabel="excess loss, last / first")
    names = {"velocity": ("v ← βv + g", BLUE, "o", "-"), "mean": ("v ← βv + (1 − β)g", ORANGE, "s", "--")}
    for form, (share, (low, high)) in escapes.items():
        label, colour, marker, line = names[form]
        away = np.array([np.array(share) - low, high - np.array(share)])
        places = np.arange(len(betas))
        right.errorbar(places, share, away, color=colour, marker=marker, linestyle=line, capsize=3, label=label)
    right.set(xlabel="β", ylabel="share of starts that escape", ylim=(0, 1.04))
    right.set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
    for axes in (left, right):
        clean(axes)
        legend(axes)
    right.grid(axis="x", color=PALE, linewidth=0.5)
    save(figure, path)
