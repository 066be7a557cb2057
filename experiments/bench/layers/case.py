"""One layer in fnn and in Flax: forward and backward in training, as two functions of the same operands."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import numpy as np

import fnn

TINY = 16
"""The largest axis of an input in a quick run."""


class Case(NamedTuple):
    """A layer with the shape of its input, and the module of Flax that computes the same.

    ``as_flax`` gives fnn's parameters, and gradients of them, in Flax's form. ``prepare`` changes fnn's parameters
    first, where Flax has fewer of them. ``indices``: the input is integers below this number.
    """

    name: str
    layer: fnn.Layer
    shape: tuple[int, ...]
    module: nn.Module
    as_flax: Callable[[Any], Any] = dict
    prepare: Callable[[Any], Any] = dict
    indices: int | None = None


class Function(nn.Module):
    """A function as a module without parameters."""

    function: Callable[[jax.Array], jax.Array]

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.function(x)


class Pair(NamedTuple):
    """A workload in both libraries. The functions return dicts; those entries are compared that ``theirs`` returns.

    ``as_theirs`` gives the result of ``ours`` in the form of that of ``theirs``.
    """

    workload: str
    ours: Callable[..., dict[str, Any]]
    our_operands: tuple[Any, ...]
    theirs: Callable[..., dict[str, Any]]
    their_operands: tuple[Any, ...]
    as_theirs: Callable[[dict[str, Any]], dict[str, Any]]


def drawn(random: np.random.Generator, *shape: int) -> jax.Array:
    """Normal numbers from NumPy, so that nothing is compiled to draw them."""
    return jnp.asarray(random.standard_normal(shape, np.float32))


def sized(shape: tuple[int, ...], *, quick: bool) -> tuple[int, ...]:
    """The shape, or a tiny one for a quick run."""
    return tuple(min(size, TINY) for size in shape) if quick else shape


def words(shape: tuple[int, ...]) -> str:
    """A shape as it is written in names.

    >>> words((64, 28, 28, 1))
    '64×28×28×1'
    """
    return "×".join(map(str, shape))


def pair_of(case: Case, seed: int, *, quick: bool) -> Pair:
    """Both functions of a case: the output, its statistics, and the gradients of parameters and input."""
    random, shape = np.random.default_rng(seed), sized(case.shape, quick=quick)
    x = drawn(random, *shape) if case.indices is None else jnp.asarray(random.integers(0, case.indices, shape))
    params, state = jax.jit(case.layer.init)(jax.random.key(seed), x)
    params = case.prepare(jax.tree.map(lambda leaf: leaf + 0.1 * drawn(random, *leaf.shape), params))
    statistics = {name: state[name] for name in ("mean", "var") if name in state}
    y = jax.eval_shape(lambda params: case.layer.apply(params, state, x, train=True)[0], params)
    dy = drawn(random, *y.shape)
    real = case.indices is None

    def ours(params: Any, state: Any, x: Any, dy: Any) -> dict[str, Any]:
        y, state, cache = case.layer.forward(params, state, x, train=True)
        dparams, dx = case.layer.backward(cache, dy)
        return {"the output": y, "statistics": state, "the gradient of parameters": dparams, "dx": dx}

    def theirs(params: Any, statistics: Any, x: Any, dy: Any) -> dict[str, Any]:
        def apply(params: Any, x: Any) -> tuple[Any, Any]:
            variables = {"params": params, **({"batch_stats": statistics} if statistics else {})}
            return case.module.apply(variables, x, mutable=["batch_stats"])

        if real:
            y, vjp, changed = jax.vjp(apply, params, x, has_aux=True)
        else:
            y, vjp, changed = jax.vjp(lambda params: apply(params, x), params, has_aux=True)
        dparams, *dx = vjp(dy)
        result = {"the output": y, "the gradient of parameters": dparams, "dx": dx[0] if real else None}
        return {**result, "statistics": changed.get("batch_stats", {})}

    def as_theirs(result: dict[str, Any]) -> dict[str, Any]:
        kept = {name: each for name, each in result["statistics"].items() if name in statistics}
        gradient = case.as_flax(result["the gradient of parameters"])
        return {**result, "statistics": kept, "the gradient of parameters": gradient}

    workload = f"{case.name}, {words(shape)}"
    return Pair(workload, ours, (params, state, x, dy), theirs, (case.as_flax(params), statistics, x, dy), as_theirs)
