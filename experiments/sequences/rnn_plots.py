"""The picture of the recurrent networks' errors."""

from pathlib import Path

import numpy as np

from experiments import plots

LOOKS = {
    "feed-forward": (plots.INK, "X", ":"),
    "simple": (plots.BLUE, "o", "-"),
    "lateral": (plots.GREEN, "^", "-."),
    "Jordan": (plots.RED, "v", ":"),
    "LSTM": (plots.ORANGE, "s", "-"),
    "GRU": (plots.PURPLE, "D", "--"),
}


def lengths_and_errors(path: Path, lengths: list[int], middle: int, errors: dict, across: dict) -> None:
    """Errors by length: (length, seed) on the left, and on the right (seed, length) of what one length taught."""
    figure = plots.new_figure(11, 4.8)
    left, right = figure.subplots(1, 2, sharey=True)
    titles = (
        "Trained and tested at one length",
        f"Trained at {lengths[middle]} steps, tested at others",
    )
    carried = {name: np.transpose(each).tolist() for name, each in across.items()}
    for axes, found, text in zip((left, right), (errors, carried), titles, strict=True):
        for place, (name, values) in enumerate(found.items()):
            values, (colour, marker, line) = np.array(values), LOOKS[name]
            mean = values.mean(1)
            # Side by side, so that no bar hides another.
            x = np.array(lengths) * 1.02 ** (place - (len(found) - 1) / 2)
            bars = [mean - values.min(1), values.max(1) - mean]
            style = {"color": colour, "marker": marker, "linestyle": line, "capsize": 3, "markersize": 6}
            axes.errorbar(x, mean, yerr=bars, label=name, **style)
        axes.axhline(1, color=plots.GREY, linewidth=1, linestyle=(0, (5, 3)), label="the mean")
        axes.set(xscale="log", yscale="log", xlabel="length in steps")
        axes.set_xticks(lengths, [str(each) for each in lengths])
        axes.minorticks_off()
        axes.set_title(text + "\n\n\n", loc="left", fontsize=10)
        plots.clean(axes)
        plots.legend(axes)
    left.set_ylabel("held-out error over that of the mean (lower is better)")
    plots.save(figure, path)
