"""Kernels as blocks of a curvature matrix that is a Kronecker product A ⊗ G, by the shapes of the parameters alone.

A parameter named ``kernel``, ``*_kernel`` or ``embedding`` with two axes or more is a block: its axes are those of the
inputs of a product, then those of the outputs, and A (D, D) and G (F, F) are the second moments of both sides. The bias
of the same layer is one more input, which is always 1, so that D counts it. Every other parameter has a diagonal.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve

from fnn.optim.accumulators import accumulator_dtype
from fnn.paths import SEPARATOR, join, matches, named_leaves
from fnn.stacked import layer_shapes, stacked_sizes

Pair = tuple[jax.Array, jax.Array]
"""What belongs to A and to G: a matrix each, or its diagonal as a vector."""

OF_HEADS = ("query", "key", "value")
"""The projections of ``MultiHeadAttention`` whose kernels (D, heads, d) have two axes of outputs, bias or not."""


class Block(NamedTuple):
    """A kernel, with its bias if it has one, as a matrix (inputs, outputs); ``sizes`` are the axes of stacked layers.

    ``full`` says of A and of G whether it is a matrix or only a diagonal.
    """

    kernel: str
    bias: str | None
    inputs: int
    outputs: int
    full: tuple[bool, bool]
    sizes: tuple[int, ...]
    dtype: Any

    @property
    def own_inputs(self) -> int:
        """The inputs without that of the bias."""
        return self.inputs - (self.bias is not None)

    def zeros(self) -> Pair:
        """A and G before anything is known of them."""

        def side(size: int, full: bool) -> jax.Array:
            return jnp.zeros((*self.sizes, *(size,) * (2 if full else 1)), self.dtype)

        return side(self.inputs, self.full[0]), side(self.outputs, self.full[1])

    def matrix(self, leaves: dict[str, Any]) -> jax.Array:
        """The entries of kernel and bias among leaves by path, as (*sizes, inputs, outputs)."""
        found = leaves[self.kernel].astype(self.dtype).reshape(*self.sizes, self.own_inputs, self.outputs)
        if self.bias is None:
            return found
        bias = leaves[self.bias].astype(self.dtype).reshape(*self.sizes, 1, self.outputs)
        return jnp.concatenate([found, bias], -2)

    def leaves(self, matrix: jax.Array) -> dict[str, jax.Array]:
        """The inverse of ``matrix``: kernel and bias by path, as matrices."""
        made = {self.kernel: matrix[..., : self.own_inputs, :]}
        return made if self.bias is None else made | {self.bias: matrix[..., self.own_inputs :, :]}


def blocks_of(params: Any, max_size: int) -> tuple[list[Block], list[str]]:
    """The blocks of parameters, and the paths of those that have a diagonal.

    A side with more than ``max_size`` entries has a diagonal too, and so has the input side of an embedding.

    >>> params = {"conv": {"kernel": jnp.zeros((3, 3, 2, 8)), "bias": jnp.zeros(8)}, "norm": {"scale": jnp.zeros(8)}}
    >>> (block,), rest = blocks_of(params, 2048)
    >>> block.bias, block.inputs, block.outputs, rest
    ('conv/bias', 19, 8, ['norm/scale'])
    """
    shapes, leaves = layer_shapes(params), named_leaves(params)
    sizes = dict(zip(leaves, stacked_sizes(params), strict=True))
    blocks, taken = [], set()
    for path, shape in shapes.items():
        table = path.rpartition(SEPARATOR)[2] == "embedding"
        if len(shape) < 2 or not (table or matches("*/kernel", path)) or not math.prod(shape):
            continue
        bias = _bias_of(path, shapes)
        outputs = math.prod(shape[len(shape) - _output_axes(path, shape, None if bias is None else shapes[bias]) :])
        inputs = math.prod(shape) // outputs + (bias is not None)
        full = inputs <= max_size and not table, outputs <= max_size
        dtype = accumulator_dtype(jnp.asarray(leaves[path]))
        blocks.append(Block(path, bias, inputs, outputs, full, sizes[path], dtype))
        taken |= {path, bias}
    return blocks, [path for path in shapes if path not in taken]


def damped_inverses(pair: Pair, damping: jax.Array) -> Pair:
    """(A + π √λ I)⁻¹ and (G + √λ/π I)⁻¹, λ the damping, π = √((tr A / D) / (tr G / F)), 1 if either trace is 0.

    Whatever λ, at least the rounding error of a matrix is added, so that its Cholesky decomposition exists.

    >>> left, right = damped_inverses((jnp.array([[8.0]]), jnp.array([[2.0]])), jnp.array(1.0))
    >>> left, right  # π = 2
    (Array([[0.1]], dtype=float32), Array([[0.4]], dtype=float32))

    Source: Martens and Grosse 2015, §6.3.
    """
    left, right = pair
    means = [jnp.mean(jnp.diagonal(each) if each.ndim == 2 else each) for each in pair]
    known = (means[0] > 0) & (means[1] > 0)
    roots = [jnp.sqrt(jnp.where(known, mean, 1)) for mean in means]
    pi, root = roots[0] / roots[1], jnp.sqrt(damping).astype(left.dtype)
    return _inverse(left, pi * root), _inverse(right, root / pi)


def preconditioned(pair: Pair, matrix: jax.Array) -> jax.Array:
    """A⁻¹ V G⁻¹ of a matrix V (D, F), from the inverses."""
    left, right = pair
    matrix = left[:, None] * matrix if left.ndim == 1 else jnp.matmul(left, matrix, precision="highest")
    return matrix * right[None] if right.ndim == 1 else jnp.matmul(matrix, right, precision="highest")


def over_layers(function: Callable[..., Any], block: Block, *axes: None) -> Callable[..., Any]:
    """The function of one layer, for a block of stacked ones; of its last arguments, as many as ``axes``, each has all
    the same."""

    def run(*arguments: Any) -> Any:
        mapped = function
        for _ in block.sizes:
            mapped = jax.vmap(mapped, (0,) * (len(arguments) - len(axes)) + axes)
        return mapped(*arguments)

    return run


def _inverse(matrix: jax.Array, damping: jax.Array) -> jax.Array:
    if matrix.ndim == 1:
        return 1 / (matrix + damping)
    size = len(matrix)
    least = 4 * jnp.finfo(matrix.dtype).eps * jnp.trace(matrix)
    unit = jnp.eye(size, dtype=matrix.dtype)
    factor = jnp.linalg.cholesky(matrix + jnp.maximum(damping, least) * unit)
    return cho_solve((factor, True), unit)


def _bias_of(path: str, shapes: dict[str, tuple[int, ...]]) -> str | None:
    """The bias that is added to the products with a kernel, if its shape is that of the outputs.

    In a layer that scales the products first, the bias has other deltas than they.
    """
    layer, _, name = path.rpartition(SEPARATOR)
    if not name.endswith("kernel"):
        return None
    bias = join(layer, f"{name.removesuffix('kernel')}bias")
    scaled = any(each.rpartition(SEPARATOR)[0] == layer and each.endswith("scale") for each in shapes)
    shape, outputs = shapes[path], shapes.get(bias, ())
    fits = 0 < len(outputs) < len(shape) and shape[len(shape) - len(outputs) :] == outputs
    return bias if fits and not scaled else None


def _output_axes(path: str, shape: tuple[int, ...], bias: tuple[int, ...] | None) -> int:
    if bias is not None:
        return len(bias)
    of_heads = path.split(SEPARATOR)[-2:-1] in [[name] for name in OF_HEADS]
    return 2 if of_heads and len(shape) == 3 else 1
