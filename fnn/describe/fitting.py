"""Tables that fit the page: cells go on in another line where words end, and on a narrow page each row is a list.

A path may go on behind a slash, a call behind a comma or its opening bracket. Where the columns do not fit side by
side, those that are ``spare`` are left out, and if that is not enough, each row becomes a few lines with all of them.
"""

import itertools
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fnn.describe.rendering import encodable

WIDEST, NARROWEST = 120, 40

HERE = "\ue000"
"""A sign of no meaning, one wide: a blank at which a line may end."""

AT = f" {HERE}"


class Column(NamedTuple):
    """``breaks`` are the signs behind which a cell may go on in the next line; without them it is one piece. ``spare``
    columns are the first to go."""

    heading: str
    right: bool = False
    breaks: str = ""
    spare: bool = False


def page_width() -> int:
    """The characters of a line that ``print`` has: those of the terminal, at most 120; 120 where there is none."""
    if sys.stdout is None or not sys.stdout.isatty():
        return WIDEST
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))


def broken(text: str, width: int, breaks: str) -> list[str]:
    """The lines of a text, broken behind these signs; a piece without one that is too long is broken behind ``_``.

    >>> broken("repeat_0/residual_0/layer_norm_0 ×6", 20, "/")
    ['repeat_0/residual_0/', 'layer_norm_0 ×6']
    """
    lines: list[str] = []
    for part in text.split("\n"):
        line = ""
        for piece in _pieces(part, breaks):
            for small in [piece] if _length(piece) <= width else _pieces(piece, "_ "):
                if line and _length(line + small.rstrip(AT)) > width:
                    lines.append(line.rstrip(AT))
                    line = ""
                line += small if line else small.lstrip(AT)
                while _length(line.rstrip(AT)) > width:  # one word longer than the page
                    lines.append(line[:width])
                    line = line[width:]
        lines.append(line.rstrip(AT))
    return lines


def fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    encoding: str | None,
    title: str = "",
    footer: Sequence[str] = (),
    styles: Mapping[int, str] | None = None,
    apart: bool = False,
    or_rows: bool = True,
) -> Any:
    """What rich prints: a table, or each row as a list if the columns do not fit; ``None`` for that with ``or_rows``
    false. ``styles`` are those of rows, by their numbers; ``apart`` puts a blank line between rows."""
    columns = [column._replace(heading=encodable(column.heading, encoding)) for column in columns]
    rows = [[encodable(cell, encoding) for cell in row] for row in (*rows, *([footer] if footer else []))]
    title, styles = encodable(title, encoding), styles or {}
    for kept in ([True] * len(columns), [not column.spare for column in columns]):
        chosen = list(itertools.compress(columns, kept))
        cells = [list(itertools.compress(row, kept)) for row in rows]
        widths = _widths(chosen, cells, width)
        if widths is not None:
            return _table(chosen, cells, widths, title, bool(footer), apart, styles)
    return _lists(columns, rows, width, title, styles) if or_rows else None


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """The width of every column, ``None`` if there is no room for the longest pieces of all."""
    room = width - 2 * len(columns)
    least, most = [], []
    for place, column in enumerate(columns):
        heading = max(map(_length, column.heading.split("\n")))
        cells = [line for row in rows for line in row[place].split("\n")]
        pieces = [piece.strip() for cell in cells for piece in _pieces(cell, column.breaks)]
        least.append(max([heading, *map(_length, pieces)]))
        most.append(max([heading, *map(_length, cells)]))
    spare = room - sum(least)
    if spare < 0:
        return None
    for place in sorted(range(len(columns)), key=lambda place: most[place] - least[place]):  # small wishes first
        more = min(spare, most[place] - least[place])
        least[place] += more
        spare -= more
    return least


def _table(
    columns: Any, rows: Any, widths: list[int], title: str, footed: bool, apart: bool, styles: Mapping[int, str]
) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    cells = [
        ["\n".join(broken(cell, size, column.breaks)) for cell, size, column in zip(row, widths, columns, strict=True)]
        for row in rows
    ]
    last = cells.pop() if footed else [""] * len(columns)
    words = {
        "title": title or None,
        "title_justify": "left",
        "title_style": "bold",
        "pad_edge": False,
        "leading": int(apart),
    }
    table = Table(box=box.SIMPLE_HEAD, show_footer=footed, padding=(0, 1), collapse_padding=True, **words)
    for column, foot in zip(columns, last, strict=True):
        table.add_column(column.heading, foot, justify="right" if column.right else "left", no_wrap=True)
    for number, row in enumerate(cells):
        table.add_row(*map(Text, row), style=styles.get(number, ""))
    return table


def _lists(columns: Any, rows: Any, width: int, title: str, styles: Mapping[int, str]) -> Any:
    """Each row: the cells before the first column of numbers, then the others with their headings."""
    from rich.text import Text

    text = Text()
    if title:
        text.append("\n".join(broken(title, width - 1, " ")) + "\n\n", "bold")
    first = next((place for place, column in enumerate(columns) if column.right), len(columns))
    for number, row in enumerate(rows):
        lines, words = [], [cell for cell in row[:first] if cell]
        if "\n" not in "".join(words) and _length("  ".join(words)) < width:
            lines = [" " + "  ".join(words)]
        else:
            for column, cell in zip(columns[:first], row, strict=False):
                indent = "   " if lines else " "
                lines += [indent + line for line in broken(cell, width - len(indent), column.breaks) if line]
        pairs = zip(columns[first:], row[first:], strict=True)
        said = [f"{' '.join(column.heading.split())} {cell}" for column, cell in pairs if cell]
        lines += ["   " + line for line in broken(f",{HERE}".join(said), width - 3, HERE)]
        text.append("\n".join(lines).replace(HERE, " ") + "\n\n", styles.get(number, ""))
    text.rstrip()
    return text.append("\n")


def _pieces(text: str, breaks: str) -> list[str]:
    return re.split(f"(?<=[{re.escape(breaks)}])", text) if breaks else [text]


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
