"""The parameters to evaluate and keep when an optimiser averages those of training."""

from typing import Any

import jax

from fnn.paths import map_named, named_leaves


def evaluation_params(opt_state: Any, params: Any) -> Any:
    """The averaged parameters of ``ema``, ``lookahead`` or ``schedule_free`` in an optimiser state; ``None`` without.

    Each of their states returns them from ``evaluated(params)``; states of your own optimisers may have this method
    too. In ``groups``, the parameters of the other groups are returned unchanged. Raises ``ValueError`` if two of them
    average the same parameter, also if one is inside the other.

    >>> import jax.numpy as jnp
    >>> from fnn.optim import chain, ema, sgd
    >>> optimizer, params = chain(sgd(1.0), ema(0.5)), {"bias": jnp.array([4.0])}
    >>> opt_state = optimizer.init(params)
    >>> _, opt_state = optimizer.update({"bias": jnp.array([1.0])}, opt_state, params)
    >>> evaluation_params(opt_state, params), evaluation_params(sgd(1.0).init(params), params)
    ({'bias': Array([3.], dtype=float32)}, None)
    """
    states = _averages_in(opt_state)
    if not states:
        return None
    averaged: dict[str, Any] = {}
    for state in states:
        leaves = named_leaves(state.evaluated(params))
        if twice := sorted(averaged.keys() & leaves):
            raise ValueError(
                f"this optimiser averages {', '.join(twice)} more than once, so the average to use is ambiguous: keep"
                f" one of ema, lookahead and schedule_free, or set evaluate_averaged=False"
            )
        averaged |= leaves
    return map_named(lambda path, w: averaged[path].astype(w.dtype) if path in averaged else w, params)


def _averages_in(tree: Any) -> list[Any]:
    """The states that average, including nested ones."""
    outer = [node for node in jax.tree.leaves(tree, is_leaf=_averages) if _averages(node)]
    inside = [
        jax.tree.leaves(node, is_leaf=lambda part, node=node: part is not node and _averages(part)) for node in outer
    ]
    return outer + [each for parts in inside for part in parts if _averages(part) for each in _averages_in(part)]


def _averages(node: Any) -> bool:
    return hasattr(node, "evaluated")
