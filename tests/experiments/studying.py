"""Quick runs of studies, and what is asked of every one of them."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from experiments.__main__ import COMMANDS, main
from experiments.claims import verdict
from experiments.study import QUICK, Study

FILES = {"config.json", "results.json", "report.md"}


class Finished(NamedTuple):
    """A quick run: the study, its figures, and its folder."""

    study: Study
    figures: dict[str, Any]
    folder: Path

    def verdict(self, claim: str, **changed: Any) -> str:
        """The verdict on the one claim that contains these words, with some of the figures changed."""
        return verdict(self.study.claims(self.figures | changed), claim)


def cut_short(finished: Path, folder: Path, **changed: Any) -> Path:
    """The folder of a run as it was before anything was judged or drawn, with some of the figures changed."""
    shutil.copytree(finished, folder)
    results = json.loads((folder / "results.json").read_text())
    for name in ("results.json", "report.md"):
        (folder / name).unlink()
    measured = {"seconds": results["seconds"], "figures": results["figures"] | changed}
    (folder / "measured.json").write_text(json.dumps(measured))
    return folder


def finished(name: str, folder: Path) -> Finished:
    """Runs a study quickly. What it leaves behind is complete, and its figures alone lead to its verdicts again."""
    assert main([name, "--quick", "--out", str(folder)]) == 0
    study = COMMANDS[name].quickly()
    assert isinstance(study, Study)
    assert COMMANDS[name].again(folder / "config.json") == study
    results, report = json.loads((folder / "results.json").read_text()), (folder / "report.md").read_text()
    # A quick run decides nothing, whatever its figures say.
    judged = [each.undecided() for each in study.claims(results["figures"])]
    assert judged
    assert [each._asdict() for each in judged] == results["claims"]
    assert len({each.claim for each in judged}) == len(judged)
    for each in judged:
        assert f"- {each.claim}: {each.rule}" in report
        assert f" | {each.verdict} |" in report
    assert QUICK in report
    pictures = {path.name for path in folder.iterdir()} - FILES
    assert pictures
    for picture in pictures:
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
        assert f"]({picture})" in report
    return Finished(study, results["figures"], folder)
