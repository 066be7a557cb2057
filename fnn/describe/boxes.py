"""Blocks of a drawing and how they are put together: in a chain, side by side, round a skip, in a box with a title.

What enters a block arrives at its upper edge, at ``inlet`` from the left; what leaves it starts at the lower edge, at
``outlet``. A block keeps its marks relative to its upper left corner, and whoever places it moves them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from fnn.describe.svg import arrowhead, curve, dot, edge, legal, moved, rectangle, width_of, words

GAP, PAD, HEADER = 26, 14, 24
"""Pixels between blocks, round them in a box, and of a box's title."""

TALLEST = 1000
"""A chain of small blocks that is taller goes on in a column beside it."""


class Block(NamedTuple):
    """Marks with the room that they take and the places at which edges meet them; ``tip`` says what leaves."""

    width: float
    height: float
    inlet: float
    outlet: float
    marks: str
    tip: str = ""


def box(lines: Sequence[str], *, tip: str, about: str, fill: str, folded: bool = False) -> Block:
    """Lines of text in a rectangle, the first one bold; ``folded`` draws a second edge, for what is not shown."""
    width, height = max(map(width_of, lines)) + 24, 17 * len(lines) + 11
    marks = rectangle(width, height, fill=fill, stroke="#7d8fb3")
    if folded:
        marks += moved(3, 3, rectangle(width - 6, height - 6, fill="none", stroke="#7d8fb3", radius=3))
    for number, line in enumerate(lines):
        marks += words(width / 2, 18 + 17 * number, line, bold=number == 0, quiet=number > 1)
    return Block(width, height, width / 2, width / 2, f"<g><title>{legal(about)}</title>{marks}</g>", tip)


def pill(text: str, tip: str = "") -> Block:
    """A short text with round ends: an input, an output, a sum."""
    width = max(width_of(text) + 18, 24)
    marks = rectangle(width, 24, fill="#fff3d6", stroke="#c79a3a", radius=12) + words(width / 2, 16, text)
    return Block(width, 24, width / 2, width / 2, marks, tip)


def chain(blocks: Sequence[Block]) -> Block:
    """Blocks one below the other; a chain of many small blocks that gets too tall is wrapped into columns."""
    if not blocks:
        return Block(20, 12, 10, 10, edge("M10 0L10 12"))
    total = sum(block.height + GAP for block in blocks)
    if total <= TALLEST or max(block.height for block in blocks) > TALLEST / 4:
        return column(blocks)
    target = total / math.ceil(total / TALLEST)
    columns: list[list[Block]] = [[]]
    for block in blocks:
        if columns[-1] and sum(each.height + GAP for each in columns[-1]) + block.height / 2 > target:
            columns.append([])
        columns[-1].append(block)
    return _wrapped([column(each) for each in columns])


def column(blocks: Sequence[Block]) -> Block:
    """Blocks one below the other, each right below what it reads."""
    axis, lefts = 0.0, []
    for block in blocks:
        lefts.append(axis - block.inlet)
        axis += block.outlet - block.inlet
    shift, top, marks = -min(lefts), 0.0, ""
    for number, (block, left) in enumerate(zip(blocks, lefts, strict=True)):
        if number:
            x, above = left + shift + block.inlet, blocks[number - 1]
            marks += edge(f"M{x:.1f} {top - GAP:.1f}L{x:.1f} {top - 4:.1f}", above.tip, end=(x, top))
        marks += moved(left + shift, top, block.marks)
        top += block.height + GAP
    width = max(left + shift + block.width for block, left in zip(blocks, lefts, strict=True))
    outlet = lefts[-1] + shift + blocks[-1].outlet
    return Block(width, top - GAP, lefts[0] + shift + blocks[0].inlet, outlet, marks, blocks[-1].tip)


def _wrapped(columns: Sequence[Block]) -> Block:
    height, left, marks = max(column.height for column in columns) + 2 * GAP, 0.0, ""
    for number, column in enumerate(columns):
        x, bottom = left + column.inlet, GAP + column.height
        if number == 0:
            marks += edge(f"M{x:.1f} 0L{x:.1f} {GAP - 4}", end=(x, GAP))
        marks += moved(left, GAP, column.marks)
        out, right = left + column.outlet, left + column.width
        if number + 1 < len(columns):
            gutter, into = right + GAP, right + 2 * GAP + columns[number + 1].inlet
            path = f"M{out:.1f} {bottom:.1f}v12H{gutter:.1f}V6H{into:.1f}V{GAP - 4}"
            marks += edge(path, column.tip, end=(into, GAP))
            left = right + 2 * GAP
        else:
            marks += edge(f"M{out:.1f} {bottom:.1f}L{out:.1f} {height:.1f}", column.tip)
    return Block(right, height, columns[0].inlet, out, marks, columns[-1].tip)


