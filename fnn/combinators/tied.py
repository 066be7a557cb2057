"""Weight tying: one parameter in several places."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.backprop import put
from fnn.combinators.reparameterized import Reparameterized
from fnn.errors import describe
from fnn.layer import Cache, Params, State
from fnn.paths import SEPARATOR, lies_in, named_leaves
from fnn.values import FrozenDict

Transform = Literal["transpose"] | Callable[[jax.Array], jax.Array] | None


@dataclasses.dataclass(frozen=True)
class Tied(Reparameterized, name="tied"):
    """Ties parameters of the inner layer to others: ``{target_path: source_path}``.

    Forward:   θ_target = t(θ_source),  y = f(x; θ)
    Backward:  dθ_source = dθ_source + t'(θ_source)ᵀ dθ_target, the sum over all uses of the parameter

    Params:  the inner ones without the targets
    State:   the inner one unchanged
    Cache:   ``inner``: the inner cache; if t is a function also the sources, in ``transform``

    A path names an array, or a layer, whose arrays are then all tied. ``transform`` t is the identity, "transpose" (of
    the last two axes, to use an embedding as the kernel of the last layer), or a function of one array; its derivative
    then comes from ``jax.vjp`` and the rule is "auto".

    Errors: ``ValueError`` for a path that does not exist, a target that is a source too or lies in one, and shapes or
    dtypes that differ.

    >>> from fnn import Dense, Embedding, Serial
    >>> model = Serial(symbols=Embedding(10, 4), out=Dense(10, use_bias=False))
    >>> tied = Tied(model, {"out/kernel": "symbols/embedding"}, transform="transpose")
    >>> params, _ = tied.init(jax.random.key(0), jnp.zeros((1, 3), int))
    >>> list(params)
    ['symbols']

    Source: Press and Wolf 2017; the sum is the chain rule for a variable that is used twice.
    """

    ties: Mapping[str, str]
    transform: Transform = None

    def __post_init__(self) -> None:
        super().__post_init__()
        ties = dict(self.ties) if isinstance(self.ties, Mapping | tuple) else None
        if not ties or not all(isinstance(path, str) and path for tie in ties.items() for path in tie):
            raise TypeError(f"ties are a dict {{target_path: source_path}} with at least one entry, got {self.ties!r}")
        for target in ties:
            for source in ties.values():
                if lies_in(source, [target]) or lies_in(target, [source]):
                    raise ValueError(f"{target!r} is tied to another parameter and overlaps the source {source!r}")
            for other in ties:
                if target != other and lies_in(target, [other]):
                    raise ValueError(f"{target!r} lies in {other!r}, and both are targets; remove one of them")
        if not (self.transform in (None, "transpose") or callable(self.transform)):
            raise ValueError(f"transform is None, 'transpose' or a function of one array, got {self.transform!r}")
        object.__setattr__(self, "ties", FrozenDict(ties))

    @property
    def rule(self) -> str:
        return "auto" if callable(self.transform) else super().rule

    def own(self, params: Params) -> Params:
        for target, source in self.ties.items():
            given = describe(jax.eval_shape(self._transformed_leaves, at(params, source)))
            wanted = describe(jax.eval_shape(lambda part: part, at(params, target)))
            if wanted != given:
                raise ValueError(
                    f"{target!r} is {wanted}, but its source {source!r} gives {given};"
                    f" convert it with a transform (transform='transpose', say)"
                )
        for target in self.ties:
            params = without(params, target)
        return params

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        made = params
        for target, source in self.ties.items():
            if target in named_leaves(params):
                raise ValueError(f"{target!r} is tied to {source!r} and must not be in the parameters; remove it")
            made = put(made, target, self._transformed_leaves(at(params, source)))
        sources = {source: at(params, source) for source in self.ties.values()} if callable(self.transform) else {}
        return made, state, sources

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        def back(source: str, dtarget: Any) -> Any:
            if not callable(self.transform):
                return self._transformed_leaves(dtarget)  # a transposition is its own transpose
            _, vjp = jax.vjp(self._transformed_leaves, cache[source])
            (dsource,) = vjp(dtarget)
            return dsource

        return self.gathered(dparams, back, lambda one, other: jax.tree.map(jnp.add, one, other))

    def gathered(self, report: Params, back: Callable[[str, Any], Any], add: Callable[[Any, Any], Any]) -> Params:
        """What was found at the targets, taken ``back`` to their sources and added to what was found there."""
        found = report
        for target in self.ties:
            found = without(found, target)
        for target, source in self.ties.items():
            found = put(found, source, add(at(found, source), back(source, at(report, target))))
        return found

    def _transformed_leaves(self, tree: Any) -> Any:
        if self.transform is None:
            return tree
        one = self.transform if callable(self.transform) else lambda leaf: jnp.swapaxes(leaf, -1, -2)
        return jax.tree.map(one, tree)


def at(params: Params, path: str) -> Any:
    """The part of nested parameters at a path, or ``ValueError``."""
    part: Any = params
    for name in path.split(SEPARATOR):
        if not isinstance(part, dict) or name not in part:
            raise ValueError(f"no parameter at {path!r}; there are {list(named_leaves(params))}")
        part = part[name]
    return part


def without(params: Params, path: str) -> Params:
    """The parameters without the part at a path, and without dicts that this leaves empty."""
    name, _, rest = path.partition(SEPARATOR)
    left = params.copy()
    below = left.pop(name)
    if rest and (kept := without(below, rest)):
        left[name] = kept
    return left
