"""What ``compare_gradients`` returns: its findings, and every way to show them."""

import dataclasses
import json
import math
import os
from typing import Any

from fnn.describe.rendering import spelled
from fnn.gradients.findings import Findings
from fnn.gradients.tables import html, markdown, renderables, text


@dataclasses.dataclass(frozen=True, repr=False)
class GradientReport(Findings):
    """The comparison, leaf by leaf; ``print`` shows it as tables, ``rich.print`` in colour."""

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers, strings, lists and dicts; a number that is not finite is ``None``."""
        fields = dataclasses.asdict(self)
        for row, own in zip(fields["rows"], self.rows, strict=True):
            row |= {"ok": own.ok, "confirmed": own.confirmed}
        return _plain(
            {"ok": self.ok, "max_error": self.max_error, "verdict": self.verdict, **fields},
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """The report as strict JSON."""
        return json.dumps(self.as_dict(), indent=indent, allow_nan=False, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The report as GitHub Markdown."""
        return markdown(self)

    def plot(self, path: str | os.PathLike) -> None:
        """Draws the errors of every leaf and the costs, and saves the picture; the ending gives the format.

        Errors: ``ImportError`` where matplotlib is not installed.
        """
        from fnn.gradients.plot import save_plot

        save_plot(self, path)

    def _repr_html_(self) -> str:
        return html(self)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from spelled(console, options, *renderables(self, options.max_width, console.encoding))

    def __str__(self) -> str:
        return text(self)

    def __repr__(self) -> str:
        failing = f", failing={[row.name for row in self.failures]}" if self.failures else ""
        failing += f", unconfirmed={[row.name for row in self.unconfirmed]}" if self.unconfirmed else ""
        return f"GradientReport(ok={self.ok}, leaves={len(self.rows)}, max_error={self.max_error:.1e}{failing})"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
