"""The table of what went where, and the words for what went nowhere."""

from fnn.describe.rendering import as_text
from fnn.interop.parts import Group
from fnn.interop.pieces import Piece
from fnn.interop.wanted import Match, Matching, Wanted


def table(matching: Matching, arrow: str, other: str = "PyTorch") -> str:
    """One row for each layer: where its arrays are in the other library, which is which leaf, and what is turned.

    ``arrow`` points in the direction of the transfer. What is left over has a row too.
    """
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("fnn", "", other, "leaves"):
        made.add_column(heading, overflow="fold")
    for match in matching.matches:
        pieces = "; ".join(_piece(match, piece, arrow) for piece in match.part.pieces)
        made.add_row(match.title or "the model", arrow, match.group.title, pieces)
    for wanted in matching.unfilled:
        made.add_row(wanted.title, "", "none", "tied to another leaf" if wanted.is_optional else "as init draws them")
    for group in matching.unused:
        made.add_row("none", "", group.title, f"not used: {', '.join(group.names)}")
    return as_text(made)


def _piece(match: Match, piece: Piece, arrow: str) -> str:
    names = {path: name for name, (path, _) in match.wanted.place.leaves.items()}
    keys = [match.group.names[name] for name in _held(match, piece)]
    shape = f" {size(keys[0][1])}" if keys and len(keys[0][1]) > 1 else ""
    which = ", ".join(names[path] for path in piece.leaves)
    if len(keys) + len(piece.leaves) > 2:
        which += f" {arrow} {', '.join(_below(key, match.group) for key, _ in keys)}"
    return f"{which}{shape}{f' ({piece.note})' if piece.note else ''}"


def _below(key: str, group: Group) -> str:
    return key[len(group.prefix) + 1 :] if group.prefix else key


def _held(match: Match, piece: Piece) -> list[str]:
    names = match.group.names
    return list(names) if list(piece.keys) == ["*"] else [name for name in piece.keys if name in names]


def size(shape: tuple[int, ...]) -> str:
    """A shape as it is read.

    >>> size((3, 4)), size(())
    ('3×4', '1')
    """
    return "×".join(map(str, shape)) or "1"


def left_over(matching: Matching, other: str) -> str:
    """What is left over on either side, with the shapes that were expected and that are there; empty if nothing is."""
    unfilled = [wanted for wanted in matching.unfilled if not wanted.is_optional]
    lines = [f"\n  fnn's {each.title or 'model'} wants {_wants(each)}" for each in unfilled]
    lines += [f"\n  {other} has {_has(each)}" for each in matching.unused]
    return "".join(lines)


def _wants(wanted: Wanted) -> str:
    ways = [
        ", ".join(f"{name} {size(shape)}" for part in form for name, shape in part.required.items())
        for form in wanted.forms[:2]
    ]
    own = {name: shape for name, (_, shape) in wanted.place.leaves.items()}
    return f"{' or '.join(ways)} for its {', '.join(f'{name} {size(shape)}' for name, shape in own.items())}"


def _has(group: Group) -> str:
    return ", ".join(f"{key} {size(shape)}" for key, shape in group.names.values())
