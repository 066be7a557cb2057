"""Hyper-parameters as leaves of the optimiser state: read and set between steps, without recompilation.

The state of every transformation is a NamedTuple with ``count`` (int32, the updates so far) first and ``hyperparams``
second: a dict of scalars, each an ordinary leaf that goes through jit, vmap, scan and a checkpoint like any other.

A scalar is stored in JAX's default floating dtype: float32, or float64 under ``jax_enable_x64`` (0.9 rounded to float32
is off by 3e-8, which a float64 run would see). It is cast to the dtype of a leaf when it is used there.

A hyper-parameter is given as a number, whose range is checked at once; as an array of shape (), traced or not, which is
never compared in Python; or as a schedule ``step -> value`` of the updates so far. A scheduled one is stored as
``Scheduled(value)``, with the value last used, so that the state itself shows that setting it would have no effect. An
array that is out of range is stored as it is and makes the update NaN; the values of a schedule are not checked.
"""

import dataclasses
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.guards.ranges import NUMBER, Range, or_nan
from fnn.paths import join, path_of

Schedule = Callable[[Any], Any]
Hyperparameter = float | jax.Array | Schedule


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Scheduled:
    """Marks a hyper-parameter that a schedule drives; holds the value last used (at first, that of step 0)."""

    value: Any


class Hyperparameters:
    """The hyper-parameters that a transformation was given for its state; checked at construction.

    ``state_class`` is the NamedTuple of that state. Its class attribute ``ranges`` maps each name to a ``Range``.
    """

    def __init__(self, state_class: Any, **given: Hyperparameter) -> None:
        for name, value in given.items():
            if not callable(value):
                checked_number(name, value, state_class.ranges[name], or_else="or a schedule step -> value")
        self.state_class = state_class
        self.given = given

    def initial(self) -> dict[str, Any]:
        """The entry ``hyperparams`` of a new state."""
        first = jnp.zeros((), jnp.int32)
        return {
            name: Scheduled(_scheduled_value(name, value, first)) if callable(value) else default_float(value)
            for name, value in self.given.items()
        }

    def at(self, state: Any) -> tuple[dict[str, jax.Array], dict[str, Any]]:
        """The values to use at this step, and the entry ``hyperparams`` of the next state."""
        if not isinstance(state, self.state_class):
            raise TypeError(
                f"expected the {self.state_class.__name__} that this optimiser's init or its last update returned,"
                f" got {type(state).__name__}"
            )
        values, hyperparams = {}, {}
        for name, given in self.given.items():
            entry = state.hyperparams.get(name)
            if entry is None or isinstance(entry, Scheduled) != callable(given):
                raise TypeError(
                    f"{name} is {'driven by a schedule' if callable(given) else 'a number'} in this optimiser"
                    f" but not in this state, which another optimiser's init made"
                )
            if callable(given):
                # In the dtype of the state, whatever the schedule returns: scan needs states of constant dtype.
                entry = Scheduled(_scheduled_value(name, given, state.count).astype(entry.value.dtype))
            scheduled = isinstance(entry, Scheduled)
            values[name] = jnp.asarray(entry.value) if scheduled else or_nan(entry, self.state_class.ranges[name])
            hyperparams[name] = entry
        return values, hyperparams


def checked_number(name: str, value: Any, allowed: Range, or_else: str = "or a scalar array") -> Any:
    """The number if it is in range, before and after rounding, else raises; an array of shape () as in ``or_nan``."""
    if isinstance(value, jax.Array | np.ndarray):
        if value.ndim:
            raise ValueError(f"{name} is one number, got an array of shape {value.shape}; use jax.vmap to try several")
        if not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
            raise TypeError(f"{name} is a real number, got an array of {value.dtype}")
        return or_nan(value, allowed)
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} is a number {or_else}, got {value!r}")
    if not allowed.holds(float(value)):
        raise ValueError(allowed.refusal(name, value))
    dtype = jnp.zeros(()).dtype
    with np.errstate(over="ignore"):
        rounded = float(np.asarray(float(value)).astype(dtype))
    if not allowed.holds(rounded):
        raise ValueError(f"{name} {allowed.verb} {allowed.words}, but {value!r} rounds to {rounded} in {dtype}")
    return value


def keep_numbers(schedule: Any, **ranges: Range) -> None:
    """Checks the ranges of these fields of a schedule, in its ``__post_init__``."""
    for name, allowed in ranges.items():
        object.__setattr__(schedule, name, checked_number(name, getattr(schedule, name), allowed))


def default_float(value: Any) -> jax.Array:
    """The value in JAX's default floating dtype, and not weakly typed: a state with a weak type is traced twice."""
    return _number_as(value, jnp.zeros(()).dtype)


def _number_as(value: Any, dtype: Any) -> jax.Array:
    # Through float, because an integer past 2³¹ does not fit into an array.
    return jnp.asarray(float(value) if isinstance(value, numbers.Real) else value).astype(dtype)


def _scheduled_value(name: str, schedule: Schedule, step: jax.Array) -> jax.Array:
    value = jnp.asarray(schedule(step))
    if value.ndim:
        raise ValueError(f"the schedule of {name} returns one number, got an array of shape {value.shape}")
    return default_float(value)


