"""A layer applied to every step of sequences."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import Call, Visit
from fnn.calls import apply_of
from fnn.combinators.first import first_member
from fnn.combinators.wrapper import Wrapper
from fnn.errors import describe, located
from fnn.layer import Cache, Params, State, Static
from fnn.layers.norm.batch_norm import BatchNorm
from fnn.sequences.lengths import checked_lengths, is_lengths, joined_again, without_padding
from fnn.walk import walk


@dataclasses.dataclass(frozen=True)
class TimeDistributed(Wrapper, name="time_distributed"):
    """Applies the inner layer to every step: the axes N and T are merged into its batch axis.

    Forward:   y[n, t] = f(x)[n·T + t],  x (N·T, …) the input with its first two axes merged
    Backward:  the inner backward at dy with its first two axes merged; those of dx are split again

    Params, State: the inner ones unchanged; the layer adds no segment to a path
    Cache:     ``inner``: the inner cache; ``steps`` Static: (N, T); ``lengths`` if given
    Shapes:    every leaf of input and output is (N, T, …); for ``(x, lengths)`` the inner layer gets the steps of x,
               and the output is (y, lengths)

    The inner layer treats steps as samples: batch norm sees N · T samples, dropout draws a mask for each step.

    Errors: ``ValueError`` for leaves without a common N and T, for an inner output that does not keep the N · T
    samples, and for lengths with a batch norm inside, which would take padding for samples.

    >>> from fnn.layers import Conv
    >>> layer = TimeDistributed(Conv(4, 3))
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((2, 5, 8, 8, 1), "float32"))
    >>> layer.apply(params, state, jnp.ones((2, 5, 8, 8, 1)))[0].shape
    (2, 5, 8, 8, 4)
    """

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        x = jax.tree.map(jnp.asarray, x)
        lengths = x[1] if type(x) is tuple and len(x) == 2 and is_lengths(x[1]) else None
        if lengths is not None:
            self._check_alone()
            lengths = checked_lengths(x[1], *x[0].shape[:2])
            x = without_padding(x[0], lengths)
        axes = {leaf.shape[:2] for leaf in jax.tree.leaves(x)}
        if len(axes) != 1 or len(steps := axes.pop()) != 2:
            raise ValueError(f"expected every array of the input (N, T, …), with one N and one T, got {describe(x)}")
        y, cache = call("", self.inner, jax.tree.map(_joined, x))
        samples = steps[0] * steps[1]
        if any(leaf.shape[:1] != (samples,) for leaf in jax.tree.leaves(y)):
            raise ValueError(f"expected {samples} samples, one a step, from the inner layer, got {describe(y)}")
        y = _parted(y, steps)
        cache = {"inner": cache, "steps": Static(steps)}
        return (y, cache) if lengths is None else ((y, lengths), {**cache, "lengths": lengths})

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        lengths = cache.get("lengths")
        dy = dy if lengths is None else first_member(dy)
        report, dx = visit("", self.inner, cache["inner"], jax.tree.map(_joined, dy))
        return report, joined_again(_parted(dx, cache["steps"].value), lengths)

    def start(self, batch_size: int, *, length: int, params: Params, state: State | None = None) -> Any:
        return {}

    def step(self, params: Params, carry: Any, x: Any, *, state: State | None = None) -> tuple[Any, Any]:
        with located("", self.inner, x):
            y, _ = apply_of(self.inner, params, {} if state is None else state, x)
        return y, carry

    def _check_alone(self) -> None:
        for _, layer in walk(self.inner):
            if isinstance(layer, BatchNorm):
                raise ValueError(
                    f"{layer!r} would include padding in its statistics here; move it out of TimeDistributed, where it"
                    f" gets the lengths and still takes statistics over all steps"
                )


def _joined(leaf: jax.Array) -> jax.Array:
    return leaf.reshape(-1, *leaf.shape[2:])


def _parted(tree: Any, steps: tuple[int, ...]) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(*steps, *leaf.shape[1:]), tree)
