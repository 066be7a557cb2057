"""What the report on characters shows beside its claims."""

from experiments import runs
from experiments.sequences.characters_networks import LARGE
from experiments.study import Figures


def sections(figures: Figures, first: int) -> list[str]:
    """The parts of the report: what the networks write, compressors, and kinds with the seeds from ``first`` on."""
    parts = [
        f"## What they write\n\nAfter these {LARGE.window // 2} characters of the test text, at temperature 0.8:\n\n"
        + fenced(figures["begins"]),
        *(f"The {name}:\n\n{fenced(text)}" for name, text in figures["samples"].items()),
    ]
    rows = [(name, *(f"{each:.2f}" for each in found.values())) for name, found in figures["compressed"].items()]
    headings = ("compressor", "alone", "after the training text")
    parts.append("## Bits per character of compressors\n\n" + runs.markdown_table(headings, rows))
    if figures["kinds"]:
        rows = [
            (name, f"{each['units']}", f"{each['parameters']:,}", *(f"{bits:.3f}" for bits in each["bits"]))
            for name, each in figures["kinds"].items()
        ]
        seeds = (f"bits, seed {first + i}" for i in range(len(rows[0]) - 3))
        table = runs.markdown_table(("feed-forward part", "hidden units", "parameters", *seeds), rows)
        parts.append(f"## Feed-forward parts of equal size\n\n{table}")
    return parts


def fenced(text: str) -> str:
    """The text as it is, in Markdown."""
    return f"````text\n{text}\n````"
