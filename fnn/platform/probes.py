"""Computations that training relies on, each with the answer of NumPy in float64; ``fnn.doctor`` runs them.

XLA:CPU is known to get two of them wrong (see fnn/platform/xla.py).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Case(NamedTuple):
    """A computation and its answer: ``operation(*operands)``, a pytree of arrays, must equal ``expected`` leaf by
    leaf, up to rounding or, if ``exact``, in every bit."""

    operation: Callable[..., Any]
    operands: tuple[Any, ...]
    expected: Any
    exact: bool = False


def normal(seed: int, *shape: int) -> np.ndarray:
    """Standard normal numbers in float32, from NumPy."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def broadcast_sum() -> Case:
    """The sum of a column broadcast along two axes; off by 1.5 % or more in many processes of jaxlib 0.10.2 on CPU."""

    def operation(x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.broadcast_to(x, (2, 1024, 1024)))

    return Case(operation, (np.ones((1024, 1), np.float32),), 2 * 1024 * 1024)


def scaled_product() -> Case:
    """``sum((E @ full_like(E, c)) * E)`` over the last axis; NaN or 1e30 in jaxlib 0.10.2 and 0.12.0.1 on CPU."""
    E, c = normal(0, 5, 60, 60), np.float32(0.3)
    expected = E.astype(np.float64).sum(-1) ** 2 * np.float64(c)
    return Case(lambda E, c: jnp.sum((E @ jnp.full_like(E, c)) * E, -1), (E, c), expected)


