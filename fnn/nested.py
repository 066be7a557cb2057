"""Nested dicts of the parts of a model's children: parameters, states, caches, reports.

The part of a child stands under its name; that of a child named ``""`` is the whole.
"""

import functools
from typing import Any

from fnn.paths import SEPARATOR


def entry(tree: dict[str, Any], name: str) -> Any:
    """The part of a nested dict that belongs to the child of that name."""
    return tree.get(name, {}) if name else tree


def entry_at(tree: dict[str, Any], path: str) -> Any:
    """The part of a nested dict that belongs to the layer at that path."""
    return functools.reduce(entry, path.split(SEPARATOR), tree)


def put(tree: dict[str, Any], path: str, part: Any) -> Any:
    """The nested dict with that part at the path."""
    if not path:
        return part
    name, _, rest = path.partition(SEPARATOR)
    made = tree.copy()
    made[name] = put(tree.get(name, {}), rest, part)
    return made


def nest(parts: dict[str, Any]) -> Any:
    """The parts of the children as one nested dict, the inverse of ``entry``; ``None`` and ``{}`` are left out."""
    if "" in parts:
        return parts[""]
    return {name: part for name, part in parts.items() if part is not None and not _is_empty(part)}


def _is_empty(part: Any) -> bool:
    return isinstance(part, dict) and not part
