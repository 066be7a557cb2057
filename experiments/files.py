"""Data from files: published sets of images in their own formats, and sets of one's own. All are checked before use.

    MNIST, Fashion-MNIST    the four IDX files, gzipped or not, in one folder
    CIFAR-10, CIFAR-100     the binary version: data_batch_1.bin … test_batch.bin; or train.bin and test.bin
    images by class         a folder with one folder of images for each class
    .npz                    arrays ``x`` (N, …) and ``y`` (N,)
    .csv                    a table with names in its first line, one of them the target's

Nothing is downloaded, and no file can make code run: pickles, as in CIFAR's Python version, are not read.
"""

import csv
import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

IDX = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
CIFAR = {
    # The bytes in front of an image: its label is the last of them. CIFAR-100's first is the coarse one.
    1: {"train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)), "test": ("test_batch.bin",)},
    2: {"train": ("train.bin",), "test": ("test.bin",)},
}
PIXELS = 32 * 32 * 3
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


class Labelled(NamedTuple):
    """Samples ``x`` (N, …) float32 and ``y`` (N,): int32 places in ``classes``, or float32 values where there are none.

    Pixels go from 0 to 1, and images are (N, height, width, channels).
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]


def read_images(folder: Path) -> dict[str, Labelled]:
    """The parts "train" and "test" of a published set, or "train" alone of images by class.

    Errors: ``FileNotFoundError`` if this is none of the formats or a file is missing, ``ValueError`` for a file that is
    damaged, cut off, or not what its name says.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    names = {path.name.removesuffix(".gz") for path in folder.iterdir()}
    if names & {name for part in IDX.values() for name in part}:
        return {part: _idx_part(folder, *files) for part, files in IDX.items()}
    for front, parts in CIFAR.items():
        if names & {name for files in parts.values() for name in files}:
            return {part: _cifar_part(folder, files, front) for part, files in parts.items()}
    if any(path.is_dir() for path in folder.iterdir()):
        return {"train": _by_class(folder)}
    raise FileNotFoundError(
        f"{folder} holds neither the files of MNIST ({IDX['train'][0]}, …) nor the binary ones of CIFAR"
        " (data_batch_1.bin, … or train.bin) nor one folder of images for each class"
    )


# ---- MNIST: IDX


def _idx_part(folder: Path, images: str, labels: str) -> Labelled:
    x, y = read_idx(_either(folder, images)), read_idx(_either(folder, labels))
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"{folder}: {images} has the shape {x.shape} and {labels} {y.shape}: not one label an image")
    return _pixels(x[..., None], y, tuple(str(each) for each in range(10)), folder / labels)


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in IDX: 0, 0, 8 for bytes, the rank; then each size as four bytes, the largest first.

    Errors: ``ValueError`` for another magic number, another type, or a length that does not fit the sizes.
    """
    content = _bytes(path)
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(
            f"{path} is not an IDX file: it begins with {content[:4].hex(' ') or 'nothing'}, not with 00 00"
        )
    kind, rank = content[2], content[3]
    if kind != 8:
        raise ValueError(f"{path} holds numbers of the type {kind:#04x}, where images and labels are bytes (0x08)")
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"{path} is cut off: {len(content)} bytes, where the sizes alone take {start}")
    shape = tuple(np.frombuffer(content, ">u4", rank, 4).tolist())
    if len(content) - start != math.prod(shape):
        raise ValueError(f"{path} has {len(content) - start} bytes of data, where {shape} takes {math.prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


# ---- CIFAR: the binary version


def _cifar_part(folder: Path, files: Sequence[str], front: int) -> Labelled:
    parts = []
    for name in files:
        path = _either(folder, name)
        content, record = np.frombuffer(_bytes(path), np.uint8), front + PIXELS
        if not len(content) or len(content) % record:
            raise ValueError(f"{path} has {len(content)} bytes, which is no multiple of {record}, the size of a record")
        parts.append(content.reshape(-1, record))
    records = np.concatenate(parts)
    # Red, then green, then blue, each row by row.
    images = records[:, front:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    names = _names(folder, "batches.meta.txt" if front == 1 else "fine_label_names.txt", 10 if front == 1 else 100)
    return _pixels(images, records[:, front - 1], names, folder / files[0])


def _names(folder: Path, file: str, count: int) -> tuple[str, ...]:
    path = folder / file
    names = tuple(path.read_text(encoding="utf-8").split()) if path.exists() else ()
    if names and len(names) != count:
        raise ValueError(f"{path} has {len(names)} names for {count} classes")
    return names or tuple(str(each) for each in range(count))


# ---- one's own


def _by_class(folder: Path) -> Labelled:
    """One folder of images for each class; all images have one size."""
    from PIL import Image, UnidentifiedImageError  # comes with matplotlib

    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    images, labels, first = [], [], None
    for label, name in enumerate(classes):
        paths = sorted(path for path in (folder / name).iterdir() if path.suffix.lower() in IMAGES)
        if not paths:
            raise ValueError(f"{folder / name} holds no image ({', '.join(IMAGES)})")
        for path in paths:
            try:
                with Image.open(path) as opened:
                    image = np.asarray(opened.convert("L" if opened.mode in ("1", "L") else "RGB"))
            except (UnidentifiedImageError, OSError) as error:
                raise ValueError(f"{path} is not a readable image: {error}") from None
            first = first or (path, image.shape)
            if image.shape != first[1]:
                raise ValueError(
                    f"{path} has the shape {image.shape}, {first[0]} {first[1]}: resize or convert them first"
                )
            images.append(image)
            labels.append(label)
    x = np.stack(images)
    return _pixels(x if x.ndim == 4 else x[..., None], np.array(labels), tuple(classes), folder)


def read_npz(path: Path) -> Labelled:
    """The arrays ``x`` (N, …) and ``y`` (N,) of an ``.npz``; bytes become numbers from 0 to 1.

    Errors: ``ValueError`` if one is missing, they differ in length, or are not numbers.
    """
    with np.load(path, allow_pickle=False) as found:
        if missing := {"x", "y"} - set(found.files):
            raise ValueError(f"{path} has no array {' and no '.join(sorted(missing))}; there are {found.files}")
        x, y = found["x"], found["y"]
    if y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"{path}: x has the shape {x.shape} and y {y.shape}: not one target a sample")
    return _checked((x / 255 if x.dtype == np.uint8 else x), y, path)


def read_csv(path: Path, target: str) -> Labelled:
    """A table: the column ``target`` is y, the others are x. Words as targets become classes, numbers stay values.

    Errors: ``ValueError`` for a column that is missing, a row of another length, or a cell that is not a number.
    """
    with path.open(newline="", encoding="utf-8") as lines:
        header, *rows = [row for row in csv.reader(lines) if row] or [[]]
    if target not in header:
        raise ValueError(f"{path} has no column {target!r}; there are {header}")
    place = header.index(target)
    for number, row in enumerate(rows, 2):
        if len(row) != len(header):
            raise ValueError(f"{path}, row {number}: {len(row)} cells for {len(header)} columns")
    x = [
        [_number(cell, path, n, header[c]) for c, cell in enumerate(row) if c != place] for n, row in enumerate(rows, 2)
    ]
    targets = [row[place] for row in rows]
    try:
        y = np.array([float(each) for each in targets])
    except ValueError:
        y = np.array(targets)
    return _checked(np.array(x, float), y, path)


def _number(cell: str, path: Path, row: int, column: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise ValueError(f"{path}, row {row}, column {column!r}: {cell!r} is not a number") from None


# ---- shared


def _checked(x: np.ndarray, y: np.ndarray, path: Path) -> Labelled:
    """Numbers that are finite; targets that are integers or words are classes."""
    if not len(y):
        raise ValueError(f"{path} has no samples")
    if y.dtype.kind in "US":
        classes, y = np.unique(y, return_inverse=True)
        names = tuple(map(str, classes))
    else:
        names = tuple(map(str, range(int(y.max()) + 1))) if y.dtype.kind in "iu" and y.min() >= 0 else ()
    for name, values in (("x", x), ("y", y)):
        if values.dtype.kind not in "fiub":
            raise ValueError(f"{path}: {name} holds {values.dtype}, not numbers")
        if not np.isfinite(values).all():
            raise ValueError(f"{path}: {name} has values that are not finite")
    return Labelled(x.astype(np.float32), y.astype(np.int32 if names else np.float32), names)


def _pixels(x: np.ndarray, y: np.ndarray, classes: tuple[str, ...], path: Path) -> Labelled:
    if len(y) and y.max() >= len(classes):
        raise ValueError(f"{path} has the label {y.max()}, where there are {len(classes)} classes")
    return Labelled((x / 255).astype(np.float32), y.astype(np.int32), classes)


def _either(folder: Path, name: str) -> Path:
    """The file, gzipped or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder} has no {name}, gzipped or not")


def _bytes(path: Path) -> bytes:
    """The content of a file, unpacked; gzip's own checksum is checked.

    Errors: ``ValueError`` for a damaged file.
    """
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
