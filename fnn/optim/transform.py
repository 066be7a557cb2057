"""The protocol of optimisers, which is optax's: two pure functions in a value.

    opt_state          = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params=None, **extra)
    params             = apply_updates(params, updates)

``grads`` has the structure and shapes of ``params``, any pytree of floating leaves (``None`` is an empty subtree).
``updates`` is *added* to ``params``; its leaves have the dtypes of ``params``, or of ``grads`` if ``params`` is not
given. ``extra`` holds what else training knows: ``value`` (of the objective), ``grad``, ``value_fn``, ``weight`` (the
sum of the batch's weights) and, at the end of a run, ``last``. An optimiser ignores the extras that it does not need.

An optimiser that reads more of the backward pass than gradients declares a ``rule(backward) -> report``: see
``declared.py``.

A leaf in ``fnn.Stacked``, such as the parameters of ``Repeat``, holds several layers: a transformation that looks at
norms, matrices or sizes treats each layer by itself (``fnn.stacked.map_layers``). To optax it is a leaf like any other.

An optimiser is a chain of small transformations of the same kind, each of which rewrites what the one before it
returns: ``adamw`` is ``chain(scale_by_adam(…), decay_weights(…), scale_by_learning_rate(…))``. An optax transformation
can be part of such a chain, and these can be part of optax's (whose ``chain`` passes extras only to its own
transformations: use this one for those that need extras).

Optimisers are values, like layers: ``adam(1e-3)`` is a frozen dataclass of its arguments that prints as this call,
compares and hashes, and unpacks into ``(init, update)``. Its computation is written as a function that returns
``Optimizer(init, update)``; ``@constructor`` turns that function into the class.

Arithmetic and accumulators are at least float32: in bfloat16 a decay of 0.999 rounds to 1, and an average would never
forget.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from fnn.guards.elsewhere import keyword_hint
from fnn.optim.accumulators import check_like
from fnn.optim.waiting import as_one_batch, or_wait, stepped
from fnn.paths import map_named, named_leaves
from fnn.values import MANY, Value

P = ParamSpec("P")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Optimizer(Value):
    """An optimiser, or one transformation of a chain; the protocol is at the top of this file.

    One made from two functions equals one made from the same two functions; a call such as ``adam(1e-3)`` equals a call
    with equal arguments.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    rule: Callable[[Any], Any] | None = None
    elementwise: bool = dataclasses.field(default=False, repr=False, compare=False, kw_only=True)
    """Whether the update of an entry depends, beside the hyper-parameters and the value, on the gradient, the parameter
    and the accumulators of that entry alone; so that one leaf, or one layer of several stacked in it, can be updated
    before the gradients of the others are known (fnn/optim/by_leaf.py)."""

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter((self.init, self.update))


def constructor(make: Callable[P, Optimizer]) -> Callable[P, Optimizer]:
    """The class of the optimisers that ``make`` returns: its fields are the arguments of ``make``.

    Lists and iterators are stored as tuples, and mappings as tuples of their items.
    """
    signature = inspect.signature(make)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            call = signature.bind(*args, **kwargs)
        except TypeError as error:
            unknown = [name for name in kwargs if name not in signature.parameters]
            hint = keyword_hint(unknown[0], signature.parameters) if unknown else ""
            raise TypeError(f"{make.__name__}: {error}{f'; {hint}' if hint else ''}") from None
        call.apply_defaults()
        for name, value in call.arguments.items():
            call.arguments[name] = _settled(value)
        made = make(*call.args, **call.kwargs)
        computed = {part: getattr(made, part) for part in _COMPUTED}
        for name, value in (call.arguments | computed).items():
            object.__setattr__(self, name, value)

    def __reduce__(self: Any) -> tuple:
        # The functions inside cannot be pickled; the call that makes them can.
        many = [name for name, each in signature.parameters.items() if each.kind is each.VAR_POSITIONAL]
        given = {name: getattr(self, name) for name in signature.parameters if name not in many}
        return functools.partial(type(self), *(each for name in many for each in getattr(self, name)), **given), ()

    fields = [(name, Any, dataclasses.field(init=False, repr=False, compare=False)) for name in _COMPUTED]
    fields += [(parameter.name, Any, _field(parameter)) for parameter in signature.parameters.values()]
    own = {"__init__": __init__, "__reduce__": __reduce__, "__signature__": signature, "__doc__": make.__doc__}
    options: Any = {"frozen": True, "eq": False, "repr": False, "init": False}
    made = dataclasses.make_dataclass(make.__name__, fields, bases=(Optimizer,), namespace=own, **options)
    made.__module__ = make.__module__  # from Python 3.12 on it would be that of the caller, whatever the namespace says
    return made


_COMPUTED = ("init", "update", "rule", "elementwise")


def _field(parameter: inspect.Parameter) -> Any:
    options: dict[str, Any] = {"kw_only": parameter.kind is parameter.KEYWORD_ONLY}
    if parameter.kind is parameter.VAR_POSITIONAL:
        options["metadata"] = MANY
    elif parameter.default is not parameter.empty:
        options["default"] = parameter.default
    return dataclasses.field(**options)


