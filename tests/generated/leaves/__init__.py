"""The leaves of the grammar, gathered from the files of this folder: ``LEAVES`` in each.

A leaf draws a layer for inputs of a given shape, batch first; it is asked only about shapes that it ``fits``. With
``keep`` the layer must give back the shape that it is given, so that it can stand in a residual, a sum or a repeat.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st

from fnn.layer import Layer

Shape = tuple[int, ...]


class Leaf(NamedTuple):
    """How one kind of layer is drawn: ``make(draw, shape, keep)`` for the shapes that it ``fits(shape, keep)``."""

    name: str
    make: Callable[[st.DrawFn, Shape, bool], Layer]
    fits: Callable[[Shape, bool], bool] = lambda shape, keep: True


def always(layer: Layer) -> Leaf:
    """A layer without options that takes any shape and keeps it."""
    return Leaf(layer.snake_name, lambda draw, shape, keep: layer)


def gathered() -> tuple[Leaf, ...]:
    """The leaves of all files of this folder."""
    files = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return tuple(leaf for name in files for leaf in importlib.import_module(f"{__name__}.{name}").LEAVES)
