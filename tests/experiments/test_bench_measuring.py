"""What the bench's figures mean, by hand: ratios, intervals, equality, peers that are missing, and an earlier run."""

import importlib
import json
import math
import time

import jax.numpy as jnp
import pytest

from experiments.__main__ import main
from experiments.bench import compiling, earlier
from experiments.bench.growth import AXES, Growth, exponent
from experiments.bench.measuring import Row, Turns, Unequal, check_equal, compiled, rows_in_turn
from experiments.bench.peers import PEERS, available
from experiments.bench.sections import geometric_mean, line, section
from experiments.in_turn import Ratio, ratio, seconds_in_turn


def test_a_ratio_is_the_median_over_the_turns():
    found = ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0])  # 2, 3 and 4
    assert found.median == 3.0
    # Of three draws, two or three are 2 with probability 7/27: both ends are those of the list.
    assert (found.low, found.high) == (2.0, 4.0)


def test_an_interval_narrows_where_the_turns_agree():
    found = ratio([3.0] * 20 + [30.0], [1.0] * 21)
    assert found == Ratio(3.0, 3.0, 3.0)
    assert str(ratio([1.0, 4.0], [2.0, 2.0])) == "1.25 [0.50, 2.00]"


def test_turns_are_counted_and_every_run_is_prepared():
    called, prepared = [], []
    seconds = seconds_in_turn(
        {"one": lambda: called.append(1), "other": lambda: called.append(2)},
        turns=9,
        limit=0.0,
        least=7,
        before=lambda: prepared.append(0),
    )
    assert [len(each) for each in seconds.values()] == [7, 7]
    assert len(called) == len(prepared) == 2 * (7 + 1)  # once to warm up


def test_what_is_not_timed_does_not_use_up_the_limit():
    seconds = seconds_in_turn(
        {"one": tuple}, turns=9, limit=0.1, least=1, pauses={"one": 0.02}, before=lambda: time.sleep(0.02)
    )
    assert len(seconds["one"]) == 9


def row(*, workload="a layer", peer="Flax", time=(2.0, 1.9, 2.1), ours=1024, theirs=4096) -> Row:
    return Row("layers", workload, peer, 0.001, 0.002, Ratio(*time), 30, ours, theirs)


def test_above_one_fnn_is_faster_and_leaner():
    assert line(row()) == ("a layer", "Flax", "1", "2", "2.00 [1.90, 2.10]", "0.00", "0.00", "4.00")
    assert row().as_json()["peer_over_fnn"] == {"time": {"median": 2.0, "low": 1.9, "high": 2.1}, "memory": 4.0}
    (shown,) = section("layers", "Layers", [row()])
    assert any("> 1: fnn is faster" in heading for heading in shown.headings)


@pytest.mark.parametrize(("ours", "theirs"), [(0, 8), (None, 8), (8, None)])
def test_a_memory_that_is_unknown_or_zero_has_no_ratio(ours, theirs):
    assert row(ours=ours, theirs=theirs).memory is None


def test_the_mean_over_the_rows_is_geometric():
    words = geometric_mean([row(time=(4.0, 4.0, 4.0)), row(time=(0.25, 0.2, 0.3)), row(time=(8.0, 7.0, 9.0))])
    assert "over 3 rows" in words
    assert "2.00 (above 1: fnn is faster)" in words


def test_an_exponent_is_the_slope_of_logarithms():
    assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2.0)
    assert exponent([1, 2], [0, 3]) is None


def test_rows_hold_the_medians_of_both_and_the_temporary_bytes():
    ours = compiled(lambda x: x + 1, jnp.ones(3))
    theirs = compiled(lambda x: jnp.sort(x @ x.T, 0) @ x, jnp.ones((64, 64)))
    (found,) = rows_in_turn("steps", "a sum", ours, {"Flax": theirs}, turns=Turns(6, 6, 0.0))
    assert (found.workload, found.peer, found.turns) == ("a sum", "Flax", 6)
    assert found.ours > 0
    assert found.their_bytes is not None
    assert found.their_bytes > 0


@pytest.mark.parametrize("other", [1.01, math.nan, math.inf])
def test_unequal_results_raise_and_name_the_workload(other):
    ours, theirs = {"dx": jnp.ones(3)}, {"dx": jnp.array([1.0, 1.0, other])}
    with pytest.raises(Unequal, match="LayerNorm, 4×3: dx of fnn and of Flax differ"):
        check_equal("LayerNorm, 4×3", "Flax", ours, theirs)


