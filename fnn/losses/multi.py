"""One loss for each of several outputs, and their weighted sum."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp

from fnn.corners import Kinks
from fnn.errors import describe, located
from fnn.guards.ranges import NOT_NEGATIVE, in_range, is_number
from fnn.layer import Cache, Static
from fnn.losses.loss import Component, Loss, loss_hint
from fnn.losses.steps import Steps, parted, within_lengths
from fnn.values import FrozenDict


@dataclasses.dataclass(frozen=True)
class MultiLoss(Loss):
    """A loss for each output of a model with several, and the weighted sum of them.

    Forward:   L = Σᵢ aᵢ Lᵢ(pᵢ, tᵢ)
    Backward:  dpᵢ = aᵢ ∂Lᵢ/∂pᵢ dL

    ``losses`` is a dict ``{name: loss}``; prediction and target are dicts with these names, as a ``Graph`` with several
    outputs returns them. ``weights`` gives the aᵢ by name; those left out are 1. So that a sweep can vary them, they
    may be traced.

    The weights of examples are one array for all losses, or a dict by name; a name that it leaves out has weights of 1.
    A row without the target of one output has the weight 0 there, with any valid target: each Lᵢ is the mean over the
    rows that have one. Over several batches too: ``fit`` and ``evaluate`` add up each loss by itself. Whoever combines
    batches by ``weight``, the sum of all weights (``fnn.optim.accumulate``), gets the mean of the whole only where the
    weights are one array.

    Errors: ``TypeError`` for losses that are not a dict of losses, for a loss with a head of its own
    (``LinearCrossEntropy``), and for a prediction or target that is not a dict; ``ValueError`` for a name that is
    missing or too many, and for weights aᵢ that are negative or not finite.

    >>> import fnn
    >>> loss = MultiLoss({"size": fnn.MeanSquaredError(), "kind": fnn.CrossEntropy()}, weights={"size": 0.5})
    >>> prediction = {"size": jnp.array([3.0, 1.0]), "kind": jnp.zeros((2, 4))}
    >>> target = {"size": jnp.array([1.0, 1.0]), "kind": jnp.array([0, 3])}
    >>> loss(prediction, target)  # 0.5 · 2 + log 4
    Array(2.3862944, dtype=float32)
    >>> loss(prediction, target, {"size": jnp.array([0.0, 1.0])})  # the first has no size
    Array(1.3862944, dtype=float32)

    Source: Caruana 1997, for several tasks on one representation.
    """

    losses: Mapping[str, Loss]
    _: dataclasses.KW_ONLY
    weights: Mapping[str, Any] = FrozenDict()

    takes_lengths = True

    def __post_init__(self) -> None:
        if not isinstance(self.losses, Mapping) or not self.losses:
            raise TypeError(f"MultiLoss takes its losses by name, {{'name': loss}}, got {self.losses!r}")
        for name, loss in self.losses.items():
            if not isinstance(name, str) or not isinstance(loss, Loss):
                raise TypeError(f"the loss {name!r} is a loss by its name, got {loss!r}{loss_hint(loss)}")
            if loss.head is not None:
                raise TypeError(
                    f"the loss {name!r}, {loss!r}, brings a layer of its own, which goes behind a model's only output;"
                    f" give the model a layer for it, and take the loss of its outputs, CrossEntropy() for one"
                )
        if not isinstance(self.weights, Mapping):
            raise TypeError(f"the weights of a MultiLoss are a dict by name, got {self.weights!r}")
        if unknown := [name for name in self.weights if name not in self.losses]:
            raise ValueError(f"there are weights for {unknown}, but the losses are {list(self.losses)}")
        weights = {name: in_range(f"the weight of {name!r}", a, NOT_NEGATIVE) for name, a in self.weights.items()}
        object.__setattr__(self, "losses", FrozenDict(self.losses))
        object.__setattr__(self, "weights", FrozenDict(weights))

    @property
    def rule(self) -> Literal["hand", "auto"]:
        """ "hand" if the rules of all losses are, else "auto"."""
        return "hand" if all(loss.rule == "hand" for loss in self.losses.values()) else "auto"

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Cache]:
        values, caches = [], {}
        for name, part in self.parts(prediction, target, weights).items():
            with located(name, self.losses[name], part[:2]):
                value, caches[name] = self.losses[name].forward(*part)
            values.append(_unless_zero(self._strength(name), _times(self._strength(name), value)))
        beside = _apart(prediction) is not prediction
        return _sum(values), {"losses": caches} | ({"beside": Static(True)} if beside else {})

    def backward(self, cache: Cache, dvalue: Any = 1.0) -> Any:
        dprediction = {}
        for name, loss in self.losses.items():
            a = self._strength(name)
            dprediction[name] = _unless_zero(a, loss.backward(cache["losses"][name], _times(a, dvalue)))
        if "beside" in cache:  # as the prediction came: one array of lengths for all
            return {name: each[0] for name, each in dprediction.items()}, None
        return dprediction

    def __call__(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        values = []
        for name, part in self.parts(prediction, target, weights).items():
            with located(name, self.losses[name], part[:2]):
                value = self.losses[name](*part)
            values.append(_unless_zero(self._strength(name), _times(self._strength(name), value)))
        return _sum(values)

    def weight(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        """The sum of the weights of all losses: a batch's weight among others, for one array of weights."""
        return _sum([self.losses[name].weight(*part) for name, part in self.parts(prediction, target, weights).items()])

    def components(self, prediction: Any, target: Any, weights: Any = None) -> dict[str, Component]:
        found = {}
        for name, part in self.parts(prediction, target, weights).items():
            loss = self.losses[name]
            found[name] = Component(self._strength(name), loss(*part), loss.weight(*part))
        return found

    def parts(self, prediction: Any, target: Any, weights: Any = None) -> dict[str, tuple[Any, Any, Any]]:
        """Prediction, target and weights of each loss by name, or raises."""
        predictions, targets = self._named("prediction", _apart(prediction)), self._named("target", target)
        each = weights if isinstance(weights, Mapping) else dict.fromkeys(self.losses, weights)
        if unknown := [name for name in each if name not in self.losses]:
            raise ValueError(f"there are weights of examples for {unknown}, but the losses are {list(self.losses)}")
        return {name: (predictions[name], targets[name], each.get(name)) for name in self.losses}

    def predictions(self, outputs: Any) -> Any:
        outputs = _apart(outputs)
        if not isinstance(outputs, dict):
            return outputs
        return {name: self.losses[name].predictions(y) if name in self.losses else y for name, y in outputs.items()}

    def over_steps(self, prediction: Any, target: Any, weights: Any) -> Steps:
        return Steps(_apart(prediction), target, weights, None)  # each loss takes the lengths of its own

    def check(self, prediction: Any, target: Any) -> None:
        for name, (p, t, _) in self.parts(prediction, target).items():
            loss = self.losses[name]
            with located(name, loss, (p, t)):
                loss.check(p if loss.takes_lengths else parted(p)[0], t)

    def kinks_at(self, prediction: Any, target: Any) -> Kinks | None:
        found = []
        for name, (p, t, _) in self.parts(prediction, target).items():
            loss = self.losses[name]
            kinks = loss.kinks_at(*((p, t) if loss.takes_lengths else within_lengths(p, t)))
            found += [] if kinks is None else [(name, Kinks(*kinks))]
        if not found:
            return None
        words = "; ".join(f"{kinks.what} ({name})" for name, kinks in found if kinks.count)
        return Kinks(sum(kinks.count for _, kinks in found), sum(kinks.total for _, kinks in found), words)

    def _strength(self, name: str) -> Any:
        return self.weights.get(name, 1)

    def _named(self, what: str, tree: Any) -> dict[str, Any]:
        if not isinstance(tree, dict):
            raise TypeError(
                f"MultiLoss takes the {what} by name, a dict with {list(self.losses)}, got {describe(tree)}"
            )
        if missing := [name for name in self.losses if name not in tree]:
            raise ValueError(f"the {what} lacks {missing}, of which there are losses; got {describe(tree)}")
        if extra := [name for name in tree if name not in self.losses]:
            raise ValueError(f"the {what} has {extra}, but the losses are {list(self.losses)}; leave it out")
        return tree


def _apart(prediction: Any) -> Any:
    """``({name: p}, lengths)``, of a model that treats each step alone, as ``{name: (p, lengths)}``."""
    outputs, lengths = parted(prediction)
    if lengths is None or not isinstance(outputs, dict):
        return prediction
    return {name: (p, lengths) for name, p in outputs.items()}


def _times(strength: Any, value: Any) -> Any:
    """Their product, in the dtype of the value."""
    if is_number(strength) and strength == 1:
        return value
    return jnp.asarray(strength, jnp.result_type(value)) * value


def _unless_zero(strength: Any, tree: Any) -> Any:
    """The tree, zeros if the strength is 0: a loss that does not count may be infinite."""
    if is_number(strength) and strength != 0:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(strength == 0, 0, leaf), tree)


def _sum(values: list[jax.Array]) -> jax.Array:
    """The sum of scalars, in the widest of their dtypes."""
    dtype = max((value.dtype for value in values), key=lambda dtype: dtype.itemsize)
    return sum((value.astype(dtype) for value in values[1:]), values[0].astype(dtype))
