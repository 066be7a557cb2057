"""The calls of a layer inside another, with what it returns looked at: a layer may be a user's own.

A layer that returns one value too few is else found by Python where the values are unpacked, or not at all: two rows
of an array are unpacked as well as ``(y, state)``.
"""

from typing import Any

import jax
from jax.core import Tracer

from fnn.errors import describe, returned
from fnn.layer import Cache, Layer, Params, State, is_training


def init_of(layer: Layer, key: jax.Array | None, x: Any) -> tuple[Params, State]:
    """``layer.init(key, x)``."""
    made = returned(layer, "init", "(params, state)", layer.init(key, x))  # pyright: ignore[reportArgumentType]
    for kind, tree in zip(("params", "state"), made, strict=True):
        if not isinstance(tree, dict | None):
            raise TypeError(
                f"{type(layer).__name__}.init returns (params, state), nested dicts of arrays and {{}} for none, but"
                f" its {kind} are {describe(tree)}"
            )
    return made


def forward_of(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool, key: jax.Array | None
) -> tuple[Any, State, Cache]:
    """``layer.forward(…)``."""
    try:
        found = layer.forward(params, state, x, train=train, key=key)
    except jax.errors.TracerBoolConversionError as error:
        raise _of_train(train, error) from None
    return _with_state(layer, "forward", returned(layer, "forward", "(y, state, cache)", found))


def apply_of(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
) -> tuple[Any, State]:
    """``layer.apply(…)``."""
    try:
        found = layer.apply(params, state, x, train=train, key=key)
    except jax.errors.TracerBoolConversionError as error:
        raise _of_train(train, error) from None
    return _with_state(layer, "apply", returned(layer, "apply", "(y, state)", found))


def _with_state(layer: Layer, method: str, found: Any) -> Any:
    if not isinstance(found[1], dict | None):
        raise TypeError(
            f"{type(layer).__name__}.{method} returns the state second, a nested dict and {{}} for none, got"
            f" {describe(found)}"
        )
    return found


def _of_train(train: Any, error: Exception) -> Exception:
    """The error of a condition on what is traced, which may be ``train``: that is what a layer has conditions on."""
    if isinstance(train, Tracer):
        try:
            is_training(train)
        except TypeError as clearer:
            return clearer
    return error
