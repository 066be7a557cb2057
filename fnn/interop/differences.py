"""What differs between a module of PyTorch and a model and no weights can mend: each is a warning that says so.

Known from the module are its classes and settings; a state dict has names and shapes alone, and functions that a
``forward`` calls are not seen.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.interop.torch_functions import (
    Sequence,
    activations,
    dropouts,
    oddities,
    our_activations,
    our_pools,
    pools,
)
from fnn.interop.torch_gaps import compared
from fnn.interop.torch_settings import settings
from fnn.interop.wanted import Matching
from fnn.layer import Layer
from fnn.layers import AvgPool, Dropout, MaxPool
from fnn.walk import walk

NORMS_LAST = "norms come first", "has norm_first=False", "write Residual(attention), LayerNorm(), … for a block"
NORMS_FIRST = "norms come last", "has norm_first=True", "write TransformerBlock(…)"
OLD_VECTOR = (
    "SpectralNorm computes v = W u / ‖W u‖ from the weight",
    "has a v from before the last update of it",
    "let the module run once in training, module.train()(x), so that both divide by the same",
)
SHOWN = 4
"""How many places of one difference are listed."""


class Difference(UserWarning):
    """A setting of the other library's module is not that of fnn's layer; the message says what to write instead."""


def warn_of_differences(
    model: Layer, matching: Matching, modules: dict[str, Any], read: Callable[[str], np.ndarray]
) -> None:
    """Warns once of every kind of difference, with all places that have it."""
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for where, what in (*_of_layers(matching), *_power_iterations(matching, read), *_between(model, matching, modules)):
        found.setdefault(what, []).append(where)
    for prefix, what, advice in oddities(modules):
        found.setdefault(("", what, advice), []).append(("", prefix))
    found.update(_norm_orders(matching, modules))
    for (ours, theirs, advice), places in found.items():
        here, there = (_listed([place[side] for place in places]) for side in (0, 1))
        which = f"{ours} ({here}), but PyTorch {theirs} ({there})" if ours else f"PyTorch has {theirs} ({there})"
        warnings.warn(f"{which}: {advice}", Difference, stacklevel=3)


Found = Iterator[tuple[tuple[str, str], tuple[str, str, str]]]


def _of_layers(matching: Matching) -> Found:
    for match in matching.matches:
        if match.group.module is not None:
            for setting in settings(match):
                yield (match.title, match.group.title), (setting.ours, f"has {setting.theirs}", setting.advice)


def _between(model: Layer, matching: Matching, modules: dict[str, Any]) -> Found:
    """Activations between matched neighbours by their places, and what that leaves by its order in the whole."""
    layers = list(walk(model))
    differing, paths, ids = compared(model, matching, modules)
    yield from differing
    rates: Sequence = [(path, Dropout(layer.rate)) for path, layer in layers if isinstance(layer, Dropout)]
    ours_left = [(path, layer) for path, layer in layers if path not in paths]
    theirs_left = {prefix: module for prefix, module in modules.items() if id(module) not in ids}
    pairs = [(our_activations(ours_left), activations(theirs_left)), (rates, dropouts(modules))]
    for kind, name in ((MaxPool, "Max"), (AvgPool, "Avg")):
        theirs = pools(modules, name)
        if theirs:
            pairs.append((our_pools(layers, kind, len(theirs[0][1].window)), theirs))
    for ours, theirs in pairs:
        for (path, layer), (prefix, other) in _paired(ours, theirs):
            if layer != other:
                yield (path, prefix), (f"{layer!r}", f"has {other!r}", f"write {other!r}")
    if not rates:
        for prefix, other in dropouts(modules):
            words = f"evaluation agrees; write {other!r} where it trains"
            yield ("", prefix), ("nothing is dropped", f"has {other!r}", words)


def _paired(ours: Sequence, theirs: Sequence) -> list[tuple[tuple[str, Any], tuple[str, Any]]]:
    """One with one if there are as many; else, if all of each side are the same, the first of each."""
    if len(ours) == len(theirs):
        return list(zip(ours, theirs, strict=True))
    uniform = all(len({each for _, each in side}) == 1 for side in (ours, theirs))
    return [(ours[0], theirs[0])] if uniform else []


def _norm_orders(matching: Matching, modules: dict[str, Any]) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """Transformer layers whose norms come elsewhere than in the model."""
    at = {match.group.prefix: (place, match) for place, match in enumerate(matching.matches)}
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for prefix, module in modules.items():
        inside = [".".join(filter(None, (prefix, name))) for name in ("norm1", "self_attn")]
        if not hasattr(module, "norm_first") or any(each not in at for each in inside):
            continue
        (norm, match), (attention, _) = (at[each] for each in inside)
        if (norm < attention) == module.norm_first:
            continue
        found.setdefault(NORMS_LAST if norm < attention else NORMS_FIRST, []).append((match.title, prefix))
    return found


def _power_iterations(matching: Matching, read: Callable[[str], np.ndarray]) -> Found:
    """Spectral norms whose weight changed after the last power iteration: the stored v is not that of the weight."""
    for match in matching.matches:
        names = match.group.names
        if "weight_u" not in names or "weight_v" not in names:
            continue
        piece = match.part.pieces[0]
        weight, u, v = (read(names[key][0]) for key in piece.keys)
        fresh = piece.store(piece.load((weight, u, v)))[2]
        if np.abs(v - fresh).max() > 1e3 * float(jnp.finfo(weight.dtype).eps):
            yield (match.title, match.group.title), OLD_VECTOR


def _listed(places: list[str]) -> str:
    kept = [place or "the model" for place in dict.fromkeys(places)]
    return ", ".join(kept[:SHOWN]) + (f" and {len(kept) - SHOWN} more" if len(kept) > SHOWN else "")
