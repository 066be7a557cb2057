"""Weight normalisation."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from fnn.combinators.kernels import kernels_of, nested
from fnn.combinators.reparameterized import Reparameterized
from fnn.errors import parameter
from fnn.layer import Cache, Params, State, wide_dtype
from fnn.layers.scaled import row
from fnn.paths import named_leaves

SUFFIX = "_scale"


@dataclasses.dataclass(frozen=True)
class WeightNorm(Reparameterized, name="weight_norm"):
    """Runs the inner layer with kernels whose length and direction are parameters of their own.

    Forward:   W = g ⊙ v̂,  v̂ = v/‖v‖,  for every kernel W inside, the norm of each output feature;  y = f(x; W)
    Backward:  the inner backward for dx and dW,  then  dg = Σ dW ⊙ v̂,  dv = (g/‖v‖) ⊙ (dW − v̂ ⊙ dg),
               the sums over all axes but the last

    Params:  the inner ones with v (…, F) in the place of each kernel, and g (F,) beside it under the kernel's name and
             ``_scale``: ``kernel``, ``kernel_scale``. In the beginning v is the inner kernel and g = ‖v‖, so W = v
    State:   the inner one unchanged
    Cache:   ``inner``: the inner cache; ``transform``: of each kernel, by path, ``v``, ``scale`` g and ``inverse``
             1/‖v‖ (1, …, 1, F)

    Conventions: a kernel is a parameter named ``kernel`` or ``*_kernel``. Where v is 0, v̂ is taken as 0: W is 0, and so
    are dg and dv. A kernel that ``Repeat`` stacks shares one g: put the weight norm inside the repeat.

    Errors: ``ValueError`` for an inner layer without kernels, or with a parameter named like one of the g.

    >>> from fnn.layers import Dense
    >>> layer, x = WeightNorm(Dense(1, use_bias=False)), jnp.ones((1, 2))
    >>> params = {"kernel": jnp.array([[30.0], [40.0]]), "kernel_scale": jnp.array([5.0])}
    >>> layer.apply(params, {}, x)[0].round().item()  # W is 5 long and points along (3, 4)
    7.0

    Source: Salimans and Kingma 2016, eq. 2 and 3.
    """

    def own(self, params: Params) -> Params:
        named = named_leaves(params)
        scales = {
            path + SUFFIX: _length(kernel).reshape(kernel.shape[-1:]).astype(kernel.dtype)
            for path, kernel in kernels_of(self, params).items()
        }
        if taken := sorted(named.keys() & scales.keys()):
            raise ValueError(f"the layer inside has parameters {taken}, the names that WeightNorm gives to its scales")
        return nested(named | scales)

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        named, cache = named_leaves(params), {}
        for path, v in kernels_of(self, params).items():
            scale = parameter(named, path + SUFFIX, v.shape[-1:], v.dtype)
            length = _length(v)
            inverse = jnp.where(length > 0, 1 / jnp.where(length > 0, length, 1), 0)
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


def _length(kernel: jax.Array) -> jax.Array:
    """‖v‖ over all axes but the last, kept with size 1; 0 has slope 0."""
    squared = jnp.square(kernel.astype(wide_dtype(kernel.dtype))).sum(_rest(kernel), keepdims=True)
    return jnp.where(squared > 0, lax.sqrt(jnp.where(squared > 0, squared, 1)), 0)
