"""The pages of the documentation: their code runs, and every name of fnn that they mention is one."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fnn

ROOT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(ROOT / "docs").as_posix(): page.read_text(encoding="utf-8") for page in ROOT.glob("docs/**/*.md")
}
CODE = {name: "".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)) for name, text in PAGES.items()}


@pytest.mark.full
@pytest.mark.parametrize("page", [name for name, code in sorted(CODE.items()) if code])
def test_the_code_of_a_page_runs_from_top_to_bottom(page: str, tmp_path: Path):
    script = tmp_path / "page.py"
    script.write_text(CODE[page], encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_names_that_a_page_mentions_exist(page: str):
    found: Any
    for dotted in sorted(set(re.findall(r"\bfnn((?:\.\w+)+)", PAGES[page]))):
        found = fnn
        for name in dotted[1:].split("."):
            assert hasattr(found, name), f"fnn{dotted}"
            found = getattr(found, name)


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert listed == set(PAGES)


def test_every_public_name_is_in_the_reference():
    said = "\n".join(text for name, text in PAGES.items() if name.startswith("reference/"))
    listed = set(re.findall(r"^::: fnn\.([\w.]+)$", said, re.MULTILINE))
    own = {name for name, value in vars(fnn).items() if getattr(value, "__module__", "").startswith("fnn")}
    missing = own - {"__getattr__", "missing_name"} - {each.split(".")[-1] for each in listed}
    assert not missing, f"add to docs/reference/: {sorted(missing)}"
