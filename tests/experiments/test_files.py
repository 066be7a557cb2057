"""Data from files: each format in files written here as it is published, and every damage by its message."""

import contextlib
import gzip
import hashlib
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from experiments import data, files
from experiments.__main__ import main
from experiments.digits import Digits
from experiments.files import sums

OTHER = "by their MD5 sums these are not the files that"
"""What is said of files with published names that a test has written."""

# ---- MNIST


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def mnist(folder, *, each=10, size=28, zipped=False):
    """``each`` images of every class for training, two for the test; image n is filled with n."""
    folder.mkdir(exist_ok=True)
    for part, count in (("train", each), ("test", 2)):
        labels = np.arange(10 * count, dtype=np.uint8) % 10
        images = np.arange(10 * count, dtype=np.uint8)[:, None, None] * np.ones((1, size, size), np.uint8)
        for name, array in zip(files.IDX[part], (images, labels), strict=True):
            content = idx(array)
            (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(content) if zipped else content)
    return folder


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read_gzipped_or_not(tmp_path, zipped):
    folder = mnist(tmp_path / "mnist", zipped=zipped)
    # Only the gzipped files are published, so that only these have sums.
    with pytest.warns(UserWarning, match=OTHER) if zipped else contextlib.nullcontext():
        found = files.read_images(folder)
    assert {part: each.x.shape for part, each in found.items()} == {"train": (100, 28, 28, 1), "test": (20, 28, 28, 1)}
    assert found["train"].x.dtype == np.float32
    np.testing.assert_array_equal(found["train"].x[51], np.full((28, 28, 1), np.float32(51 / 255)))
    np.testing.assert_array_equal(found["test"].y, np.arange(20) % 10)
    assert found["train"].classes == tuple("0123456789")


def test_an_idx_file_of_a_known_image(tmp_path):
    # Two images of 2 × 3 bytes, written out by hand.
    (tmp_path / "f").write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, *range(12)]))
    np.testing.assert_array_equal(files.read_idx(tmp_path / "f"), np.arange(12).reshape(2, 2, 3))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with nothing"),
        (b"\x89PNG", "begins with 89 50 4e 47, not with 00 00"),
        (b"\0\0\x0d\x01" + bytes(8), "numbers of the type 0x0d"),
        (b"\0\0\x08\x03\0\0", "is cut off: 6 bytes, where the sizes alone take 16"),
        (b"\0\0\x08\x01\0\0\0\x05abc", r"has 3 bytes of data, where \(5,\) takes 5"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"has 3 bytes of data, where \(2,\) takes 2"),
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        files.read_idx(path)


def test_a_damaged_gzip_is_refused(tmp_path):
    folder = mnist(tmp_path / "mnist", zipped=True)
    path = folder / "train-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1  # in gzip's own checksum or length
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz is damaged"):
        files.read_images(folder)
    path.write_bytes(content[:20])
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte.gz is damaged"):
        files.read_images(folder)


def test_what_does_not_belong_together_is_refused(tmp_path):
    folder = mnist(tmp_path / "mnist")
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.uint8)))
    with pytest.raises(ValueError, match="not one label an image"):
        files.read_images(folder)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.full(100, 10, np.uint8)))
    with pytest.raises(ValueError, match="has the label 10, where there are 10 classes"):
        files.read_images(folder)
    (folder / "t10k-labels-idx1-ubyte").unlink()
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(100, np.uint8)))
    with pytest.raises(FileNotFoundError, match="has no t10k-labels-idx1-ubyte, gzipped or not"):
        files.read_images(folder)


# ---- CIFAR