def branched(blocks: Sequence[Block], merge: str, tip: str, *, main: bool = False) -> Block:
    """Blocks side by side on one input, their outputs merged; ``main`` keeps the first one straight in line."""
    lefts, left = [], 0.0
    for block in blocks:
        lefts.append(left)
        left += block.width + GAP
    width, join_ = left - GAP, pill(merge, tip)
    inlets = [x + block.inlet for x, block in zip(lefts, blocks, strict=True)]
    outlets = [x + block.outlet for x, block in zip(lefts, blocks, strict=True)]
    inlet = inlets[0] if main else (inlets[0] + inlets[-1]) / 2
    outlet = outlets[0] if main else (outlets[0] + outlets[-1]) / 2
    shift = max(0.0, join_.width / 2 - outlet)
    top = 6 + GAP + (8 * len(blocks) if len(blocks) > 2 else 8)
    bottom = top + max(block.height for block in blocks)
    merged = bottom + top
    marks = edge(f"M{inlet:.1f} 0L{inlet:.1f} 6") + dot(inlet, 6)
    spread = join_.width / 4
    for number, (x, block) in enumerate(zip(lefts, blocks, strict=True)):
        marks += edge(curve((inlet, 6), (inlets[number], top - 4)), end=(inlets[number], top))
        marks += moved(x, top, block.marks)
        straight = len(blocks) == 1 or (main and number == 0)
        port = outlet if straight else outlet + spread * (2 * number / (len(blocks) - 1) - 1)
        down = f"M{outlets[number]:.1f} {top + block.height:.1f}L{outlets[number]:.1f} {bottom:.1f}"
        marks += edge(down + curve((outlets[number], bottom), (port, merged - 2)), block.tip)
    marks += arrowhead(outlet, merged) if main else ""
    marks += moved(outlet - join_.width / 2, merged, join_.marks)
    full = max(shift + width, shift + outlet + join_.width / 2)
    return Block(full, merged + 24, shift + inlet, shift + outlet, moved(shift, 0, marks), tip)


def skipped(inner: Block, merge: str, carried: str, tip: str) -> Block:
    """A block with a skip round its right side, added to its output."""
    join_, top = pill(merge, tip), 6 + GAP
    bottom, side = top + inner.height, inner.width + 20
    y, x = bottom + GAP + 12, inner.outlet
    marks = edge(f"M{inner.inlet:.1f} 0L{inner.inlet:.1f} {top - 4}", end=(inner.inlet, top)) + dot(inner.inlet, 6)
    marks += moved(0, top, inner.marks)
    marks += edge(f"M{x:.1f} {bottom:.1f}L{x:.1f} {y - 16:.1f}", inner.tip, end=(x, y - 12))
    path = f"M{inner.inlet:.1f} 6C{side - 10:.1f} 6 {side:.1f} 6 {side:.1f} {top + 10:.1f}V{bottom - 6:.1f}"
    marks += edge(f"{path}C{side:.1f} {y:.1f} {side - 10:.1f} {y:.1f} {x + join_.width / 2:.1f} {y:.1f}", carried)
    marks += moved(x - join_.width / 2, y - 12, join_.marks)
    return Block(side + 2, y + 12, inner.inlet, x, marks, tip)


def listed(blocks: Sequence[Block]) -> Block:
    """Blocks one below the other without edges, for a layer whose wiring is its own."""
    width, top, marks = max(block.width for block in blocks), 0.0, ""
    for block in blocks:
        marks += moved((width - block.width) / 2, top, block.marks)
        top += block.height + GAP / 2
    return Block(width, top - GAP / 2, width / 2, width / 2, marks)


def container(title: str, inner: Block, *, about: str, tip: str, wired: bool = True) -> Block:
    """A block in a box with a title; what enters meets the title's upper edge. Dashed if the wiring is not drawn."""
    width = max(inner.width + 2 * PAD, width_of(title) + 24)
    left, top = (width - inner.width) / 2, HEADER + PAD
    height, into, out = top + inner.height + PAD, left + inner.inlet, left + inner.outlet
    frame = rectangle(width, height, fill="#4a68a8", stroke="#8a9bbf", dashed=not wired).replace(
        " stroke=", ' fill-opacity="0.06" stroke=', 1
    )
    marks = f"<g><title>{legal(about)}</title>{frame}{words(12, 17, title, bold=True, middle=False)}</g>"
    if wired:
        marks += edge(f"M{into:.1f} {HEADER}L{into:.1f} {top}")
        marks += edge(f"M{out:.1f} {top + inner.height:.1f}L{out:.1f} {height:.1f}", inner.tip)
    return Block(width, height, into, out, marks + moved(left, top, inner.marks), tip)
