"""Weight normalisation."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.combinators.kernels import kernels_of, nested, refuse_stacked, with_leaves
from fnn.combinators.reparameterized import Reparameterized
from fnn.errors import parameter
from fnn.layer import Cache, Params, State, named_key, wide_dtype
from fnn.layers.norm._scaled import row
from fnn.paths import named_leaves
from fnn.squares import length

SUFFIX = "_scale"


@dataclasses.dataclass(frozen=True)
class WeightNorm(Reparameterized, name="weight_norm"):
    """Splits every kernel of the inner layer into a length and a direction, which are trained separately.

    Forward:   W = g ⊙ v̂,  v̂ = v/‖v‖,  for every kernel W inside, with a norm per output feature;  y = f(x; W)
    Backward:  the inner backward for dx and dW,  then  dg = Σ dW ⊙ v̂,  dv = (g/‖v‖) ⊙ (dW − v̂ ⊙ dg),
               the sums over all axes but the last

    Params:  the inner ones with v (…, F) instead of each kernel, and g (F,) next to it, named like the kernel with
             ``_scale`` appended: ``kernel``, ``kernel_scale``. init sets v to the inner kernel and g = ‖v‖, so W = v. A
             column of zeros has no direction: it gets a random v and g = 0, so W is 0 there too and g can learn
    State:   the inner one unchanged
    Cache:   ``inner``: the inner cache; ``transform``: for each kernel, by path, ``v``, ``scale`` g and ``inverse``
             1/‖v‖ (1, …, 1, F)

    Conventions: a kernel is a parameter named ``kernel`` or ``*_kernel``. The length of W is g, whatever the length of
    v; but if v is 0, or its length overflows, the direction is lost and W is NaN. Put it inside a ``Repeat``, so that
    each layer has its own g.

    Errors: ``ValueError`` for an inner layer without kernels or with a ``Repeat``, or with a parameter named like one
    of the scales g.

    >>> from fnn.layers import Dense
    >>> layer, x = WeightNorm(Dense(1, use_bias=False)), jnp.ones((1, 2))
    >>> params = {"kernel": jnp.array([[30.0], [40.0]]), "kernel_scale": jnp.array([5.0])}
    >>> layer.apply(params, {}, x)[0].round().item()  # W is 5 long and points along (3, 4)
    7.0

    Source: Salimans and Kingma 2016, eq. 2 and 3.
    """

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        params, state = super().init(key, x)
        kernels = kernels_of(self, params).items()
        directed = {path: _directed(v, named_key(key, f"direction/{path}")) for path, v in kernels}
        return with_leaves(params, directed), state

    def own(self, params: Params) -> Params:
        refuse_stacked(self, params)
        named = named_leaves(params)
        scales = {
            path + SUFFIX: _wide_length(kernel).reshape(kernel.shape[-1:]).astype(kernel.dtype)
            for path, kernel in kernels_of(self, params).items()
        }
        if taken := sorted(named.keys() & scales.keys()):
            raise ValueError(f"the layer inside has parameters {taken}, names that WeightNorm needs for its scales")
        return nested(named | scales)

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        named, cache = named_leaves(params), {}
        for path, v in kernels_of(self, params).items():
            scale = parameter(named, path + SUFFIX, v.shape[-1:], v.dtype)
            size = _wide_length(v)
            known = (size > 0) & (size < jnp.inf)
            inverse = jnp.where(known, 1 / jnp.where(known, size, 1), jnp.nan)
            cache[path] = {"v": v, "scale": scale, "inverse": inverse}
            named[path] = (v.astype(inverse.dtype) * (row(scale, inverse) * inverse)).astype(v.dtype)
            del named[path + SUFFIX]
        return nested(named), {}, cache

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        named = named_leaves(dparams)
        for path, dw in kernels_of(self, dparams).items():
            v, scale, inverse = (cache[path][name] for name in ("v", "scale", "inverse"))
            wide, unit = dw.astype(inverse.dtype), v.astype(inverse.dtype) * inverse
            dscale = (wide * unit).sum(_rest(v), keepdims=True)
            named[path] = (row(scale, inverse) * inverse * (wide - unit * dscale)).astype(v.dtype)
            named[path + SUFFIX] = dscale.reshape(scale.shape).astype(scale.dtype)
        return nested(named)


def _rest(kernel: jax.Array) -> tuple[int, ...]:
    return tuple(range(kernel.ndim - 1))


def _wide_length(kernel: jax.Array) -> jax.Array:
    """‖v‖ over all axes but the last, kept with size 1, in at least float32."""
    return length(kernel.astype(wide_dtype(kernel.dtype)), _rest(kernel))


def _directed(v: jax.Array, key: jax.Array) -> jax.Array:
    """v, with each column of zeros replaced by a random direction of length 1."""
    drawn = jax.random.normal(key, v.shape, jnp.float32).astype(v.dtype)
    return jnp.where(_wide_length(v) == 0, drawn / _wide_length(drawn).astype(v.dtype), v)
