"""The text, Python's own library, and what needs no network to predict it: frequencies, n-grams, compressors."""

import bz2
import lzma
import sysconfig
from collections.abc import Callable
from pathlib import Path

import numpy as np

TRAIN = (
    *("argparse", "ast", "bdb", "difflib", "dis", "doctest", "enum", "functools", "inspect", "ipaddress", "optparse"),
    *("pickle", "pprint", "random", "socket", "subprocess", "tempfile", "threading", "traceback", "typing"),
)
VALIDATION, TEST = ("configparser", "queue"), ("csv", "heapq", "shlex", "textwrap")
"""The modules; none is in two parts, and all are plain Python in every version from 3.11 on."""

ALPHABET = "\n" + "".join(map(chr, range(32, 127))) + "\ufffd"
"""The line feed, what ASCII can print, and one character for all others."""

ORDERS = range(1, 10)
"""How many characters an n-gram may have."""

COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "bz2": bz2.compress}


def read(modules: tuple[str, ...]) -> np.ndarray:
    """The sources of these modules, one after another, as indices in the alphabet.

    Errors: ``FileNotFoundError`` if this Python comes without its sources.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    return codes_of("".join((folder / f"{name}.py").read_text(encoding="utf-8") for name in modules))


def codes_of(text: str) -> np.ndarray:
    """The indices in the alphabet; what it lacks becomes its last character."""
    places = {character: place for place, character in enumerate(ALPHABET)}
    return np.array([places.get(each, len(ALPHABET) - 1) for each in text], np.int32)


def text_of(codes: np.ndarray) -> str:
    """The characters with these indices."""
    return "".join(ALPHABET[code] for code in codes)


def compressed_bits(train: np.ndarray, test: np.ndarray) -> dict[str, dict[str, float]]:
    """Bits per character of the compressed test text: alone, and by how much the training text becomes longer."""
    before, text = (each.astype(np.uint8).tobytes() for each in (train, test))
    return {
        name: {
            "alone": 8 * len(compress(text)) / len(text),
            "after the training text": 8 * (len(compress(before + text)) - len(compress(before))) / len(text),
        }
        for name, compress in COMPRESSORS.items()
    }


def grams(codes: np.ndarray, length: int) -> np.ndarray:
    """Every run of this many characters as one number; the last character is the last digit."""
    numbers = np.zeros(len(codes) - length + 1, np.int64)
    for place in range(length):
        numbers = numbers * len(ALPHABET) + codes[place : place + len(numbers)]
    return numbers


def counts(sorted_numbers: np.ndarray, of: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The entries of ``of`` that belong to the wanted numbers; 0 for those that are not there."""
    places = np.minimum(np.searchsorted(sorted_numbers, wanted), len(sorted_numbers) - 1)
    return np.where(sorted_numbers[places] == wanted, of[places], 0)


def gram_bits(train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The bits (orders, N) of every test character under n-grams of the training text, smoothed by Witten and Bell.

    With c the count of a run, N that of its context h, and T the number of different characters seen after h,
    p(x | h) = (c(h x) + T(h) p(x | h without its first character)) / (N(h) + T(h)), where p(x | nothing) starts from
    one over the size of the alphabet; a context that never occurred is shortened. The first characters of the test text
    have no long context before them: the end of the training text stands there.

    Source: Witten and Bell, The zero-frequency problem, 1991, method C.
    """
    size, longest = len(ALPHABET), max(ORDERS)
    joined = np.concatenate([train[-longest + 1 :], test])
    chance, bits = np.full(len(test), 1 / size), []
    for order in ORDERS:
        found, often = np.unique(grams(train, order), return_counts=True)
        contexts, first = np.unique(found // size, return_index=True)
        totals, kinds = np.add.reduceat(often, first), np.diff(np.append(first, len(found)))
        wanted = grams(joined[longest - order :], order)
        seen, total, kind = (
            counts(found, often, wanted),
            *(counts(contexts, of, wanted // size) for of in (totals, kinds)),
        )
        chance = np.where(total > 0, (seen + kind * chance) / np.maximum(total + kind, 1), chance)
        bits.append(-np.log2(chance))
    return np.stack(bits)
