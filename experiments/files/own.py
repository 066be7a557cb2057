"""Sets of one's own: images by class, an ``.npz``, a table."""

import csv
from pathlib import Path

import numpy as np

from experiments.files.samples import Labelled, images

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def read_classes(folder: Path) -> Labelled:
    """One folder of images for each class; all images have one size."""
    from PIL import Image, UnidentifiedImageError  # comes with matplotlib

    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    pictures, labels, first = [], [], None
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
            pictures.append(image)
            labels.append(label)
    x = np.stack(pictures)
    return images(x if x.ndim == 4 else x[..., None], np.array(labels), tuple(classes), folder)


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
