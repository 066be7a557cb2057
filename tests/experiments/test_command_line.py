"""The command line lists, explains and refuses."""

import pytest

from experiments.__main__ import EXPERIMENTS, main
from experiments.digits import Digits


def test_without_a_name_it_lists_the_experiments(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("digits", "gradients", "bench", "augmentation"))


def test_an_unknown_name_is_an_error_with_the_names(capsys):
    assert main(["digts"]) == 2
    assert "There are: digits, gradients, bench, sweep, augmentation" in capsys.readouterr().err


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_shows_the_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--seed", "--epochs", "--out", "--quick"))


def test_existing_files_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "kept").write_text("here")
    assert main(["digits", "--quick", "--out", str(tmp_path)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_options_given_beside_quick_count():
    assert Digits.quickly(epochs=3).epochs == 3
    assert Digits.quickly().seeds < Digits().seeds
