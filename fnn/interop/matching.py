"""Which layer gets which arrays: by shape, and in order where shapes leave a choice."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fnn.interop.parts import Form, Part
from fnn.interop.places import Place
from fnn.interop.torch_groups import Group
from fnn.paths import join, matches, select


class Wanted(NamedTuple):
    """A layer, or one part of it, and the ways in which the other library may hold it."""

    path: str
    place: Place
    forms: tuple[Form, ...]

    @property
    def title(self) -> str:
        return self.path + "".join(f"[{i}]" for i in self.place.index)

    @property
    def is_optional(self) -> bool:
        """Whether all of its leaves are tied to others, so that the other library need not hold them again."""
        return bool(self.place.tied) and self.place.tied == set(self.place.leaves)


class Match(NamedTuple):
    """A layer, a part of a form, and the group that holds it."""

    wanted: Wanted
    part: Part
    group: Group

    @property
    def title(self) -> str:
        return join(self.wanted.path, self.part.name) + "".join(f"[{i}]" for i in self.wanted.place.index)


class Matching(NamedTuple):
    """The matches, and what is left over on either side."""

    matches: list[Match]
    unfilled: list[Wanted]
    unused: list[Group]


class Ambiguous(ValueError):
    """Shapes and order do not say which arrays belong to a layer."""


def wanted_of(places: Sequence[Place], forms: Callable[[Place], tuple[Form, ...]]) -> list[Wanted]:
    """What a model wants."""
    return [Wanted(place.path, place, forms(place)) for place in places]


def match(wanted: list[Wanted], groups: list[Group], names: Any = None) -> Matching:
    """Matches each entry of ``names`` by itself, and then the rest."""
    total = Matching([], [], [])
    for ours, theirs in _divided(wanted, groups, names):
        for mine, found in zip(total, _matched(ours, theirs), strict=True):
            mine.extend(found)  # type: ignore[arg-type]
    return total


def _divided(wanted: list[Wanted], groups: list[Group], names: Any) -> Iterator[tuple[list[Wanted], list[Group]]]:
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
    return not prefix or all(key == prefix or key.startswith(f"{prefix}.") for key in keys)


def _matched(wanted: list[Wanted], groups: list[Group]) -> Matching:
    options = {i: list(_options(each, groups)) for i, each in enumerate(wanted)}
    reachable = {
        place for found in options.values() for start, parts in found for place in range(start, start + len(parts))
    }
    rest = [place for place in range(len(groups)) if place in reachable]
    left = [i for i, found in options.items() if found]
    chosen = _in_order(left, rest, options, wanted)
    if chosen is None:
        chosen = _by_shape(left, options, wanted, groups)
    result = Matching([], [wanted[i] for i in options if i not in chosen], [])
    used: set[int] = set()
    for i, (start, parts) in sorted(chosen.items()):
        for place, part in zip(range(start, start + len(parts)), parts, strict=True):
            result.matches.append(Match(wanted[i], part, groups[place]))
            used.add(place)
    result.unused.extend(group for place, group in enumerate(groups) if place not in used)
    return result


Option = tuple[int, Form]
"""Where the groups of a form begin, and its parts in the order of those groups."""


def _options(wanted: Wanted, groups: list[Group]) -> Iterator[Option]:
    for start in range(len(groups)):
        for form in wanted.forms:
            ordered = _fitted(form, groups[start : start + len(form)])
            if ordered is not None:
                yield start, ordered
                break


def _fitted(form: Form, window: list[Group]) -> Form | None:
    """The parts of a form in the order of these groups, ``None`` if they do not fit."""
    if len(window) != len(form):
        return None
    ordered: list[Part] = []
    for group in window:
        fitting = [part for part in form if part not in ordered and fits(part, group)]
        if not any(part.roles for part in form):
            fitting = [part for part in fitting if part is form[len(ordered)]]
        if len(fitting) != 1:
            return None
        ordered.append(fitting[0])
    return tuple(ordered)


def fits(part: Part, group: Group) -> bool:
    """Whether a group has the names and shapes of a part, and a class and a name that may be it."""
    shapes = {name: shape for name, (_, shape) in group.names.items()}
    required, optional = part.required, part.optional
    if required.keys() == {"*"} and len(shapes) == 1 and "weight" not in shapes:
        shapes = dict(zip("*", shapes.values(), strict=True))
    kept = {name: shape for name, shape in shapes.items() if name not in optional}
    if kept != required or any(shapes.get(name, shape) != shape for name, shape in optional.items()):
        return False
    if part.classes and group.classes and not group.classes.intersection(part.classes):
        return False
    words = [word for word in group.prefix.split(".") if not word.isdigit()]
    return not part.roles or (bool(words) and words[-1].lower() in part.roles)


def _in_order(
    left: list[int], rest: list[int], options: dict[int, list[Option]], wanted: list[Wanted]
) -> dict[int, Option] | None:
    """Each layer's arrays right behind those of the layer before it; ``None`` if they are not."""
    chosen, at = {}, 0
    for i in left:
        found = next(((start, form) for start, form in options[i] if at < len(rest) and start == rest[at]), None)
        if found is None:
            if wanted[i].is_optional:
                continue
            return None
        chosen[i], at = found, at + len(found[1])
    return chosen if at == len(rest) else None


def _by_shape(
    left: list[int], options: dict[int, list[Option]], wanted: list[Wanted], groups: list[Group]
) -> dict[int, Option]:
    """The only arrays that fit each layer, and the only layer that they fit."""
    users: dict[int, list[int]] = {}
    for i in left:
        for start, form in options[i]:
            for place in range(start, start + len(form)):
                users.setdefault(place, []).append(i)
    chosen = {}
    for i in left:
        start, form = options[i][0]
        rivals = sorted({j for place in range(start, start + len(form)) for j in users[place]})
        if len(options[i]) > 1 or len(rivals) > 1:
            fit = ", ".join(groups[start].title for start, _ in options[i])
            layers = ", ".join(wanted[j].title or "the model" for j in rivals)
            raise Ambiguous(
                f"the order of the arrays is not that of the layers, and shapes do not decide which belong where:"
                f" {fit} fit {layers}; say it with names={{{wanted[i].path!r}: '{groups[start].prefix}', …}}, from"
                f" globs of paths to prefixes of keys"
            )
        chosen[i] = options[i][0]
    return chosen
