"""What all importers do: shapes from ``init``, a matching, the arrays into the leaves, and the table."""

from collections.abc import Callable
from typing import Any

import jax

from fnn.calls import init_of
from fnn.errors import instance_hint
from fnn.guards.inputs import arrays_or_shapes
from fnn.interop.table import left_over, table
from fnn.interop.torch_arrays import Held
from fnn.interop.transfer import check_tied, load
from fnn.interop.wanted import Matching
from fnn.layer import Layer, Params, State


def loaded_into(
    function: str,
    model: Layer,
    x: Any,
    given: Held,
    match: Callable[[Any, Any], Matching],
    strict: bool,
    other: str,
) -> tuple[Matching, Params, State]:
    """The matching, the parameters and the state; ``match`` is given the shapes of both. Prints the table."""
    check_model(function, model)
    params, state = shapes_of(model, x)
    matching = match(params, state)
    over = left_over(matching, other)
    if over and strict:
        raise ValueError(
            f"layers and arrays are left over; change the model, say names={{glob of paths: prefix of keys}}, or give"
            f" strict=False to leave them so:{over}"
        )
    if over:
        params, state = init_of(model, jax.random.key(0), x)
    made, tied = load(matching, {"params": params, "state": state}, given.read)
    check_tied(tied, model, made["params"])
    print(table(matching, "←", other))
    return matching, made["params"], made["state"]


def shapes_of(model: Layer, x: Any) -> tuple[Any, Any]:
    """The shapes and dtypes of the parameters and of the state."""
    return jax.eval_shape(lambda key, x: init_of(model, key, x), jax.random.key(0), arrays_or_shapes(x))


def check_model(function: str, model: Layer) -> None:
    """Raises ``TypeError`` for what is no model, a module of the other library say."""
    if not isinstance(model, Layer):
        raise TypeError(f"{function} takes a model of fnn first, got {model!r}{instance_hint(model)}")
