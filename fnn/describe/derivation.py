"""The derivation of a model, written out: the equations of its layers, forward and backward, as Markdown with LaTeX.

The equations come from the docstrings, which the tests hold to the code; they are written nowhere else.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from fnn.backprop import Combinator
from fnn.describe.latex import latex
from fnn.describe.rendering import printable
from fnn.errors import instance_hint
from fnn.layer import Layer
from fnn.losses import Loss
from fnn.objective import Objective
from fnn.penalties import Penalty
from fnn.walk import walk


class Derivation(str):
    """Markdown; a notebook shows it typeset."""

    __slots__ = ()

    def __str__(self) -> str:
        return printable(super().__str__())  # for print; writing to a file uses the string itself

    def _repr_markdown_(self) -> str:
        return super().__str__()


class Equations(NamedTuple):
    """One paragraph of a docstring; ``heading`` is "Forward" or "Backward" with everything up to the colon."""

    heading: str
    lines: tuple[str, ...]


def derivation(subject: Any) -> Derivation:
    r"""The equations of a layer, a loss or a penalty, or of every part of a model or an ``Objective``, in order.

    Forward runs from the first part to the last, backward from the last to the first: the dx of a part is the dy of the
    part before it. The equations of a class that occurs again are not repeated.

    Errors: ``TypeError`` for anything else.

    >>> import fnn
    >>> print(derivation(fnn.Sigmoid()))
    ### `Sigmoid()`
    <BLANKLINE>
    **Forward**
    <BLANKLINE>
    $$y = 1 / (1 + e^{-x})$$
    <BLANKLINE>
    **Backward**
    <BLANKLINE>
    $$\mathrm{d}x = y (1 - y) \mathrm{d}y$$
    """
    shown: dict[type, str] = {}
    parts = [_section(path, part, shown) for path, part in _parts(subject)]
    return Derivation("\n\n".join(parts))


def _parts(subject: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(subject, Objective):
        yield from walk(subject.model)
        yield "loss", subject.loss
        for penalty in subject.penalties:
            yield "penalty", penalty
    elif isinstance(subject, Layer):
        yield from walk(subject)
    elif isinstance(subject, Loss | Penalty):
        yield "", subject
    else:
        raise TypeError(f"expected a layer, a loss, a penalty or an Objective, got {subject!r}{instance_hint(subject)}")


def _section(path: str, part: Any, shown: dict[type, str]) -> str:
    kind = type(part)
    # A combinator may hold a long model, so it is shown by its name alone: the layers inside follow.
    title = f"{kind.__name__}(…)" if isinstance(part, Combinator) else repr(part)
    heading = f"### {path}: `{title}`" if path else f"### `{title}`"
    if kind in shown:
        return f"{heading}\n\nSee {shown[kind]}."
    shown[kind] = f"`{path or title}`"
    paragraphs = []
    for equations in equations_of(kind):
        paragraphs += [f"**{equations.heading}**", "\n".join(f"$${latex(line)}$$" for line in equations.lines)]
    if getattr(part, "rule", "hand") == "auto" and not isinstance(part, Combinator):
        paragraphs.append("The gradient is `jax.vjp` of `apply`: this layer has no hand-derived rule.")
    return "\n\n".join([heading, *paragraphs])


def equations_of(kind: type) -> list[Equations]:
    """What the docstring of a class says under "Forward" and "Backward", line by line.

    A paragraph includes the indented lines that follow; a line that ends inside brackets continues on the next.
    """
    found: list[Equations] = []
    lines: list[str] | None = None
    for line in (inspect.getdoc(kind) or "").splitlines():
        header = _HEADER.match(line)
        if header:
            lines = [header["rest"].strip()] if header["rest"].strip() else []
            found.append(Equations(header["heading"], ()))
        elif line.startswith(" ") and lines is not None:
            _add(lines, line.strip())
        elif line.strip():
            lines = None
        if lines is not None:
            found[-1] = found[-1]._replace(lines=tuple(lines))
    return [each for each in found if each.lines]


_HEADER = re.compile(r"(?P<heading>(?:Forward|Backward)\b[^:]*):(?P<rest>(?:\s.*)?)$")


def _add(lines: list[str], line: str) -> None:
    if lines and lines[-1].count("(") > lines[-1].count(")"):
        lines[-1] += f" {line}"
    else:
        lines.append(line)
