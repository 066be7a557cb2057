"""Parts and forms: the ways in which another library may hold a layer; groups: the arrays that it has."""

from typing import Any, NamedTuple

from fnn.interop.pieces import Piece, Shape


class Part(NamedTuple):
    """The pieces of one module. ``classes`` are its possible classes of PyTorch's own, if the class is known.

    ``name`` is that of the part in the layer, ``query`` say, and ``roles`` the names that its module may have; without
    roles parts come in order.
    """

    pieces: tuple[Piece, ...]
    classes: tuple[str, ...] = ()
    name: str = ""
    roles: frozenset[str] = frozenset()

    @property
    def required(self) -> dict[str, Shape]:
        """The shapes of the arrays that must be there."""
        return {key: shape for piece in self.pieces if not piece.optional for key, shape in piece.keys.items()}

    @property
    def optional(self) -> dict[str, Shape]:
        return {key: shape for piece in self.pieces if piece.optional for key, shape in piece.keys.items()}

    @property
    def kind(self) -> tuple:
        """What decides where it fits: layers of the same kind share the search."""
        return tuple(self.required.items()), tuple(self.optional.items()), self.classes, self.roles


Form = tuple[Part, ...]


class Group(NamedTuple):
    """Arrays that belong together: their keys and shapes, by their names in the module at ``prefix``.

    ``part`` is the layer and direction in a recurrent module, or the name of a parameter that stands alone; ``module``
    is the module itself and ``classes`` those of the library's own that it is of, if they are known.
    """

    prefix: str
    names: dict[str, tuple[str, Shape]]
    part: str = ""
    module: Any = None
    classes: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        return ".".join(filter(None, (self.prefix, self.part))) or "the module itself"
