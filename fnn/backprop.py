"""Backpropagation: a fold over the model, with a replaceable rule at its leaves."""

from collections.abc import Callable
from typing import Any

from fnn.errors import located
from fnn.layer import Cache, Layer, Params
from fnn.paths import join

Visit = Callable[[str, Layer, Cache, Any], tuple[Any, Any]]
"""``visit(name, child, cache, dy) -> (report, dx)``: what a combinator's fold calls for each child."""

Rule = Callable[[str, Layer, Cache, Any], tuple[Any, Any]]
"""``rule(path, layer, cache, dy) -> (report, dx)``: what happens at a layer that is not a combinator."""


class Combinator(Layer, name="combinator"):
    """A layer made of layers. It writes ``init``, ``forward`` and ``fold`` from its children's; ``backward`` follows.

    ``fold`` is the transpose of the wiring in ``forward``: it calls ``visit`` for every child, last to first, with the
    child's cache and the gradient of the child's output, and takes the gradient of the child's input from it.
    """

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        """The reports of the children, nested as parameters are, and dx."""
        raise NotImplementedError(f"{type(self).__name__} does not define fold")

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        """``fold`` with every child's own ``backward``."""
        return backprop(self, cache, dy)


def own_backward(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Params, Any]:
    """The default rule: the layer's own backward."""
    return layer.backward(cache, dy)


def backprop(layer: Layer, cache: Cache, dy: Any, rule: Rule | None = None) -> tuple[Any, Any]:
    """Backpropagates ``dy`` through a layer and all layers inside it; returns ``(dparams, dx)``.

    A ``rule(path, layer, cache, dy) -> (report, dx)`` replaces the layers' own backward. Its reports stand in the place
    of ``dparams``, in the same nested dict (``None`` and ``{}`` are left out). Inside ``Repeat`` a rule is traced once,
    must be pure, and its reports come out stacked. A tap of every layer's delta:

    >>> def tap(path, layer, cache, dy):
    ...     return dy, layer.backward(cache, dy)[1]
    """
    rule = rule or own_backward

    def descend(path: str, layer: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
        if not isinstance(layer, Combinator):
            return rule(path, layer, cache, dy)

        def visit(name: str, child: Layer, cache: Cache, dy: Any) -> tuple[Any, Any]:
            with located(name, child, dy, "given the output gradient"):
                return descend(join(path, name), child, cache, dy)

        return layer.fold(cache, dy, visit)

    return descend("", layer, cache, dy)


def gather(reports: dict[str, Any]) -> dict[str, Any]:
    """The reports of named children as one dict; ``None`` and ``{}`` are left out."""
    return {name: report for name, report in reports.items() if report is not None and not _is_empty(report)}


def _is_empty(report: Any) -> bool:
    return isinstance(report, dict) and not report
