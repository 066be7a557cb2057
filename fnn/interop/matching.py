"""Which layer gets which arrays: by shape, and in order where shapes leave a choice."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fnn.interop.names import divided
from fnn.interop.parts import Form, Group, Part
from fnn.interop.wanted import Match, Matching, Wanted


class Ambiguous(ValueError):
    """Shapes and order do not say which arrays belong to a layer."""


def match(
    wanted: list[Wanted],
    groups: list[Group],
    names: Any = None,
    order: Callable[[list[Wanted], list[Group]], list[Group]] = lambda wanted, groups: groups,
) -> Matching:
    """Matches each entry of ``names`` by itself, and then the rest; ``order`` is that in which the groups count."""
    total = Matching([], [], [])
    for ours, theirs in divided(wanted, groups, names):
        for mine, found in zip(total, _matched(ours, order(ours, theirs)), strict=True):
            mine.extend(found)  # type: ignore[arg-type]
    return total


class Option(NamedTuple):
    """Groups that fit: the place of the first, the number of the form, and its parts in the order of the groups."""

    start: int
    form: int
    order: tuple[int, ...]

    @property
    def groups(self) -> range:
        return range(self.start, self.start + len(self.order))


Options = dict[int, list[Option]]
"""What fits each layer, by its number."""


def _matched(wanted: list[Wanted], groups: list[Group]) -> Matching:
    found: dict[Any, list[Option]] = {}  # layers that want the same share the search
    options: Options = {}
    for i, each in enumerate(wanted):
        kind = tuple(tuple(part.kind for part in form) for form in each.forms)
        if kind not in found:
            found[kind] = list(_fitting(each.forms, groups))
        options[i] = found[kind]
    reachable = sorted({place for each in found.values() for option in each for place in option.groups})
    left = [i for i, each in options.items() if each]
    chosen = _in_order(left, reachable, options, wanted)
    if chosen is None:
        chosen = _by_shape(left, options, wanted, groups)
    result = Matching([], [wanted[i] for i in options if i not in chosen], [])
    used: set[int] = set()
    for i, option in sorted(chosen.items()):
        form = wanted[i].forms[option.form]
        for place, part in zip(option.groups, option.order, strict=True):
            result.matches.append(Match(wanted[i], form[part], groups[place]))
            used.add(place)
    result.unused.extend(group for place, group in enumerate(groups) if place not in used)
    return result


def _fitting(forms: tuple[Form, ...], groups: list[Group]) -> Iterator[Option]:
    """Every place where groups fit, with the first form that does."""
    by_part = [[[fits(part, group) for group in groups] for part in form] for form in forms]
    for start in range(len(groups)):
        for number, (form, fitting) in enumerate(zip(forms, by_part, strict=True)):
            places = range(start, min(start + len(form), len(groups)))
            order = _order(form, [[column[place] for column in fitting] for place in places])
            if order is not None:
                yield Option(start, number, order)
                break


def _order(form: Form, rows: list[list[bool]]) -> tuple[int, ...] | None:
    """The parts in the order of the groups, a row each; parts without roles come in their own order."""
    if len(rows) != len(form):
        return None
    order: list[int] = []
    for row in rows:
        fitting = [number for number, fits in enumerate(row) if fits and number not in order]
        if not any(part.roles for part in form):
            fitting = [number for number in fitting if number == len(order)]
        if len(fitting) != 1:
            return None
        order += fitting
    return tuple(order)


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
    left: list[int], reachable: list[int], options: Options, wanted: list[Wanted]
) -> dict[int, Option] | None:
    """Each layer's arrays right behind those of the layer before it; ``None`` if they are not."""
    chosen, at = {}, 0
    for i in left:
        here = reachable[at] if at < len(reachable) else None
        found = next((option for option in options[i] if option.start == here), None)
        if found is None:
            if wanted[i].is_optional:
                continue
            return None
        chosen[i], at = found, at + len(found.order)
    return chosen if at == len(reachable) else None


def _by_shape(left: list[int], options: Options, wanted: list[Wanted], groups: list[Group]) -> dict[int, Option]:
    """The only arrays that fit each layer, and the only layer that they fit."""
    users: dict[int, list[int]] = {}
    for i in left:
        for option in options[i]:
            for place in option.groups:
                users.setdefault(place, []).append(i)
    chosen = {}
    for i in left:
        first = options[i][0]
        rivals = sorted({j for place in first.groups for j in users[place]})
        if len(options[i]) > 1 or len(rivals) > 1:
            fit = _some([groups[option.start].title for option in options[i]])
            layers = _some([wanted[j].title or "the model" for j in rivals])
            raise Ambiguous(
                f"the order of the arrays is not that of the layers, and shapes do not decide which belong where:"
                f" {fit} fit {layers}; say it with names={{{wanted[i].path!r}: {groups[first.start].prefix!r}, …}},"
                f" from globs of paths to prefixes of keys"
            )
        chosen[i] = first
    return chosen


def _some(titles: list[str], limit: int = 8) -> str:
    shown = ", ".join(titles[:limit])
    return f"{shown} and {len(titles) - limit} more" if len(titles) > limit else shown
