"""Rich tables as plain text, for ``print`` and for notebooks."""

import io
from typing import Any


def as_text(renderable: Any, width: int = 120) -> str:
    """What rich would show on a terminal of that width, without colours and trailing blanks."""
    # Imported where it is used: importing fnn does not pay for rich.
    from rich.console import Console

    page = io.StringIO()
    Console(file=page, width=width, color_system=None).print(renderable)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())
