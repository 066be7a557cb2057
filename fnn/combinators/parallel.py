"""Branches: layers side by side on one input."""

import dataclasses
from collections.abc import Iterable
from functools import reduce
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import Call, Visit, add_gradients, nest
from fnn.combinators.first import first_member
from fnn.combinators.named import NamedChildren
from fnn.errors import describe
from fnn.layer import Cache, Layer, Static
from fnn.layers.joining import concatenation_gradients, product_gradients
from fnn.sequences.lengths import lengths_of
from fnn.sequences.over_time import of_children

Merge = Literal["sum", "concatenate", "multiply"]


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Parallel(NamedChildren, name="parallel"):
    """Applies every branch to the input and merges their outputs.

    Forward:   y = Σᵢ fᵢ(x),  or the fᵢ(x) concatenated along the last axis,  or Πᵢ fᵢ(x)
    Backward:  dx = Σᵢ Jᵢᵀ dyᵢ  with  dyᵢ = dy,  or its slice,  or dy ⊙ Π_(j≠i) yⱼ  (from running products left and
               right of i, so that a zero in one branch causes no division by zero)

    Params, State: those of each branch under its name
    Cache:     those of each branch under its name in ``branches``; ``shapes`` Static, of the outputs, if concatenated;
               ``outputs``, if multiplied
    Shapes:    the branches' outputs are arrays of one shape; to concatenate, their last axes may differ. If the input
               is (x, lengths) and the branches return lengths, the output is (y, the shortest for each sequence)

    Errors: ``ValueError`` for outputs that do not fit together, an unknown merge, no branches.

    >>> import jax.numpy as jnp
    >>> from fnn.layers import Relu, Tanh
    >>> Parallel(Relu(), Tanh(), merge="concatenate").apply({}, {}, jnp.zeros((2, 3)))[0].shape
    (2, 6)
    """

    merge: Merge

    over_time: ClassVar[Any] = property(of_children)

    def __init__(self, /, *branches: Layer, merge: Merge = "sum", **named: Layer) -> None:
        super().__init__(*branches, **named)
        if merge not in ("sum", "concatenate", "multiply"):
            raise ValueError(f"merge is 'sum', 'concatenate' or 'multiply', got {merge!r}")
        if not self.layers:
            raise ValueError("Parallel needs at least one branch")
        object.__setattr__(self, "merge", merge)

    def _options(self) -> dict[str, Any]:
        return {} if self.merge == "sum" else {"merge": self.merge}

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        x = jax.tree.map(jnp.asarray, x)
        outputs, caches = [], {}
        for name, child in self.children().items():
            y, caches[name] = call(name, child, x)
            outputs.append(y)
        if lengths_of(x) is not None and all(isinstance(y, tuple) for y in outputs):
            y, cache = self._merged([first_member(y) for y in outputs])
            return (y, reduce(jnp.minimum, [y[1] for y in outputs])), {"branches": caches, **cache}
        y, cache = self._merged(outputs)
        return y, {"branches": caches, **cache}

    def _merged(self, outputs: list[Any]) -> tuple[Any, Cache]:
        self._check(outputs)
        if self.merge == "concatenate":
            shapes = Static(tuple(y.shape for y in outputs))
            return lax.concatenate(outputs, outputs[0].ndim - 1), {"shapes": shapes}
        if self.merge == "multiply":
            return reduce(jnp.multiply, outputs), {"outputs": dict(zip(self.names, outputs, strict=True))}
        return reduce(jnp.add, outputs), {}

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        reports, dx = {}, None
        for (name, child), dbranch in zip(self.children().items(), self._split(cache, first_member(dy)), strict=True):
            reports[name], dinput = visit(name, child, cache["branches"][name], dbranch)
            dx = add_gradients(dx, dinput)
        return nest(reports), dx

    def _split(self, cache: Cache, dy: Any) -> Iterable[Any]:
        if dy is None:  # the outputs are not floating
            return [None] * len(self.layers)
        if self.merge == "concatenate":
            return concatenation_gradients(cache["shapes"].value, -1, dy)
        if self.merge == "multiply":
            return product_gradients([cache["outputs"][name] for name in self.names], dy)
        return [dy] * len(self.layers)

    def _check(self, outputs: list[Any]) -> None:
        joined = self.merge == "concatenate"
        shapes = {(y.shape[:-1] if joined else y.shape, y.dtype) if hasattr(y, "shape") else None for y in outputs}
        if None in shapes or len(shapes) > 1 or (joined and outputs[0].ndim == 0):
            found = ", ".join(f"{name}: {describe(y)}" for name, y in zip(self.names, outputs, strict=True))
            raise ValueError(f"cannot {self.merge} branch outputs of these shapes and dtypes: {found}")
