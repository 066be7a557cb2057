"""Losses whose targets are classes, and how much each class counts."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, integer_array, is_concrete
from fnn.guards.ranges import NOT_NEGATIVE, is_number, or_nan
from fnn.losses.balanced import balanced_class_weight
from fnn.losses.loss import Loss
from fnn.values import FrozenDict

ClassWeight = Any
"""A weight a class, in order; ``{class: weight}``, where a class that is left out weighs 1; or ``"balanced"``."""

BALANCED: Literal["balanced"] = "balanced"


@dataclasses.dataclass(frozen=True)
class Classification(Loss):
    """The base of losses whose targets are classes: ``class_weight`` c multiplies the weights w.

    Forward:   value = Σ w c[y] t / Σ w c[y],  y the class of a target;  of a distribution q, c[y] is Σᵢ qᵢ cᵢ
    Backward:  dt = dvalue · w c[y] / Σ w c[y]

    The mean is over the sum of the weights, as for ``weights`` everywhere in fnn and for labels in PyTorch, so doubling
    all of c changes nothing. Label smoothing, z-loss and focusing are parts of t, which c multiplies as a whole.

    ``class_weight`` is a weight a class; a dict ``{class: weight}``, in which a class that is left out weighs 1; or
    ``"balanced"``, for which ``fit`` and ``make_train`` put ``fnn.balanced_class_weight`` of the training targets. The
    entries may be traced, so that a sweep varies them; a traced one below 0 makes the value NaN.
    """

    classes: ClassVar[tuple[int, int] | None] = None
    """The two classes, if the loss has two; else they are numbered from 0, up to the last axis of the prediction."""

    class_weight: ClassWeight = dataclasses.field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "class_weight", _checked(self.class_weight))
        if self.classes is not None:
            self.check_classes(2)

    def class_count(self, prediction: Any) -> int:
        """The number of classes, from a prediction or its shape."""
        return prediction.shape[-1] if self.classes is None else len(self.classes)

    def check_classes(self, count: int) -> None:
        """Raises unless the class weights are those of so many classes."""
        given, names = self.class_weight, self.classes or range(count)
        if isinstance(given, Mapping):
            if other := sorted(name for name in given if name not in names):
                raise ValueError(f"class_weight names the classes {other}, and the classes are {list(names)}")
        elif given is not None and not isinstance(given, str) and len(given) != count:
            raise ValueError(f"class_weight holds one weight a class, {count} in all, got {len(given)}")

    def factors(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        if self.class_weight is None:
            return None
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' is computed from the training targets by fnn.fit and fnn.make_train; elsewhere"
                " give the numbers: class_weight=fnn.balanced_class_weight(labels, classes)"
            )
        target = jnp.asarray(target)
        if self.classes is not None:
            low, high = self.classes
            first, second = self._vector(2)
            share = (target.astype(first.dtype) - low) / (high - low)
            return (1 - share) * first + share * second
        if target.shape != shape:
            c = self._vector(target.shape[-1])
            return target.astype(c.dtype) @ c
        c, target = self._vector(1), integer_array(target, "labels")  # 8 bits may not count up to V
        inside = (target >= 0) & (target < c.size)
        return jnp.where(inside, c[jnp.where(inside, target, 0)], 1)

    def balanced(self, prediction: Any, target: Any, weights: Any) -> Self:
        """The loss with the balanced weights of the classes of a target; ``prediction`` may be a shape."""
        plain = dataclasses.replace(self, class_weight=None)
        plain.check(prediction, target)
        xp: Any = np if is_concrete(target) and is_concrete(weights) else jnp
        target = xp.asarray(target)
        if (counted := plain.counted(target, target.shape)) is not None:
            counted = xp.asarray(counted)
            target = xp.where(counted, target, 0)
            weights = counted.astype(float) if weights is None else xp.where(counted, weights, 0)
        if self.classes is not None:
            share = (target.astype(float) - self.classes[0]) / (self.classes[1] - self.classes[0])
            target = xp.stack([1 - share, share], -1)
        found = balanced_class_weight(target, self.class_count(prediction), weights)
        return dataclasses.replace(self, class_weight=found)

    @property
    def likelihood(self) -> Loss:
        return dataclasses.replace(self, class_weight=None)

    def _vector(self, count: int) -> jax.Array:
        """The weights of the classes in order, at least so many of them."""
        given: Any = self.class_weight
        if isinstance(given, Mapping):
            names = self.classes or range(max(count, *(name + 1 for name in given)))
            given = [given.get(name, 1.0) for name in names]
        if isinstance(given, tuple | list):
            given = jnp.stack([jnp.asarray(weight, jnp.zeros(()).dtype) for weight in given])
        return or_nan(given, NOT_NEGATIVE)


def _checked(given: Any) -> Any:
    """Class weights as a value that can be hashed, unless they are traced; raises for what they cannot be."""
    if given is None or (isinstance(given, str) and given == BALANCED):
        return given
    if isinstance(given, Mapping):
        if not given or not all(isinstance(name, int | np.integer) for name in given):
            raise TypeError(
                f"class_weight as a dict is {{class: weight}}, with classes that are integers, got {given!r}"
            )
        checked = FrozenDict({int(name): _number(weight) for name, weight in given.items()})
        _refuse_zeros(checked.values())
        return checked
    if isinstance(given, str | bytes | set | frozenset) or not hasattr(given, "__len__"):
        raise TypeError(f"class_weight is a weight a class, a dict {{class: weight}} or 'balanced', got {given!r}")
    if len(getattr(given, "shape", (1,))) != 1 or not len(given):
        raise ValueError(f"class_weight holds one weight a class, got {describe(given)}")
    if hasattr(given, "shape"):
        if not is_concrete(given):
            return given
        given = np.asarray(given).tolist()
    weights = tuple(map(_number, given))
    _refuse_zeros(weights)
    return weights


def _number(weight: Any) -> Any:
    if hasattr(weight, "dtype") and not is_concrete(weight):
        return weight
    if hasattr(weight, "dtype") and not np.ndim(weight):
        weight = np.asarray(weight).item()
    if not is_number(weight):
        raise TypeError(f"the weight of a class is a number, got {weight!r}")
    if not NOT_NEGATIVE.holds(weight):
        raise ValueError(NOT_NEGATIVE.refusal("the weight of a class", weight))
    return float(weight)


def _refuse_zeros(weights: Any) -> None:
    if all(is_number(weight) and weight == 0 for weight in weights):
        raise ValueError("class_weight is 0 for every class, so no example counts; give some class a weight above 0")