def test_results_of_different_shapes_raise():
    with pytest.raises(Unequal, match="a pool: dx of fnn and of Flax have different shapes"):
        check_equal("a pool", "Flax", {"dx": jnp.ones(3)}, {"dx": jnp.ones(4)})


def test_leaves_of_one_tree_share_a_scale():
    """The gradient of the keys' bias in attention is zero but for rounding."""
    ours, theirs = ({"the gradient": {"kernel": jnp.ones(2), "bias": jnp.full(1, each)}} for each in (1e-8, -1e-8))
    check_equal("Attention", "Flax", ours, theirs)


def test_a_missing_peer_is_left_out_with_a_line_that_says_how_to_install_it(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    told = []
    assert available(PEERS, told.append) == []
    assert len(told) == len(PEERS)
    assert told[0] == (
        "Flax is left out: there is no module 'flax.linen'. To compare with it: pip install \"fnn[bench]\""
    )
    assert told[-1].startswith("PyTorch is left out")
    assert told[-1].endswith("pip install torch")


def test_a_peer_that_cannot_be_imported_is_left_out_with_the_reason(monkeypatch):
    def broken(name):
        raise AttributeError("module 'jax' has no attribute 'xla'")

    monkeypatch.setattr(importlib, "import_module", broken)
    told = []
    assert available(PEERS[:1], told.append) == []
    assert "importing flax.linen raised AttributeError: module 'jax' has no attribute 'xla'" in told[0]


def test_nothing_is_reported_of_a_part_without_peers():
    assert section("steps", "Steps", []) == []


def test_compiling_is_not_timed_where_programs_are_kept_on_disk(monkeypatch):
    monkeypatch.setattr(compiling, "setting", lambda name: "/some/folder")
    with pytest.raises(ValueError, match="unset JAX_COMPILATION_CACHE_DIR"):
        compiling.check()


@pytest.fixture
def written(tmp_path):
    def write(rows, *, quick=False):
        path = tmp_path / "earlier.json"
        found = {"machine": {"jax": "0.9.2"}, "options": {"quick": quick}, "rows": [each.as_json() for each in rows]}
        path.write_text(json.dumps(found))
        return path

    return write


def test_against_an_earlier_run_a_row_that_became_slower_is_named(written):
    path = written([row(), row(workload="a pool"), row(workload="a sum")])
    now = [
        row(time=(1.5, 1.4, 1.6)),
        row(workload="a pool", time=(2.05, 2.0, 2.2)),
        row(workload="a sum", time=(3.0, 2.9, 3.1)),
        row(workload="another"),
    ]
    ratios, machine = earlier.read(path, quick=False)
    shown = earlier.section(now, ratios, machine, {"jax": "0.12.0"})
    assert [words[-1] for words in shown.lines] == ["SLOWER", "", "faster"]
    assert shown.lines[0][2:4] == ("2.00 [1.90, 2.10]", "→ 1.50 [1.40, 1.60]")
    assert "Slower than before beside the peer: a layer (Flax)." in shown.conclusion
    assert "does not have: 1." in shown.conclusion
    assert "The machines differ: jax 0.9.2 → 0.12.0." in shown.conclusion


def test_a_quick_run_is_not_compared_with_another(written):
    with pytest.raises(ValueError, match="one run is quick and the other is not"):
        earlier.read(written([row()], quick=True), quick=False)


def test_options_are_refused_before_anything_is_measured(tmp_path, capsys):
    (tmp_path / "notes.json").write_text("{}")
    assert main(["bench", "--against", str(tmp_path / "notes.json")]) == 2
    assert "is not the JSON of a benchmark" in capsys.readouterr().err
    assert main(["bench", "--json", str(tmp_path / "nowhere" / "rows.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_a_memory_that_fits_into_the_results_has_no_exponent():
    """From 68 bytes to 7 MiB would be an exponent of 4."""
    grown = Growth(AXES[0], [row(ours=68, theirs=2**20), row(ours=2**20, theirs=2**22), row(ours=2**22, theirs=2**24)])
    found = grown.exponents()["memory"]
    assert found["fnn"] is None
    assert found["Flax"] == pytest.approx(2.0)
