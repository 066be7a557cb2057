"""How the time and the memory of a training step grow with its sizes, in fnn and in Flax."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator

from experiments import plots
from experiments.bench.measuring import Row, Settings
from experiments.bench.peers import FLAX, available
from experiments.bench.sections import UNKNOWN, Section, section
from experiments.bench.steps.compared import compare
from experiments.bench.steps.networks import Network, Perceptron, Transformer

TITLE = "A training step of growing sizes in fnn and in Flax"
HEADINGS = ("grows with", "from", "to", "time, fnn", "time, Flax", "memory, fnn", "memory, Flax")
LEAST = 2**12
"""Temporary bytes below this are no measure of a size: XLA found room for everything in the results."""


class Axis(NamedTuple):
    """A size of a network, the values it takes, and the network."""

    words: str
    network: Network
    field: str
    sizes: tuple[int, ...]

    def networks(self) -> list[Any]:
        """The network of every size."""
        return [dataclasses.replace(self.network, **{self.field: size}) for size in self.sizes]


SHORT = Transformer(blocks=2, length=64, batch=4)
AXES = (
    Axis("width of the perceptron", Perceptron(layers=5), "width", (128, 256, 512)),
    Axis("batch of the perceptron", Perceptron(layers=5, width=256), "batch", (64, 256, 1024)),
    Axis("length of the transformer", SHORT, "length", (64, 128, 256)),
    Axis("depth of the transformer", SHORT, "blocks", (1, 2, 4)),
)
TINY = (
    Axis("width of the perceptron", Perceptron(layers=3, batch=8), "width", (16, 32)),
    Axis("batch of the perceptron", Perceptron(layers=3, width=16), "batch", (8, 16)),
)


class Growth(NamedTuple):
    """The rows along an axis, and the fitted exponents: size doubled, time times 2 to the exponent."""

    axis: Axis
    rows: list[Row]

    def exponents(self) -> dict[str, dict[str, float | None]]:
        """Of time and of temporary memory, for fnn and for Flax."""
        return {
            "time": {name: exponent(self.axis.sizes, values) for name, values in self.seconds().items()},
            "memory": {name: exponent(self.axis.sizes, values) for name, values in self.bytes().items()},
        }

    def seconds(self) -> dict[str, list[float]]:
        """Of both libraries, by size."""
        return {"fnn": [row.ours for row in self.rows], FLAX.name: [row.theirs for row in self.rows]}

    def bytes(self) -> dict[str, list[Any]]:
        """Temporary ones of both libraries, by size; ``None`` where they are unknown or too few to grow with it."""
        every = {"fnn": [row.our_bytes for row in self.rows], FLAX.name: [row.their_bytes for row in self.rows]}
        return {name: [count if count and count >= LEAST else None for count in each] for name, each in every.items()}


def exponent(sizes: Sequence[float], values: Sequence[float | None]) -> float | None:
    """The slope of the line through log value over log size; ``None`` if a value is unknown or zero.

    >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
    2.0
    """
    if not all(values):
        return None
    return float(np.polyfit(np.log(sizes), np.log(np.array(values, float)), 1)[0])


def measure(settings: Settings) -> list[Section]:
    """The rows along every axis, then exponents and curves."""
    axes = (TINY if settings.quick else AXES) if available([FLAX], settings.console.print) else ()
    # A network that lies on two axes is measured once.
    networks = dict.fromkeys(network for axis in axes for network in axis.networks())
    rows = {network: compare(network, [FLAX], settings)[0]._replace(part="growth") for network in networks}
    grown = [Growth(axis, [rows[network] for network in axis.networks()]) for axis in axes]
    table = section("growth", TITLE, list(rows.values()))
    exponents = Section(
        "How the time and memory of a step grow",
        "Exponents e fitted to size^e; smaller: grows more slowly. The curves: smaller is better.",
        HEADINGS,
        [line(each) for each in grown],
        picture="exponents.png",
        draw=functools.partial(curves, grown=grown),
        details={"exponents": [{"axis": each.axis.words, **each.exponents()} for each in grown]},
    )
    return [*table, exponents] if grown else []


def line(growth: Growth) -> tuple[str, ...]:
    """One line of the table of exponents."""
    found = growth.exponents()
    fitted = [found[kind][name] for kind in ("time", "memory") for name in ("fnn", FLAX.name)]
    sizes = growth.axis.sizes
    shown = (UNKNOWN if each is None else f"{each:.2f}".replace("-0.00", "0.00") for each in fitted)
    return (growth.axis.words, str(sizes[0]), str(sizes[-1]), *shown)


def curves(path: Path, grown: Sequence[Growth]) -> None:
    """Time above, memory below, against every size."""
    figure = plots.new_figure(3.2 * len(grown), 6)
    every = figure.subplots(2, len(grown), squeeze=False)
    for column, each in zip(every.T, grown, strict=True):
        in_units = (each.seconds(), 1e3, "ms"), (each.bytes(), 2.0**-20, "MiB")
        for axes, (values, factor, unit) in zip(column, in_units, strict=True):
            for (name, points), colour in zip(values.items(), (plots.BLUE, plots.ORANGE), strict=True):
                scaled = [np.nan if point is None else factor * point for point in points]
                axes.plot(each.axis.sizes, scaled, color=colour, marker="o", label=name)
            axes.set_xscale("log", base=2)
            axes.set_ylabel(unit, fontsize=9)
            axes.set_xticks(each.axis.sizes, [str(size) for size in each.axis.sizes])
            if any(count for points in values.values() for count in points):
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_major_formatter("{x:g}")
            else:
                axes.set_yticks([])
                axes.text(0.5, 0.5, "next to none", transform=axes.transAxes, ha="center", color=plots.DIM)
            axes.minorticks_off()
            plots.clean(axes)
        column[-1].set_xlabel(each.axis.words, fontsize=9)
    every[0, 0].legend(frameon=False, fontsize=9)
    plots.title(figure, "A training step of growing sizes", "medians; below: temporary memory; lower is better")
    plots.save(figure, path)