def test_cifar_is_read_in_both_sizes_with_its_names(tmp_path):
    ten, hundred = tmp_path / "ten", tmp_path / "hundred"
    record = np.arange(3072, dtype=np.int64) % 251
    for folder, front, label in ((ten, 1, [7]), (hundred, 2, [3, 42])):
        folder.mkdir()
        for names in files.CIFAR[front].values():
            for name in names:
                (folder / name).write_bytes(bytes([*label, *record.tolist()]) * 2)
    (ten / "batches.meta.txt").write_text("\n".join(f"name{n}" for n in range(10)) + "\n\n")
    with pytest.warns(UserWarning, match=OTHER):
        found, more = files.read_images(ten), files.read_images(hundred)
    assert found["train"].x.shape == (10, 32, 32, 3)
    assert found["test"].classes[7] == "name7"
    assert set(found["train"].y) == {7}
    assert set(more["test"].y) == {42}  # the fine label
    assert len(more["train"].classes) == 100
    # The green value of the pixel in row 2, column 5.
    assert found["test"].x[0, 2, 5, 1] == np.float32(record[1024 + 2 * 32 + 5] / 255)
    (ten / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(ValueError, match="has 3072 bytes, which is no multiple of 3073"):
        files.read_images(ten)
    (ten / "batches.meta.txt").write_text("cat\n")
    with pytest.raises(ValueError, match="has 1 names for 10 classes"):
        files.read_images(ten)


# ---- published sums


def publish(monkeypatch, folder, name: str, more: tuple[str, ...] = ()) -> None:
    """Makes the gzipped files of a folder the published ones of a set; ``more`` are added to those that it has."""
    names = more or tuple(path.name for path in folder.iterdir())
    found = {each: hashlib.md5((folder / each).read_bytes()).hexdigest() for each in names}
    monkeypatch.setitem(sums.SUMS, name, sums.SUMS[name] | found)


def test_published_files_are_read_without_a_word(tmp_path, monkeypatch):
    folder = mnist(tmp_path / "mnist", zipped=True)
    publish(monkeypatch, folder, "Fashion-MNIST")
    assert len(files.read_images(folder)["test"].y) == 20


def test_another_file_of_a_published_name_is_named_and_read(tmp_path, monkeypatch):
    folder = mnist(tmp_path / "mnist", zipped=True)
    publish(monkeypatch, folder, "MNIST")
    changed = folder / "t10k-labels-idx1-ubyte.gz"
    changed.write_bytes(gzip.compress(idx(np.zeros(20, np.uint8))))
    with pytest.warns(UserWarning, match=OTHER) as said:
        assert not files.read_images(folder)["test"].y.any()
    (warning,) = said
    assert str(warning.message) == (
        f"{folder}: {OTHER} MNIST or Fashion-MNIST published under these names: t10k-labels-idx1-ubyte.gz. If they were"
        " downloaded, get them again; if they are another set, your own or a part of one, all is well"
    )


def test_files_of_two_published_sets_in_one_folder_are_refused(tmp_path, monkeypatch):
    folder = mnist(tmp_path / "mnist", zipped=True)
    publish(monkeypatch, folder, "MNIST", more=("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"))
    publish(monkeypatch, folder, "Fashion-MNIST", more=("train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz"))
    message = (
        "holds files of different sets: train-images.*gz, t10k-images.*gz of MNIST; .*gz of Fashion-MNIST. Keep each"
    )
    with pytest.raises(ValueError, match=message):
        files.read_images(folder)


def test_the_sums_are_those_of_the_files_that_are_read():
    zipped = {f"{name}.gz" for part in files.IDX.values() for name in part}
    ten, hundred = ({name for part in files.CIFAR[front].values() for name in part} for front in (1, 2))
    named = {"MNIST": zipped, "Fashion-MNIST": zipped, "CIFAR-10": ten, "CIFAR-100": hundred}
    assert {name: set(found) for name, found in sums.SUMS.items()} == named
    every = [each for found in sums.SUMS.values() for each in found.values()]
    assert len(set(every)) == len(every)
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in every)


def test_the_sum_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")  # RFC 1321, A.5
    assert sums.md5(tmp_path / "f") == "900150983cd24fb0d6963f7d28e17f72"


# ---- one's own


