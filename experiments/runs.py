"""The folder of a run, and the texts and tables of its report."""

import datetime
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fnn.platform.doctor import environment

SHOWN = ("Python", "jax", "jaxlib", "numpy", "fnn", "CPUs", "devices", "XLA_FLAGS")
"""The facts about the machine that a report states."""


def new_folder(out: Path | None, name: str) -> Path:
    """Makes the folder of a run: ``out``, or ``runs/NAME/TIME``; existing files are never overwritten.

    Errors: ``FileExistsError`` if ``out`` exists and is not empty.
    """
    if out is not None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FileExistsError(f"{out} exists and is not empty; give --out another folder")
        out.mkdir(parents=True, exist_ok=True)
        return out
    stem = Path("runs") / name / f"{datetime.datetime.now():%Y%m%d-%H%M%S}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    folder, count = stem, 1
    while True:
        try:
            folder.mkdir()  # two runs started in the same second get two folders
        except FileExistsError:
            count += 1
            folder = stem.with_name(f"{stem.name}-{count}")
        else:
            return folder


def wide_console() -> Console:
    """A console for wide tables: on a narrow terminal lines wrap, but no column is lost."""
    return Console(width=max(120, Console().width))


def write_json(path: Path, value: Any) -> None:
    """Writes strict, indented JSON, the whole file or nothing."""
    beside = path.with_name(f"{path.name}.new")
    beside.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def read_json(path: Path) -> Any:
    """Reads JSON; raises ``ValueError``, which names the file, if it cannot be read or is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes each row as one line of strict JSON."""
    path.write_text("".join(json.dumps(row, allow_nan=False) + "\n" for row in rows), encoding="utf-8")


def write_report(path: Path, *parts: str) -> None:
    """Writes Markdown, its parts separated by blank lines."""
    path.write_text("\n\n".join(part.strip("\n") for part in parts if part) + "\n", encoding="utf-8")


def machine() -> dict[str, str]:
    """The versions and the hardware of a run."""
    facts = environment()
    return {name: facts[name] for name in SHOWN if name in facts}


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A Markdown table; the first ``words`` columns are aligned left, the others right."""
    lines = [f"| {' | '.join(headings)} |", "|:---" * words + "|---:" * (len(headings) - words) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)])


def rich_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 0) -> Table:
    """The same table for the terminal; ``words`` columns at the left are sentences, which wrap."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        table.add_column(heading, justify="right" if i >= max(words, 1) else "left", no_wrap=i >= words)
    for row in rows:
        table.add_row(*row)
    return table


def machine_section() -> str:
    """The section on versions and hardware."""
    return "## Versions and hardware\n\n" + "\n".join(f"- {name}: {value}" for name, value in machine().items())
