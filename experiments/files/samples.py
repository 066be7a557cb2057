"""What is read from files, and how every reader gets at their content."""

import gzip
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Labelled(NamedTuple):
    """Samples ``x`` (N, …) float32 and ``y`` (N,): int32 places in ``classes``, or float32 values where there are none.

    Pixels go from 0 to 1, and images are (N, height, width, channels).
    """

    x: np.ndarray
    y: np.ndarray
    classes: tuple[str, ...]


def images(x: np.ndarray, y: np.ndarray, classes: tuple[str, ...], path: Path) -> Labelled:
    """Images of bytes with the numbers of their classes; ``path`` is what an error names."""
    if len(y) and y.max() >= len(classes):
        raise ValueError(f"{path} has the label {y.max()}, where there are {len(classes)} classes")
    return Labelled((x / 255).astype(np.float32), y.astype(np.int32), classes)


def either(folder: Path, name: str) -> Path:
    """The file, gzipped or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(f"{folder} has no {name}, gzipped or not")


def unpacked(path: Path) -> bytes:
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
