"""The bilinear layer."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.errors import describe, floating_array, output_gradient, parameter, positive
from fnn.guards.inputs import arrays_or_shapes
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, float_dtype
from fnn.layers._rows import rows
from fnn.layers.linear._kernel_and_bias import add_bias, affine_gradients, init_affine


@dataclasses.dataclass(frozen=True)
class Bilinear(Layer, name="bilinear"):
    """A bilinear form of two inputs for each output feature.

    Forward:   y[n, f] = b[f] + Σ_i Σ_j x₁[n, i] W[i, j, f] x₂[n, j]
    Backward:  dW[i, j, f] = Σ_n x₁[n, i] x₂[n, j] dy[n, f],  db = Σ_n dy
               dx₁[n, i] = Σ_j Σ_f W[i, j, f] x₂[n, j] dy[n, f]
               dx₂[n, j] = Σ_i Σ_f W[i, j, f] x₁[n, i] dy[n, f]      (n over all leading axes)

    Params:  ``kernel`` W (D₁, D₂, F), ``bias`` b (F,) unless ``use_bias=False``
    State:   none
    Cache:   ``first`` x₁ (…, D₁), ``second`` x₂ (…, D₂), ``kernel``
    Shapes:  (x₁ (…, D₁), x₂ (…, D₂)) → (…, F), any floating dtype, kept

    Errors: ``TypeError`` for an input that is not a pair of floating arrays of the parameters' dtype; ``ValueError``
    for leading axes that differ, and sizes that do not match the kernel.

    >>> layer = Bilinear(3)
    >>> x = jnp.ones((5, 2)), jnp.ones((5, 4))
    >>> params, state = layer.init(jax.random.key(0), x)
    >>> params["kernel"].shape, layer.apply(params, state, x)[0].shape
    ((2, 4, 3), (5, 3))
    """

    features: int
    _: dataclasses.KW_ONLY
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()

    def __post_init__(self) -> None:
        positive("features", self.features)

    def why_no_step(self) -> None:  # type: ignore[override]
        return None  # as for all leading axes, a pair of steps is treated alone

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        first, second = _checked(arrays_or_shapes(x))
        return init_affine(self, key, (first.shape[-1], second.shape[-1], self.features), float_dtype(first)), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        first, second = (floating_array(each) for each in _checked(x))
        kernel = parameter(params, "kernel", (first.shape[-1], second.shape[-1], self.features), first.dtype)
        y = jnp.einsum("ni,ijf,nj->nf", rows(first), kernel, rows(second)).reshape(*first.shape[:-1], self.features)
        return add_bias(self, params, y), state, {"first": first, "second": second, "kernel": kernel}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, tuple[jax.Array, jax.Array]]:
        return self.gradients(cache, dy, functools.partial(jnp.einsum, "ni,nj,nf->ijf"))

    def gradients(self, cache: Cache, dy: jax.Array, kernel_gradient: Callable) -> tuple[Params, tuple]:
        """``backward``, with ``kernel_gradient(x₁, x₂, dy)``, of rows, in the place of dW."""
        dy = output_gradient(dy, (*cache["first"].shape[:-1], self.features))
        kernel, first, second, dy = cache["kernel"], rows(cache["first"]), rows(cache["second"]), rows(dy)
        dkernel = kernel_gradient(first, second, dy)
        dfirst = jnp.einsum("ijf,nj,nf->ni", kernel, second, dy).reshape(cache["first"].shape)
        dsecond = jnp.einsum("ijf,ni,nf->nj", kernel, first, dy).reshape(cache["second"].shape)
        return affine_gradients(self, dkernel, dy), (dfirst, dsecond)


def _checked(x: Any) -> tuple[Any, Any]:
    if not isinstance(x, tuple) or len(x) != 2:
        raise TypeError(f"expected a pair of arrays (x1, x2), got {describe(x)}")
    first, second = (each if hasattr(each, "shape") else jnp.asarray(each) for each in x)
    if min(first.ndim, second.ndim) < 1 or first.shape[:-1] != second.shape[:-1]:
        raise ValueError(f"expected inputs (…, D1) and (…, D2) with the same leading axes, got {describe(x)}")
    if first.dtype != second.dtype:
        raise TypeError(f"expected two inputs of one dtype, got {describe(x)}; cast one of them explicitly")
    return first, second
