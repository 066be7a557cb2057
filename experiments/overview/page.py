"""One self-contained page with the claims, verdicts and pictures of many runs; ``page.html`` is its frame."""

import base64
import html
import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import runs
from experiments.experiment import RESULTS
from experiments.study import GRADIENTS

FRAME = Path(__file__).parent / "page.html"


class Entry(NamedTuple):
    """One run: its name, its question, its folder, and what ended it, if it did not finish."""

    name: str
    question: str
    folder: Path
    seconds: float
    error: str = ""

    def results(self) -> dict[str, Any]:
        """What it measured; nothing, if it did not come so far."""
        path = self.folder / RESULTS
        return runs.read_json(path) if path.exists() and not self.error else {}


def write(path: Path, entries: Sequence[Entry], *, title: str, quick: bool) -> None:
    """Writes the page; pictures are embedded, so that it can be moved and sent."""
    claims = sum(len(entry.results().get("claims", ())) for entry in entries)
    seconds = sum(entry.seconds for entry in entries)
    text = string.Template(FRAME.read_text(encoding="utf-8")).substitute(
        title=html.escape(title),
        summary=f"{len(entries)} experiments, {claims} claims, {seconds:.0f} s",
        warning='<p class="warning">Quick runs, with smaller defaults: too short to decide what is claimed.</p>'
        * quick,
        rows="\n".join(row for entry in entries for row in _rows(entry)),
        sections="\n".join(_section(entry) for entry in entries),
        machine=html.escape(", ".join(f"{name} {value}" for name, value in runs.machine().items())),
    )
    path.write_text(text, encoding="utf-8")


def _rows(entry: Entry) -> list[str]:
    claims = entry.results().get("claims", [])
    if entry.error or not claims:
        claims = [{"claim": entry.question, "figure": entry.error, "verdict": "failed" if entry.error else "no claim"}]
    return [_row(entry, each) for each in claims]


def _row(entry: Entry, claim: dict[str, str]) -> str:
    kinds = {"holds": "yes", "failed": "no", "does not hold": "no", "undecided": "undecided"}
    kind = kinds.get(claim["verdict"].split(";")[0], "partly")
    cells = (
        ("experiment", f'<a href="#{entry.name}">{html.escape(entry.name)}</a>', ""),
        ("claim", html.escape(claim["claim"]), ""),
        ("figure", html.escape(claim["figure"]), ""),
        ("verdict", html.escape(claim["verdict"]), f' class="{kind}"'),
        ("seconds", f"{entry.seconds:.0f}", f' data-value="{entry.seconds}"'),
    )
    return "<tr>" + "".join(f'<td data-label="{name}"{more}>{cell}</td>' for name, cell, more in cells) + "</tr>"


def _section(entry: Entry) -> str:
    results = entry.results()
    pictures = [
        f'<figure><img alt="{html.escape(caption)}" loading="lazy" src="data:image/png;base64,{_encoded(path)}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        for path, caption in _pictures(entry, results)
    ]
    rules = [
        f"<li>{html.escape(each['claim'])}: {html.escape(each['rule'])}</li>" for each in results.get("claims", [])
    ]
    gradients = results.get("figures", {}).get(GRADIENTS, "")
    parts = [
        f'<section id="{entry.name}"><h2>{html.escape(entry.question)}</h2>',
        f'<p class="error">{html.escape(entry.error)}</p>' if entry.error else "",
        *pictures,
        f"<p>A claim holds if:</p><ul>{''.join(rules)}</ul>" if rules else "",
        f"<p>{html.escape(gradients)}</p>" if gradients else "",
        f"<p><code>python -m experiments {entry.name}{' --quick' * results.get('quick', False)}</code></p></section>",
    ]
    return "\n".join(filter(None, parts))


def _pictures(entry: Entry, results: dict[str, Any]) -> list[tuple[Path, str]]:
    captions = results.get("pictures", {})
    return [(path, captions.get(path.name, path.stem)) for path in sorted(entry.folder.glob("*.png"))]


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
