"""The variables of a linen module that belong to one layer, by the module that holds them, and their order.

The dicts of linen have the order of the calls at first and that of the alphabet after any map over them, in which
``Dense_10`` comes before ``Dense_2``. So their order says nothing, and the numbers in the names do.
"""

import re
from collections.abc import Mapping
from typing import Any

from fnn.errors import describe
from fnn.interop.flax_layouts import KNOWN
from fnn.interop.matching import Ambiguous, fits
from fnn.interop.parts import Group
from fnn.interop.torch_arrays import Held, shape_of
from fnn.interop.wanted import Wanted

INSIDE = {
    "MultiHeadDotProductAttention": {"query", "key", "value", "out"},
    "LSTMCell": {f"{letter}{gate}" for letter in "ih" for gate in "ifgo"},
    "GRUCell": {f"{letter}{gate}" for letter in "ih" for gate in "rzn"},
    "SimpleCell": {"i", "h"},
}
"""Modules that are one layer of fnn, by the names of the modules inside."""

NUMBERED = re.compile(r"^(.*?)_?(\d+)$")


def held_variables(variables: Any) -> Held:
    """The arrays by their paths; those of all collections, ``params`` and ``batch_stats`` say."""
    if not isinstance(variables, Mapping) or "params" not in variables:
        raise TypeError(
            f"load_flax takes the variables that module.init returns, {{'params': …}}, got {describe(variables)}"
        )
    arrays: dict[str, Any] = {}

    def collect(tree: Any, path: tuple[str, ...], collection: str) -> None:
        if isinstance(tree, Mapping):
            for name, part in tree.items():
                collect(part, (*path, str(name)), collection)
        else:
            key = "/".join(path)
            if key in arrays:
                raise ValueError(f"two collections of the variables hold {key!r}; give params and batch_stats alone")
            arrays[key] = getattr(tree, "value", tree)  # a box with the names of its axes

    for collection, tree in variables.items():
        collect(tree, (), collection)
    return Held(arrays, {})


def groups_of(held: Held) -> list[Group]:
    """The groups, by the paths of their modules."""
    inside: dict[str, set[str]] = {}
    for key in held.arrays:
        *outer, module, _ = ("", "", *key.split("/"))
        inside.setdefault("/".join(filter(None, outer)), set()).add(module)
    whole = {path: kind for path, names in inside.items() for kind, wanted in INSIDE.items() if names == wanted}
    found: dict[str, dict[str, Any]] = {}
    for key, array in held.arrays.items():
        prefix, _, name = key.rpartition("/")
        outer, _, last = prefix.rpartition("/")
        prefix, name = (outer, f"{last}/{name}") if last and outer in whole else (prefix, name)
        found.setdefault(prefix, {})[name] = (key, shape_of(array))
    return [Group(prefix, names, classes=_classes(prefix, whole)) for prefix, names in found.items()]


def _classes(prefix: str, whole: dict[str, str]) -> frozenset[str]:
    if prefix in whole:
        return frozenset({whole[prefix]})
    numbered = NUMBERED.match(prefix.rpartition("/")[2])
    return KNOWN.intersection({numbered[1]}) if numbered else frozenset()


def in_order(wanted: list[Wanted], groups: list[Group]) -> list[Group]:
    """The groups by the numbers in their names, each where the model has the next layer that it fits.

    Raises ``Ambiguous`` if two of one class and of the same shapes have names that no number orders.
    """
    groups = sorted(groups, key=lambda group: _natural(group.prefix))
    for place, group in enumerate(groups):
        for other in groups[place + 1 :]:
            same = _shapes(group) == _shapes(other) and group.classes == other.classes
            if same and not _are_numbered(group.prefix, other.prefix):
                raise Ambiguous(
                    f"{group.title} and {other.title} have the same shapes, and their names do not say which comes"
                    f" first; say it with names={{glob of paths: {group.title!r}, …}}"
                )
    ordered = []
    for each in wanted:
        found = next((group for group in groups if fits(each.forms[0][0], group)), None)
        if found is not None:
            groups.remove(found)
            ordered.append(found)
    return [*ordered, *groups]


def _shapes(group: Group) -> Any:
    return {name: shape for name, (_, shape) in group.names.items()}


def _natural(prefix: str) -> list[Any]:
    parts = re.split(r"(\d+)", _with_numbers(prefix))
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _with_numbers(prefix: str) -> str:
    """The two directions of ``nn.Bidirectional`` have words for numbers."""
    return prefix.replace("forward_rnn", "rnn_0").replace("backward_rnn", "rnn_1")


def _are_numbered(one: str, other: str) -> bool:
    """Whether two paths first differ in the number behind the same word."""
    for first, second in zip(*(_with_numbers(each).split("/") for each in (one, other)), strict=False):
        if first != second:
            found = NUMBERED.match(first), NUMBERED.match(second)
            return found[0] is not None and found[1] is not None and found[0][1] == found[1][1]
    return False
