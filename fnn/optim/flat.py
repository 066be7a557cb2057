"""One update over flat buffers instead of one per leaf."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count
from fnn.optim.transform import Optimizer, constructor, expect_optimizer, is_entrywise, update


class FlatState(NamedTuple):
    """State of ``flat``: the optimiser's state, with one buffer per dtype of the params as its accumulators."""

    count: jax.Array
    hyperparams: dict[str, Any]
    inner: Any

    ranges = MappingProxyType({})


@constructor
def flat(optimizer: Any) -> Optimizer:
    """Runs an optimiser over all leaves of one dtype as one vector; the updates are the same.

        u = unravel(update(ravel(g), …, ravel(w)))

    Use it for many small leaves, whose updates cost more to launch than to compute. For large leaves, gathering the
    gradients and splitting the updates is one more pass through memory, and slower. Time of a step of Adam for nine
    dense layers, flat relative to leaf by leaf (below 1: flat is faster), on two busy CPU cores (float32, JAX 0.9.2,
    medians of interleaved runs): width 32, 0.64 alone and 0.83 with the gradient in a compiled loop; width 128, 1.04
    and 1.23; width 512, 1.6 and 1.05. Measure before you use it.

    The result is bit for bit the same only operation by operation: for each kernel XLA chooses how to fuse a product
    and a sum into one rounding, and which reciprocal root to use (``adagrad``), so compiled runs agree to 1e-6; from
    jaxlib 0.10 on this is true of single operations too.

    The optimiser must treat every entry by itself and in the same way, so that it does not matter which leaf an entry
    is in: gradient descent, Adam and their relatives, ``clip_by_value``, chains of these, and weight decay of every
    leaf (``paths="*"``). Others are refused. Clipping by a norm, ``skip_nonfinite`` and ``accumulate`` go outside:
    ``skip_nonfinite(chain(clip_by_global_norm(1.0), flat(adam(1e-3))))``. Decay by path needs a group:
    ``groups({"*/kernel": flat(adamw(1e-3, paths="*")), "*": flat(adam(1e-3))})``. Optimisers that look at a leaf as a
    whole (``lamb``, ``muon``, ``adafactor``) have no flat form.

    Raises ``ValueError`` for an optimiser that is not known to be of that kind (including optax's), ``TypeError`` if
    not an optimiser.

    >>> from fnn.optim import sgd
    >>> optimizer = flat(sgd(0.5, momentum=0.9))
    >>> params = {"bias": jnp.ones(1), "kernel": jnp.ones((1, 2))}
    >>> updates, opt_state = optimizer.update(params, optimizer.init(params), params)
    >>> updates
    {'bias': Array([-0.5], dtype=float32), 'kernel': Array([[-0.5, -0.5]], dtype=float32)}
    >>> opt_state.inner[0].velocity
    {'float32': Array([1., 1., 1.], dtype=float32)}
    """
    expect_optimizer("flat", optimizer)
    if not is_entrywise(optimizer):
        raise ValueError(
            f"flat takes an optimiser that treats every entry by itself and in the same way, which is not known of"
            f" {optimizer!r}; what looks at whole leaves, at the whole gradient or at paths goes outside:"
            f" chain(clip_by_global_norm(1.0), flat(adam(1e-3)))"
        )

    def init(params: Any) -> FlatState:
        _, like = check_gradients(params)
        return FlatState(zero_count(), {}, optimizer.init(_buffers(like, like)))

    def flat_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, FlatState]:
        if not isinstance(state, FlatState):
            raise TypeError(
                f"expected the FlatState that this optimiser's init or its last update returned,"
                f" got {type(state).__name__}"
            )
        grads, like = check_gradients(grads, params)
        given = None if params is None else _buffers(like, like)
        updates, inner = update(optimizer, _buffers(grads, like), state.inner, given, **extra)
        return _leaves(updates, like), FlatState(increment(state.count), {}, inner)

    return Optimizer(init, flat_update)


def _places(like: Any) -> dict[str, list[int]]:
    """The numbers of the leaves in each buffer, by dtype."""
    places: dict[str, list[int]] = {}
    for number, leaf in enumerate(jax.tree.leaves(like)):
        places.setdefault(leaf.dtype.name, []).append(number)
    return places


def _buffers(tree: Any, like: Any) -> dict[str, jax.Array]:
    leaves = jax.tree.leaves(tree)

    def joined(chosen: list[jax.Array]) -> jax.Array:
        if len({leaf.dtype for leaf in chosen}) > 1:  # gradients: the update computes in the wide dtype
            dtype = max((accumulator_dtype(leaf) for leaf in chosen), key=lambda dtype: dtype.itemsize)
            chosen = [leaf.astype(dtype) for leaf in chosen]
        return jnp.concatenate([leaf.ravel() for leaf in chosen])

    return {name: joined([leaves[number] for number in numbers]) for name, numbers in _places(like).items()}


def _leaves(buffers: dict[str, jax.Array], like: Any) -> Any:
    leaves, treedef = jax.tree.flatten(like)
    found = list(leaves)
    for name, numbers in _places(like).items():
        ends = np.cumsum([leaves[number].size for number in numbers])[:-1]
        for number, part in zip(numbers, jnp.split(buffers[name], ends), strict=True):
            found[number] = part.reshape(leaves[number].shape)
    return treedef.unflatten(found)
