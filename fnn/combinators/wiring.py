"""How the nodes of a ``Graph`` are connected: checked, and put in an order in which each can run, when it is made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fnn.errors import describe
from fnn.guards.spelling import closest
from fnn.layer import Layer
from fnn.paths import check_name
from fnn.values import FrozenDict

Given = str | tuple[str, ...] | Mapping[str, str]
"""What a node is given, or what a graph returns: the value of that name, a tuple of values, or a dict of them."""

Nodes = Mapping[str, tuple[Layer, Given]]


def checked_given(what: str, given: Any) -> Given:
    """A name, a tuple of names or a dict of them, or raises; ``what`` they are, in words."""
    if isinstance(given, Mapping):
        found: Any = FrozenDict({check_name(key): given[key] for key in given})
    else:
        found = tuple(given) if isinstance(given, list | tuple) else given
    names = list(names_in(found)) if isinstance(found, str | tuple | dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise TypeError(f"{what} are a name, a tuple of names or a dict of them, got {given!r}")
    for name in names:
        check_name(name)
    return found


def names_in(given: Given) -> tuple[str, ...]:
    """The names, in order."""
    if isinstance(given, str):
        return (given,)
    return tuple(given.values() if isinstance(given, Mapping) else given)


def collected(given: Given, value: Callable[[str], Any]) -> Any:
    """The values of these names, as a node gets them. A dict comes in the order that JAX gives dicts."""
    if isinstance(given, str):
        return value(given)
    if isinstance(given, Mapping):
        return {key: value(given[key]) for key in sorted(given)}
    return tuple(value(name) for name in given)


def handed_out(given: Given, gradient: Any) -> Iterator[tuple[str, Any]]:
    """The transpose of ``collected``: the parts of a gradient with the names that they belong to."""
    if isinstance(given, str):
        yield given, gradient
    elif isinstance(given, Mapping):
        yield from ((given[key], None if gradient is None else gradient[key]) for key in sorted(given))
    else:
        yield from zip(given, [None] * len(given) if gradient is None else gradient, strict=True)


def in_order(nodes: Nodes) -> dict[str, Any]:
    """The nodes, each behind those that it reads: in the order given as far as that allows; raises for a cycle."""
    order: dict[str, Any] = {}
    while len(order) < len(nodes):
        ready = next((name for name in nodes if name not in order and not _waits(nodes, name, order)), None)
        if ready is None:
            raise ValueError(f"the nodes {_cycle(nodes, order)} form a cycle, and none of them can run first")
        order[ready] = nodes[ready]
    return order


def inputs_of(nodes: Nodes) -> tuple[str, ...]:
    """The names that no node defines, in the order in which they are read."""
    read = (name for _, given in nodes.values() for name in names_in(given))
    return tuple(dict.fromkeys(name for name in read if name not in nodes))


def check_outputs(nodes: Nodes, outputs: Given) -> None:
    """Raises for an output that is no value of the graph, for one named twice, and for nodes that no output needs."""
    inputs, names = inputs_of(nodes), names_in(outputs)
    for name in names:
        if name not in nodes and name not in inputs:
            raise ValueError(
                f"the output {name!r} is neither a node nor an input that a node reads: the nodes are {list(nodes)},"
                f" the inputs {list(inputs)}{_hint(name, [*nodes, *inputs])}"
            )
        if isinstance(outputs, tuple) and outputs.count(name) > 1:
            raise ValueError(
                f"the output {name!r} is named twice; a dict gives each its own name: {{'a': {name!r}, …}}"
            )
    needed, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) in nodes and name not in needed:
            needed.add(name)
            waiting.extend(names_in(nodes[name][1]))
    if unused := [name for name in nodes if name not in needed]:
        raise ValueError(f"no output depends on the nodes {unused}: name them in outputs, or leave them out")


def by_name(x: Any, inputs: tuple[str, ...], nodes: Nodes) -> tuple[dict[str, Any], bool]:
    """The inputs by name, and whether they came as a dict; raises unless they are those of the graph."""
    if not isinstance(x, dict):
        if len(inputs) == 1:
            return {inputs[0]: x}, False
        raise TypeError(f"the graph takes its inputs by name, a dict with {list(inputs)}, got {describe(x)}")
    for name in inputs:
        if name not in x:
            hint = _hint(name, list(nodes)) or _hint(name, [str(key) for key in x])
            raise ValueError(f"the input {name!r} is missing: the graph reads {list(inputs)}, got {describe(x)}{hint}")
    for name in x:
        if name not in inputs:
            raise ValueError(f"no node reads the input {name!r}: the graph reads {list(inputs)}; leave it out")
    return dict(x), True


def _hint(name: str, known: list[str]) -> str:
    meant = closest(name, known)
    return f"; did you mean {meant!r}?" if meant else ""


def _waits(nodes: Nodes, name: str, done: Iterable[str]) -> list[str]:
    return [each for each in names_in(nodes[name][1]) if each in nodes and each not in done]


def _cycle(nodes: Nodes, done: Iterable[str]) -> str:
    """A cycle among the nodes that are not done, as a chain."""
    chain = [next(name for name in nodes if name not in done)]
    while (waits := _waits(nodes, chain[-1], done)[0]) not in chain:
        chain.append(waits)
    around = [*chain[chain.index(waits) :], waits][::-1]
    return " → ".join(map(repr, around))
