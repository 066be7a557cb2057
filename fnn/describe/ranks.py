"""Blocks wired by name, drawn in ranks: each one below all that it reads, and no edge through a block."""

from collections.abc import Mapping, Sequence

from fnn.describe.boxes import Block
from fnn.describe.svg import curve, dot, edge, moved

SOURCE, SINK = "/in", "/out"  # no name of a value holds a slash
APART, BETWEEN = 24, 40
"""Pixels between the blocks of a rank, and between two ranks."""

Edges = Sequence[tuple[str, str]]


def ranked(blocks: Mapping[str, Block], edges: Edges, *, tip: str) -> Block:
    """The blocks and the edges between them, from those that read nothing to those that nothing reads.

    An edge past other ranks gets a place of its own in each of them.
    """
    reading, read = {to for _, to in edges}, {start for start, _ in edges}
    edges = [*((SOURCE, name) for name in blocks if name not in reading), *edges]
    edges = [*edges, *((name, SINK) for name in blocks if name not in read)]
    blocks = {SOURCE: Block(6, 0, 3, 3, ""), **blocks, SINK: Block(6, 0, 3, 3, "")}
    rows, links, blocks = _in_rows(blocks, edges)
    _untangle(rows, links)
    lefts = _placed(rows, links, blocks)
    return _drawn(rows, links, blocks, lefts, tip)


def _in_rows(blocks: dict[str, Block], edges: Edges) -> tuple[list[list[str]], list[tuple[str, str]], dict[str, Block]]:
    """The names of each rank, the edges from a rank to the next, and the blocks with those that stand for edges."""
    rank: dict[str, int] = {}

    def rank_of(name: str) -> int:
        if name not in rank:
            rank[name] = 1 + max((rank_of(start) for start, to in edges if to == name), default=-1)
        return rank[name]

    last = max(rank_of(name) for name in blocks)
    ends = [name for name in blocks if (name, SINK) in edges]
    rank |= dict.fromkeys(ends, last - 1)  # the outputs in one line
    rows: list[list[str]] = [[] for _ in range(last + 1)]
    for name in blocks:
        rows[rank[name]].append(name)
    links: list[tuple[str, str]] = []
    for number, (start, to) in enumerate(edges):
        for between in range(rank[start] + 1, rank[to]):
            place = f"/{number}/{between}"
            blocks[place] = Block(8, 0, 4, 4, "", blocks[start].tip)
            rows[between].append(place)
            links.append((start, place))
            start = place
        links.append((start, to))
    return rows, links, blocks


def _untangle(rows: list[list[str]], links: Edges) -> None:
    """Orders each rank by the mean place of what it is connected with, down and up."""
    for turn in range(6):
        down = turn % 2 == 0
        for row, before in zip(rows[1:], rows, strict=False) if down else zip(rows[-2::-1], rows[::-1], strict=False):
            place = {name: number for number, name in enumerate(before)}
            mean = {}
            for number, name in enumerate(row):
                near = [a if down else b for a, b in links if (b if down else a) == name]
                near = [place[each] for each in near if each in place]
                mean[name] = sum(near) / len(near) if near else number
            row.sort(key=mean.__getitem__)


def _placed(rows: list[list[str]], links: Edges, blocks: Mapping[str, Block]) -> dict[str, float]:
    """The left edge of every block: near what it is connected with, and apart from its neighbours."""
    lefts: dict[str, float] = {}
    for row in rows:
        left = -sum(blocks[name].width + APART for name in row) / 2
        for name in row:
            lefts[name] = left
            left += blocks[name].width + APART
    for turn in range(8):
        for row in rows if turn % 2 == 0 else rows[::-1]:
            wanted = []
            for name in row:
                above = [lefts[a] + blocks[a].outlet - blocks[name].inlet for a, b in links if b == name]
                below = [lefts[b] + blocks[b].inlet - blocks[name].outlet for a, b in links if a == name]
                near = (above if turn % 2 == 0 else below) or above or below
                wanted.append(sum(near) / len(near))
            left, found = float("-inf"), []
            for name, want in zip(row, wanted, strict=True):
                found.append(max(want, left))
                left = found[-1] + blocks[name].width + APART
            shift = sum(want - got for want, got in zip(wanted, found, strict=True)) / len(row)
            lefts |= {name: got + shift for name, got in zip(row, found, strict=True)}
    least = min(lefts.values())
    return {name: left - least for name, left in lefts.items()}


def _drawn(
    rows: list[list[str]], links: Edges, blocks: Mapping[str, Block], lefts: Mapping[str, float], tip: str
) -> Block:
    marks, tops, bottoms, top = "", {}, {}, 4.0
    for row in rows:
        bottom = top + max(blocks[name].height for name in row)
        tops |= dict.fromkeys(row, top)
        bottoms |= dict.fromkeys(row, bottom)
        top = bottom + BETWEEN
    for name, block in blocks.items():
        marks += moved(lefts[name], tops[name], block.marks) if block.marks else ""
        readers = sorted((lefts[start] + blocks[start].outlet, start) for start, to in links if to == name)
        real = not name.startswith("/")
        for number, (x, start) in enumerate(readers):
            room = min(block.width - 30, 22 * (len(readers) - 1)) if real else 0
            offset = room * (number / (len(readers) - 1) - 0.5) if len(readers) > 1 else 0
            at = lefts[name] + block.inlet + offset
            if real:  # within the block, whatever side its inlet is on
                at = min(max(at, lefts[name] + 8), lefts[name] + block.width - 8)
            began = tops[start] + blocks[start].height
            path = f"M{x:.1f} {began:.1f}L{x:.1f} {bottoms[start]:.1f}"
            path += curve((x, bottoms[start]), (at, tops[name] - (4 if real else 0)))
            marks += edge(path, blocks[start].tip, end=(at, tops[name]) if real else None)
    inlet, outlet = lefts[SOURCE] + 3, lefts[SINK] + 3
    marks += edge(f"M{inlet:.1f} 0v4") + edge(f"M{outlet:.1f} {tops[SINK]:.1f}v4", tip)
    marks += dot(inlet, 4) if sum(start == SOURCE for start, _ in links) > 1 else ""
    marks += dot(outlet, tops[SINK]) if sum(to == SINK for _, to in links) > 1 else ""
    width = max(left + blocks[name].width for name, left in lefts.items())
    return Block(width, tops[SINK] + 4, inlet, outlet, marks, tip)