def test_images_by_class(tmp_path):
    for name, value in (("dogs", 10), ("cats", 200)):
        (tmp_path / name).mkdir()
        for number in range(2):
            Image.fromarray(np.full((4, 6, 3), value + number, np.uint8)).save(tmp_path / name / f"{number}.png")
    (tmp_path / "dogs" / "notes.txt").write_text("not an image")
    found = files.read_images(tmp_path)["train"]
    assert found.classes == ("cats", "dogs")
    assert found.x.shape == (4, 4, 6, 3)
    np.testing.assert_array_equal(found.y, [0, 0, 1, 1])
    np.testing.assert_array_equal(found.x[3], np.full((4, 6, 3), np.float32(11 / 255)))
    Image.fromarray(np.zeros((5, 6, 3), np.uint8)).save(tmp_path / "dogs" / "wide.png")
    with pytest.raises(ValueError, match=r"wide.png has the shape \(5, 6, 3\).*resize or convert"):
        files.read_images(tmp_path)
    (tmp_path / "dogs" / "wide.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"wide.png is not a readable image"):
        files.read_images(tmp_path)
    (tmp_path / "dogs" / "wide.png").unlink()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no image"):
        files.read_images(tmp_path)


def test_arrays_in_an_npz(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.full((3, 2, 2), 51, np.uint8), y=np.array([0, 2, 1]))
    found = files.read_npz(path)
    assert found.classes == ("0", "1", "2")
    np.testing.assert_array_equal(found.x, np.full((3, 2, 2), np.float32(0.2)))
    np.savez(path, x=np.ones((3, 2)), y=np.array([0.5, 1, 2]))
    assert files.read_npz(path).classes == ()
    refused: list[tuple[dict[str, Any], str]] = [
        ({"x": np.ones(3)}, "has no array y"),
        ({"x": np.ones(3), "y": np.ones(2)}, "not one target a sample"),
        ({"x": np.full(3, np.nan), "y": np.ones(3)}, "x has values that are not finite"),
        ({"x": np.array(["a", "b"]), "y": np.ones(2)}, "x holds <U1, not numbers"),
        ({"x": np.ones((0, 2)), "y": np.ones(0)}, "has no samples"),
    ]
    for arrays, message in refused:
        np.savez(path, **arrays)
        with pytest.raises(ValueError, match=message):
            files.read_npz(path)


def test_a_table_with_a_target(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("length,kind,width\n1,b,2\n3,a,4.5\n\n")
    found = files.read_csv(path, "kind")
    np.testing.assert_array_equal(found.x, np.array([[1, 2], [3, 4.5]], np.float32))
    np.testing.assert_array_equal(found.y, [1, 0])
    assert found.classes == ("a", "b")
    path.write_text("length,price\n1,10.5\n2,11\n")
    values = files.read_csv(path, "price")
    assert values.classes == ()
    np.testing.assert_array_equal(values.y, np.array([10.5, 11], np.float32))
    for text, message in (
        ("a,b\n1,2\n", r"has no column 'price'; there are \['a', 'b'\]"),
        ("", "has no column 'price'"),
        ("a,price\n1\n", "row 2: 1 cells for 2 columns"),
        ("a,price\n1,2\nx,3\n", "row 3, column 'a': 'x' is not a number"),
        ("a,price\nnan,2\n", "x has values that are not finite"),
        ("a,price\n", "has no samples"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            files.read_csv(path, "price")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        files.read_images(tmp_path / "missing")
    (tmp_path / "data_batch_1").write_bytes(b"a pickle")
    with pytest.raises(FileNotFoundError, match="holds neither the files of MNIST"):
        files.read_images(tmp_path)


# ---- in an experiment


def test_a_tenth_of_the_training_part_validates(tmp_path):
    found = data.from_files(mnist(tmp_path / "mnist"))
    assert [len(part.labels) for part in found] == [90, 10, 20]
    assert sorted(found.validation.labels) == list(range(10))
    assert not set(found.train.indices) & set(found.validation.indices)
    (tmp_path / "own" / "cats").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "own" / "cats" / "0.png")
    with pytest.raises(ValueError, match="1 classes and no test part"):
        data.from_files(tmp_path / "own")


@pytest.mark.full
def test_the_digits_experiment_runs_on_files(tmp_path, capsys):
    folder = mnist(tmp_path / "mnist", size=8)
    options = ["--quick", "--epochs", "2", "--data", str(folder), "--out", str(tmp_path / "run")]
    assert main(["digits", *options]) == 0
    report = (tmp_path / "run" / "report.md").read_text()
    assert "90 / 10 / 20" in report
    assert str(folder) in report
    assert Digits.again(tmp_path / "run" / "config.json").data == folder
    assert main(["digits", "--data", str(tmp_path), "--out", str(tmp_path / "no")]) == 2
    assert "digits: " in capsys.readouterr().err
    assert not (tmp_path / "no").exists()
