"""What runs between two neighbouring modules with parameters of PyTorch, where ``nn.Sequential`` says so.

What a ``forward`` of one's own runs, and in which order, is not known. A ``Sequential`` inside is taken to be called
as a whole.
"""

from collections.abc import Iterator
from typing import Any

from fnn.interop.gaps import ACTIVATIONS as OUR_ACTIVATIONS
from fnn.interop.gaps import POOLS as OUR_POOLS
from fnn.interop.gaps import WHOLE, Function, Gap, Mark, Token, gaps_of, our_gaps
from fnn.interop.torch_functions import ACTIVATIONS, POOLS, pools
from fnn.interop.torch_layouts import BATCH_NORMS, INSTANCE_NORMS
from fnn.interop.wanted import Matching
from fnn.layer import Layer
from fnn.layers import GlobalAvgPool, LogSoftmax, Softmax

SOFTMAX = {"Softmax": Softmax(), "LogSoftmax": LogSoftmax()}
RUN_ELSEWHERE = frozenset({"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell", "MultiheadAttention", "Bilinear"})
"""Modules of several inputs or outputs, which no ``Sequential`` runs."""

OTHERS = frozenset(
    {
        *("Identity", "Flatten", "Unflatten", "PixelShuffle", "Upsample", "UpsamplingNearest2d"),
        *("UpsamplingBilinear2d", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"),
        *("LayerNorm", "GroupNorm", "RMSNorm", *BATCH_NORMS, *INSTANCE_NORMS),
        *(f"{kind}Pad{rank}d" for kind in ("Zero", "Constant", "Reflection", "Replication") for rank in (1, 2, 3)),
    }
)

Compared = tuple[tuple[str, str], tuple[str, str, str]]
"""Where a difference is in both, and what fnn has, what PyTorch has, and what to write."""


def is_torchs(module: Any) -> bool:
    """Whether a module runs what PyTorch wrote: a class of its own, or a ``Sequential`` of another name."""
    run = getattr(type(module), "forward", None)
    return type(module).__module__.startswith("torch.") or _is_sequential(module) or run is None


def unseen(modules: dict[str, Any]) -> str:
    """What to say below the table of modules whose ``forward`` may call functions; empty if there are none."""
    names = list(dict.fromkeys(type(module).__name__ for module in modules.values() if not is_torchs(module)))
    if not names:
        return ""
    which = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    return (
        f" Activations and pools that a forward calls as functions are not seen: compare those of {which} yourself.\n"
    )


def compared(model: Layer, matching: Matching, modules: dict[str, Any]) -> tuple[list[Compared], set[str], set[int]]:
    """What differs between matched neighbours, the paths in fnn that were compared, and the ids of the modules."""
    layers = _one_to_one(matching)
    ours = our_gaps(model, matching)
    found: list[Compared] = []
    paths: set[str] = set()
    ids: set[int] = set()
    for (before, behind), theirs in _gaps(modules, set(layers)).items():
        mine = ours.get((layers.get(before, before), layers.get(behind, behind)))
        if mine is None:
            continue
        places = _words(layers.get(before), "the input"), _words(before, "the input")
        found += _of_gap(places, mine, theirs)
        paths.update(each.path for each in mine if isinstance(each.layer, OUR_ACTIVATIONS))
        ids.update(id(each.module) for each in theirs if isinstance(each.layer, OUR_ACTIVATIONS))
    return found, paths, ids


def _of_gap(places: tuple[str, str], ours: Gap, theirs: Gap) -> Iterator[Compared]:
    mine, other = (_only(gap, OUR_ACTIVATIONS) for gap in (ours, theirs))
    if len(mine) == len(other):
        for one, two in zip(mine, other, strict=True):
            if one.layer != two.layer:
                yield (one.path, two.path), (f"{one.layer!r}", f"has {two.layer!r}", f"write {two.layer!r}")
    else:
        yield places, _words_of("activation", mine, other)
    if any(isinstance(each.layer, WHOLE) for each in (*ours, *theirs)):
        return  # a pool of the whole image may be written as one of a window
    mine, other = (_only(gap, OUR_POOLS) for gap in (ours, theirs))
    if [type(each.layer) for each in mine] != [type(each.layer) for each in other]:
        yield places, _words_of("pool", mine, other)


def _words_of(kind: str, ours: Gap, theirs: Gap) -> tuple[str, str, str]:
    mine, other = (", ".join(repr(each.layer) for each in gap) or f"no {kind}" for gap in (ours, theirs))
    advice = f"write {other} there" if theirs else f"leave {mine} out"
    return mine, f"has {other}", advice


def _only(gap: Gap, kinds: tuple[type[Layer], ...]) -> Gap:
    return [each for each in gap if isinstance(each.layer, kinds)]


def _words(key: Any, start: str) -> str:
    """Where a gap is: behind which layer."""
    if isinstance(key, str):
        return f"behind {key or 'the module itself'}"
    path, index = key if key is not None and len(key) == 2 else (start, ())
    return f"behind {path or 'the model'}" + "".join(f"[{i}]" for i in index)


def _one_to_one(matching: Matching) -> dict[str, Any]:
    """The key of a layer by the prefix of the module that has its arrays, where it is one module and one layer."""
    prefixes = [match.group.prefix for match in matching.matches]
    keys = [(match.wanted.place.path, match.wanted.place.index) for match in matching.matches]
    pairs = zip(prefixes, keys, strict=True)
    return {prefix: key for prefix, key in pairs if prefixes.count(prefix) == 1 and keys.count(key) == 1}


def _gaps(modules: dict[str, Any], known: set[str]) -> dict[tuple[Any, Any], Gap]:
    return gaps_of(_tokens("", modules[""], known)) if "" in modules else {}


def _tokens(prefix: str, module: Any, known: set[str]) -> Iterator[Token]:
    kind = type(module).__name__
    children = getattr(module, "_modules", {})  # named_children() leaves out what runs again
    if prefix in known and is_torchs(module) and not RUN_ELSEWHERE.intersection(_names(module)):
        yield Mark(prefix)
    elif children:
        apart = not _is_sequential(module)
        for name, child in children.items():
            yield from (None,) * apart
            yield from _tokens(f"{prefix}.{name}".lstrip("."), child, known)
        yield from (None,) * apart
    elif not is_torchs(module):
        yield None
    elif layer := _function(prefix, module):
        yield Function(prefix, layer, module)
    elif kind not in OTHERS or module.state_dict():
        yield None


def _function(prefix: str, module: Any) -> Layer | None:
    kind = type(module).__name__
    if kind in POOLS:
        return pools({prefix: module}, kind[:3])[0][1]
    if kind.startswith(("AdaptiveAvgPool", "AdaptiveMaxPool")):
        return GlobalAvgPool()
    make = ACTIVATIONS.get(kind)
    return make(module) if make else SOFTMAX.get(kind)


def _is_sequential(module: Any) -> bool:
    bases = [base for base in type(module).__mro__ if base.__name__ == "Sequential" and "torch" in base.__module__]
    return bool(bases) and getattr(type(module), "forward", None) is bases[0].forward  # type: ignore[attr-defined]


def _names(module: Any) -> set[str]:
    return {base.__name__ for base in type(module).__mro__}
