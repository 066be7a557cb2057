"""Element-wise optimisers that update some leaves of the parameters at a time, the others later or before.

The optimiser is called once for every part, with the paths of all parameters, so that globs choose what they always
choose; in the place of a leaf that is not being updated it gets an array without entries. Leaves of the state that
belong to no parameter (counts, hyper-parameters, a scale) are read by every part and written once.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.optim.groups import groups
from fnn.optim.transform import apply_updates, chain, is_elementwise, update
from fnn.paths import SEPARATOR, lies_in, map_named, named_leaves


class Row(NamedTuple):
    """One leaf of the parameters, or a part of it, with what the optimiser's state holds for it."""

    w: Any
    accumulators: tuple[Any, ...]


class ByLeaf:
    """An element-wise optimiser with its state, by parameter; those in the ``frozen`` layers never change."""

    def __init__(self, optimizer: Any, params: Any, opt_state: Any, frozen: Iterable[str] = ()) -> None:
        self.optimizer, self.frozen = optimizer, list(frozen)
        self.structure, self.state_structure = jax.tree.structure(params), jax.tree.structure(opt_state)
        self.params, self.state = named_leaves(params), jax.tree.leaves(opt_state)
        owners = self._owners()
        self.places = {path: [at for at, owner in enumerate(owners) if owner == path] for path in self.params}
        self.shared = [at for at, owner in enumerate(owners) if owner is None]

    def row(self, path: str) -> Row:
        """A leaf of the parameters, whole."""
        return Row(self.params[path], tuple(self.state[at] for at in self.places[path]))

    def updated(self, rows: Mapping[str, Row], grads: Mapping[str, Any], **extra: Any) -> tuple[dict[str, Row], list]:
        """These rows after the step for their gradients, and the shared leaves of the state after it."""

        def filled(leaves: Mapping[str, Any]) -> Any:
            none = {path: jnp.zeros((0,), jnp.asarray(leaf).dtype) for path, leaf in self.params.items()}
            return self.structure.unflatten(leaves.get(path, none[path]) for path in self.params)

        state = list(self.state)
        for path, places in self.places.items():
            for order, at in enumerate(places):
                state[at] = rows[path].accumulators[order] if path in rows else jnp.zeros((0,), state[at].dtype)
        params = filled({path: row.w for path, row in rows.items()})
        updates, after = update(self.optimizer, filled(grads), self.state_structure.unflatten(state), params, **extra)
        if self.frozen:  # even with weight decay and penalties
            updates = map_named(lambda path, u: jnp.zeros_like(u) if lies_in(path, self.frozen) else u, updates)
        moved, state = named_leaves(apply_updates(params, updates)), jax.tree.leaves(after)
        found = {path: Row(moved[path], tuple(state[at] for at in self.places[path])) for path in rows}
        return found, [state[at] for at in self.shared]

    def joined(self, rows: Mapping[str, Row], shared: list) -> tuple[Any, Any]:
        """Parameters and state, from all their rows."""
        state: list[Any] = [None] * len(self.state)
        for at, leaf in zip(self.shared, shared, strict=True):
            state[at] = leaf
        for path, places in self.places.items():
            for at, leaf in zip(places, rows[path].accumulators, strict=True):
                state[at] = leaf
        return self.structure.unflatten(rows[path].w for path in self.params), self.state_structure.unflatten(state)

    def _owners(self) -> list[str | None]:
        """The parameter to which each leaf of the state belongs, whose shape it has, and whose path its own ends in."""

        def leaves(size: int) -> dict[str, Any]:
            shapes = [jax.ShapeDtypeStruct((size,), jnp.asarray(leaf).dtype) for leaf in self.params.values()]
            return named_leaves(jax.eval_shape(self.optimizer.init, self.structure.unflatten(shapes)))

        one, other = leaves(2), leaves(3)
        owners: list[str | None] = []
        for place, leaf in one.items():
            ends = [path for path in self.params if f"{SEPARATOR}{place}".endswith(f"{SEPARATOR}{path}")]
            owners.append(max(ends, key=len) if leaf.shape != other[place].shape else None)
        return owners


def not_elementwise(optimizer: Any) -> list[Any]:
    """The optimisers in this one that are not element-wise."""
    if is_elementwise(optimizer):
        return []
    if type(optimizer) is chain:
        return [each for transform in optimizer.transforms for each in not_elementwise(transform)]
    if type(optimizer) is groups:
        return [each for _, inner in optimizer.optimizers if inner is not None for each in not_elementwise(inner)]
    return [optimizer]
