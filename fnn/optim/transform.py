"""The protocol of optimisers, which is optax's: a record of two pure functions.

    opt_state          = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params=None, **extra)
    params             = apply_updates(params, updates)

``grads`` has the structure and shapes of ``params``, any pytree of floating leaves (``None`` is an empty subtree).
``updates`` is *added* to ``params``; its leaves have the dtypes of ``params``, or of ``grads`` where no ``params`` is
given. ``extra`` is what training knows besides: ``value`` (of the objective), ``weight`` (the sum of the batch's
weights), ``value_fn``. An optimiser ignores what it has no use for.

An optimiser is a chain of small transformations of the same kind, each rewriting what the one before it returns:
``adamw`` is ``chain(scale_by_adam(…), decay_weights(…), scale_by_learning_rate(…))``. One of optax's can stand in
such a chain, and one of these in optax's (whose ``chain`` hands extras only to its own: use this one for those that
need any).

Arithmetic and accumulators are at least float32: in bfloat16 a decay of 0.999 is 1, and an average would never
forget.
"""

import inspect
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import describe, is_floating
from fnn.layer import wide_dtype
from fnn.paths import named_leaves


class Optimizer(NamedTuple):
    """An optimiser, or one transformation of a chain; the protocol is at the top of this file."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


def check_optimizer(where: str, optimizer: Any) -> None:
    """Raises ``TypeError``, beginning with ``where``, for something without ``init`` and ``update``."""
    if not is_optimizer(optimizer):
        hint = "; a constructor like adam is called first: adam(1e-3)" if callable(optimizer) else ""
        raise TypeError(f"{where}: expected an optimizer, a record of init and update, got {optimizer!r}{hint}")


def is_optimizer(value: Any) -> bool:
    """Whether it is a record of ``init`` and ``update``, of fnn or of optax."""
    return callable(getattr(value, "init", None)) and callable(getattr(value, "update", None))


def chain(*transforms: Any) -> Optimizer:
    """The transformations one after another: each gets the updates of the one before, and they share params and extras.

    The state is the tuple of their states. Raises ``TypeError`` for something without ``init`` and ``update``.

    >>> from fnn.optim import clip_by_global_norm, sgd
    >>> optimizer = chain(clip_by_global_norm(1.0), sgd(0.5))
    >>> params = {"kernel": jnp.array([3.0, 4.0])}
    >>> updates, opt_state = optimizer.update({"kernel": jnp.array([30.0, 40.0])}, optimizer.init(params), params)
    >>> apply_updates(params, updates)  # the gradient is clipped to (0.6, 0.8)
    {'kernel': Array([2.7, 3.6], dtype=float32)}
    """
    for position, transform in enumerate(transforms):
        check_optimizer(f"chain, number {position}", transform)

    def init(params: Any) -> tuple:
        return tuple(transform.init(params) for transform in transforms)

    def update_chain(grads: Any, opt_state: Any, params: Any = None, **extra: Any) -> tuple[Any, tuple]:
        if not isinstance(opt_state, tuple) or len(opt_state) != len(transforms):
            raise TypeError(
                f"expected the state of a chain of {len(transforms)} that its init or last update returned,"
                f" got {type(opt_state).__name__}{f' of {len(opt_state)}' if isinstance(opt_state, tuple) else ''}"
            )
        states = []
        for transform, state in zip(transforms, opt_state, strict=True):
            grads, state = update(transform, grads, state, params, **extra)
            states.append(state)
        return grads, tuple(states)

    chained = Optimizer(init, update_chain)
    return entrywise(chained) if all(map(is_entrywise, transforms)) else chained


_ENTRYWISE: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


def entrywise(optimizer: Optimizer) -> Optimizer:
    """Notes of an optimiser that it treats every entry of every leaf alike and alone, and returns it.

    What is written by ``leafwise`` is so, and so are chains of such. A note beside the record, as the record is optax's
    and has no room for one.
    """
    _ENTRYWISE.add(optimizer.update)
    return optimizer


def is_entrywise(optimizer: Any) -> bool:
    """Whether an optimiser is known to treat every entry alike and alone, so that the shapes of leaves are nothing."""
    return getattr(optimizer, "update", None) in _ENTRYWISE


def update(optimizer: Any, grads: Any, opt_state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
    """``optimizer.update`` with those extras that it takes: a foreign transformation may take none.

    Training calls an optimiser through this function, and so does everything that wraps one.
    """
    return optimizer.update(grads, opt_state, params, **_accepted(optimizer.update, extra))


def _accepted(function: Callable[..., Any], extra: dict[str, Any]) -> dict[str, Any]:
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
