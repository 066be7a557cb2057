"""What ``as_flax``, ``as_equinox`` and ``as_haiku`` share: a layer of fnn inside a module of another library."""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from fnn.calls import apply_of, init_of
from fnn.errors import instance_hint
from fnn.gradients.manual_vjp import with_manual_vjp
from fnn.guards.inputs import arrays_or_shapes
from fnn.layer import Layer, Params, State, is_training


def library(function: str, module: str, package: str) -> Any:
    """The imported module, or ``ImportError`` with the package to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{function} needs {module.partition('.')[0]}: pip install '{package}'") from error


def check_hosted(function: str, layer: Layer) -> None:
    """Raises ``TypeError`` unless it is a layer of fnn."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{function} takes a layer of fnn, got {layer!r}{instance_hint(layer)}")


def shapes_of(layer: Layer, x: Any) -> tuple[Params, State]:
    """The shapes and dtypes of what ``layer.init`` makes for x, without computing it."""
    return jax.eval_shape(functools.partial(init_of, layer), jax.random.key(0), arrays_or_shapes(x))


def made_once(layer: Layer, key: Callable[[], jax.Array], x: Any) -> Callable[[], tuple[Params, State]]:
    """A function that makes parameters and state at its first call, with the key that it then asks for."""
    return functools.cache(lambda: init_of(layer, key(), x))


def run(
    layer: Layer,
    params: Params,
    state: State,
    x: Any,
    *,
    train: bool,
    key: Callable[[], jax.Array | None],
    keys_come: str,
    at_init: bool = False,
) -> tuple[Any, State]:
    """``layer.apply``, whose derivative is ``layer.backward``. Asks for a key in training only.

    ``keys_come`` says how a user of the other library gives a key; a layer that misses one says so in its error.
    ``at_init``: the other library is making the parameters, by a call of the module. The state then stays as it is, and
    a batch norm that was never trained must not raise, which it does not under jit: there it uses its initial state.
    """
    drawn = key() if is_training(train) else None

    def applied(params: Params, state: State, x: Any, key: jax.Array | None) -> tuple[Any, State]:
        return apply_of(with_manual_vjp(layer), params, state, x, train=train, key=key)

    with _hint_at_key(drawn, keys_come):
        y, new_state = (jax.jit(applied) if at_init else applied)(params, state, x, drawn)
    return y, state if at_init else new_state


@contextmanager
def _hint_at_key(key: jax.Array | None, keys_come: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if key is None and "needs a key" in str(error):
            error.add_note(f"here the key comes from {keys_come}")
        raise
