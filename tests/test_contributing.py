"""What CONTRIBUTING.md quotes is the code as it stands, and what it names exists."""

import re
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CLASS, ROW = (
    textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
)


def code(path: str) -> str:
    """The text of a file that the guide names."""
    assert f"`{path}`" in GUIDE
    return (ROOT / path).read_text(encoding="utf-8")


def test_the_guide_quotes_the_whole_class_as_it_stands():
    assert code("fnn/layers/activation/softshrink.py").endswith(f"\n\n\n{CLASS}")
    assert CLASS.startswith("@dataclasses.dataclass(frozen=True)\nclass Softshrink(")


def test_the_guide_quotes_the_whole_first_row_as_it_stands():
    first = textwrap.indent(ROW.removesuffix("\n"), "    ")
    assert f"\nROWS = (\n{first},\n    Activation(\n" in code("tests/cases/activation/softshrink.py")


def test_the_paths_that_the_guide_names_exist():
    """Paths by their folder; files of one package are named without it where the line says which package it is."""
    named = set(re.findall(r"`((?:fnn|tests|tools|\.ci)/[\w/.]+)`", GUIDE))
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_walk_of_a_batch_names_files_of_the_package():
    walk = GUIDE.partition("## One batch")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", walk)
    assert len(files) >= 10
    assert not [name for name in files if not any((ROOT / "fnn" / folder / name).is_file() for folder in ("", "train"))]
