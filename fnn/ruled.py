"""Rules by path: the layers of a model that pass back something else than their gradient."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import Rule, asks_rule, leading_axes, own_backward
from fnn.errors import is_floating
from fnn.layer import Cache, Layer, named_key
from fnn.paths import matches, select
from fnn.values import FrozenDict
from fnn.walk import nodes


class Replaced:
    """The base of rules that need more than a layer's cache and dy: a frozen dataclass with one method ``back``.

    Any function ``rule(path, layer, cache, dy) -> (report, dx)`` is a rule too.
    """

    def back(
        self, path: str, layer: Layer, cache: Cache, dy: Any, *, error: Any, key: jax.Array | None
    ) -> tuple[Any, Any]:
        """``(dparams, dx)`` of a layer; ``error`` is ∂loss/∂outputs of the whole model.

        ``key``, for random numbers, is made of the key of the call and the path. The layers of a ``Repeat`` have one
        path: there the deltas are folded in too, to tell them apart, and as those round in another way under jit, the
        numbers are then others.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define back")


def checked_rules(model: Layer, rules: Any) -> FrozenDict:
    """The rules; every glob selects a layer that is not a combinator, and no layer is selected twice."""
    if not isinstance(rules, Mapping):
        raise TypeError(f"rules are a dict {{glob: rule}}, got {rules!r}")
    for glob, rule in rules.items():
        if isinstance(rule, type) and issubclass(rule, Replaced):
            raise TypeError(f"the rule for {glob!r} is an instance: write {rule.__name__}()")
        if isinstance(rule, Layer) or not (isinstance(rule, Replaced) or callable(rule)):
            raise TypeError(
                f"a rule is a function (path, layer, cache, dy) -> (dparams, dx), got {rule!r} for {glob!r}"
            )
    check_apart(model, rules)
    return FrozenDict(rules)


def check_apart(model: Layer, globs: Iterable[str]) -> None:
    """Raises for a glob that selects no layer that is not a combinator, and for two that select the same one."""
    paths, chosen = [node.path for node in nodes(model) if asks_rule(node)], dict[str, str]()
    for glob in globs:
        for path in select(glob, paths):
            if path in chosen:
                raise ValueError(f"the rules for {chosen[path]!r} and {glob!r} both match the layer {path!r}")
            chosen[path] = glob


def rule_of(model: Layer, rules: Mapping[str, Any], error: Any, key: jax.Array | None) -> Rule:
    """One rule of many: at every layer that whose glob matches the path, at others their own backward."""
    repeated = {node.path for node in nodes(model) if asks_rule(node) and leading_axes(node)}

    def rule(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
        found = next((each for glob, each in rules.items() if matches(glob, path)), own_backward)
        if not isinstance(found, Replaced):
            return found(path, layer, cache, dy)
        own = None if key is None else named_key(key, f"delta of {path}")
        if own is not None and path in repeated:
            own = _told_apart(own, dy)
        return found.back(path, layer, cache, dy, error=error, key=own)

    return rule


def _told_apart(key: jax.Array, dy: Any) -> jax.Array:
    sums = [jnp.sum(leaf, dtype=jnp.float32) for leaf in jax.tree.leaves(dy) if is_floating(leaf)]
    return jax.random.fold_in(key, lax.bitcast_convert_type(functools.reduce(jnp.add, sums), jnp.uint32))
