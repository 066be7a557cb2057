"""Rules that optimisers declare, to read more of the backward pass than gradients.

Training calls ``rule(backward) -> report`` once a step for each distinct rule in an optimiser, also of one inside a
chain or a wrapper, with the forward pass that it made, a ``fnn.rules.reports.Backward``. All reports are passed as the
extra ``reports``, by rule. A rule is a pure function that is traced with the step, and hashes.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from fnn.optim.transform import Items, is_optimizer


def rules_of(optimizer: Any) -> tuple[Callable[[Any], Any], ...]:
    """The rules that an optimiser and those inside it declare, each once."""
    own = getattr(optimizer, "rule", None)
    inside = [rule for each in inner_optimizers(optimizer) for rule in rules_of(each)]
    return tuple(dict.fromkeys([*([] if own is None else [own]), *inside]))


def inner_optimizers(optimizer: Any) -> list[Any]:
    """The optimisers in the fields of another."""
    if not dataclasses.is_dataclass(optimizer):
        return []
    values = [getattr(optimizer, field.name) for field in dataclasses.fields(optimizer)]
    inside = [each for value in values for each in _members(value)]
    return [each for each in inside if is_optimizer(each)]


def _members(value: Any) -> tuple[Any, ...]:
    if isinstance(value, Items):
        return tuple(content for _, content in value)
    return value if isinstance(value, tuple) else (value,)
