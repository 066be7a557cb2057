"""How a layer calls another: lengths beside x go around it, and what it returns is checked.

Without the check, a layer that returns too few values would fail where Python unpacks them, or not at all: an array of
two rows unpacks just as ``(y, state)`` does. How lengths go around a layer is in fnn/sequences/over_time.py.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

from fnn.errors import describe, returned
from fnn.guards.signatures import takes
from fnn.layer import Cache, Layer, Params, State, is_training
from fnn.sequences.over_time import backward_over_time, explained, passed_lengths, way_through
from fnn.sequences.stepwise import refuse_steps

GIVEN = ("params", "state", "x")


def init_of(layer: Layer, key: jax.Array | None, x: Any) -> tuple[Params, State]:
    """``layer.init(key, x)``; lengths beside x go around it."""
    with explained(layer, x):
        return checked_init(layer, key, way_through(layer, x).x)


def forward_of(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool, key: jax.Array | None
) -> tuple[Any, State, Cache]:
    """``layer.forward(…)``; lengths beside x go around it. ``backward_of`` and ``backprop`` take the cache."""
    way = way_through(layer, x)
    with explained(layer, x):
        y, state, cache = checked_forward(layer, params, state, way.x, train=train, key=key)
    return way.output(y), state, way.kept(cache)


def apply_of(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
) -> tuple[Any, State]:
    """``layer.apply(…)``; lengths beside x go around it."""
    way = way_through(layer, x)
    with explained(layer, x):
        y, state = checked_apply(layer, params, state, way.x, train=train, key=key)
    return way.output(y), state


def backward_of(layer: Layer, cache: Cache, dy: Any) -> tuple[Params, Any]:
    """``layer.backward(cache, dy)``, for a cache that ``forward_of`` returned."""
    if passed_lengths(layer, cache):
        return backward_over_time(cache, dy, lambda cache, dy: backward_of(layer, cache, dy))
    return checked_backward(layer, cache, dy)


def start_of(layer: Layer, batch_size: int, *, length: int, params: Params, state: State) -> Any:
    """``layer.start(…)``; raises if the layer cannot run one step at a time."""
    refuse_steps(layer)
    with _signature(layer, "start", "batch_size", length=length, params=params, state=state):
        return layer.start(batch_size, length=length, params=params, state=state)


def step_of(layer: Layer, params: Params, carry: Any, x: Any, *, state: State) -> tuple[Any, Any]:
    """``layer.step(…)`` with checks."""
    refuse_steps(layer)
    with _signature(layer, "step", "params", "carry", "x", state=state):
        found = layer.step(params, carry, x, state=state)
    return returned(layer, "step", "(y, carry)", found)


def output_shape(layer: Layer, params: Params, state: State, x: Any) -> Any:
    """The shapes and dtypes of a layer's output, without computing it."""
    return jax.eval_shape(lambda params, state, x: apply_of(layer, params, state, x)[0], params, state, x)


def checked_init(layer: Layer, key: jax.Array | None, x: Any) -> tuple[Params, State]:
    """``layer.init(key, x)`` with checks, and x passed unchanged."""
    with _signature(layer, "init", "key", "x"):
        found = layer.init(key, x)  # pyright: ignore[reportArgumentType]
    made = returned(layer, "init", "(params, state)", found)
    for kind, tree in zip(("params", "state"), made, strict=True):
        if not isinstance(tree, dict | None):
            raise TypeError(
                f"{type(layer).__name__}.init returns (params, state), nested dicts of arrays and {{}} for none, but"
                f" its {kind} are {describe(tree)}"
            )
    return made


def checked_forward(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool, key: jax.Array | None
) -> tuple[Any, State, Cache]:
    """``layer.forward(…)`` with checks, and x passed unchanged."""
    with _signature(layer, "forward", *GIVEN, train=train, key=key):
        found = layer.forward(params, state, x, train=train, key=key)
    return _with_state(layer, "forward", returned(layer, "forward", "(y, state, cache)", found))


def checked_apply(
    layer: Layer, params: Params, state: State, x: Any, *, train: bool, key: jax.Array | None
) -> tuple[Any, State]:
    """``layer.apply(…)`` with checks, and x passed unchanged."""
    with _signature(layer, "apply", *GIVEN, train=train, key=key):
        found = layer.apply(params, state, x, train=train, key=key)
    return _with_state(layer, "apply", returned(layer, "apply", "(y, state)", found))


def checked_backward(layer: Layer, cache: Cache, dy: Any) -> tuple[Params, Any]:
    """``layer.backward(cache, dy)`` with checks."""
    with _signature(layer, "backward", "cache", "dy"):
        found = layer.backward(cache, dy)
    return returned(layer, "backward", "(dparams, dx)", found)


def _with_state(layer: Layer, method: str, found: Any) -> Any:
    if not isinstance(found[1], dict | None):
        raise TypeError(
            f"{type(layer).__name__}.{method} returns the state second, a nested dict and {{}} for none, got"
            f" {describe(found)}"
        )
    return found


@contextmanager
def _signature(layer: Layer, method: str, *names: str, **keywords: Any) -> Iterator[None]:
    """Around a call: if the method takes other arguments, or ``train`` is traced, raises an error that says so."""
    try:
        yield
    except jax.errors.TracerBoolConversionError:
        # A layer usually branches on train: raise for a traced train, else leave the error as it is.
        is_training(keywords.get("train", False))
        raise
    except TypeError:
        function = getattr(layer, method)
        if takes(function, *names, **keywords):
            raise
        wanted = ", ".join([*names, *(["*"] if keywords else []), *(f"{name}=…" for name in keywords)])
        raise TypeError(
            f"{type(layer).__name__}.{method} is called with ({wanted}), but takes {inspect.signature(function)}"
        ) from None
