"""The protocol of optimisers, which is optax's: two pure functions in a value.

    opt_state          = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params=None, **extra)
    params             = apply_updates(params, updates)

``grads`` has the structure and shapes of ``params``, any pytree of floating leaves (``None`` is an empty subtree).
``updates`` is *added* to ``params``; its leaves have the dtypes of ``params``, or of ``grads`` where no ``params`` is
given. ``extra`` is what training knows besides: ``value`` (of the objective), ``grad``, ``value_fn``, ``weight`` (the
sum of the batch's weights) and, at the end of a run, ``last``. An optimiser ignores what it has no use for.

A leaf in ``fnn.Stacked``, as the parameters of ``Repeat`` are, stands for several layers: what looks at norms, matrices
or sizes treats each of them as it would alone (``fnn.stacked.map_layers``). To one of optax's it is a leaf like others.

An optimiser is a chain of small transformations of the same kind, each rewriting what the one before it returns:
``adamw`` is ``chain(scale_by_adam(…), decay_weights(…), scale_by_learning_rate(…))``. One of optax's can stand in
such a chain, and one of these in optax's (whose ``chain`` hands extras only to its own: use this one for those that
need any).

Optimisers are values, as layers are: ``adam(1e-3)`` is a frozen dataclass of its arguments that prints as this call,
compares and hashes, and unpacks into ``(init, update)``. What it computes is written as a function that returns
``Optimizer(init, update)``; ``@constructor`` makes the class of it.

Arithmetic and accumulators are at least float32: in bfloat16 a decay of 0.999 is 1, and an average would never
forget.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ParamSpec

import jax
import jax.numpy as jnp

from fnn.errors import describe, is_floating
from fnn.layer import wide_dtype
from fnn.optim.waiting import as_one_batch, or_wait, stepped
from fnn.paths import map_named, named_leaves
from fnn.values import MANY, Value

P = ParamSpec("P")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Optimizer(Value):
    """An optimiser, or one transformation of a chain; the protocol is at the top of this file.

    ``entrywise`` says that it treats every entry of every leaf alike and alone, so that the shapes of leaves are
    nothing to it. What is written by ``leafwise`` is so, and so are chains of such.

    Made of two functions, it is equal to one of the same two functions; a call such as ``adam(1e-3)``, to one with
    equal arguments.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]
    entrywise: bool = dataclasses.field(default=False, kw_only=True)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return iter((self.init, self.update))


def constructor(make: Callable[P, Optimizer]) -> Callable[P, Optimizer]:
    """The class of the optimisers that ``make`` returns: its arguments are the fields, ``make`` says what they do.

    A list is held as a tuple, so is what can be gone through but once, a mapping as the tuple of its items.
    """
    signature = inspect.signature(make)

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            call = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{make.__name__}: {error}") from None
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
    made.__module__ = make.__module__  # since Python 3.12 it is that of the caller, whatever the namespace says
    return made


_COMPUTED = ("init", "update", "entrywise")


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
    """The items of a mapping, which print as the mapping."""

    def __repr__(self) -> str:
        return repr(dict(self))


def expect_optimizer(where: str, optimizer: Any) -> None:
    """Raises ``TypeError``, beginning with ``where``, for something without ``init`` and ``update``."""
    if not is_optimizer(optimizer):
        hint = "; a constructor like adam is called first: adam(1e-3)" if callable(optimizer) else ""
        raise TypeError(f"{where}: expected an optimizer, with init and update, got {optimizer!r}{hint}")


def refuse_unread(why: str, **given: tuple[Any, Any]) -> None:
    """Raises for arguments that nothing will read: the pairs of a value and its default that differ."""
    for name, (value, default) in given.items():
        if type(value) is not type(default) or value != default:
            raise ValueError(f"{name}={value!r} would have no effect: {why}")


def is_optimizer(value: Any) -> bool:
    """Whether it has ``init`` and ``update``, as those of fnn and of optax have."""
    return callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


@constructor
def chain(*transforms: Any) -> Optimizer:
    """The transformations one after another: each gets the updates of the one before, and they share params and extras.

    The state is the tuple of their states. Behind an ``accumulate`` the others make a step when it does, for the
    batches as one, and wait in between: no state moves, no schedule. So they do behind a ``skip_nonfinite`` that leaves
    a step out. Raises ``TypeError`` for something without ``init`` and ``update``.

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

    return Optimizer(init, update_chain, entrywise=all(map(is_entrywise, transforms)))


def is_entrywise(optimizer: Any) -> bool:
    """Whether an optimiser is known to treat every entry alike and alone; one of optax's is not."""
    return getattr(optimizer, "entrywise", False) is True


