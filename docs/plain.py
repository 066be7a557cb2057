"""What docstrings align by hand stays aligned on the pages: equations, lists of arrays, examples, tables."""

import re
from typing import Any

from griffe import Extension


class Plain(Extension):
    """Puts such paragraphs of every docstring into a block of code."""

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = "\n\n".join(map(shown, paragraphs(obj.docstring.value)))


def paragraphs(text: str) -> list[str]:
    return re.split(r"\n\s*\n", text.strip("\n"))


def shown(paragraph: str) -> str:
    if paragraph.lstrip().startswith(">>>"):
        return f"```pycon\n{paragraph}\n```"
    if paragraph.startswith(("    ", "===")) or is_aligned(paragraph):
        return f"```text\n{paragraph.replace('``', '')}\n```"
    return paragraph


def is_aligned(paragraph: str) -> bool:
    """Whether it has lines such as ``Backward:  dx = …`` under each other, rather than sentences."""
    lines = paragraph.splitlines()
    labels = [line for line in lines if re.match(r"[A-Z][\w, ]{2,20}:\s", line)]
    errors = lines[0].startswith(("Errors:", "Source:"))
    return bool(labels) and not errors and all(line in labels or line.startswith("  ") for line in lines)
