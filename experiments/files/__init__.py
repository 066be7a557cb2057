"""Data from files: published sets of images in their own formats, and sets of one's own. All are checked before use.

    MNIST, Fashion-MNIST    the four IDX files, gzipped or not, in one folder
    CIFAR-10, CIFAR-100     the binary version: data_batch_1.bin … test_batch.bin; or train.bin and test.bin
    images by class         a folder with one folder of images for each class
    .npz                    arrays ``x`` (N, …) and ``y`` (N,)
    .csv                    a table with names in its first line, one of them the target's

Nothing is downloaded, and no file can make code run: pickles, as in CIFAR's Python version, are not read.
"""

from pathlib import Path

from experiments.files import sums
from experiments.files.own import read_classes, read_csv, read_npz
from experiments.files.published import CIFAR, IDX, cifar_part, idx_part, read_idx
from experiments.files.samples import Labelled, either

__all__ = ["CIFAR", "IDX", "Labelled", "read_csv", "read_idx", "read_images", "read_npz"]


def read_images(folder: Path) -> dict[str, Labelled]:
    """The parts "train" and "test" of a published set, or "train" alone of images by class.

    Errors: ``FileNotFoundError`` if this is none of the formats or a file is missing, ``ValueError`` for a file that is
    damaged, cut off, or not what its name says, or if two published sets are mixed.
    Warns: of files that are not what was published under their names, by their MD5 sums (``sums.py``).
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    names = {path.name.removesuffix(".gz") for path in folder.iterdir()}
    if names & {name for part in IDX.values() for name in part}:
        found = {part: idx_part(folder, *files) for part, files in IDX.items()}
        sums.check([either(folder, name) for files in IDX.values() for name in files])
        return found
    for front, parts in CIFAR.items():
        if names & {name for files in parts.values() for name in files}:
            found = {part: cifar_part(folder, files, front) for part, files in parts.items()}
            sums.check([either(folder, name) for files in parts.values() for name in files])
            return found
    if any(path.is_dir() for path in folder.iterdir()):
        return {"train": read_classes(folder)}
    raise FileNotFoundError(
        f"{folder} holds neither the files of MNIST ({IDX['train'][0]}, …) nor the binary ones of CIFAR"
        " (data_batch_1.bin, … or train.bin) nor one folder of images for each class"
    )
