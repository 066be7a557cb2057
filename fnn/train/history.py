"""The history of a run: an array a name, and of each name whether more of it is better."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax

from fnn.metrics import Metric


@jax.tree_util.register_pytree_with_keys_class
class History(dict):
    """A dict of the values of a run by name that knows which of them are better when higher: ``higher``, sorted.

    To JAX it is as a dict is: the same leaves by the same keys in sorted order. ``higher`` is static, so it stays where
    the values go: through ``jit``, ``vmap`` and ``jax.tree.map``, to the host and into a pickle.

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
        """Whether more of this entry is better; of one in validation what is true in training. ``KeyError`` without."""
        if name not in self:
            raise KeyError(f"the history has no entry {name!r}; it holds {', '.join(self) or 'nothing'}")
        return name.removeprefix("validation_") in self.higher

    def copy(self) -> "History":
        """Another dict of the same values."""
        return History(self, self.higher)

    def __or__(self, other: Any) -> Any:
        """The entries of both, and the directions of both."""
        if not isinstance(other, dict):
            return NotImplemented
        return History({**self, **other}, (*self.higher, *getattr(other, "higher", ())))

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple]:
        """Leaves under the keys of a dict, so that paths are those of one."""
        names = tuple(sorted(self))
        return tuple((jax.tree_util.DictKey(name), self[name]) for name in names), (names, self.higher)

    def tree_flatten(self) -> tuple[tuple, tuple]:
        """The leaves alone, which is quicker."""
        names = tuple(sorted(self))
        return tuple(self[name] for name in names), (names, self.higher)

    @classmethod
    def tree_unflatten(cls, static: tuple, leaves: Iterable[Any]) -> "History":
        names, higher = static
        return cls(zip(names, leaves, strict=True), higher)


def better_higher(metrics: Iterable[Metric]) -> tuple[str, ...]:
    """The names of those of which more is better, as each says itself.

    >>> import fnn
    >>> better_higher([fnn.Accuracy(), fnn.Perplexity()])
    ('accuracy',)
    """
    return tuple(metric.name for metric in metrics if metric.higher_is_better)
