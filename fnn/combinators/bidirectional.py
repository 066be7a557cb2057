"""A recurrent layer in both directions."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

from fnn.backprop import Call, Combinator, Visit
from fnn.combinators.first import first_member
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.combinators.parallel import Merge, Parallel
from fnn.errors import describe
from fnn.layer import Cache, Layer, Static

NAMES: tuple[str, ...] = ("forward", "backward")


@dataclasses.dataclass(frozen=True)
class Bidirectional(Combinator, name="bidirectional"):
    """Runs a recurrent layer and its reverse on the input and merges their outputs at each step.

    Forward:   y = merge(f(x), g(x)),  g a copy of f with ``reverse`` flipped and its own parameters
    Backward:  dx = J_fᵀ dy_f + J_gᵀ dy_g,  dy split as ``Parallel`` with this ``merge`` does;  with carries f gets
               (dy_f, dcarry_f) and also returns the gradient of its initial carry, and g likewise

    Params, State: those of f under ``forward``, of g under ``backward``
    Cache:     that of ``Parallel``; if the layers return carries also ``carried`` Static, whether carries were given
    Shapes:    those of ``inner``, the last axis twice as long if merged by ``"concatenate"``; both directions get all
               members of a tuple, (x, lengths) say

    ``opposite`` sets another layer as g. With ``return_sequences=False`` each direction's last state is merged: f's at
    the end of the sequence, g's at its beginning.

    With ``return_carry=True`` in both layers the output is (y, (carry of f, carry of g)), y merged as above, and the
    third member of an input (x, lengths, carries) is such a pair too; ``start`` makes one of zeros. Either carry, or
    the whole pair, may be None. Layers without ``return_carry`` both get the same third member.

    Errors: ``TypeError`` for a layer without a field ``reverse`` if no ``opposite`` is given, and for carries that are
    not a pair; ``ValueError`` for an unknown merge, and if only one direction returns its carry.

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
                f"Bidirectional flips the field reverse of a recurrent layer, but {self.inner!r} has none;"
                f" wrap the Bidirectional instead, or pass the layer of the other direction as opposite=…"
            )
        self._parallel  # noqa: B018 - checks the merge and the other layer
        returned = {name: _returns_carry(child) for name, child in self.children().items()}
        if len(set(returned.values())) > 1:
            one = next(name for name, returns in returned.items() if returns)
            raise ValueError(
                f"return_carry=True must be set in both directions or in neither, but only {one} has it in {self!r}"
            )

    @property
    def _parallel(self) -> Parallel:
        return Parallel(**self.children(), merge=self.merge)

    def children(self) -> dict[str, Layer]:
        opposite = _flipped(self.inner) if self.opposite is None else self.opposite
        return dict(zip(NAMES, (self.inner, opposite), strict=True))  # type: ignore[arg-type]

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        inner, opposite = children["forward"], children["backward"]
        return dataclasses.replace(self, inner=inner, opposite=None if opposite == _flipped(inner) else opposite)

    def why_no_step(self) -> str:
        return "it reads sequences from their ends too, so that every output depends on later steps"

    def start(self, batch_size: int, dtype: Any = jnp.float32) -> Any:  # type: ignore[override]
        """The initial carries, zeros: a pair if the layers return their carries, else one for both."""
        starts = tuple(child.start(batch_size, dtype) for child in self.children().values())  # type: ignore
        return starts if _returns_carry(self.inner) else starts[0]

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        if not _returns_carry(self.inner):
            y, cache = self._parallel.connect(x, call)
            return first_member(y), cache
        x = jax.tree.map(jnp.asarray, x)
        shared, given = (x[:2], x[2]) if isinstance(x, tuple) and len(x) == 3 else (x, None)
        if given is not None and not (isinstance(given, tuple) and len(given) == 2):
            raise TypeError(
                f"expected a carry for each direction (forward, backward), got {describe(given)}; start(batch_size,"
                " dtype) of the Bidirectional makes a pair of zeros"
            )
        carries = dict(zip(NAMES, given or (None, None), strict=True))
        members = len(x) if isinstance(x, tuple) else 0

        def directed(name: str, child: Layer, _: Any) -> tuple[Any, Cache]:
            input_ = (*shared, carries[name]) if members == 3 else shared
            (y, carries[name]), cache = call(name, child, input_)
            return y, cache

        y, cache = self._parallel.connect(shared, directed)
        return (y, tuple(carries[name] for name in NAMES)), cache | {"carried": Static(given is not None)}

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        if not _returns_carry(self.inner):
            return self._parallel.fold(cache, dy, visit)
        (dy, given), carried = dy, cache["carried"].value
        dcarries = dict(zip(NAMES, given, strict=True))

        def directed(name: str, child: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            report, dinput = visit(name, child, cache, (dy, dcarries[name]))
            if carried:  # each direction has its own carry: their gradients are not added
                *dinput, dcarries[name] = dinput
            return report, dinput

        reports, dx = self._parallel.fold(cache, dy, directed)
        return reports, (*dx, tuple(dcarries[name] for name in NAMES)) if carried else dx


def _returns_carry(layer: Any) -> bool:
    """Whether a layer, or the layer it wraps, returns the pair (y, carry)."""
    return bool(getattr(layer, "return_carry", False)) or ("inner" in vars(layer) and _returns_carry(layer.inner))


def _flipped(layer: Layer) -> Layer | None:
    """The layer with ``reverse`` flipped, ``None`` if it has no such field."""
    names = {field.name for field in dataclasses.fields(layer) if field.init}
    return dataclasses.replace(layer, reverse=not layer.reverse) if "reverse" in names else None  # type: ignore
