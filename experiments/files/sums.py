"""The MD5 sums of the published files of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100.

A file with the name of a published one and another sum is a damaged download, another set, or one of your own: a
warning says so. Files of two published sets in one folder are an error. Sums are those of what is published: the
gzipped files of MNIST, which have no others once they are unpacked, and the files in CIFAR's binary archives.

Sources: for MNIST and Fashion-MNIST datasets/mnist.py of torchvision 0.29.1. CIFAR's own page
(www.cs.toronto.edu/~kriz/cifar.html) has the sums of its archives only; those of the files in them are what
github.com/rai-project/dldataset checks behind such an archive (vision/cifar10.go and cifar100.go), and for CIFAR-10
three CMake scripts found on GitHub have the same six. No set was at hand to compute them again.
"""

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path

SUMS = {
    "MNIST": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "Fashion-MNIST": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    "CIFAR-10": {
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    "CIFAR-100": {
        "train.bin": "6172c7755cfe09b2fe270c85cebc1b15",
        "test.bin": "4499cfba6c016c1be1438163640a0898",
    },
}


def check(paths: Sequence[Path]) -> None:
    """Compares the files of one folder with what was published under their names.

    Errors: ``ValueError`` if some are of one published set, and some of another.
    Warns: of files that are of none, though a published one has their name.
    """
    found: dict[str, list[str]] = {}
    other, could_be = [], {}
    for path in paths:
        published = {each[path.name]: name for name, each in SUMS.items() if path.name in each}
        if not published:
            continue
        if (of := published.get(md5(path))) is None:
            other.append(path.name)
            could_be |= dict.fromkeys(published.values())
        else:
            found.setdefault(of, []).append(path.name)
    if len(found) > 1:
        parts = "; ".join(f"{', '.join(names)} of {of}" for of, names in found.items())
        raise ValueError(f"{paths[0].parent} holds files of different sets: {parts}. Keep each set in its own folder")
    if other:
        warnings.warn(
            f"{paths[0].parent}: by their MD5 sums these are not the files that {' or '.join(could_be)} published under"
            f" these names: {', '.join(other)}. If they were downloaded, get them again; if they are another set,"
            " your own or a part of one, all is well",
            stacklevel=3,
        )


def md5(path: Path) -> str:
    """The MD5 sum of a file, in hexadecimal."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()
