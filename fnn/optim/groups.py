"""Parts of a model, chosen by path, that are trained differently or not at all."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.describe.rendering import printable
from fnn.errors import is_concrete
from fnn.optim.accumulate import accumulating
from fnn.optim.accumulators import check_gradients, increment, zero_count
from fnn.optim.nonfinite import refuse_inner_skips
from fnn.optim.transform import Optimizer, constructor, expect_optimizer, is_elementwise, update
from fnn.optim.waiting import stepped
from fnn.paths import map_named, matches, named_leaves, select


class GroupsState(NamedTuple):
    """State of ``groups``: the state of every group's optimiser, by glob."""

    count: jax.Array
    hyperparams: dict[str, Any]
    groups: dict[str, Any]

    ranges = MappingProxyType({})

    @property
    def stepped(self) -> jax.Array | None:
        """Whether any group made a step in the last call; ``None`` if some group makes one in every call."""
        said = [stepped(state) for state in self.groups.values()]
        waiting = [each for each in said if each is not None]
        return jnp.stack(waiting).any(0) if waiting and len(waiting) == len(said) else None


class FreezeState(NamedTuple):
    """State of ``freeze``; no hyperparams."""

    count: jax.Array
    hyperparams: dict[str, Any]

    ranges = MappingProxyType({})


@constructor
def groups(optimizers: Mapping[str, Any], *, show: bool = True) -> Optimizer:
    """A separate optimiser for every group of paths; ``None`` freezes the parameters of a group.

    A path belongs to the first glob that matches it, so go from the special to the general: ``{"encoder/*": None,
    "*/bias": sgd(0.1), "*": adamw(1e-3)}``. Each optimiser sees only the leaves of its group, so clipping by the global
    norm inside a group uses the norm of the group. Batch statistics are state, not parameters: in a frozen group they
    still move, and the outputs with them, unless the layer is in ``fnn.Frozen``.

    ``show``: ``init``, outside a trace, prints the table of ``resolved_groups``, so that nobody freezes the wrong half
    by accident. Raises ``ValueError`` for a path without a group, for a group without a path, and for a
    ``skip_nonfinite`` inside; ``TypeError`` if not an optimiser.

    >>> from fnn.optim import sgd
    >>> optimizer = groups({"*/bias": None, "*": sgd(0.5)})
    >>> params = {"dense_0": {"bias": jnp.ones(1), "kernel": jnp.ones((1, 1))}}
    >>> opt_state = optimizer.init(params)
    dense_0/bias    */bias  frozen
    dense_0/kernel  *
    >>> optimizer.update(params, opt_state, params)[0]
    {'dense_0': {'bias': Array([0.], dtype=float32), 'kernel': Array([[-0.5]], dtype=float32)}}
    """
    optimizers = dict(optimizers)
    for glob, optimizer in optimizers.items():
        if optimizer is not None:
            expect_optimizer(f"the group {glob!r} (which may be None)", optimizer)

    def part(tree: Any, chosen: dict[str, str], glob: str) -> Any:
        return map_named(lambda path, leaf: leaf if chosen[path] == glob else None, tree)

    def init(params: Any) -> GroupsState:
        chosen = resolved_groups(optimizers, params)
        if show and all(map(is_concrete, jax.tree.leaves(params))):
            print(printable(_table(chosen, optimizers)))
        states = {}
        for glob, optimizer in optimizers.items():
            try:
                if optimizer is not None:
                    states[glob] = optimizer.init(part(params, chosen, glob))
            except Exception as error:
                error.add_note(f"in the group {glob!r}")
                raise
        refuse_inner_skips(states, "groups")
        return GroupsState(zero_count(), {}, states)

    def groups_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, GroupsState]:
        grads, like = check_gradients(grads, params)
        chosen, states = resolved_groups(optimizers, grads), {}
        updates = {path: jnp.zeros_like(leaf) for path, leaf in named_leaves(like).items()}
        for glob, inner in state.groups.items():
            if extra.get("last") and not accumulating(inner):  # no batch, and nothing waits in this group
                states[glob] = inner
                continue
            given = None if params is None else part(like, chosen, glob)
            moved, states[glob] = update(optimizers[glob], part(grads, chosen, glob), inner, given, **extra)
            updates |= named_leaves(moved)
        result = map_named(lambda path, leaf: updates[path].astype(leaf.dtype), like)
        return result, GroupsState(increment(state.count), {}, states)

    trained = [optimizer for optimizer in optimizers.values() if optimizer is not None]
    return Optimizer(init, groups_update, elementwise=all(map(is_elementwise, trained)))


def resolved_groups(optimizers: Iterable[str], params: Any) -> dict[str, str]:
    """The glob that each path belongs to: the first one that matches.

    >>> resolved_groups(["*/bias", "*"], {"dense_0": {"bias": 0.0, "kernel": 0.0}})
    {'dense_0/bias': '*/bias', 'dense_0/kernel': '*'}
    """
    globs, chosen = list(optimizers), {}
    for path in named_leaves(params):
        first = next((glob for glob in globs if matches(glob, path)), None)
        if first is None:
            raise ValueError(f"{path!r} is in none of the groups {globs}; add a last one, '*': None freezes the rest")
        chosen[path] = first
    for glob in globs:
        if glob not in chosen.values():
            taken = [path for path in chosen if matches(glob, path)]
            why = f"the groups before it take {taken}" if taken else f"it matches none of {list(chosen)}"
            raise ValueError(f"the group {glob!r} is empty: {why}")
    return chosen


def _table(chosen: dict[str, str], optimizers: dict[str, Any]) -> str:
    width, globs = max(map(len, chosen)), max(map(len, optimizers))
    rows = (f"{path:{width}}  {glob:{globs}}{'' if optimizers[glob] else '  frozen'}" for path, glob in chosen.items())
    return "\n".join(row.rstrip() for row in rows)


@constructor
def freeze(paths: str | Iterable[str]) -> Optimizer:
    """Freezes the parameters at these paths; put it last in a chain.

        u = 0 at the selected leaves, g elsewhere

    Earlier transformations still see their gradients (in moments, in a global norm); ``groups`` keeps them out. Batch
    statistics still move, unless the layer is in ``fnn.Frozen``, which also makes its gradients zero.
    Raises ``ValueError`` for a glob that matches no path of the params.

    >>> transform = freeze("encoder*")
    >>> grads = {"encoder": jnp.ones(1), "head": jnp.ones(1)}
    >>> transform.update(grads, transform.init(grads))[0]
    {'encoder': Array([0.], dtype=float32), 'head': Array([1.], dtype=float32)}
    """
    globs = (paths,) if isinstance(paths, str) else tuple(paths)

    def init(params: Any) -> FreezeState:
        select(globs, named_leaves(params))
        return FreezeState(zero_count(), {})

    def freeze_update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, FreezeState]:
        del extra
        grads, like = check_gradients(grads, params)
        frozen = set(select(globs, named_leaves(grads)))
        updates = map_named(
            lambda path, g, like: jnp.zeros_like(like) if path in frozen else g.astype(like.dtype), grads, like
        )
        return updates, FreezeState(increment(state.count), {})

    return Optimizer(init, freeze_update, elementwise=True)
