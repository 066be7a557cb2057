"""Children by name: how ``Serial`` and ``Parallel`` name their layers."""

import dataclasses
from collections import Counter
from typing import Any, Self

from fnn.backprop import Combinator
from fnn.errors import instance_hint
from fnn.layer import Layer
from fnn.paths import check_name


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class NamedChildren(Combinator):
    """A keyword names a child; a positional one is ``<snake_case_class>_<n>``, n counting that class from 0."""

    names: tuple[str, ...]
    layers: tuple[Layer, ...]

    def __init__(self, /, *layers: Layer, **named: Layer) -> None:
        counts: Counter[str] = Counter()
        children: dict[str, Layer] = {}
        for layer in layers:
            base = check_layer_type(self, layer).snake_name
            children[f"{base}_{counts[base]}"] = layer
            counts[base] += 1
        for name, layer in named.items():
            if check_name(name) in children:
                raise ValueError(f"two layers are named {name!r}; give one of them another name")
            children[name] = check_layer_type(self, layer)
        object.__setattr__(self, "names", tuple(children))
        object.__setattr__(self, "layers", tuple(children.values()))

    def children(self) -> dict[str, Layer]:
        return dict(zip(self.names, self.layers, strict=True))

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return type(self)(**{name: children[name] for name in self.names}, **self._options())

    def _options(self) -> dict[str, Any]:
        """The constructor's other keywords that are not at their defaults."""
        return {}

    def __repr__(self) -> str:
        counts: Counter[str] = Counter()
        shown, positional = [], True
        for name, layer in self.children().items():
            automatic = f"{layer.snake_name}_{counts[layer.snake_name]}"
            positional &= name == automatic  # nothing positional follows a keyword
            counts[layer.snake_name] += 1
            shown.append(repr(layer) if positional else f"{name}={layer!r}")
        shown += [f"{name}={value!r}" for name, value in self._options().items()]
        return f"{type(self).__name__}({', '.join(shown)})"


def check_layer_type(parent: Layer, layer: Any) -> Layer:
    """Returns a layer or raises ``TypeError``."""
    if isinstance(layer, Layer):
        return layer
    hint = f"; write {type(parent).__name__}(*layers)" if isinstance(layer, list | tuple) else instance_hint(layer)
    if callable(layer) and not isinstance(layer, type):
        hint = f"; write Lambda({getattr(layer, '__name__', 'fn')}), or the layer of that name: Relu(), Tanh(), …"
    raise TypeError(f"{type(parent).__name__} is made of layers, got {layer!r}{hint}")


def check_same_names(parent: Layer, children: dict[str, Layer]) -> None:
    """Raises ``ValueError`` unless the names are those of the parent's children."""
    if set(children) != set(parent.children()):
        raise ValueError(
            f"with_children replaces layers, not names: expected {list(parent.children())}, got {list(children)}"
        )
