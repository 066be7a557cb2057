"""``names``: which layers and which arrays are matched with each other, before shapes and order decide the rest."""

from collections.abc import Iterator
from typing import Any

from fnn.interop.parts import Group
from fnn.interop.wanted import Wanted
from fnn.paths import join, matches, select


def divided(wanted: list[Wanted], groups: list[Group], names: Any) -> Iterator[tuple[list[Wanted], list[Group]]]:
    """The layers that each glob selects, with the groups below its prefix; last, the rest with the rest."""
    names = {} if names is None else names
    if not isinstance(names, dict) or not all(isinstance(each, str) for pair in names.items() for each in pair):
        raise TypeError(f"names is a dict from globs of paths to prefixes of keys, got {names!r}")
    wanted = [part for each in wanted for part in _parted(each, names)]
    paths = list(dict.fromkeys(each.path for each in wanted))
    owner: dict[str, str] = {}
    for glob in names:
        for path in select(glob, paths):
            if path in owner:
                raise ValueError(f"the globs {owner[path]!r} and {glob!r} of names both match the layer {path!r}")
            owner[path] = glob
    prefixes = sorted(names.values(), key=len, reverse=True)
    by_prefix: dict[str | None, list[Group]] = {None: []}
    for group in groups:
        prefix = next((each for each in prefixes if _lies_in(group, each)), None)
        by_prefix.setdefault(prefix, []).append(group)
    for prefix in prefixes:
        if prefix not in by_prefix:
            held = ", ".join(group.title for group in groups[:12])
            raise ValueError(f"names has the prefix {prefix!r}, but no key lies in it; there are {held}")
    # Several globs may have one prefix: what they select is matched together.
    for prefix in [*dict.fromkeys(names.values()), None]:
        ours = [each for each in wanted if (names[owner[each.path]] if each.path in owner else None) == prefix]
        yield ours, by_prefix.get(prefix, [])


def _parted(wanted: Wanted, names: dict[str, str]) -> list[Wanted]:
    """The parts of a layer, if the globs select them and not the layer."""
    for form in wanted.forms:
        inside = [join(wanted.path, part.name) for part in form if part.name]
        if not any(matches(glob, wanted.path) for glob in names) and any(
            matches(glob, path) for glob in names for path in inside
        ):
            parts = [part._replace(name="", roles=frozenset()) for part in form]
            return [Wanted(path, wanted.place, ((part,),)) for path, part in zip(inside, parts, strict=True)]
    return [wanted]


def _lies_in(group: Group, prefix: str) -> bool:
    keys = [key for key, _ in group.names.values()]
    return not prefix or all(key == prefix or key.startswith((f"{prefix}.", f"{prefix}/")) for key in keys)
