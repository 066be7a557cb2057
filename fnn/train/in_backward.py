"""The optimiser's update inside the backward pass, so that of stacked layers one gradient is alive at a time.

Every layer in a ``Repeat`` that holds parameters of its own is replaced by a stand-in, and a rule of ``backprop``
updates its parameters as soon as it has their gradient. They, and the optimiser's state for them, are references
(``jax.new_ref``), which the fold writes to in place: a layer reads and writes its own slice of the stacked arrays, at
an index that comes with its parameters.

All other parameters are updated after the fold. Outside of loops XLA brings each update forward to its gradient by
itself. Where a combinator makes the parameters of a layer from others (``Tied``, ``WeightNorm``, ``Cast``, …), those
others get their gradient only then, and the parameters of a ``Frozen`` layer get none.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import backprop, own_backward
from fnn.combinators.frozen import frozen_layers
from fnn.layer import Cache, Layer, Params, State, wide_dtype
from fnn.objective import Aux, Objective
from fnn.optim.by_leaf import ByLeaf, Row, not_elementwise
from fnn.optim.clip import clip_by_global_norm
from fnn.optim.magnitudes import norm
from fnn.optim.transform import chain, update
from fnn.paths import join, lies_in, named_leaves, select
from fnn.penalties import L1, L2, ElasticNet
from fnn.train.where_stored import Own, Updated, with_stand_ins


def check_in_backward(objective: Objective, optimizer: Any, method: str, *, private: bool = False) -> None:
    """Raises for what needs all gradients at once, or others than the layers' own."""
    if private or objective.rules:
        what = (
            "privacy clips the gradients of all layers together"
            if private
            else f"it does not follow {objective.rules!r}"
        )
        raise ValueError(
            f"update_in_backward=True updates by every layer's own gradient: {what}; leave out one of the two"
        )
    if method != "manual":
        raise ValueError(f"update_in_backward=True updates in the backward pass by hand, got method={method!r}")
    if others := not_elementwise(_apart(optimizer)[1]):
        hint = "; if it is, write fnn.optim.Optimizer(init, update, elementwise=True)"
        if type(others[0]) is clip_by_global_norm:
            hint = "; put it first in the chain, where the norm is found in a first pass"
        raise ValueError(
            f"update_in_backward=True updates each layer before the gradients of those in front of it are known, but"
            f" {others[0]!r} is not element-wise{hint}"
        )
    for penalty in objective.penalties:
        if type(penalty) not in (L1, L2, ElasticNet):
            raise ValueError(
                f"update_in_backward=True adds the slope of a penalty layer by layer, which is known of L1, L2 and"
                f" ElasticNet alone, got {penalty!r}"
            )


def step_in_backward(
    objective: Objective, optimizer: Any, params: Params, opt_state: Any, state: State, batch: tuple, key: jax.Array
) -> tuple[jax.Array, Aux, Params, Any]:
    """``(value, aux, params, opt_state)`` after one step."""
    clip, optimizer = _apart(optimizer)
    clip_state, opt_state = (opt_state[0], opt_state[1:]) if clip is not None else (None, opt_state)
    by_leaf = ByLeaf(optimizer, params, opt_state, frozen_layers(objective.model))
    model, given, axes = with_stand_ins(objective.model, params)
    value, aux, cache, doutputs = objective.with_model(model).forward(given, state, batch, train=True, key=key)
    cost, _ = objective.penalty(params)
    fold = _Fold(objective, by_leaf, axes, cost, {"value": value + cost})
    if clip is not None:
        updates, clip_state = update(clip, {"norm": fold.norm(model, cache, doutputs)}, clip_state)
        fold.scale = updates["norm"] / fold.found
        # The second pass must not be merged with the first, nor keep what that computed.
        cache, doutputs, fold.scale = lax.optimization_barrier((cache, doutputs, fold.scale))
    params, opt_state = fold.update(model, cache, doutputs)
    return value + cost, aux, params, opt_state if clip is None else (clip_state, *opt_state)


def _apart(optimizer: Any) -> tuple[Any, Any]:
    """The clipping by the global norm at the head of a chain, ``None`` without, and the rest of it."""
    if type(optimizer) is chain and optimizer.transforms and type(optimizer.transforms[0]) is clip_by_global_norm:
        return optimizer.transforms[0], chain(*optimizer.transforms[1:])
    return None, optimizer


