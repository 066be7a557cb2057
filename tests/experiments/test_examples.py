"""The examples run, learn, and stay short enough to be copied."""

import types
from importlib.machinery import SourceFileLoader
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "examples"


def example(name):
    loader = SourceFileLoader(name, str(FOLDER / f"{name}.py"))
    module = types.ModuleType(name)
    loader.exec_module(module)
    return module


def test_every_example_is_under_sixty_lines():
    paths = sorted(FOLDER.glob("*.py"))
    assert [path.stem for path in paths] == ["characters", "images", "sequences"]
    for path in paths:
        assert len(path.read_text().splitlines()) < 60, path.name


@pytest.mark.full
def test_images_from_a_folder(tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 120, (9, 11, 3), np.uint8)
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(tmp_path / "colours" / name / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    example("images").main("colours", "8")
    shown = capsys.readouterr().out.splitlines()
    assert sum(line in ("red is taken for red", "blue is taken for blue") for line in shown) >= 4
    assert float(shown[-1].split(";")[0].split()[-1]) >= 0.8
    assert list((tmp_path / "runs" / "images").iterdir())


@pytest.mark.full
def test_padding_changes_nothing_and_two_epochs_learn_something(capsys):
    module = example("sequences")
    assert module.main(epochs=2) > 0.55
    numbers = capsys.readouterr().out.splitlines()[-1].split(":")[1].replace("] [", "][").split("][")
    alone, padded = (np.array(each.strip(" []").split(), float) for each in numbers)
    np.testing.assert_allclose(alone, padded, rtol=1e-6)


def test_the_sequences_are_labelled_as_the_example_says():
    (x, lengths), labels = example("sequences").draw(np.random.default_rng(1), 50)
    for sequence, length, label in zip(x[..., 0], lengths, labels, strict=True):
        assert label == (np.argmax(sequence[:length]) < length / 2)
        assert not sequence[length:].any()


@pytest.mark.full
def test_a_transformer_writes_what_it_has_read(tmp_path):
    words, path = ("a", "cat", "purrs"), tmp_path / "text.txt"
    path.write_text(" ".join(np.random.default_rng(0).choice(words, 5_000)))
    written = example("characters").main(str(path), epochs=5, written=100)
    assert len(written) == 100
    whole = written.split(" ")[1:-1]  # the first and the last may be cut
    # Letters at random would spell hardly any of them.
    assert sum(word in words for word in whole) >= 0.4 * len(whole)
