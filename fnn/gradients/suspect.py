"""Where on the way back a gradient first goes wrong."""

from collections.abc import Iterator

import numpy as np

from fnn.backprop import Combinator
from fnn.gradients.rows import Measured, Row
from fnn.layer import Layer
from fnn.paths import join, lies_in

Step = tuple[str, tuple[int, ...]]
"""A layer's path, and which round it is of every ``Repeat`` around it."""


def unrolled(layer: Layer, path: str = "", rounds: tuple[int, ...] = ()) -> Iterator[Step]:
    """The layers in the order in which the model runs them."""
    if not isinstance(layer, Combinator):
        yield path, rounds
        return
    # Not by ``walk``: all layers inside come again in every round.
    for each in np.ndindex(*layer.child_axes):
        for name, child in layer.children().items():
            yield from unrolled(child, join(path, name), (*rounds, *each))


def suspect(
    model: Layer,
    rows: tuple[Row, ...],
    found: dict[tuple[str, str], Measured],
    reference: dict[tuple[str, str], Measured],
) -> str:
    """Says which layer to look at; ``""`` if manual agrees everywhere or arrays are missing to tell.

    Backpropagation runs from the last layer to the first, and one wrong dx spoils every delta before it: the fault is
    where the last wrong delta was made, or, where all deltas are right, in the parameters' own gradients.
    """
    failing = {(row.kind, row.path): row["manual"] for row in rows if _fails(row)}
    deltas = [path for kind, path in failing if kind == "delta"]

    def wrong(step: Step) -> bool:
        path, rounds = step
        for each in deltas:
            if not lies_in(each, [path]):
                continue
            g, r, limit = found["delta", each].values, reference["delta", each].values, failing["delta", each].limit
            if g is None or r is None or limit is None or not np.linalg.norm(g[rounds] - r[rounds]) <= limit:
                return True
        return False

    steps = list(unrolled(model))
    last = max((i for i, step in enumerate(steps) if wrong(step)), default=None)
    if last is not None:
        place = f"the delta of {_name(steps[last])}"
        if last + 1 == len(steps):
            return f"on the way back, {place} is the first wrong one: look at the loss, or at what is wired behind it"
        after = _name(steps[last + 1])
        return f"on the way back, {place} is the first wrong one: look at the dx of {after}, which runs next"
    layers = dict.fromkeys(path for path, _ in steps)
    owners = [path for path in layers if any(kind == "parameter" and lies_in(each, [path]) for kind, each in failing)]
    if owners:
        return f"every delta agrees: look at the dparams of {', '.join(owner or '(model)' for owner in owners)}"
    return ""


def _fails(row: Row) -> bool:
    return any(comparison.method == "manual" and not comparison.ok for comparison in row.comparisons)


def _name(step: Step) -> str:
    path, rounds = step
    return (path or "(model)") + "".join(f"[{i}]" for i in rounds)
