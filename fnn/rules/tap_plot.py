"""The sizes of deltas and activations by depth, as a picture: where signals vanish or explode."""

import itertools
import os
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from fnn.backprop import Combinator, asks_rule
from fnn.errors import is_floating
from fnn.layer import Layer
from fnn.walk import Node

COLOURS = {"activations": "#0b6e99", "deltas": "#e08e0b"}
MARKERS = {"activations": "o", "deltas": "s"}
RANGE = (5, 95)
"""The percentiles between which a band is drawn."""


def save_depths(model: Layer, found: Any, path: str | os.PathLike) -> None:
    """Draws the root mean square of the tapped activations and deltas, layer by layer, and saves the picture."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'fnn[experiments]'") from error
    places = [place for place in by_depth(model) if place[0] in found.deltas]
    labels = [label(*place) for place in places]
    figure = Figure(figsize=(max(5.0, 2.5 + 0.32 * len(places)), 4.6), layout="constrained")
    FigureCanvasAgg(figure)  # no window, whatever backend the caller has chosen
    axes = figure.add_subplot()
    for name, tree in (("activations", found.activations), ("deltas", found.deltas)):
        sizes = [size(at(tree[layer], indices)) for layer, indices in places]
        low, middle, high = np.array(sizes).T
        axes.fill_between(range(len(places)), low, high, color=COLOURS[name], alpha=0.15, linewidth=0)
        axes.plot(range(len(places)), middle, color=COLOURS[name], marker=MARKERS[name], markersize=4, label=name)
    axes.set(yscale="log", ylabel="root mean square", xlabel="layer, from the input to the output")
    axes.set_xticks(range(len(places)), labels, rotation=90 if len(places) > 6 else 0, fontsize=8)
    axes.grid(axis="y", color="#e3e3e3")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    figure.suptitle("Signals by depth", fontsize=12, fontweight="bold", x=0.02, ha="left")
    axes.set_title(f"bands: from the {RANGE[0]}th to the {RANGE[1]}th percentile of sizes", fontsize=8, loc="left")
    figure.savefig(path, dpi=150)


def by_depth(model: Layer) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The layers that are not combinators as they run: each path with its places in the stacks of ``Repeat``."""

    def below(node: Node, indices: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
        if asks_rule(node):
            yield node.path, indices
        elif isinstance(node.layer, Combinator):
            for more in itertools.product(*map(range, node.layer.child_axes)):
                for child in node.children():
                    yield from below(child, (*indices, *more))

    return below(Node("", model), ())


def label(path: str, indices: tuple[int, ...]) -> str:
    """A path, with its places in stacks."""
    return f"{path or 'the model'}{''.join(f' [{i}]' for i in indices)}"


def at(tree: Any, indices: tuple[int, ...]) -> np.ndarray:
    """The entries of all floating leaves at these places of their stacks, in one row."""
    leaves = [np.asarray(leaf, np.float64)[indices].ravel() for leaf in jax.tree.leaves(tree) if is_floating(leaf)]
    return np.concatenate(leaves) if leaves else np.zeros(0)


def size(values: np.ndarray) -> tuple[float, float, float]:
    """The lower percentile of the sizes, the root mean square, and the upper percentile; NaN of nothing."""
    if not values.size:
        return np.nan, np.nan, np.nan
    low, high = np.percentile(np.abs(values), RANGE)
    return float(low), float(np.sqrt(np.mean(np.square(values)))), float(high)
