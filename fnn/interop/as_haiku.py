"""``as_haiku``: a layer of fnn as a module of haiku."""

import functools
from typing import Any

import jax

from fnn.interop.hosted import check_hosted, library, made_once, run, shapes_of
from fnn.layer import Layer
from fnn.paths import map_named, named_leaves


def as_haiku(layer: Layer, *, name: str | None = None) -> Any:
    """A haiku module that computes ``layer.apply`` and whose gradient under ``jax.grad`` is ``layer.backward``.

    Forward:   y = layer.apply(params, state, x, train=train, key=key)
    Backward:  dparams, dx = layer.backward(cache, dy), the hand rule (``with_manual_vjp``: no forward mode)

    Like every module of haiku it is made inside a transformed function. It is called as ``module(x, train=False)``. The
    names of its parameters are the paths of fnn, ``params["serial"]["dense_0/kernel"]``, and so are those of its state,
    which training updates. Keys come from ``hk.next_rng_key``. During ``init`` a batch norm that was never trained does
    not raise, but uses its initial statistics (mean 0, variance 1)::

        layer = fnn.Serial(fnn.Dense(8), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.1), fnn.Dense(2))
        network = hk.transform_with_state(lambda x, train: as_haiku(layer)(x, train=train))
        params, state = network.init(jax.random.key(0), x, False)
        y, state = network.apply(params, state, jax.random.key(1), x, True)

    ``name`` is the module's name; by default that of the layer in fnn's paths.

    Errors: ``ImportError`` without haiku; ``TypeError`` if ``layer`` is not a layer of fnn; haiku's own outside a
    transformed function, and for parameters that are missing or have another shape; those of the layer.
    """
    check_hosted("as_haiku", layer)
    return _haiku_module()(layer, name=name or layer.snake_name)


@functools.cache
def _haiku_module() -> Any:
    """The class of modules that hold a layer; made when it is first asked for, since fnn never imports haiku."""
    hk = library("as_haiku", "haiku", "dm-haiku")

    class FnnLayer(hk.Module):
        """A layer of fnn with its hand rule; see ``fnn.interop.as_haiku``."""

        def __init__(self, layer: Layer, name: str) -> None:
            super().__init__(name=name)
            self.layer = layer

        def __call__(self, x: Any, *, train: bool = False) -> Any:
            made = made_once(self.layer, hk.next_rng_key, x)

            def held(get: Any, path: str, shape: Any, which: int) -> jax.Array:
                return get(path, shape.shape, shape.dtype, lambda *_: named_leaves(made()[which])[path])

            shapes = shapes_of(self.layer, x)
            params = map_named(lambda path, shape: held(hk.get_parameter, path, shape, 0), shapes[0])
            state = map_named(lambda path, shape: held(hk.get_state, path, shape, 1), shapes[1])
            options = {"train": train, "key": hk.maybe_next_rng_key, "keys_come": "the rng that apply is given"}
            y, new_state = run(self.layer, params, state, x, at_init=hk.running_init(), **options)
            if train:
                for path, leaf in named_leaves(new_state).items():
                    hk.set_state(path, leaf)
            return y

    return FnnLayer
