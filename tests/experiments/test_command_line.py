"""The command line lists, explains and refuses."""

import dataclasses

import pytest

from experiments.__main__ import COMMANDS, defaults, main
from experiments.digits import Digits


def test_without_a_name_it_lists_the_experiments(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("digits", "gradients", "bench", "augmentation"))


def test_an_unknown_name_is_an_error_with_the_names(capsys):
    assert main(["digts"]) == 2
    assert f"There are: {', '.join(COMMANDS)}." in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--seed", "--out", "--quick", "--config"))


def test_existing_files_are_not_overwritten(tmp_path, capsys):
    (tmp_path / "kept").write_text("here")
    assert main(["digits", "--quick", "--out", str(tmp_path)]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_options_given_beside_quick_count():
    assert Digits.quickly(epochs=3).epochs == 3
    assert Digits.quickly().seeds < Digits().seeds


def test_a_run_is_repeated_from_its_config(tmp_path):
    made = Digits(epochs=7, seeds=3, width=5, out=tmp_path)
    made.write_config(tmp_path)
    path = tmp_path / "config.json"
    for arguments in (["--config", str(path)], [f"--config={path}"], ["--quick", "--config", str(path)]):
        again = defaults(Digits, arguments)
        assert again == dataclasses.replace(made, out=None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"experiment": "sweep", "epochs": 3}', "does not hold the options of digits"),
        ('{"epochs": 3, "depth": 2}', "has options that digits does not have: depth"),
        ("[1]", "does not hold the options of digits"),
        ("{", "is not JSON"),
        ('{"epochs": "three"}', "epochs is of type int, got 'three'"),
        ('{"quick": 1}', "quick is of type bool, got 1"),
    ],
)
def test_a_config_of_something_else_is_refused(tmp_path, capsys, text, words):
    path = tmp_path / "config.json"
    path.write_text(text)
    assert main(["digits", "--config", str(path)]) == 2
    assert words in capsys.readouterr().err
    path.unlink()
    assert main(["digits", "--config", str(path)]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err
