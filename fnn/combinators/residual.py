"""A layer with a skip connection."""

import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp

from fnn.backprop import Call, Combinator, Visit, add_gradients, nest
from fnn.combinators.first import first_member, with_first_member
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.errors import describe, is_floating
from fnn.layer import Cache, Layer
from fnn.sequences.over_time import leads, of_children


@dataclasses.dataclass(frozen=True)
class Residual(Combinator, name="residual"):
    """A skip connection: adds the input, or a shortcut layer of it, to the output of the inner layer.

    Forward:   y = f(x) + s(x),  s the identity or ``shortcut``
    Backward:  dx = J_fᵀ dy + J_sᵀ dy

    Params, State: those of ``inner`` unchanged; with a shortcut those of each under ``inner`` and ``shortcut``
    Cache:     ``inner`` and, with a shortcut, ``shortcut``: their caches
    Shapes:    s(x) and f(x) have one shape. For a tuple (x, …), f gets all of it and s the first member; if f returns a
               tuple, s(x) is added to its first member. For ``(x, lengths)`` the shortcut gets the lengths too. If
               they are dicts, floating entries are added, and the others are those of f

    Errors: ``ValueError`` if the shapes to be added differ.

    >>> import jax, jax.numpy as jnp
    >>> from fnn.layers import Relu
    >>> Residual(Relu()).apply({}, {}, jnp.array([[-1.0, 2.0]]))[0]
    Array([[-1.,  4.]], dtype=float32)

    Source: He et al. 2016, eq. 1.
    """

    inner: Layer
    shortcut: Layer | None = None

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        for child in self.children().values():
            check_layer_type(self, child)

    def children(self) -> dict[str, Layer]:
        return {"": self.inner} if self.shortcut is None else {"inner": self.inner, "shortcut": self.shortcut}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return type(self)(*children.values()) if "" in children else type(self)(**children)

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        x = jax.tree.map(jnp.asarray, x)
        cache, carried = {}, first_member(x)
        y, cache["inner"] = call("" if self.shortcut is None else "inner", self.inner, x)
        if self.shortcut is not None:
            given = x if leads(self.shortcut, x) else carried
            carried, cache["shortcut"] = call("shortcut", self.shortcut, given)
            carried = first_member(carried)
        if describe(carried) != describe(first_member(y)):
            raise ValueError(
                f"Residual adds the inner output {describe(first_member(y))} to {describe(carried)}, but they differ;"
                f" pass a shortcut that maps the input to the inner output's shape"
            )
        return with_first_member(y, _added(first_member(y), carried)), cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        reports, dcarried = {}, first_member(dy)
        if self.shortcut is not None:
            reports["shortcut"], dcarried = visit("shortcut", self.shortcut, cache["shortcut"], dcarried)
            dcarried = first_member(dcarried)
        name = "" if self.shortcut is None else "inner"
        reports[name], dx = visit(name, self.inner, cache["inner"], dy)
        return nest(reports), with_first_member(dx, add_gradients(first_member(dx), dcarried))


def _added(y: Any, carried: Any) -> Any:
    if not isinstance(y, dict):
        return y + carried
    return jax.tree.map(lambda one, other: one + other if is_floating(one) else one, y, carried)
