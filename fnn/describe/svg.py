"""The strokes and words of a drawing, as SVG text, and how much room words take.

Nothing measures a font here: every character counts for more than a monospaced font needs, so that words fit their box
whichever such font the reader has.
"""

import unicodedata

INK, QUIET, EDGE = "#1c2430", "#56617a", "#5b6b8c"
"""The colours of words, of lesser words and of edges, on the drawing's own light ground."""

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
"""What stands for these characters in XML and HTML; ``xml.sax`` has the same, and ``urllib`` behind it."""

SIZE = 12
"""The height of words in pixels."""


def legal(text: str) -> str:
    """The text for XML: escaped, and the characters that XML does not allow replaced.

    >>> legal("a<b & c\\x00")
    'a&lt;b &amp; c�'
    """
    allowed = (sign if sign in "\t\n\r" or _is_legal(ord(sign)) else "\ufffd" for sign in text)
    return "".join(allowed).translate(ENTITIES)


def _is_legal(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def width_of(text: str, size: float = SIZE) -> float:
    """The pixels that a text needs at most: 0.66 of its height a character, 1.1 for one of double width.

    >>> width_of("abc", 10), width_of("層", 10)
    (19.8, 11.0)
    """
    wide = sum(unicodedata.east_asian_width(sign) in "WF" for sign in text)
    return round(size * (0.66 * (len(text) - wide) + 1.1 * wide), 1)


def shortened(text: str, limit: int) -> str:
    """The text on one line of at most ``limit`` characters; an ellipsis says that it was longer.

    >>> shortened("Dense(features=8)", 9)
    'Dense(fe…'
    """
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def words(x: float, y: float, text: str, *, bold: bool = False, quiet: bool = False, middle: bool = True) -> str:
    """A line of text whose baseline is at y, centred at x or beginning there."""
    anchor = ' text-anchor="middle"' if middle else ""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{QUIET if quiet else INK}"{anchor}{weight}>{legal(text)}</text>'


def rectangle(width: float, height: float, *, fill: str, stroke: str, radius: float = 5, dashed: bool = False) -> str:
    """A rectangle with its upper left corner at the origin."""
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<rect x="0" y="0" width="{width:.1f}" height="{height:.1f}" rx="{radius}" fill="{fill}"'
        f' stroke="{stroke}"{dashes}/>'
    )


def edge(path: str, tip: str = "", *, end: tuple[float, float] | None = None) -> str:
    """A line along an SVG path, with an arrowhead that points down at ``end``; ``tip`` is shown under the pointer."""
    title = f"<title>{legal(tip)}</title>" if tip else ""
    line = f'<path d="{path}" fill="none" stroke="{EDGE}" stroke-width="1.4">{title}</path>'
    return line + (arrowhead(*end) if end else "")


def arrowhead(x: float, y: float) -> str:
    """An arrowhead that points down at (x, y)."""
    return f'<path d="M{x - 4:.1f} {y - 7:.1f}L{x + 4:.1f} {y - 7:.1f}L{x:.1f} {y:.1f}Z" fill="{EDGE}"/>'


def dot(x: float, y: float) -> str:
    """The place at which an edge forks."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{EDGE}"/>'


def curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    """The path of a line that leaves downwards and arrives downwards; straight if one is right below the other."""
    (x0, y0), (x1, y1) = start, end
    if abs(x0 - x1) < 0.5:
        return f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"
    bend = (y0 + y1) / 2
    return f"M{x0:.1f} {y0:.1f}C{x0:.1f} {bend:.1f} {x1:.1f} {bend:.1f} {x1:.1f} {y1:.1f}"


def moved(x: float, y: float, marks: str) -> str:
    """The marks, moved."""
    return f'<g transform="translate({x:.1f} {y:.1f})">{marks}</g>'


def page(width: float, height: float, marks: str, title: str) -> str:
    """A whole SVG document, on a light ground of its own, so that it reads the same on a dark page."""
    ground = rectangle(width - 1, height - 1, fill="#fbfcfe", stroke="#c9d1e0", radius=8)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="-0.5 -0.5 {width:.0f} {height:.0f}" role="img" font-size="{SIZE}"'
        f' font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"><title>{legal(title)}</title>'
        f"{ground}{marks}</svg>"
    )
