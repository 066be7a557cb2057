"""A quick run of the augmentation experiment: every file, and pictures that show what their titles say."""

import inspect
import json

import jax
import numpy as np
import pytest

from experiments import augmentation_plots
from experiments.__main__ import main
from experiments.augmentation import STRENGTHS, Augmentation, motions
from experiments.augmentation_sheet import SHOWN, sheet
from experiments.claims import verdict
from experiments.data import load_digits
from experiments.study import QUICK
from fnn import augment

FILES = {"config.json", "results.json", "report.md", "contact_sheet.png", "strengths.png"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "augmentation"
    assert main(["augmentation", "--quick", "--out", str(folder)]) == 0
    return folder


@pytest.mark.full
def test_every_file_is_there_and_no_other(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    for path in folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.full
def test_results_have_a_row_for_each_strength_and_a_column_for_each_seed(folder):
    results = json.loads((folder / "results.json").read_text())["figures"]
    accuracies = np.array(results["test_accuracy"])
    assert results["strengths"] == list(STRENGTHS)
    assert accuracies.shape == (len(STRENGTHS), Augmentation.quickly().seeds)
    assert ((accuracies >= 0) & (accuracies <= 1)).all()
    report = (folder / "report.md").read_text()
    assert all(f"{100 * each.mean():.2f}" in report for each in accuracies)
    assert QUICK in report
    assert "jaxlib" in report


def test_the_rules_of_its_claims_can_say_no():
    def verdicts(accuracies):
        judged = Augmentation().claims({"strengths": list(STRENGTHS), "test_accuracy": accuracies})
        return verdict(judged, "Small motions"), verdict(judged, "Larger motions")

    # None, half, as chosen, twice; three seeds.
    none, chosen = [0.80, 0.82, 0.84], [0.90, 0.93, 0.93]
    assert verdicts([none, none, chosen, none]) == ("holds", "does not hold")
    assert verdicts([none, none, none, chosen]) == ("does not hold", "holds")
    # The mean gains, but by less than twice its standard error.
    assert verdicts([none, none, [0.78, 0.83, 0.95], none])[0] == "does not hold"


def test_the_sheet_has_a_row_for_every_augmentation():
    public = {each for each in vars(augment).values() if inspect.isclass(each)} - {augment.Augmentation, augment.Mixing}
    assert {type(each) for each in SHOWN.values()} == public
    assert all(name.startswith(f"{type(each).__name__}(") for name, each in SHOWN.items())


@pytest.mark.full
def test_the_sheet_shows_the_digit_and_what_becomes_of_it():
    digits = load_digits()
    original, drawn = sheet(digits, columns=3, seed=0)
    np.testing.assert_array_equal(original, digits.train.images[0, ..., 0])
    assert list(drawn) == list(SHOWN)
    assert {images.shape for images in drawn.values()} == {(3, 8, 8)}
    for flipped in drawn["FlipHorizontal()"]:
        assert (flipped == original).all() or (flipped == original[:, ::-1]).all()
    for name in ("Rotate(30)", "Noise(0.15)", "Brightness(0.4)"):
        assert len(np.unique(drawn[name], axis=0)) == 3


def test_no_strength_is_no_motion():
    images = load_digits().train.images[:2]
    assert motions(0.0).does_nothing
    np.testing.assert_array_equal(motions(np.float32(0))(jax.random.key(0), images), images)


def test_a_single_seed_is_drawn(tmp_path):
    augmentation_plots.strengths(tmp_path / "one.png", STRENGTHS, np.full((4, 1), 0.5), examples=100)
    assert (tmp_path / "one.png").exists()


@pytest.mark.parametrize(("option", "value"), [("seeds", 0), ("columns", 0), ("examples", 1)])
def test_too_few_are_refused(option, value):
    with pytest.raises(ValueError, match=f"{option} is at least"):
        Augmentation(**{option: value})
