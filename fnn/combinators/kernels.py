"""The kernels among nested parameters, by path: shared by the combinators that act on kernels alone.

A kernel is a leaf that the glob ``*/kernel`` selects: one named ``kernel`` or ``*_kernel``.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.layer import Layer, Params
from fnn.paths import SEPARATOR, map_named, matches, named_leaves
from fnn.stacked import stacked_sizes


def kernels_of(layer: Layer, params: Params) -> dict[str, jax.Array]:
    """The kernels by path, or ``ValueError`` if there are none."""
    named = named_leaves(params)
    found = {path: jnp.asarray(leaf) for path, leaf in named.items() if matches("*/kernel", path)}
    if not found:
        raise ValueError(
            f"{type(layer).__name__} acts on parameters named kernel or *_kernel, but the layer inside has only"
            f" {list(named)}"
        )
    return found


def refuse_stacked(layer: Layer, params: Params) -> None:
    """Raises if the parameters of several layers are stacked in one array: its norm would be that of no layer."""
    if any(stacked_sizes(params)):
        name = type(layer).__name__
        raise ValueError(
            f"{name} normalises the kernels of one layer, but a Repeat inside it stacks those of several; put it inside"
            f" the Repeat: Repeat({name}(…), n)"
        )


def with_leaves(params: Params, leaves: dict[str, Any]) -> Params:
    """The parameters with some of their leaves replaced."""
    return map_named(lambda path, leaf: leaves.get(path, leaf), params)


def nested(leaves: dict[str, Any]) -> dict[str, Any]:
    """The nested dict with these leaves at these paths, the inverse of ``named_leaves``.

    >>> nested({"dense_0/bias": 1, "dense_0/kernel": 2})
    {'dense_0': {'bias': 1, 'kernel': 2}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *names, last = path.split(SEPARATOR)
        place = tree
        for name in names:
            place = place.setdefault(name, {})
        place[last] = leaf
    return tree
