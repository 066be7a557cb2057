"""Spectral normalisation."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.combinators.kernels import kernels_of, nested, refuse_stacked, with_leaves
from fnn.combinators.reparameterized import Reparameterized
from fnn.errors import positive
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range, nan_where_any
from fnn.layer import Cache, Params, State, is_training, named_key, state_entry, wide_dtype
from fnn.paths import named_leaves
from fnn.squares import length

FIRST_ITERATIONS = 15
"""Power iterations on a random vector in init, so that an untrained model is normalised too."""


@dataclasses.dataclass(frozen=True)
class SpectralNorm(Reparameterized, name="spectral_norm"):
    """Divides every kernel of the inner layer by its largest singular value, estimated by power iteration.

    Forward, in training:   ``iterations`` times  v = W u/‖W u‖,  u = Wᵀv/‖Wᵀv‖;  then as in inference
    Forward, in inference:  σ = ‖W u‖,  W' = W/σ  for every kernel inside, seen as a matrix (rest, F);  y = f(x; W')
    Backward:  the inner backward for dx and dW';  with v = W u/σ, and so σ = vᵀW u,  ∂σ/∂W = v uᵀ  and
               dW = (dW' − Σ(dW' ⊙ W') · v uᵀ)/σ

    Params:  ``inner``: the inner ones
    State:   ``inner``: the inner one, if there is one; ``u``: for each kernel, by path, u (F,) in at least float32
    Cache:   ``inner``: the inner cache; ``transform``: for each kernel, by path, ``kernel`` W' (which the inner layer
             caches anyway), ``u``, ``v`` (rest,) and ``sigma``

    Conventions: a kernel is a parameter named ``kernel`` or ``*_kernel``. The gradient treats u as a constant; finite
    differences in training move u, so they agree only once the iteration has converged. A kernel with
    ‖W u‖ ≤ ``epsilon`` is not divided (σ = 1), and an iteration keeps u if it meets a norm that is not above
    ``epsilon``. If the estimate is lost (u = 0, or W u overflows), W' is NaN. If W u is 0 or not finite, the iteration
    restarts at Wᵀ(1, …, 1). Put it inside a ``Repeat``, so that each layer has its own σ.

    Errors: ``ValueError`` for fewer than one iteration, an epsilon below 0, an inner layer without kernels or
    with a ``Repeat``, and a missing state; ``TypeError`` if ``iterations`` is not an integer.

    >>> from fnn.layers import Dense
    >>> layer = SpectralNorm(Dense(2, use_bias=False))
    >>> params, state = {"inner": {"kernel": jnp.diag(jnp.array([4.0, 1.0]))}}, {"u": {"kernel": jnp.array([1.0, 0.0])}}
    >>> layer.apply(params, state, jnp.ones((1, 2)))[0]
    Array([[1.  , 0.25]], dtype=float32)

    Source: Miyato et al. 2018, algorithm 1, with eq. 12 for the gradient.
    """

    segment: ClassVar[str] = "inner"

    _: dataclasses.KW_ONLY
    iterations: int = 1
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("iterations", self.iterations)
        keep_in_range(self, epsilon=AT_LEAST_ZERO)

    def own_state(self, key: jax.Array, params: Params) -> State:
        refuse_stacked(self, params)
        vectors = {}
        for path, kernel in kernels_of(self, params).items():
            matrix = _matrix(kernel)
            start = jax.random.normal(named_key(key, f"u/{path}"), matrix.shape[-1:], np.float32).astype(matrix.dtype)
            vectors[path] = self._iterated(matrix, start / jnp.linalg.norm(start), FIRST_ITERATIONS)
        return {"u": nested(vectors)}

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        old, train = named_leaves(state.get("u", {})), is_training(train)
        vectors, normalized, cache = {}, {}, {}
        for path, kernel in kernels_of(self, params).items():
            matrix = _matrix(kernel)
            u = lax.stop_gradient(jnp.asarray(state_entry(old, path, matrix.shape[-1:]), matrix.dtype))
            if train:
                u = self._iterated(lax.stop_gradient(matrix), u, self.iterations)
            product = matrix @ u
            size = _length(product)
            lost = jnp.isinf(size) | ~u.any()
            sigma = jnp.where(lost, jnp.nan, jnp.where(size <= self.epsilon, 1, size))
            sigma = nan_where_any([self.epsilon], sigma)
            v = jnp.where(size <= self.epsilon, 0, product) / sigma
            normalized[path] = (matrix / sigma).reshape(kernel.shape).astype(kernel.dtype)
            cache[path] = {"kernel": normalized[path], "u": u, "v": v, "sigma": sigma}
            vectors[path] = u
        return with_leaves(params, normalized), {"u": nested(vectors)} if train else state, cache

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        def gradient(path: str, dkernel: jax.Array) -> jax.Array:
            kernel, u, v, sigma = (cache[path][name] for name in ("kernel", "u", "v", "sigma"))
            dw = _matrix(dkernel)
            dsigma = jnp.vdot(dw, _matrix(kernel))
            return ((dw - dsigma * jnp.outer(v, u)) / sigma).reshape(dkernel.shape).astype(dkernel.dtype)

        return with_leaves(dparams, {path: gradient(path, dw) for path, dw in kernels_of(self, dparams).items()})

    def _iterated(self, matrix: jax.Array, u: jax.Array, times: int) -> jax.Array:
        def step(_: Any, u: jax.Array) -> jax.Array:
            return self._unit(matrix.T @ self._unit(matrix @ u, otherwise), u)

        # If W maps u to 0, or u is NaN, further iterations cannot recover: start from another direction.
        otherwise = jnp.full_like(matrix[:, 0], len(matrix) ** -0.5)
        return lax.fori_loop(0, times, step, u)

    def _unit(self, x: jax.Array, otherwise: jax.Array) -> jax.Array:
        # A kernel of zeros, or one that is not finite, must not leave a vector from which iteration cannot recover.
        size = _length(x)
        good = (size > self.epsilon) & jnp.isfinite(size)
        return jnp.where(good, x / jnp.where(good, size, 1), otherwise)


def _matrix(kernel: jax.Array) -> jax.Array:
    """The kernel as (rest, F), in at least float32."""
    return kernel.astype(wide_dtype(kernel.dtype)).reshape(-1, kernel.shape[-1])


def _length(x: jax.Array) -> jax.Array:
    """‖x‖; 0 has slope 0."""
    return length(x, None).reshape(())