def update(optimizer: Any, grads: Any, opt_state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
    """``optimizer.update`` with those extras that it takes: a foreign transformation may take none.

    Training calls an optimiser through this function, and so does everything that wraps one.
    """
    return optimizer.update(grads, opt_state, params, **_accepted(optimizer.update, extra))


OWN = ("weight", "last")
"""Extras that optax does not know: where its line searches find any, they hand it to ``value_fn``."""


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
    """Those leaves of ``params`` that ``tree`` has, ``None`` in the places of the others: a group's part, say."""
    own = named_leaves(tree)
    return map_named(lambda path, leaf: leaf if path in own else None, params)


def apply_updates(params: Any, updates: Any) -> Any:
    """``params + updates``, leaf by leaf, in the dtypes of ``params`` (the sum is rounded once).

    Raises ``TypeError`` where the structures differ, ``ValueError`` where shapes do.

    >>> apply_updates({"bias": jnp.ones(2)}, {"bias": jnp.array([0.5, -1.0])})
    {'bias': Array([1.5, 0. ], dtype=float32)}
    """
    check_like("updates", updates, "params", params)

    def add(param: Any, change: Any) -> jax.Array:
        param, change = jnp.asarray(param), jnp.asarray(change)
        dtype = max(param.dtype, change.dtype, key=lambda dtype: dtype.itemsize)
        return (param.astype(dtype) + change.astype(dtype)).astype(param.dtype)

    return jax.tree.map(add, params, updates)


def check_gradients(grads: Any, params: Any = None, accumulator: Any = None) -> tuple[Any, Any]:
    """The gradients as arrays, and the tree whose dtypes the updates take: params if given, else the gradients.

    Raises ``TypeError`` where the structure differs from that of params or of an accumulator in the state, or a leaf
    is not floating; ``ValueError`` where a shape differs.
    """
    if params is not None:
        check_like("gradients", grads, "params", params)
    if accumulator is not None:
        check_like("gradients", grads, "optimiser state", accumulator)
    for name, tree in (("gradient", grads), ("parameter", params)):
        if not all(is_floating(leaf) for leaf in jax.tree.leaves(tree)):
            path, leaf = next((path, leaf) for path, leaf in named_leaves(tree).items() if not is_floating(leaf))
            raise TypeError(f"the {name} at {path!r} is {describe(leaf)}; an optimiser takes floating leaves only")
    grads = jax.tree.map(jnp.asarray, grads)
    return grads, grads if params is None else jax.tree.map(jnp.asarray, params)


def check_like(name: str, tree: Any, like_name: str, like: Any) -> None:
    """Raises unless the tree has the structure (``TypeError``) and the shapes (``ValueError``) of another."""
    same_structure = jax.tree.structure(tree) == jax.tree.structure(like)
    if same_structure and _shapes(tree) == _shapes(like):
        return  # before any path is written out
    ours, theirs = named_leaves(tree), named_leaves(like)
    if not same_structure:
        for path in theirs:
            if path not in ours:
                raise TypeError(
                    f"the {name} have another structure than the {like_name}: they have no leaf at {path!r}"
                )
        for path in ours:
            if path not in theirs:
                raise TypeError(f"the {name} have another structure than the {like_name}: an extra leaf at {path!r}")
        raise TypeError(
            f"the {name} have another structure than the {like_name}, in the types of their containers:"
            f" {jax.tree.structure(tree)} is not {jax.tree.structure(like)}"
        )
    for path, leaf in ours.items():
        if jnp.shape(leaf) != jnp.shape(theirs[path]):
            raise ValueError(
                f"the {name} at {path!r} have shape {jnp.shape(leaf)}, the {like_name} {jnp.shape(theirs[path])}"
            )


def _shapes(tree: Any) -> list[tuple[int, ...]]:
    return [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]


def accumulator_dtype(leaf: Any) -> Any:
    """The dtype to compute and accumulate in for a leaf: its own, at least float32."""
    return jnp.dtype(wide_dtype(leaf.dtype))


def full_like(params: Any, value: Any) -> Any:
    """An accumulator for params, at a value: arrays of their shapes, at least float32."""

    def full(param: Any) -> jax.Array:
        param = jnp.asarray(param)
        return jnp.full_like(param, value, dtype=accumulator_dtype(param))

    return jax.tree.map(full, params)


def zeros_like(params: Any) -> Any:
    """An accumulator for params, at zero."""
    return full_like(params, 0)


def zero_count() -> jax.Array:
    """The ``count`` of a new state."""
    return jnp.zeros((), jnp.int32)


def increment(count: jax.Array) -> jax.Array:
    """One more update; it stays at the largest integer instead of wrapping to the smallest."""
    count = jnp.asarray(count)
    return count + (count < jnp.iinfo(count.dtype).max).astype(count.dtype)
