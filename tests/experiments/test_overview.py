"""All experiments in one page, and runs side by side."""

import dataclasses
import json
import re
import sys
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image, ImageColor

from experiments.__main__ import COMMANDS, EXPERIMENTS, main
from experiments.claims import judge, verdict
from experiments.experiment import Experiment
from experiments.overview import page, side_by_side
from experiments.overview.everything import Everything
from experiments.study import Study


@dataclasses.dataclass(frozen=True)
class Learns(Study):
    """A study without training; its claim holds for small seeds."""

    name = "learns"
    quick_options: ClassVar = {"width": 2}
    width: int = 3

    def measure(self):
        return {"history": {"loss": [[3.0, 2.0, 1.0 + self.seed]]}, "last": 1.0 + self.seed}

    def claims(self, figures):
        rule = {"rule": "the last loss is < 2", "figure": f"{figures['last']:g} & <less>"}
        return [judge("It |learns| <fast>", **rule, holds=figures["last"] < 2)]

    def draw(self, figures, folder):
        (folder / "loss.png").write_bytes(b"\x89PNG")
        return {"loss.png": "The <loss>"}


@dataclasses.dataclass(frozen=True)
class Breaks(Experiment):
    name = "breaks"

    def run(self):
        raise FloatingPointError("the loss is <NaN>")


@pytest.fixture
def two(monkeypatch):
    monkeypatch.setattr(Everything, "experiments", {"learns": Learns, "breaks": Breaks})


def test_the_page_has_every_claim_and_picture_and_survives_a_failure(two, tmp_path, capsys):
    assert main(["all", "--quick", "--out", str(tmp_path / "all")]) == 1
    text = (tmp_path / "all" / "index.html").read_text()
    assert "Failed: breaks" in capsys.readouterr().out
    assert re.findall(r'data-label="verdict" class="(\w+)">([^<]+)<', text) == [
        ("undecided", "undecided; in this run it holds"),
        ("no", "failed"),
    ]
    assert "It |learns| &lt;fast&gt;" in text
    assert "1 &amp; &lt;less&gt;" in text
    assert "FloatingPointError: the loss is &lt;NaN&gt;" in text
    assert 'src="data:image/png;base64,iVBORw==' in text
    assert "too short to decide what is claimed" in text
    # Self-contained: nothing is loaded from elsewhere.
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)


def test_only_some_can_be_run_and_an_unknown_name_is_an_error(two, tmp_path, capsys):
    assert main(["all", "--only", "learns", "--seed", "4", "--out", str(tmp_path / "one")]) == 0
    assert {path.name for path in (tmp_path / "one").iterdir()} == {"index.html", "learns", "config.json"}
    results = json.loads((tmp_path / "one" / "learns" / "results.json").read_text())
    assert [each["verdict"] for each in results["claims"]] == ["does not hold"]
    assert "too short to decide" not in (tmp_path / "one" / "index.html").read_text()
    assert main(["all", "--only", "lerns", "--out", str(tmp_path / "two")]) == 2
    assert "there is no experiment lerns" in capsys.readouterr().err


def test_a_run_of_all_that_was_cut_short_goes_on(two, tmp_path, capsys, monkeypatch):
    folder, measured = tmp_path / "all", []
    monkeypatch.setattr(Learns, "draw", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["all", "--quick", "--seed", "3", "--out", str(folder)]) == 130
    assert "To go on: python -m experiments all --resume" in capsys.readouterr().err
    assert not (folder / "learns" / "results.json").exists()
    monkeypatch.undo()
    monkeypatch.setattr(Everything, "experiments", {"learns": Learns, "breaks": Breaks})
    monkeypatch.setattr(Learns, "measure", lambda self: measured.append(self.seed))
    assert main(["all", "--resume", str(folder)]) == 1
    assert not measured  # what had been measured is not measured again, only drawn
    results = json.loads((folder / "learns" / "results.json").read_text())
    assert (results["figures"]["last"], results["quick"]) == (4.0, True)
    assert {path.name for path in (folder / "learns").iterdir()} >= {"loss.png", "report.md", "config.json"}
    assert not (folder / "learns" / "measured.json").exists()
    monkeypatch.setattr(Learns, "run", lambda self: pytest.fail("it is finished"))
    assert main(["all", "--resume", str(folder)]) == 1
    assert "It |learns| &lt;fast&gt;" in (folder / "index.html").read_text()


def test_a_run_that_was_cut_short_while_it_measured_measures_again(tmp_path, monkeypatch):
    monkeypatch.setitem(COMMANDS, "learns", Learns)
    Learns(seed=2, out=tmp_path).write_config(tmp_path)
    assert main(["learns", "--resume", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "results.json").read_text())["figures"]["last"] == 3.0


def test_a_finished_run_and_a_folder_without_one_are_not_resumed(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "learns", Learns)
    assert main(["learns", "--out", str(tmp_path / "one")]) == 0
    assert main(["learns", "--resume", str(tmp_path / "one")]) == 2
    assert "is finished; --config" in capsys.readouterr().err
    assert main(["learns", "--resume", str(tmp_path / "two")]) == 2
    assert "config.json cannot be read: No such file" in capsys.readouterr().err
    assert main(["bench", "--resume", str(tmp_path / "one")]) == 2
    assert "config.json does not hold the options of bench, but of learns" in capsys.readouterr().err


