"""A function as a layer."""

import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import jax

from fnn.errors import instance_hint
from fnn.layer import Layer, OverTime, Params, State


@dataclasses.dataclass(frozen=True)
class Lambda(Layer, name="lambda"):
    """Applies a function of your own.

    Forward:   y = fn(x)
    Backward:  dx = (∂fn/∂x)ᵀ dy by ``jax.vjp``: the one layer whose rule is ``auto``, as nobody has derived it. A class
               with ``forward`` and ``backward`` has a rule by hand.

    Cache:   ``x``, and what the base class keeps beside it
    Shapes:  any array or pytree of arrays → what fn makes of it, batch first

    In a model given ``(x, lengths)``, fn gets the pair, unless ``over_time`` says what it does with the steps: with
    "each step" it gets x alone, and the lengths pass by.

    ``fn`` is pure and takes x alone. Write it at the top of a module: layers are compared by their functions, and one
    made anew (a ``lambda`` inside a function) is another function, for which everything compiles again.

    Errors: ``TypeError`` for something that cannot be called or hashed.

    >>> Lambda(jax.numpy.square).apply({}, {}, jax.numpy.array([2.0, 3.0]))[0]
    Array([4., 9.], dtype=float32)
    """

    fn: Callable[[Any], Any]
    _: dataclasses.KW_ONLY
    over_time: OverTime | None = None  # type: ignore[misc]

    def __post_init__(self) -> None:
        if not callable(self.fn) or isinstance(self.fn, type | Layer):
            hint = "; layers are composed by Serial" if isinstance(self.fn, Layer) else instance_hint(self.fn)
            raise TypeError(f"fn is a function of x, got {self.fn!r}{hint}")
        if self.over_time not in (None, *get_args(OverTime)):
            raise ValueError(f"over_time is one of {list(get_args(OverTime))} or None, got {self.over_time!r}")
        try:
            hash(self.fn)
        except TypeError:
            raise TypeError(
                f"fn is hashable, so that layers can be compared; {self.fn!r} is not: write a function at the top of a"
                f" module"
            ) from None

    def __repr__(self) -> str:
        # By name: the address in a function's own repr is another in every run.
        name = getattr(self.fn, "__qualname__", None) or repr(self.fn)
        return f"Lambda(fn={name})" if self.over_time is None else f"Lambda(fn={name}, over_time={self.over_time!r})"

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        return self.fn(x), state
