"""A recurrent layer in both directions."""

import dataclasses
from typing import Any, Self

from fnn.backprop import Call, Combinator, Visit
from fnn.combinators.first import first_member
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.combinators.parallel import Merge, Parallel
from fnn.layer import Cache, Layer


@dataclasses.dataclass(frozen=True)
class Bidirectional(Combinator, name="bidirectional"):
    """Runs a recurrent layer and one in the other direction on its input and merges what they say of each step.

    Forward:   y = merge(f(x), g(x)),  g the layer f with ``reverse`` flipped and parameters of its own
    Backward:  dx = J_fᵀ dy_f + J_gᵀ dy_g,  dy split as ``Parallel`` with this ``merge`` does

    Params, State: those of f under ``forward``, of g under ``backward``
    Cache:     that of ``Parallel``
    Shapes:    those of ``inner``, the last axis twice as long if merged by ``"concatenate"``; both directions get all
               members of a tuple, (x, lengths) say

    ``opposite`` gives another layer as g. With ``return_sequences=False`` the merged states are each direction's last:
    f's at the end, g's at the beginning.

    Errors: ``TypeError`` for a layer without a field ``reverse``, if no ``opposite`` is given; ``ValueError`` for an
    unknown merge and for outputs that are not arrays (``return_carry=True``).

    >>> import jax
    >>> from fnn.layers import GRU
    >>> layer = Bidirectional(GRU(3))
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 4, 2), "float32"))
    >>> sorted(params), layer.apply(params, state, jax.numpy.ones((5, 4, 2)))[0].shape
    (['backward', 'forward'], (5, 4, 6))

    Source: Schuster and Paliwal 1997.
    """

    inner: Layer
    merge: Merge = "concatenate"
    _: dataclasses.KW_ONLY
    opposite: Layer | None = None

    over_time = "lengths"

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        return self.inner.lengths_after(lengths, steps)

    def __post_init__(self) -> None:
        check_layer_type(self, self.inner)
        if self.opposite is None and _flipped(self.inner) is None:
            raise TypeError(
                f"Bidirectional flips the field reverse of a recurrent layer, and {self.inner!r} has none;"
                f" wrap the Bidirectional instead, or give the layer of the other direction as opposite=…"
            )
        self._parallel  # noqa: B018 - checks the merge and the other layer

    @property
    def _parallel(self) -> Parallel:
        return Parallel(**self.children(), merge=self.merge)

    def children(self) -> dict[str, Layer]:
        opposite = _flipped(self.inner) if self.opposite is None else self.opposite
        return {"forward": self.inner, "backward": opposite}  # type: ignore[dict-item]

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        inner, opposite = children["forward"], children["backward"]
        return dataclasses.replace(self, inner=inner, opposite=None if opposite == _flipped(inner) else opposite)

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        y, cache = self._parallel.connect(x, call)
        return first_member(y), cache

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        return self._parallel.fold(cache, dy, visit)


def _flipped(layer: Layer) -> Layer | None:
    """The layer in the other direction, ``None`` if it has none."""
    names = {field.name for field in dataclasses.fields(layer) if field.init}
    return dataclasses.replace(layer, reverse=not layer.reverse) if "reverse" in names else None  # type: ignore
