"""The history of a run: an array per name, and whether higher is better for each name."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from fnn.guards.spelling import closest
from fnn.metrics import Metric


@jax.tree_util.register_pytree_with_keys_class
class History(dict):
    """A dict of the values of a run by name. ``higher`` lists, sorted, the names for which higher is better.

    To JAX it looks like a dict: the same leaves under the same keys in sorted order. ``higher`` is static, so it stays
    with the values through ``jit``, ``vmap`` and ``jax.tree.map``, to the host and into a pickle.

    >>> import jax.numpy as jnp
    >>> history = History({"loss": jnp.ones(2), "accuracy": jnp.zeros(2)}, higher=["accuracy"])
    >>> last = jax.tree.map(lambda values: values[-1].item(), history)
    >>> last, last.higher_is_better("accuracy"), last.higher_is_better("loss")
    ({'accuracy': 0.0, 'loss': 1.0}, True, False)
    """

    higher: tuple[str, ...]

    def __init__(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), higher: Iterable[str] = ()) -> None:
        super().__init__(values)
        self.higher = tuple(sorted(set(higher)))

    def higher_is_better(self, name: str) -> bool:
        """Whether higher is better for an entry; ``validation_…`` is like its training entry. ``KeyError`` if none."""
        if name not in self:
            raise KeyError(f"the history has no entry {name!r}; it holds {', '.join(self) or 'nothing'}")
        return name.removeprefix("validation_") in self.higher

    def __missing__(self, name: Any) -> Any:
        full = f"validation_{str(name).removeprefix('val_')}" if str(name).startswith("val_") else str(name)
        meant = closest(full, list(self), similar=0.9)
        hint = f"; write {meant!r}" if meant else ""
        if full.startswith("validation_") and not meant:
            hint = f"; fit(…, validation=…) adds {full!r}"
        raise KeyError(f"the history has no entry {name!r}; it holds {', '.join(self) or 'nothing'}{hint}")

    def copy(self) -> "History":
        """A copy that holds the same arrays."""
        return History(self, self.higher)

    def __or__(self, other: Any) -> Any:
        """The entries and the directions of both."""
        if not isinstance(other, dict):
            return NotImplemented
        return History({**self, **other}, (*self.higher, *getattr(other, "higher", ())))

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple]:
        """The leaves under dict keys, so that paths look like those of a dict."""
        names = tuple(sorted(self))
        return tuple((jax.tree_util.DictKey(name), self[name]) for name in names), (names, self.higher)

    def tree_flatten(self) -> tuple[tuple, tuple]:
        """The leaves without keys, which is faster."""
        names = tuple(sorted(self))
        return tuple(self[name] for name in names), (names, self.higher)

    @classmethod
    def tree_unflatten(cls, static: tuple, leaves: Iterable[Any]) -> "History":
        names, higher = static
        return cls(zip(names, leaves, strict=True), higher)


def better_higher(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The names of the metrics for which higher is better.

    >>> import fnn
    >>> better_higher([fnn.Accuracy(), fnn.Perplexity()])
    ('accuracy',)
    """
    return tuple(metric.name for metric in metrics if metric.higher_is_better)