def convolution_gradient() -> Case:
    """Both gradients of a 3×3 convolution: dkernel_ij = Σ x_{+ij} dy, and dx_{+ij} += dy kernel_ijᵀ."""
    x, kernel, dy = normal(1, 4, 14, 14, 8), normal(2, 3, 3, 8, 16), normal(3, 4, 12, 12, 16)

    def operation(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> Any:
        def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
            return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

        return jax.vjp(convolve, x, kernel)[1](dy)

    dx, dkernel = np.zeros(x.shape), np.zeros(kernel.shape)
    for i, j in np.ndindex(3, 3):
        window = np.s_[:, i : i + 12, j : j + 12]
        dkernel[i, j] = np.einsum("nhwc,nhwf->cf", x[window], dy, dtype=np.float64)
        dx[window] += np.einsum("nhwf,cf->nhwc", dy, kernel[i, j], dtype=np.float64)
    return Case(operation, (x, kernel, dy), (dx, dkernel))


def batch_norm_gradient() -> Case:
    """y = (x − m)/s over the batch, with dx = (dy − mean(dy) − y · mean(dy · y))/s."""
    x, dy = 10 + normal(4, 512, 32), normal(5, 512, 32)

    def operation(x: jax.Array, dy: jax.Array) -> Any:
        def normalise(x: jax.Array) -> jax.Array:
            centred = x - jnp.mean(x, 0, keepdims=True)
            return centred * jax.lax.rsqrt(jnp.mean(centred**2, 0, keepdims=True))

        y, vjp = jax.vjp(normalise, x)
        return y, *vjp(dy)

    wide, deviation = x.astype(np.float64), x.std(0, dtype=np.float64)
    y = (wide - wide.mean(0)) / deviation
    return Case(operation, (x, dy), (y, (dy - dy.mean(0, dtype=np.float64) - y * (dy * y).mean(0)) / deviation))


def log_softmax_gradient() -> Case:
    """y = z − log Σ exp z with z near 10⁴, where exp z overflows; dz = dy − softmax(z) · Σ dy."""
    z, dy = 1e4 + 3 * normal(6, 64, 100), normal(7, 64, 100)

    def operation(z: jax.Array, dy: jax.Array) -> Any:
        y, vjp = jax.vjp(jax.nn.log_softmax, z)
        return y, *vjp(dy)

    z = z.astype(np.float32)
    shifted = z.astype(np.float64) - z.max(-1, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return Case(operation, (z, dy), (y, dy - np.exp(y) * dy.sum(-1, keepdims=True, dtype=np.float64)))


def attention_gradient() -> Case:
    """O = P V, P = softmax(Q Kᵀ), with dV = Pᵀ dO, dP = dO Vᵀ, dS = P(dP − Σ P dP), dQ = dS K, dK = dSᵀ Q."""
    q, k, v, do = 0.3 * normal(8, 4, 40, 16), normal(9, 4, 40, 16), normal(10, 4, 40, 16), normal(11, 4, 40, 16)

    def operation(q: jax.Array, k: jax.Array, v: jax.Array, do: jax.Array) -> Any:
        def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
            return jax.nn.softmax(q @ jnp.swapaxes(k, 1, 2), -1) @ v

        o, vjp = jax.vjp(attend, q, k, v)
        return o, *vjp(do)

    operands = q, k, v, do = tuple(each.astype(np.float32) for each in (q, k, v, do))
    q, k, v, do = (each.astype(np.float64) for each in operands)
    p = np.exp(q @ k.swapaxes(1, 2))
    p /= p.sum(-1, keepdims=True)
    dp = do @ v.swapaxes(1, 2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True))
    return Case(operation, operands, (p @ v, ds @ k, ds.swapaxes(1, 2) @ q, p.swapaxes(1, 2) @ do))


def scan_gradient() -> Case:
    """h_t = tanh(x_t + h_{t−1} W), with a_t = (dh_t + a_{t+1} Wᵀ)(1 − h_t²), dx_t = a_t, dW = Σ h_{t−1}ᵀ a_t."""
    x, W, dh = normal(12, 30, 4, 16), (normal(13, 16, 16) / 8).astype(np.float32), normal(14, 30, 4, 16)

    def operation(x: jax.Array, W: jax.Array, dh: jax.Array) -> Any:
        def unroll(x: jax.Array, W: jax.Array) -> jax.Array:
            def step(h: jax.Array, x_t: jax.Array) -> tuple[jax.Array, jax.Array]:
                h = jnp.tanh(x_t + h @ W)
                return h, h

            return jax.lax.scan(step, jnp.zeros_like(x[0]), x)[1]

        h, vjp = jax.vjp(unroll, x, W)
        return h, *vjp(dh)

    h, dx, dW, a = np.zeros((31, 4, 16)), np.zeros(x.shape), np.zeros(W.shape), np.zeros((4, 16))
    for t in range(30):
        h[t + 1] = np.tanh(x[t] + h[t] @ W)
    for t in reversed(range(30)):
        dx[t] = a = (dh[t] + a @ W.T) * (1 - h[t + 1] ** 2)
        dW += h[t].T @ a
    return Case(operation, (x, W, dh), (h[1:], dx, dW))


def embedding_gradient() -> Case:
    """Rows added at repeated indices: dtable_v = Σ dy_i over all i with index v."""
    indices, dy = np.random.default_rng(15).integers(0, 20, 500).astype(np.int32), normal(16, 500, 8)
    dtable = np.zeros((20, 8))
    np.add.at(dtable, indices, dy.astype(np.float64))
    return Case(lambda indices, dy: jnp.zeros((20, 8), dy.dtype).at[indices].add(dy), (indices, dy), dtable)


def random_bits() -> Case:
    """``fold_in`` of a Threefry key, bit by bit: a seed gives the same bits at every call, on every machine."""

    def operation(seed: jax.Array, data: jax.Array) -> jax.Array:
        key = jax.random.key(seed, impl="threefry2x32")
        return jax.vmap(lambda number: jax.random.key_data(jax.random.fold_in(key, number)))(data)

    # Threefry-2x32 with 20 rounds (Salmon et al., 2011), of the counters (0, number) under the key (0, seed).
    seed, data = np.uint32(7), np.arange(1000, dtype=np.uint32)
    words = (np.uint32(0), seed, seed ^ np.uint32(0x1BD11BDA))
    a, b = np.zeros_like(data) + words[0], data + words[1]
    for group in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            a = a + b
            b = (b << np.uint32(rotation) | b >> np.uint32(32 - rotation)) ^ a
        a, b = a + words[(group + 1) % 3], b + words[(group + 2) % 3] + np.uint32(group + 1)
    return Case(operation, (seed, data), np.stack([a, b], -1), exact=True)


PROBES: tuple[Callable[[], Case], ...] = (
    broadcast_sum,
    scaled_product,
    convolution_gradient,
    batch_norm_gradient,
    log_softmax_gradient,
    attention_gradient,
    scan_gradient,
    embedding_gradient,
    random_bits,
)