class _Fold:
    """The backward pass of one step, with references to what it changes."""

    def __init__(
        self,
        objective: Objective,
        by_leaf: ByLeaf,
        axes: Mapping[str, tuple[int, ...]],
        cost: Any,
        extra: dict[str, Any],
    ) -> None:
        self.objective, self.by_leaf, self.cost, self.extra = objective, by_leaf, cost, extra
        self.penalised = [set(select(penalty.paths, by_leaf.params)) for penalty in objective.penalties]
        self.scale: Any = None
        self.found: Any = None
        self.refs: dict[str, Row] = {}
        for layer, stacked in axes.items():
            for path in by_leaf.params:
                if lies_in(path, [layer]):
                    self.refs[path] = jax.tree.map(partial(_reference, len(stacked)), by_leaf.row(path))

    def norm(self, model: Layer, cache: Cache, doutputs: Any) -> jax.Array:
        """The norm of the whole gradient; ``found`` is the same, with 1 for 0, to divide by."""

        def measured(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            if not isinstance(layer, Updated):
                return own_backward(path, layer, cache, dy)
            _, grads, dx = self._backward(path, layer, cache, dy)
            return {leaf.removeprefix(f"{path}/"): norm(_wide(g)) for leaf, g in grads.items()}, dx

        reports, _ = backprop(model, cache, doutputs, measured)
        norms = []
        for path, found in self._leaves(reports).items():
            if path in self.refs:
                norms.append(found.reshape(-1))
            else:
                norms.append(norm(_wide(self._penalised(path, self.by_leaf.params[path], found))).reshape(1))
        dtype = max((each.dtype for each in norms), key=lambda dtype: dtype.itemsize)
        total = norm(jnp.concatenate([each.astype(dtype) for each in norms]))
        self.found = jnp.where(total == 0, 1, total)
        return total

    def update(self, model: Layer, cache: Cache, doutputs: Any) -> tuple[Params, Any]:
        """The new parameters and the new state of the optimiser."""

        def updating(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            if not isinstance(layer, Updated):
                return own_backward(path, layer, cache, dy)
            rows, grads, dx = self._backward(path, layer, cache, dy)
            self._write(rows, grads, cache["index"])
            return None, dx

        reports, _ = backprop(model, cache, doutputs, updating)
        rows = {path: self.by_leaf.row(path) for path in self.by_leaf.params if path not in self.refs}
        found = self._leaves(reports)
        grads = {path: self._scaled(self._penalised(path, row.w, found[path])) for path, row in rows.items()}
        rows, shared = self.by_leaf.updated(rows, grads, **self.extra)
        for path, refs in self.refs.items():
            whole = self.by_leaf.row(path)
            rows[path] = jax.tree.map(lambda ref, like: jax.freeze(ref).reshape(like.shape), refs, whole)
        return self.by_leaf.joined(rows, shared)

    def _backward(self, path: str, layer: Updated, cache: Cache, dy: Any) -> tuple[dict[str, Row], dict, Any]:
        """A stand-in's rows as they are, the gradients by path of its parameters, and dx."""
        paths = [leaf for leaf in self.refs if lies_in(leaf, [path])]
        rows = {leaf: jax.tree.map(partial(_read, cache["index"]), self.refs[leaf], is_leaf=_is_ref) for leaf in paths}
        inner = jax.tree.map(
            lambda node: rows[join(path, node.path)].w if isinstance(node, Own) else node,
            cache["inner"],
            is_leaf=lambda node: isinstance(node, Own),
        )
        dparams, dx = own_backward(path, layer.inner, inner, dy)
        found = {join(path, leaf): g for leaf, g in named_leaves(dparams).items()}
        return rows, {leaf: self._penalised(leaf, rows[leaf].w, g) for leaf, g in found.items()}, dx

    def _write(self, rows: dict[str, Row], grads: dict[str, Any], index: Any) -> None:
        def updated(rows: dict[str, Row], grads: dict[str, Any]) -> dict[str, Row]:
            grads = {path: self._scaled(g) for path, g in grads.items()}
            return self.by_leaf.updated(rows, grads, **self.extra)[0]

        # The condition always holds. XLA, which does not know it, computes the penalties, which read all parameters,
        # before the loop, and all of an update before it writes any of it: it needs no copy of the stacked arrays.
        moved = lax.cond((index >= 0) | (self.cost > 0), updated, lambda rows, grads: rows, rows, grads)
        for path, row in moved.items():
            for ref, new in zip(jax.tree.leaves(self.refs[path], is_leaf=_is_ref), jax.tree.leaves(row), strict=True):
                # Not ref[index] = new, whose rule for vmap is wrong in JAX 0.9.2.
                ref[...] = lax.dynamic_update_index_in_dim(ref[...], new, index, 0)

    def _penalised(self, path: str, w: Any, g: Any) -> Any:
        """The gradient with those of the penalties, added in the order in which ``Objective`` does it."""
        total = None
        for penalty, selected in zip(self.objective.penalties, self.penalised, strict=True):
            slope = jnp.asarray(1.0, w.dtype) * penalty.slope(w) if path in selected else jnp.zeros_like(w)
            total = slope if total is None else total + slope
        return g if total is None else g + total

    def _scaled(self, g: Any) -> Any:
        if self.scale is None:
            return g
        wide = _wide(g)
        return (wide * self.scale.astype(wide.dtype)).astype(g.dtype)

    def _leaves(self, reports: Any) -> dict[str, Any]:
        return {path: leaf for path, leaf in named_leaves(reports).items() if path in self.by_leaf.params}


def _reference(axes: int, leaf: jax.Array) -> Any:
    """To an array of stacked layers, their leading axes as one."""
    return jax.new_ref(leaf.reshape(math.prod(leaf.shape[:axes]), *leaf.shape[axes:]))


def _read(index: jax.Array, ref: Any) -> jax.Array:
    """The slice of one layer."""
    return lax.dynamic_index_in_dim(ref[...], index, 0, keepdims=False)


def _wide(leaf: jax.Array) -> jax.Array:
    return leaf.astype(wide_dtype(leaf.dtype))


def _is_ref(node: Any) -> bool:
    return not isinstance(node, Row | tuple)