def test_a_run_that_goes_on_keeps_its_options(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "learns", Learns)
    Learns(seed=2, out=tmp_path).write_config(tmp_path)
    for more in (["--seed", "3"], ["--out", str(tmp_path / "other")], ["--quick"]):
        assert main(["learns", "--resume", str(tmp_path), *more]) == 2
        assert "a run that goes on keeps its options" in capsys.readouterr().err
    assert main(["learns", "--resume", str(tmp_path), "--config", str(tmp_path / "config.json")]) == 2
    assert "not both" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"config.json"}


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not JSON"), ('{"figures": {}}', "does not hold what was measured")]
)
def test_a_damaged_file_of_figures_is_named(text, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "learns", Learns)
    Learns(seed=2, out=tmp_path).write_config(tmp_path)
    (tmp_path / "measured.json").write_text(text)
    assert main(["learns", "--resume", str(tmp_path)]) == 2
    assert f"measured.json {words}" in capsys.readouterr().err
    (tmp_path / "measured.json").unlink()
    assert main(["learns", "--resume", str(tmp_path)]) == 0


def test_damaged_results_of_one_do_not_stop_all(two, tmp_path, capsys):
    folder = tmp_path / "all"
    main(["all", "--quick", "--out", str(folder)])
    (folder / "learns" / "results.json").write_text("{")
    assert main(["all", "--resume", str(folder)]) == 1
    assert "results.json is not JSON" in (folder / "index.html").read_text()


def test_runs_side_by_side_show_what_differs(tmp_path, capsys):
    folders = []
    for seed in (0, 5):
        folders.append(str(tmp_path / f"seed {seed}"))
        Learns(seed=seed, out=tmp_path / f"seed {seed}").run()
    assert main(["compare", *folders, "--out", str(tmp_path / "both")]) == 0
    report = (tmp_path / "both" / "report.md").read_text()
    assert "| seed | 0 | 5 |" in report
    assert "width" not in report
    assert r"| It \|learns\| <fast> | 1 & <less> (holds) | 6 & <less> (does not hold) |" in report
    assert (tmp_path / "both" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "does not hold" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(tmp_path, capsys):
    Learns(out=tmp_path / "one").run()
    assert main(["compare", str(tmp_path / "one"), "--out", str(tmp_path / "x")]) == 2
    assert "at least two runs, got 1" in capsys.readouterr().err
    assert main(["compare", str(tmp_path / "one"), str(tmp_path), "--out", str(tmp_path / "x")]) == 2
    assert "is not the folder of a finished experiment" in capsys.readouterr().err
    (tmp_path / "two").mkdir()
    for name in ("config.json", "results.json"):
        text = (tmp_path / "one" / name).read_text().replace('"learns"', '"digits"')
        (tmp_path / "two" / name).write_text(text)
    assert main(["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "x")]) == 2
    assert "different experiments: digits, learns" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_equal_settings_and_missing_curves(tmp_path):
    runs = [side_by_side.Run(tmp_path / each, {"seed": 0, "out": each}, {}) for each in "ab"]
    assert side_by_side.settings_that_differ(runs) == []
    more = runs[1]._replace(options={"seed": 0, "depth": 2})
    assert side_by_side.settings_that_differ([runs[0], more]) == [("depth", "–", "2")]


def test_a_quick_run_decides_no_claim_and_its_rule_still_speaks(tmp_path):
    for seed, words in ((0, "undecided; in this run it holds"), (3, "undecided; in this run it does not hold")):
        folder = tmp_path / str(seed)
        Learns.quickly(seed=seed, out=folder).run()
        assert [each["verdict"] for each in json.loads((folder / "results.json").read_text())["claims"]] == [words]
        assert f"| {words} |" in (folder / "report.md").read_text()


def test_equal_curves_are_both_seen(tmp_path):
    history = {"loss": [[3.0, 2.0, 1.0]], "accuracy": [[0.5]]}
    runs = [side_by_side.Run(tmp_path / each, {}, {"figures": {"history": history}}) for each in "abc"]
    for name, count in (("all.png", 3), ("one.png", 1)):
        side_by_side.draw(tmp_path / name, runs[:count])
        pixels = np.asarray(Image.open(tmp_path / name).convert("RGB")).astype(int)
        # Only the panels, without the legend below them.
        pixels = pixels[: int(0.75 * len(pixels))]
        seen = [(abs(pixels - ImageColor.getrgb(colour)).sum(-1) < 30) for colour in side_by_side.COLOURS[:3]]
        halves = [(each[:, : each.shape[1] // 2].sum(), each[:, each.shape[1] // 2 :].sum()) for each in seen]
        assert [min(each) > 10 for each in halves] == [place < count for place in range(3)]


def test_every_experiment_that_is_a_study_states_its_question_and_result():
    for name, kind in EXPERIMENTS.items():
        text = sys.modules[kind.__module__].__doc__ or ""
        assert text.splitlines()[0].endswith("?"), name
        assert "Claim" in text, name
        assert "Result:" in text, name


def test_a_verdict_is_found_by_the_words_of_its_claim():
    judged = [judge("a holds", rule="", figure="", holds=np.bool_(True)), judge("b holds", rule="", figure="", holds=0)]
    assert verdict(judged, "a ") == "holds"
    assert verdict(judged, "b ") == "does not hold"
    for words in ("holds", "c"):
        with pytest.raises(LookupError, match="claims contain"):
            verdict(judged, words)


def test_the_summary_counts(tmp_path):
    entries = [page.Entry("x", "X?", tmp_path, 1.6), page.Entry("y", "Y?", tmp_path, 2.0, "it broke")]
    page.write(tmp_path / "index.html", entries, title="T", quick=False)
    text = (tmp_path / "index.html").read_text()
    assert "2 experiments, 0 claims, 4 s" in text
    assert "no claim" in text
    assert "it broke" in text
