"""MNIST and Fashion-MNIST in IDX files, CIFAR-10 and CIFAR-100 in their binary version."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.files.samples import Labelled, either, images, unpacked

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


def idx_part(folder: Path, pictures: str, labels: str) -> Labelled:
    """The part of a set that these two files hold.

    Errors: those of ``read_idx``, and ``ValueError`` for files that do not belong together.
    """
    x, y = read_idx(either(folder, pictures)), read_idx(either(folder, labels))
    if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
        raise ValueError(f"{folder}: {pictures} has the shape {x.shape} and {labels} {y.shape}: not one label an image")
    return images(x[..., None], y, tuple(str(each) for each in range(10)), folder / labels)


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in IDX: 0, 0, 8 for bytes, the rank; then each size as four bytes, the largest first.

    Errors: ``ValueError`` for another magic number, another type, or a length that does not fit the sizes.
    """
    content = unpacked(path)
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


def cifar_part(folder: Path, files: Sequence[str], front: int) -> Labelled:
    """The part of a set that these files hold, with so many bytes in front of an image.

    Errors: ``ValueError`` for a file that is damaged or not a whole number of images.
    """
    parts = []
    for name in files:
        path = either(folder, name)
        content, record = np.frombuffer(unpacked(path), np.uint8), front + PIXELS
        if not len(content) or len(content) % record:
            raise ValueError(f"{path} has {len(content)} bytes, which is no multiple of {record}, the size of a record")
        parts.append(content.reshape(-1, record))
    records = np.concatenate(parts)
    # Red, then green, then blue, each row by row.
    pixels = records[:, front:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    names = class_names(folder, "batches.meta.txt" if front == 1 else "fine_label_names.txt", 10 if front == 1 else 100)
    return images(pixels, records[:, front - 1], names, folder / files[0])


def class_names(folder: Path, file: str, count: int) -> tuple[str, ...]:
    """The names in that file, or numbers if it is not there."""
    path = folder / file
    names = tuple(path.read_text(encoding="utf-8").split()) if path.exists() else ()
    if names and len(names) != count:
        raise ValueError(f"{path} has {len(names)} names for {count} classes")
    return names or tuple(str(each) for each in range(count))