def hyperparams(opt_state: Any) -> dict[str, jax.Array]:
    """The hyper-parameters in an optimiser state, at any depth, by name.

    A name that occurs more than once is given as ``"<position>/name"``, where the position is the path of the
    transformation's state: ``"0/name"`` and ``"1/name"`` in ``chain(a, b)``. A scheduled one has the value last used.

    >>> from fnn.optim import adam, chain, clip_by_global_norm
    >>> opt_state = chain(clip_by_global_norm(1.0), adam(0.5)).init({"kernel": jnp.ones(2)})
    >>> hyperparams(opt_state)["max_norm"], hyperparams(opt_state)["learning_rate"]
    (Array(1., dtype=float32), Array(0.5, dtype=float32))
    """
    return {key: jnp.asarray(_value(place.entry)) for key, place in _places(opt_state).items()}


def set_hyperparams(opt_state: Any, **values: Any) -> Any:
    """The optimiser state with new hyper-parameters, named as in ``hyperparams`` (``**{"0/name": value}``).

    Dtypes and shapes stay the same, so a compiled step is not compiled again. In a batched state a number is set for
    every run, and an array with the shape of the batch gives each run its own. Raises ``ValueError`` for a name that is
    missing or occurs more than once, for one that a schedule drives, and for a number out of range.

    >>> from fnn.optim import sgd
    >>> opt_state = sgd(0.1).init({"kernel": jnp.ones(2)})
    >>> hyperparams(set_hyperparams(opt_state, learning_rate=0.5))
    {'learning_rate': Array(0.5, dtype=float32)}
    """
    places = _places(opt_state)
    changed = {}
    for key, value in values.items():
        if key not in places:
            raise ValueError(f"no hyper-parameter {key!r} in this optimiser state; there are {list(places)}")
        changed[places[key].position, places[key].name] = _changed(key, places[key], value)

    def visit(position: str, state: Any) -> dict[str, Any]:
        return {name: changed.get((position, name), entry) for name, entry in state.hyperparams.items()}

    return _map_states(visit, opt_state)


def with_hyperparams_of(opt_state: Any, other: Any) -> Any:
    """The optimiser state with the hyper-parameters of another state of the same optimiser, but for scheduled ones."""
    taken = {(place.position, place.name): place.entry for place in _places(other).values()}

    def visit(position: str, state: Any) -> dict[str, Any]:
        return {
            name: entry if isinstance(entry, Scheduled) else taken[position, name]
            for name, entry in state.hyperparams.items()
        }

    return _map_states(visit, opt_state)


class _Place(NamedTuple):
    position: str
    name: str
    entry: Any
    state: Any


def _changed(key: str, place: _Place, value: Any) -> jax.Array:
    # optax.inject_hyperparams keeps the hyper-parameters that its schedules drive in hyperparams_states.
    if isinstance(place.entry, Scheduled) or place.name in getattr(place.state, "hyperparams_states", ()):
        raise ValueError(
            f"{key} is driven by a schedule, which would overwrite {value!r} at the next step; to set it, make the"
            f" optimiser with a number instead"
        )
    stored = jnp.asarray(place.entry)
    if not (isinstance(value, jax.Array | np.ndarray) and value.ndim and value.shape == stored.shape):
        checked_number(key, value, getattr(type(place.state), "ranges", {}).get(place.name, NUMBER))
    return jnp.broadcast_to(_number_as(value, stored.dtype), stored.shape)


def _value(entry: Any) -> Any:
    return entry.value if isinstance(entry, Scheduled) else entry


def _places(opt_state: Any) -> dict[str, _Place]:
    found: list[_Place] = []

    def visit(position: str, state: Any) -> dict[str, Any]:
        found.extend(_Place(position, name, entry, state) for name, entry in state.hyperparams.items())
        return state.hyperparams

    _map_states(visit, opt_state)
    names = [place.name for place in found]
    return {each.name if names.count(each.name) == 1 else join(each.position, each.name): each for each in found}


def _map_states(visit: Callable[[str, Any], dict[str, Any]], tree: Any, above: tuple = ()) -> Any:
    """The tree with ``visit(position, state)`` as the ``hyperparams`` of every state in it, including nested ones."""

    def replace(key_path: tuple, node: Any) -> Any:
        if not _has_hyperparams(node):
            return node
        position = (*above, *key_path)
        hyperparams = visit(path_of(position), node)
        fields = {
            name: _map_states(visit, getattr(node, name), (*position, jax.tree_util.GetAttrKey(name)))
            for name in node._fields
            if name != "hyperparams"
        }
        return node._replace(hyperparams=hyperparams, **fields)

    return jax.tree_util.tree_map_with_path(replace, tree, is_leaf=_has_hyperparams)


def _has_hyperparams(node: Any) -> bool:
    fields = getattr(node, "_fields", ()) if isinstance(node, tuple) else ()
    return "hyperparams" in fields and isinstance(getattr(node, "hyperparams", None), dict)
