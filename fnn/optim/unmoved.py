"""The parameters that an optimiser freezes, and the batch statistics there that move anyway."""

import dataclasses
import warnings
from collections.abc import Iterable
from typing import Any

from fnn.combinators.frozen import frozen_layers
from fnn.layer import Layer, Params, State
from fnn.optim.decay import decay_weights
from fnn.optim.declared import inner_optimizers
from fnn.optim.groups import freeze, groups
from fnn.optim.transform import Optimizer, chain
from fnn.paths import SEPARATOR, lies_in, matches, named_leaves

SHOWN = 6
"""How many paths a warning names."""


def frozen_paths(optimizer: Any, params: Params) -> set[str]:
    """The paths of the parameters that an optimiser never changes, whatever the gradients, as far as can be known.

    These are the groups that are ``None`` in ``groups``, and what ``freeze`` selects, also inside chains and wrappers.
    Later transformations of a chain may move them again: weight decay does, and so may an optimiser from outside fnn,
    whose inside is unknown.

    >>> from fnn.optim import adam
    >>> params = {"encoder": {"kernel": 1.0}, "head": {"kernel": 2.0}}
    >>> frozen_paths(groups({"encoder/*": None, "*": adam(0.1)}), params)
    {'encoder/kernel'}
    """
    return _still(optimizer, list(named_leaves(params)))


def warn_of_moving_statistics(optimizer: Any, params: Params, state: State, model: Layer) -> None:
    """Gives one warning for all of ``moving_statistics``."""
    moving = moving_statistics(optimizer, params, state, model)
    if not moving:
        return
    still = frozen_paths(optimizer, params)
    parts = list(dict.fromkeys(_largest_still(path, params, still) for path in moving))
    more = f" and {len(moving) - SHOWN} more" if len(moving) > SHOWN else ""
    warnings.warn(
        f"the optimiser freezes the parameters of {_listed(parts)}, but training still changes the state there, and"
        f" the outputs with it: {', '.join(moving[:SHOWN])}{more};"
        f" wrap the frozen part in fnn.Frozen(…), under the same name",
        stacklevel=3,
    )


def moving_statistics(optimizer: Any, params: Params, state: State, model: Layer) -> list[str]:
    """The paths of the state that training changes in a part of the model that the optimiser is told to freeze.

    A state, such as the mean of a batch norm, is meant to be frozen if all parameters of its layer are frozen, and

    * the optimiser would freeze a parameter at the path of the state, so that the user's glob covers it:
      ``"encoder/*"`` does, ``"*/scale"`` does not; or
    * all parameters are frozen in the smallest part of the model around the layer that has other parameters too.

    State inside ``Frozen`` does not change.

    >>> import fnn, jax
    >>> from fnn.optim import adam
    >>> optimizer = groups({"encoder/*": None, "*": adam(0.1)})
    >>> model = fnn.Serial(encoder=fnn.Serial(fnn.Dense(3), fnn.BatchNorm()), head=fnn.Dense(2))
    >>> params, state = jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((4, 2), "float32"))
    >>> moving_statistics(optimizer, params, state, model)
    ['encoder/batch_norm_0/count', 'encoder/batch_norm_0/mean', 'encoder/batch_norm_0/var']
    """
    parameters, kept = list(named_leaves(params)), frozen_layers(model)
    statistics = [path for path in named_leaves(state) if not lies_in(path, kept)]
    still = _still(optimizer, parameters)
    selected = _still(optimizer, [*parameters, *statistics])

    def frozen(path: str) -> bool:
        layer = _parent(path)
        own = _inside(layer, parameters)
        around = next((part for each in _ancestors(layer) if len(part := _inside(each, parameters)) > len(own)), own)
        return still.issuperset(own) and (path in selected or (bool(around) and still.issuperset(around)))

    return [path for path in statistics if frozen(path)]


def _still(optimizer: Any, paths: list[str]) -> set[str]:
    """The paths among these at which every update is zero."""
    if optimizer is None:
        return set(paths)
    if type(optimizer) is groups:
        return {path for inner, chosen in _parted(optimizer, paths) for path in _still(inner, chosen)}
    if type(optimizer) is freeze:
        return _selected(optimizer.paths, paths)
    if type(optimizer) is chain:
        still: set[str] = set()
        for transform in optimizer.transforms:
            still = still - _moved(transform, paths) | _still(transform, paths)
        return still
    held = [_still(inner, paths) for inner in inner_optimizers(optimizer)]
    return set.intersection(*held) if held else set()


def _moved(optimizer: Any, paths: list[str]) -> set[str]:
    """The paths among these at which a gradient of zero may become an update that is not zero."""
    if type(optimizer) is groups:
        return {path for inner, chosen in _parted(optimizer, paths) if inner for path in _moved(inner, chosen)}
    if type(optimizer) is Optimizer or not isinstance(optimizer, Optimizer):
        return set(paths)  # two functions, whose inside is unknown
    decays = any("weight_decay" in field.name for field in dataclasses.fields(optimizer))
    moved = _selected(getattr(optimizer, "paths", "*"), paths) if decays or type(optimizer) is decay_weights else set()
    return moved.union(*(_moved(inner, paths) for inner in inner_optimizers(optimizer))) - _still(optimizer, paths)


def _parted(optimizer: Any, paths: list[str]) -> list[tuple[Any, list[str]]]:
    """The optimiser and the paths of every group; a path belongs to the first glob that matches."""
    first = {path: next((glob for glob, _ in optimizer.optimizers if matches(glob, path)), None) for path in paths}
    return [(inner, [path for path in paths if first[path] == glob]) for glob, inner in optimizer.optimizers]


def _selected(globs: str | Iterable[str], paths: list[str]) -> set[str]:
    globs = (globs,) if isinstance(globs, str) else tuple(globs)
    return {path for path in paths if any(matches(glob, path) for glob in globs)}


def _parent(path: str) -> str:
    return path.rpartition(SEPARATOR)[0]


def _ancestors(path: str) -> list[str]:
    """The parts of the model around a layer, from the smallest to the whole."""
    return [_parent(path), *_ancestors(_parent(path))] if path else []


def _inside(layer: str, paths: Iterable[str]) -> list[str]:
    return [path for path in paths if lies_in(path, [layer])]


def _largest_still(path: str, params: Params, still: set[str]) -> str:
    """The largest part of the model around a state in which all parameters are frozen; else its layer."""
    layer = _parent(path)
    parts = [part for part in (layer, *_ancestors(layer)) if still.issuperset(_inside(part, named_leaves(params)))]
    return parts[-1] if parts else layer


def _listed(parts: list[str]) -> str:
    return ", ".join(part or "the model" for part in parts)
