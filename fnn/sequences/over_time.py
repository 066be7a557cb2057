"""How lengths travel through a model: ``(x, lengths)`` goes from layer to layer until one removes the time axis.

x is (N, T, D), or indices (N, T), and ``lengths`` (N,) integers. Steps past a length are padding (lengths.py). A layer
declares in ``over_time`` how it treats the time steps:

    "each step"   y_t depends only on x_t (and t): it gets x with padding set to 0, and the lengths bypass it
                  (if it depends on t, the layer has a ``step`` of its own: stepwise.py)
    "zeros"       padding counts as zeros around a sequence: it gets the same
    "lengths"     it gets (x, lengths) and masks padding itself
    "mixed"       it mixes steps and cannot use lengths: an error that names the layer
    None          not declared: it gets the pair like any other input and is responsible for its output

and in ``lengths_after`` the lengths of its output: None if that has no time axis. A layer called directly behaves as
always; the combinators and the ``Objective`` carry lengths past it (fnn/calls.py). A combinator that only passes x to
its children and combines their outputs sets ``over_time = property(of_children)``.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import describe
from fnn.layer import Cache, Layer, OverTime, Static
from fnn.sequences.lengths import checked_lengths, joined_again, lengths_of, widened, without_padding
from fnn.walk import walk


@dataclasses.dataclass(frozen=True)
class Passing:
    """Records that this layer's input came with lengths, and whether they were ``put`` back with its output."""

    layer: Layer
    put: bool = False


class Way(NamedTuple):
    """What a layer gets of an input, and how to complete its output and its cache."""

    x: Any
    after: Any = None
    passing: Passing | None = None
    zeroed: Any = None

    def output(self, y: Any) -> Any:
        """y, or (y, lengths) if there are lengths left."""
        return y if self.after is None else (y, self.after)

    def kept(self, cache: Cache) -> Cache:
        """The cache. With lengths it becomes ``inner``, next to ``over_time``, a Static ``Passing``, and ``zeroed``,
        the lengths if they were removed from the input and x was set to 0 past them."""
        if self.passing is None:
            return cache
        return {"inner": cache, "over_time": Static(self.passing), "zeroed": self.zeroed}


def of_children(layer: Layer) -> OverTime | None:
    """``over_time`` of a combinator: "each step" if all its children are, else None and its children get lengths."""
    return "each step" if all(child.over_time == "each step" for child in layer.children().values()) else None


def leads(layer: Layer, x: Any) -> bool:
    """Whether x is ``(x, lengths)`` and the layer declares ``over_time``."""
    return type(x) is tuple and len(x) == 2 and lengths_of(x) is not None and is_declared(layer)


def is_declared(layer: Layer) -> bool:
    """Whether a layer, or every layer inside it, declares ``over_time``."""
    return all(each.over_time is not None for _, each in walk(layer) if not each.children())


def way_through(layer: Layer, x: Any) -> Way:
    """How an input passes through a layer; raises if the layer would mix padding in."""
    lengths = lengths_of(x)
    if lengths is None:
        return Way(x)
    x, kind = (x[0], widened(lengths), *x[2:]), layer.over_time
    if kind == "lengths":
        after = _after(layer, x)
        return Way(x, after, Passing(layer, put=after is not None))
    if kind is None or len(x) == 3:
        return Way(x, passing=Passing(layer) if layer.children() else None)
    if kind == "mixed":
        windows = getattr(layer, "padding", None) == "SAME"
        instead = "use padding='VALID'" if windows else "reduce the steps first (return_sequences=False, GlobalAvgPool)"
        raise ValueError(
            f"{layer!r} mixes the steps of sequences and would mix padding in, got {describe(x)}; {instead}, pass x"
            f" alone if it has no padding, or give integers that are not lengths a second axis (N, 1)"
        )
    if isinstance(x[0], jax.ShapeDtypeStruct):
        return Way(x[0], _after(layer, x))
    lengths = checked_lengths(lengths, *x[0].shape[:2])
    zeroed = without_padding(jnp.asarray(x[0]), lengths)
    return Way(zeroed, _after(layer, x), Passing(layer, put=True), lengths)


def _after(layer: Layer, x: Any) -> Any:
    lengths, steps = x[1], x[0].shape[1]
    if isinstance(lengths, jax.ShapeDtypeStruct):
        return jax.eval_shape(lambda lengths: layer.lengths_after(lengths, steps), lengths)
    return layer.lengths_after(lengths, steps)


@contextmanager
def explained(layer: Layer, x: Any) -> Iterator[None]:
    """Explains to the author of a layer without ``over_time`` why its input is a pair and not an array."""
    try:
        yield
    except Exception as error:
        if layer.over_time is None and not layer.children() and lengths_of(x) is not None:
            where = "as an option" if "over_time" in vars(layer) else "in its class"
            error.add_note(
                f"{type(layer).__name__} was given (x, lengths): if it treats each step separately, write"
                f' over_time = "each step" {where}, and it gets x alone; see fnn/sequences/over_time.py for the other'
                " values"
            )
        raise


def passed_lengths(layer: Layer, cache: Any) -> bool:
    """Whether this is the cache of this layer (not of a layer inside it) from a run on ``(x, lengths)``."""
    passing = cache.get("over_time") if isinstance(cache, dict) else None
    return isinstance(passing, Static) and isinstance(passing.value, Passing) and passing.value.layer == layer


def backward_over_time(cache: Cache, dy: Any, backward: Callable[[Cache, Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    """``backward(cache, dy)`` of a layer that lengths bypassed: neither they nor the padding have a gradient."""
    # dy may also be the gradient of y alone: a layer outside may have dropped the lengths.
    passing = cache["over_time"].value
    report, dx = backward(cache["inner"], dy[0] if passing.put and isinstance(dy, tuple) else dy)
    return report, joined_again(dx, cache["zeroed"])
