"""``as_flax``: a layer of fnn as a module of flax, by the linen or the NNX API."""

import functools
from typing import Any, Literal, get_args

import jax

from fnn.interop.as_nnx import nnx_module
from fnn.interop.hosted import check_hosted, library, made_once, run, shapes_of
from fnn.layer import Layer

Api = Literal["linen", "nnx"]


def as_flax(layer: Layer, *, api: Api = "linen", name: str | None = None) -> Any:
    """A flax module that computes ``layer.apply`` and whose gradient under ``jax.grad`` is ``layer.backward``.

    Forward:   y = layer.apply(params, state, x, train=train, key=key)
    Backward:  dparams, dx = layer.backward(cache, dy), the hand rule (``with_manual_vjp``: no forward mode)

    **linen** (the default): a ``flax.linen.Module``, called as ``module(x, train=False)``. The collection ``params``
    is the nested dict of fnn, and the collection ``batch_stats`` its state, so that optax's masks and flax's
    serialisation see arrays by the paths of fnn. Training updates the state, which needs ``mutable=["batch_stats"]``,
    and draws keys from the stream ``dropout``::

        module = as_flax(fnn.Serial(fnn.Dense(8), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.1), fnn.Dense(2)))
        variables = module.init(jax.random.key(0), x)
        y, changed = module.apply(
            variables, x, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(1)}
        )

    ``name`` is the module's name inside another module; without one it is ``FnnLayer_0``, ``FnnLayer_1``, …. During
    ``init`` a batch norm that was never trained does not raise, but uses its initial statistics (mean 0, variance 1).

    **NNX** (``api="nnx"``): a constructor, since an NNX module holds its arrays and fnn infers their sizes from an
    input. ``make(x, rngs=rngs)`` is an ``nnx.Module`` whose ``params`` are ``nnx.Param`` and whose ``state`` are
    ``nnx.BatchStat``, both nested dicts with the names of fnn. Parameters are drawn from the stream ``params``, keys in
    training from a fork of the stream ``dropout``, or from that of an ``nnx.Rngs`` given to the call as ``rngs=``::

        module = as_flax(layer, api="nnx")(x, rngs=nnx.Rngs(0))
        y = module(x, train=True)

    Errors: ``ImportError`` without flax; ``TypeError`` if ``layer`` is not a layer of fnn; ``ValueError`` for another
    ``api``, or a ``name`` with NNX, whose modules have none; those of the layer, and flax's own for variables that are
    missing, have another shape, or may not change (and for a child that is named ``params``).
    """
    check_hosted("as_flax", layer)
    if api not in get_args(Api):
        raise ValueError(f"api is one of {list(get_args(Api))}, got {api!r}")
    if api == "linen":
        return _linen_module()(layer, name=name)
    if name is not None:
        raise ValueError(f"a module of NNX has no name, got name={name!r}; it is named by the attribute that holds it")
    return functools.partial(nnx_module(), layer)


@functools.cache
def _linen_module() -> Any:
    """The class of linen modules that hold a layer; made when it is first asked for, since fnn never imports flax."""
    nn = library("as_flax", "flax.linen", "flax")

    class FnnLayer(nn.Module):
        """A layer of fnn with its hand rule; see ``fnn.interop.as_flax``."""

        layer: Layer

        @nn.compact
        def __call__(self, x: Any, *, train: bool = False) -> Any:
            shapes = shapes_of(self.layer, x)
            made = made_once(self.layer, lambda: self.make_rng("params"), x)

            def initial_param(key: jax.Array, name: str) -> Any:
                # Where there is a value, flax calls this for its shape alone.
                return shapes_as_arrays(shapes[0][name]) if self.has_variable("params", name) else made()[0][name]

            params = {each: self.param(each, initial_param, each) for each in shapes[0]}
            held = {each: self.variable("batch_stats", each, lambda name: made()[1][name], each) for each in shapes[1]}
            state = {each: variable.value for each, variable in held.items()}
            options = {"train": train, "key": self.dropout_key, "keys_come": 'rngs={"dropout": key}'}
            y, new_state = run(self.layer, params, state, x, at_init=self.is_initializing(), **options)
            if train:
                for each, variable in held.items():
                    variable.value = new_state[each]
            return y

        def dropout_key(self) -> jax.Array | None:
            return self.make_rng("dropout") if self.has_rng("dropout") else None

    return FnnLayer


def shapes_as_arrays(shapes: Any) -> Any:
    """Zeros of these shapes and dtypes."""
    return jax.tree.map(lambda leaf: jax.numpy.zeros(leaf.shape, leaf.dtype), shapes)
