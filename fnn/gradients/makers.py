"""Whose rule makes the delta of a layer: that of what runs next, by the wiring of the model."""

from collections.abc import Iterator

from fnn.backprop import Combinator
from fnn.combinators.serial import Serial
from fnn.gradients.rows import RuleKind
from fnn.layer import Layer
from fnn.paths import join


def delta_rules(layer: Layer, path: str = "", after: RuleKind = "hand") -> Iterator[tuple[str, RuleKind]]:
    """The paths of the layers and the rules that make their deltas; ``after`` is that of what runs after all of them.

    Behind the last layer that is the loss. Where the wiring is not that of ``Serial``, any of the layers around may
    come next, and the rule is ``auto`` if that of one is.

    >>> from fnn import Dense, Tanh
    >>> list(delta_rules(Serial(Dense(3), Tanh())))
    [('dense_0', 'hand'), ('tanh_0', 'hand')]
    """
    if not isinstance(layer, Combinator):
        yield path, after
        return
    # Not by ``walk``: the rule that comes after is handed on from child to child, last to first.
    found, children = [], list(layer.children().items())
    for name, child in reversed(children):
        others = [each for each_name, each in children if each_name != name or layer.child_axes]
        behind = after if isinstance(layer, Serial) else _any(after, *(each.rule for each in others))
        found.append(list(delta_rules(child, join(path, name), behind)))
        after = _entering(child, after) if isinstance(layer, Serial) else after
    for each in reversed(found):
        yield from each


def _entering(layer: Layer, after: RuleKind) -> RuleKind:
    """The rule that makes what leaves a layer on the way back."""
    if isinstance(layer, Serial):
        for child in reversed(layer.children().values()):
            after = _entering(child, after)
        return after
    return _any(layer.rule, after) if isinstance(layer, Combinator) else layer.rule


def _any(*rules: str) -> RuleKind:
    return "auto" if "auto" in rules else "hand"
