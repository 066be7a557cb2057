"""What a model wants of another library, layer by layer, and what was matched with it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fnn.interop.parts import Form, Group, Part
from fnn.interop.places import Place
from fnn.paths import join


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


def wanted_of(places: Sequence[Place], forms: Callable[[Place], tuple[Form, ...]]) -> list[Wanted]:
    """What a model wants."""
    return [Wanted(place.path, place, forms(place)) for place in places]
