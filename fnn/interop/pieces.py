"""Pieces: which arrays of another library are which leaves of fnn, and how each is made from the other.

A piece has the keys of the other library's arrays, the leaves of fnn, and two functions, ``load`` from the arrays to
the leaves and ``store`` back. Most pieces are one array and one leaf whose axes have another order: ``turned``.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]
Arrays = tuple[np.ndarray, ...]


class Piece(NamedTuple):
    """Arrays at ``keys``, with their shapes, and leaves at ``leaves``; ``note`` says what ``load`` does, in words.

    An ``optional`` piece may lack its arrays: ``load`` is then given none.
    """

    keys: dict[str, Shape]
    leaves: tuple[str, ...]
    load: Callable[[Arrays], Arrays]
    store: Callable[[Arrays], Arrays]
    note: str = ""
    optional: bool = False


def turned(leaf: str, key: str, split: Sequence[int], axes: Sequence[int], shape: Shape, note: str = "") -> Piece:
    """One leaf and one array: the leaf seen in the shape ``split``, its axes in the order ``axes``, seen in ``shape``.

    >>> dense = turned("kernel", "weight", (3, 2), (1, 0), (2, 3))
    >>> dense.load((np.arange(6).reshape(2, 3),))[0].tolist()
    [[0, 3], [1, 4], [2, 5]]
    """
    axes, moved = tuple(axes), tuple(split[axis] for axis in axes)
    back = tuple(int(axis) for axis in np.argsort(axes))

    def load(arrays: Arrays) -> Arrays:
        return (arrays[0].reshape(moved).transpose(back),)

    def store(leaves: Arrays) -> Arrays:
        return (leaves[0].reshape(tuple(split)).transpose(axes).reshape(shape),)

    return Piece({key: shape}, (leaf,), load, store, note)


def unchanged(leaf: str, key: str, shape: Shape, to: Shape | None = None, note: str = "") -> Piece:
    """One leaf and one array with the same entries in the same order, seen in the shape ``to``."""
    size = (math.prod(shape),)
    return turned(leaf, key, size, (0,), shape if to is None else to, note)


def joined(key: str, pieces: Sequence[Piece], note: str) -> Piece:
    """Several leaves whose arrays are one array, one behind the other along its first axis."""
    shapes = [shape for piece in pieces for shape in piece.keys.values()]
    ends = np.cumsum([shape[0] for shape in shapes])

    def load(arrays: Arrays) -> Arrays:
        parts = np.split(arrays[0], ends[:-1])
        return tuple(piece.load((part,))[0] for piece, part in zip(pieces, parts, strict=True))

    def store(leaves: Arrays) -> Arrays:
        parts = [piece.store((leaf,))[0] for piece, leaf in zip(pieces, leaves, strict=True)]
        return (np.concatenate(parts),)

    leaves = tuple(leaf for piece in pieces for leaf in piece.leaves)
    return Piece({key: (int(ends[-1]), *shapes[0][1:])}, leaves, load, store, note)


def joined_last(leaf: str, keys: Sequence[str], shape: Shape) -> Piece:
    """One leaf that is several arrays of one shape, one behind the other along the last axis."""

    def load(arrays: Arrays) -> Arrays:
        return (np.concatenate(arrays, -1),)

    def store(leaves: Arrays) -> Arrays:
        return tuple(np.split(leaves[0], len(keys), -1))

    return Piece(dict.fromkeys(keys, shape), (leaf,), load, store)


def summed(leaf: str, keys: tuple[str, str], shape: Shape) -> Piece:
    """Two arrays of which only the sum counts: the leaf. It is stored as the first, beside zeros."""

    def load(arrays: Arrays) -> Arrays:
        one, other = arrays
        # Adding a zero would turn −0 into 0.
        return (np.where(other == 0, one, np.where(one == 0, other, one + other)),)

    def store(leaves: Arrays) -> Arrays:
        return leaves[0], np.zeros_like(leaves[0])

    return Piece(dict.fromkeys(keys, shape), (leaf,), load, store, "the sum of both")


def absent(leaf: str, shape: Shape, words: str) -> Piece:
    """A leaf that the other library lacks, where it counts as 0; storing anything else raises ``ValueError``."""

    def store(leaves: Arrays) -> Arrays:
        if np.any(leaves[0]):
            raise ValueError(f"{leaf.partition('/')[2]} is not 0, but {words}")
        return ()

    return Piece({}, (leaf,), lambda arrays: (np.zeros(shape),), store, f"0: {words}")


def spread(leaf: str, key: str, size: int) -> Piece:
    """One number of the other library for every channel; storing a leaf of several numbers raises ``ValueError``."""

    def store(leaves: Arrays) -> Arrays:
        if np.any(leaves[0] != leaves[0][0]):
            raise ValueError(
                f"{leaf.partition('/')[2]} has a number for each of {size} channels, but the other library one for"
                f" all; give its module as many"
            )
        return (leaves[0][:1],)

    return Piece({key: (1,)}, (leaf,), lambda arrays: (np.repeat(arrays[0], size),), store, "the same for all channels")


def counted(leaf: str, key: str) -> Piece:
    """The number of updates of a batch norm; at least 1, since evaluation before the first update raises in fnn."""

    def load(arrays: Arrays) -> Arrays:
        return (np.maximum(arrays[0], 1) if arrays else np.ones((), np.int32),)

    return Piece({key: ()}, (leaf,), load, lambda leaves: leaves, optional=True)
