"""How lengths go through a model: ``(x, lengths)``, beside x from layer to layer until one consumes the steps.

x is (N, T, D), or indices (N, T), and ``lengths`` (N,) integers. What stands past a length is padding (lengths.py).
A layer says by ``over_time`` what it does with the steps:

    "each step"   y_t depends on x_t alone (and on t): it is given x with its padding at 0, and the lengths pass by
    "zeros"       what stands around a sequence counts as zeros: it is given the same
    "lengths"     it is given (x, lengths) and keeps padding out by itself
    "mixed"       it mixes steps and knows no lengths: an error that names it
    None          it does not say: it is given the pair, as any other input, and answers for what it returns

and by ``lengths_after`` what is left of them: None where its output has no steps any more. A layer called directly
returns what it always does; it is the combinators and the ``Objective`` that lead lengths past it (fnn/calls.py).
A combinator that only hands x to its children and adds up what they return takes ``property(of_children)``.
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
    """That lengths stood beside the input of this layer, and whether they were ``put`` beside its output."""

    layer: Layer
    put: bool = False


class Way(NamedTuple):
    """What a layer is given of an input, and what becomes of its output and its cache."""

    x: Any
    after: Any = None
    passing: Passing | None = None
    zeroed: Any = None

    def output(self, y: Any) -> Any:
        """y, with the lengths beside it if any are left."""
        return y if self.after is None else (y, self.after)

    def kept(self, cache: Cache) -> Cache:
        """The cache; if lengths were there it is ``inner``, beside ``over_time``, a Static ``Passing``, and ``zeroed``,
        the lengths if they were taken off the input, and x was set to 0 past them."""
        if self.passing is None:
            return cache
        return {"inner": cache, "over_time": Static(self.passing), "zeroed": self.zeroed}


def of_children(layer: Layer) -> OverTime | None:
    """``over_time`` of a layer made of layers that do what it says: "each step" if all of them do, else None, and the
    lengths go on inside."""
    return "each step" if all(child.over_time == "each step" for child in layer.children().values()) else None


def leads(layer: Layer, x: Any) -> bool:
    """Whether x is ``(x, lengths)``, and the layer says what it does with that."""
    return type(x) is tuple and len(x) == 2 and lengths_of(x) is not None and is_declared(layer)


def is_declared(layer: Layer) -> bool:
    """Whether a layer, and every one inside it, says what it does over time."""
    return all(each.over_time is not None for _, each in walk(layer) if not each.children())


def way_through(layer: Layer, x: Any) -> Way:
    """How an input goes through a layer; raises for one that would mix padding in."""
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
            f"{layer!r} mixes the steps of sequences and would mix their padding in, got {describe(x)}; {instead},"
            f" give x alone if nothing in it is padding, or give integers that are no lengths a second axis (N, 1)"
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
    """Tells the author of a layer that says nothing of time why a pair came where an array may have been expected."""
    try:
        yield
    except Exception as error:
        if layer.over_time is None and not layer.children() and lengths_of(x) is not None:
            where = "as an option" if "over_time" in vars(layer) else "in its class"
            error.add_note(
                f"{type(layer).__name__} was given (x, lengths): if it looks at each step alone, write"
                f' over_time = "each step" {where}, and it is given x; see fnn/sequences/over_time.py for what else to'
                " say"
            )
        raise


def passed_lengths(layer: Layer, cache: Any) -> bool:
    """Whether this is the cache of this layer (and not of one inside it) from a run on ``(x, lengths)``."""
    passing = cache.get("over_time") if isinstance(cache, dict) else None
    return isinstance(passing, Static) and isinstance(passing.value, Passing) and passing.value.layer == layer


def backward_over_time(cache: Cache, dy: Any, backward: Callable[[Cache, Any], tuple[Any, Any]]) -> tuple[Any, Any]:
    """``backward(cache, dy)`` of a layer with its lengths led past it: they have no gradient, nor has padding."""
    # A gradient of y alone is taken too: a layer outside may have left the lengths behind.
    passing = cache["over_time"].value
    report, dx = backward(cache["inner"], dy[0] if passing.put and isinstance(dy, tuple) else dy)
    return report, joined_again(dx, cache["zeroed"])
