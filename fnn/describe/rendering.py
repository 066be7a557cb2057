"""Printing that works in every encoding: rich tables as plain text, and ASCII for characters that a stream lacks.

A terminal or pipe in ASCII or cp1252 has no ×, no ✓ and no table lines, and ``print`` raises ``UnicodeEncodeError``.
Reports use the most readable characters; those that the encoding lacks are spelled in ASCII.
"""

import codecs
import io
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any

SPELLED = dict(
    re.findall(
        r"(\S)=(\S+)",
        """
    ×=x ·=* ⊙=* •=* –=- —=- −=- ‐=- ‑=- →=-> ←=<- ≈=~ ≠=!= ≤=<= ≥=>= ‖=|| …=... ✓=ok ✗=X ∞=inf √=sqrt ∑=sum µ=u ²=^2
    ³=^3 ½=1/2 ¹=^1 ⁻=^- ∂=d Δ=d δ=d λ=lambda
    """,
    )
)
"""Characters and their spelling in ASCII; Greek letters are spelled by name."""

ERRORS = "fnn.spelled"
"""The error handler that spells, for ``str.encode`` and for streams."""


def encodable(text: str, encoding: str | None) -> str:
    """The text, with characters that the encoding lacks spelled in ASCII; unchanged if the encoding is unknown.

    >>> encodable("Δ: 2×3 ✓", "ascii"), encodable("2×3 ✓", "cp1252")
    ('d: 2x3 ok', '2×3 ok')
    """
    try:
        return text.encode(encoding or "utf-8", ERRORS).decode(encoding or "utf-8")
    except LookupError:
        return text


def printable(text: str) -> str:
    """The text with the characters that ``sys.stdout`` lacks spelled in ASCII."""
    return encodable(text, getattr(sys.stdout, "encoding", None))


def spell_on(stream: Any) -> None:
    """Makes a stream spell what its encoding lacks, from now on; for command lines, which own their streams."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors=ERRORS)


def as_text(renderable: Any, width: int = 120) -> str:
    """What rich shows on a terminal of that width, without colours and trailing spaces, ready to ``print``."""
    # Imported here so that importing fnn does not import rich.
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, width=width, color_system=None).print(renderable)
    return printable("\n".join(line.rstrip() for line in page.getvalue().splitlines()))


def spelled(console: Any, options: Any, *renderables: Any) -> Iterator[Any]:
    """What ``__rich_console__`` yields for these, spelled for the encoding of the console."""
    from rich.segment import Segment

    for renderable in renderables:
        for segment in console.render(renderable, options):
            yield Segment(encodable(segment.text, console.encoding), segment.style, segment.control)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_in_ascii, error.object[error.start : error.end])), error.end


def _in_ascii(sign: str) -> str:
    name = unicodedata.name(sign, "").split()
    if sign in SPELLED:
        return SPELLED[sign]
    if name[:2] == ["BOX", "DRAWINGS"]:
        return {"HORIZONTAL": "-", "VERTICAL": "|"}.get(name[-1], "+") if len(name) == 4 else "+"
    if name[:1] == ["GREEK"]:
        return name[-1].lower()
    simple = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return simple or "?"


codecs.register_error(ERRORS, _spell)
