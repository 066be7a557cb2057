"""Moves the arrays of a matching: into the leaves of a tree, or from them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.backprop import entry_at, leading_axes
from fnn.combinators.tied import Tied
from fnn.errors import describe, is_floating
from fnn.interop.pieces import Arrays, Piece
from fnn.interop.wanted import Match, Matching
from fnn.layer import Layer
from fnn.paths import join, map_named, named_leaves
from fnn.walk import nodes

Read = Callable[[str], np.ndarray]
"""``read(key)``: the array at a key of the other library."""


class TiedLeaf(NamedTuple):
    """What was found for a leaf that the model ties to another, and the index of its layer in a ``Repeat``."""

    path: str
    index: tuple[int, ...]
    value: np.ndarray


def load(matching: Matching, template: Any, read: Read) -> tuple[Any, list[TiedLeaf]]:
    """The tree ``{"params": …, "state": …}`` with what was found in the place of its leaves, and the tied leaves."""
    dtypes = named_leaves(template)
    made: dict[str, np.ndarray] = {}
    tied: list[TiedLeaf] = []
    for match in matching.matches:
        place = match.wanted.place
        for piece in match.part.pieces:
            for path, value in zip(piece.leaves, loaded(match, piece, read), strict=True):
                if path not in dtypes:
                    tied.append(TiedLeaf(path, place.index, value))
                    continue
                leaf = dtypes[path]
                buffer = made.setdefault(path, np.array(leaf) if hasattr(leaf, "__array__") else _empty(leaf))
                buffer[place.index] = _as_dtype(match, path, value, leaf.dtype)
    return map_named(lambda path, leaf: jnp.asarray(made[path]) if path in made else leaf, template), tied


def store(matching: Matching, tree: Any, read: Read, write: Callable[[str, np.ndarray], None]) -> None:
    """Writes the leaves of ``{"params": …, "state": …}``; arrays that already say the same stay bit for bit.

    Where several arrays say the same (two biases of which only the sum counts), a network that was loaded and stored
    again is the same in every bit.
    """
    leaves = {path: np.asarray(leaf) for path, leaf in named_leaves(tree).items()}
    pending: list[tuple[str, np.ndarray]] = []
    for match in matching.matches:
        for piece in match.part.pieces:
            values = tuple(leaves[path][match.wanted.place.index] for path in piece.leaves)
            now = loaded(match, piece, read)
            if all(_same(one.astype(other.dtype), other) for one, other in zip(now, values, strict=True)):
                continue
            for key, value in zip(_keys(match, piece), piece.store(values), strict=False):
                pending.append((key, value))
    for key, value in pending:  # after every check, so that a module is never half written
        write(key, value)


def loaded(match: Match, piece: Piece, read: Read) -> Arrays:
    """The leaves of one piece."""
    shapes = dict(match.wanted.place.leaves.values())
    made = piece.load(tuple(read(key) for key in _keys(match, piece)))
    return tuple(each.reshape(shapes[path]) for path, each in zip(piece.leaves, made, strict=True))


def _keys(match: Match, piece: Piece) -> list[str]:
    names = match.group.names
    if list(piece.keys) == ["*"]:
        return [key for key, _ in names.values()]
    return [names[name][0] for name in piece.keys if name in names]


def tied_leaves(model: Layer, params: Any) -> dict[str, np.ndarray]:
    """The leaves that ``Tied`` computes from others, by their full paths."""
    found, known = {}, named_leaves(params)
    for node in nodes(model):
        if not isinstance(node.layer, Tied):
            continue
        tie = functools.partial(_with_targets, node.layer)
        for _ in leading_axes(node):
            tie = jax.vmap(tie)
        for name, leaf in named_leaves(tie(entry_at(params, node.path))).items():
            if (path := join(node.path, name)) not in known:
                found[join("params", path)] = np.asarray(leaf)
    return found


def _with_targets(layer: Tied, params: Any) -> Any:
    return layer.reparameterize(params, {}, train=False, key=None)[0]


def check_tied(tied: list[TiedLeaf], model: Layer, params: Any) -> None:
    """Raises ``ValueError`` if arrays differ that the model ties to each other."""
    own = tied_leaves(model, params)
    for path, index, value in tied:
        same = own[path][index]
        if not np.array_equal(value.astype(same.dtype), same):
            raise ValueError(
                f"the model ties {path.partition('/')[2]!r} to another parameter, but the arrays to load differ there;"
                f" use a model without this tie"
            )


def _empty(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    return np.zeros(leaf.shape, leaf.dtype)


def _as_dtype(match: Match, path: str, value: np.ndarray, dtype: Any) -> np.ndarray:
    if is_floating(np.zeros((), dtype)) and not is_floating(value):
        raise TypeError(
            f"{path.partition('/')[2]} is {dtype}, but {match.group.title} holds {describe(value)};"
            f" give the weights as floating numbers (of a quantized module, those before quantization)"
        )
    return value.astype(dtype)


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.tobytes() == other.tobytes()