def _settled(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Items(value.items())
    return tuple(value) if isinstance(value, list | Iterator) else value


class Items(tuple):
    """The items of a mapping, printed as the mapping."""

    def __repr__(self) -> str:
        return repr(dict(self))


def expect_optimizer(where: str, optimizer: Any) -> None:
    """Raises ``TypeError``, with a message that begins with ``where``, unless it has ``init`` and ``update``."""
    if not is_optimizer(optimizer):
        hint = "; call a constructor such as adam first: adam(1e-3)" if callable(optimizer) else ""
        raise TypeError(f"{where}: expected an optimizer, with init and update, got {optimizer!r}{hint}")


def refuse_unread(why: str, **given: tuple[Any, Any]) -> None:
    """Raises for arguments that would not be used: those given as ``(value, default)`` that differ."""
    for name, (value, default) in given.items():
        if type(value) is not type(default) or value != default:
            raise ValueError(f"{name}={value!r} would have no effect: {why}")


def is_optimizer(value: Any) -> bool:
    """Whether it has ``init`` and ``update``, as the optimisers of fnn and optax do."""
    return callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


def is_elementwise(optimizer: Any) -> bool:
    """Whether an optimiser declares that it is ``elementwise``; one from outside fnn does not."""
    return isinstance(optimizer, Optimizer) and optimizer.elementwise


@constructor
def chain(*transforms: Any) -> Optimizer:
    """Applies transformations one after another: each gets the updates of the one before; all get params and extras.

    The state is the tuple of their states. After an ``accumulate``, the others make a step only when it does, for the
    accumulated batches as one; in between they wait, and no state or schedule moves. They also wait after a
    ``skip_nonfinite`` that skips a step. Raises ``TypeError`` for something without ``init`` and ``update``.

    >>> from fnn.optim import clip_by_global_norm, sgd
    >>> optimizer = chain(clip_by_global_norm(1.0), sgd(0.5))
    >>> params = {"kernel": jnp.array([3.0, 4.0])}
    >>> updates, opt_state = optimizer.update({"kernel": jnp.array([30.0, 40.0])}, optimizer.init(params), params)
    >>> apply_updates(params, updates)  # the gradient is clipped to (0.6, 0.8)
    {'kernel': Array([2.7, 3.6], dtype=float32)}
    """
    for position, transform in enumerate(transforms):
        expect_optimizer(f"chain, number {position}", transform)

    def init(params: Any) -> tuple:
        return tuple(transform.init(params) for transform in transforms)

    def update_chain(grads: Any, opt_state: Any, params: Any = None, **extra: Any) -> tuple[Any, tuple]:
        if not isinstance(opt_state, tuple) or len(opt_state) != len(transforms):
            raise TypeError(
                f"expected the state of a chain of {len(transforms)} that its init or last update returned,"
                f" got {type(opt_state).__name__}{f' of {len(opt_state)}' if isinstance(opt_state, tuple) else ''}"
            )
        return run(transforms, opt_state, grads, params, extra)

    def run(transforms: tuple, states: tuple, grads: Any, params: Any, extra: dict[str, Any]) -> tuple[Any, tuple]:
        moved = []
        for place, (transform, state) in enumerate(zip(transforms, states, strict=True), 1):
            updates, new = update(transform, grads, state, params, **extra)
            moved.append(new)
            real = stepped(new)
            if real is not None and place < len(transforms):
                whole = as_one_batch(state, grads, extra)
                rest = functools.partial(run, transforms[place:], states[place:], updates, params, whole)
                updates, behind = or_wait(real, rest, states[place:])
                return updates, (*moved, *behind)
            grads = updates
        return grads, tuple(moved)

    return Optimizer(init, update_chain, elementwise=all(map(is_elementwise, transforms)))


def update(optimizer: Any, grads: Any, opt_state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
    """``optimizer.update`` with the extras that it accepts: a foreign transformation may accept none.

    Training calls an optimiser through this function, and so does everything that wraps one.
    """
    return optimizer.update(grads, opt_state, params, **_accepted(optimizer.update, extra))


OWN = ("weight", "last", "reports")
"""Extras that optax does not know: its line searches would pass them on to ``value_fn``."""


def _accepted(function: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
    if (getattr(function, "__module__", None) or "").startswith("optax"):
        extra = {name: value for name, value in extra.items() if name not in OWN}
    try:
        parameters = inspect.signature(function).parameters
    except (
        TypeError,
        ValueError,
    ):  # a callable without a signature: the three arguments of the protocol are all we know
        return {}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return extra
    beyond = list(parameters.values())[3:]
    named = {parameter.name for parameter in beyond if parameter.kind is not parameter.POSITIONAL_ONLY}
    return {name: value for name, value in extra.items() if name in named}


def part_of(params: Any, tree: Any) -> Any:
    """The leaves of ``params`` that ``tree`` has, with ``None`` for the others: the part of a group, say."""
    own = named_leaves(tree)
    return map_named(lambda path, leaf: leaf if path in own else None, params)


def apply_updates(params: Any, updates: Any) -> Any:
    """``params + updates``, leaf by leaf, in the dtypes of ``params`` (the sum is rounded once).

    Raises ``TypeError`` if the structures differ, ``ValueError`` if shapes do.

    >>> apply_updates({"bias": jnp.ones(2)}, {"bias": jnp.array([0.5, -1.0])})
    {'bias': Array([1.5, 0. ], dtype=float32)}
    """
    check_like("updates", updates, "params", params)

    def add(param: Any, change: Any) -> jax.Array:
        param, change = jnp.asarray(param), jnp.asarray(change)
        dtype = max(param.dtype, change.dtype, key=lambda dtype: dtype.itemsize)
        return (param.astype(dtype) + change.astype(dtype)).astype(param.dtype)

    return jax.tree.map(add, params, updates)
