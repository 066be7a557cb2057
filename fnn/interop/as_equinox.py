"""``as_equinox``: a layer of fnn as a module of equinox."""

import functools
from typing import Any

import jax

from fnn.calls import init_of
from fnn.errors import describe
from fnn.interop.hosted import check_hosted, library, run
from fnn.layer import Layer


def as_equinox(layer: Layer) -> Any:
    """The constructor of an equinox module that computes ``layer.apply``; ``jax.grad`` of it is ``layer.backward``.

    Forward:   y = layer.apply(params, state, x, train=train, key=key)
    Backward:  dparams, dx = layer.backward(cache, dy), the hand rule (``with_manual_vjp``: no forward mode)

    ``make(x, key=key)`` is an ``eqx.Module``, whose field ``params`` is the nested dict of fnn: fnn infers the sizes
    from an input. A layer with state keeps it as every layer of equinox does, by an ``eqx.nn.StateIndex``: make it
    with ``eqx.nn.make_with_state``, or inside a module of yours that is made so, and call it as ``module(x, state)``::

        make = as_equinox(fnn.Serial(fnn.Dense(8), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.1), fnn.Dense(2)))
        module, state = eqx.nn.make_with_state(make)(x, key=jax.random.key(0))
        y, state = module(x, state, train=True, key=jax.random.key(1))

    The call returns ``(y, state)`` where a state is given, else y. **x is a batch**, as everywhere in fnn: no
    ``jax.vmap`` over samples goes around the call, and batch norm needs no axis name.

    Errors: ``ImportError`` without equinox; ``TypeError`` if ``layer`` is not a layer of fnn, or ``state`` not one of
    equinox; ``ValueError`` for a layer with state that is called without one; those of the layer.
    """
    check_hosted("as_equinox", layer)
    return functools.partial(_equinox_module(), layer)


@functools.cache
def _equinox_module() -> Any:
    """The class of modules that hold a layer; made when it is first asked for, since fnn never imports equinox."""
    eqx = library("as_equinox", "equinox", "equinox")

    class FnnLayer(eqx.Module):
        """A layer of fnn with its hand rule; see ``fnn.interop.as_equinox``."""

        __qualname__ = "FnnLayer"  # equinox prints it

        layer: Layer = eqx.field(static=True)
        params: dict[str, Any]
        index: Any

        def __init__(self, layer: Layer, x: Any, *, key: jax.Array) -> None:
            self.layer = layer
            self.params, state = init_of(layer, key, x)
            self.index = eqx.nn.StateIndex(state) if state else None

        def __call__(self, x: Any, state: Any = None, *, train: bool = False, key: jax.Array | None = None) -> Any:
            self.check_state(state)
            inner = {} if self.index is None else state.get(self.index)
            options = {"train": train, "key": lambda: key, "keys_come": "module(x, state, train=True, key=key)"}
            y, new_inner = run(self.layer, self.params, inner, x, **options)
            if self.index is not None and train:
                state = state.set(self.index, new_inner)
            return y if state is None else (y, state)

        def check_state(self, state: Any) -> None:
            if self.index is not None and state is None:
                raise ValueError(
                    f"{self.layer!r} has state: write y, state = module(x, state), with module, state ="
                    f" eqx.nn.make_with_state(make)(x, key=key)"
                )
            if state is not None and not isinstance(state, eqx.nn.State):
                raise TypeError(
                    f"state is an eqx.nn.State, got {describe(state)}; module, state = eqx.nn.make_with_state(make)(x,"
                    f" key=key) makes one"
                )

    return FnnLayer
