"""The runs of a sweep: every combination of hyper-parameters, with every seed."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import positive

COLUMNS = frozenset({"seed", "best_epoch", "epochs_run", "diverged", "reason"})
"""Columns of the table of a sweep; hyper-parameters cannot have these names."""


class Runs(NamedTuple):
    """One entry per run, with the seeds of a combination together: ``hyperparams`` by name, ``seeds`` and ``keys``."""

    hyperparams: dict[str, np.ndarray]
    seeds: np.ndarray
    keys: jax.Array


def runs_of(
    key: jax.Array, seeds: Any, combinations: Iterable[Mapping[str, Any]] | None, axes: Mapping[str, Any]
) -> Runs:
    """All runs: each of ``combinations`` with each point of the grid of ``axes``, and each of those with every seed.

    >>> runs = runs_of(jax.random.key(0), 2, [{"decay": 0.1, "clip": 1}], {"rate": [0.5, 0.25]})
    >>> runs.hyperparams["rate"].tolist(), runs.hyperparams["decay"].tolist(), runs.seeds.tolist()
    ([0.5, 0.5, 0.25, 0.25], [0.1, 0.1, 0.1, 0.1], [0, 1, 0, 1])
    """
    values, keys = _keyed(key, seeds)
    given = grid({name: _axis(name, each) for name, each in axes.items()})
    if combinations is not None:
        listed = _listed(combinations)
        for name in axes:
            if name in listed[0]:
                raise ValueError(f"the hyper-parameter {name!r} is both in the combinations and an axis of the grid")
        given = [first | second for first in listed for second in given]
    _differ("combination", [tuple(each.items()) for each in given], [str(each) for each in given])
    columns = {name: np.repeat([each[name] for each in given], len(values)) for name in given[0]}
    for name in columns:
        if name in COLUMNS:
            raise ValueError(f"{name!r} is a column of the table of a sweep; give the hyper-parameter another name")
    return Runs(columns, np.tile(values, len(given)), jnp.tile(keys, (len(given),) + (1,) * (keys.ndim - 1)))


def grid(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """The cartesian product, the last axis fastest.

    >>> grid({"rate": [0.1, 0.2], "decay": [0, 1]})[1]
    {'rate': 0.1, 'decay': 1}
    """
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def _axis(name: str, given: Any) -> list[Any]:
    """The values of an axis as Python numbers; a single number is an axis with one value."""
    if isinstance(given, str | bytes | Mapping) or not (_is_scalar(given) or hasattr(given, "__iter__")):
        raise TypeError(f"the hyper-parameter {name!r} is a list of numbers, got {given!r}")
    values = np.asarray(given if hasattr(given, "dtype") or _is_scalar(given) else list(given))
    if values.size == 0:
        raise ValueError(f"the hyper-parameter {name!r} has no values; a sweep needs at least one")
    if values.ndim > 1:
        raise ValueError(f"the hyper-parameter {name!r} is a list of numbers, got an array of shape {values.shape}")
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"the hyper-parameter {name!r} is a list of numbers, got {given!r}; for anything else, such as a layer or"
            f" an activation, run a separate sweep for each value"
        )
    if np.isnan(values).any():
        raise ValueError(f"the hyper-parameter {name!r} has a NaN among its values: {given!r}")
    values = values.reshape(-1).tolist()
    _differ(f"value of the hyper-parameter {name!r}", values, list(map(str, values)))
    return values


def _listed(combinations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(combinations, Mapping | str) or not isinstance(combinations, Iterable):
        raise TypeError("combinations is a list of dicts, one per combination; give the axes of a grid as keywords")
    listed: list[dict[str, Any]] = []
    for each in combinations:
        if not isinstance(each, Mapping):
            raise TypeError(f"a combination is a dict of numbers, got {each!r}")
        if listed and set(each) != set(listed[0]):
            raise ValueError(
                f"all combinations name the same hyper-parameters, but the first names {sorted(listed[0])} and number"
                f" {len(listed)} names {sorted(each)}"
            )
        point = {name: _axis(name, each[name]) for name in (listed[0] if listed else each)}
        for name, values in point.items():
            if len(values) > 1:
                raise ValueError(f"a combination has one number per name, got {each[name]!r} for {name!r}")
        listed.append({name: values[0] for name, values in point.items()})
    if not listed:
        raise ValueError("combinations is empty; a sweep needs at least one")
    return listed


def _keyed(key: jax.Array, seeds: Any) -> tuple[np.ndarray, jax.Array]:
    """The numbers of the seeds, and their keys."""
    if isinstance(seeds, jax.Array) and jnp.issubdtype(seeds.dtype, jax.dtypes.prng_key):
        if seeds.ndim != 1 or not seeds.size:
            raise ValueError(f"seeds given as keys are an array of one axis, not empty; got the shape {seeds.shape}")
        return np.arange(len(seeds)), seeds
    if _is_scalar(seeds):
        positive("seeds", seeds)
        seeds = range(seeds)
    if not isinstance(seeds, Iterable):
        raise TypeError(f"seeds is a number of seeds, a list of integers, or keys; got {seeds!r}")
    values = np.asarray(list(seeds))
    if not values.size:
        raise ValueError("seeds is empty; a sweep needs at least one")
    if values.ndim != 1 or values.dtype.kind not in "iu" or not (0 <= values.min() <= values.max() < 2**32):
        raise ValueError(f"seeds is a number of seeds, a list of integers from 0 up to 2³² − 1, or keys; got {seeds!r}")
    _differ("seed", values.tolist(), list(map(str, values)))
    return values, jax.vmap(lambda seed: jax.random.fold_in(key, seed))(jnp.asarray(values, jnp.uint32))


def _is_scalar(given: Any) -> bool:
    return bool(np.isscalar(given))


def _differ(what: str, values: list[Any], words: list[str]) -> None:
    seen = set()
    for value, word in zip(values, words, strict=True):
        if value in seen:
            raise ValueError(f"the {what} {word} is given twice")
        seen.add(value)


def number(value: Any) -> str:
    """A hyper-parameter or a score, formatted for a table."""
    return "–" if isinstance(value, float) and math.isnan(value) else f"{value:.4g}"
