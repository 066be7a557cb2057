"""What every loss shares: the weighted mean over its terms, and the start of its gradient.

A loss turns a prediction and a target into terms (one an example, or one an entry), and

    value = Σ w t / Σ w        dt = dvalue · w / Σ w

``weights`` w have the shape of the leading axes of the terms and are broadcast over the others; by default every weight
is 1. If the weights sum to zero, value and gradient are 0; if the sum overflows, NaN. So weights of 0 mask examples
out, whatever they hold (NaN in a masked prediction or target has no effect), and micro-batches are exact: the value of
the whole is the mean of theirs, weighted by ``loss.weight``.

For sequences, ``(p, lengths)``, steps past a length have weight 0, whatever the given weights. The gradient is then
``(dp, None)``.

Masking uses ``where`` twice, not a product, because 0 · NaN is NaN: ``select`` sets masked predictions to 0 on the way
in, and masked terms are dropped on the way out; backward is the transpose of both. ``jax.grad`` does not see masked
terms either, so the derivative with respect to a *weight* is correct only where that weight is not 0.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks
from fnn.errors import describe, exact_array, instance_hint, is_concrete, is_floating, returned
from fnn.guards.foreign import foreign
from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling
from fnn.layer import Cache, Layer, Static, floating_leaves
from fnn.losses.each_example import each_example
from fnn.losses.steps import Steps, steps_of

OPTIONAL = (
    *("rule", "head", "predictions", "check", "counted", "select", "weight", "over_steps", "components"),
    *("drawn", "likelihood", "scores", "shares", "factors"),
)
"""Methods that few losses define."""


class Component(NamedTuple):
    """One loss of several: its ``strength`` in their sum, its value, and the sum of its weights."""

    strength: Any
    value: jax.Array
    weight: jax.Array


@dataclasses.dataclass(frozen=True)
class Loss:
    """The base of losses: a subclass defines ``per_example``, or ``terms`` and ``terms_backward``.

    With ``per_example`` alone, the loss of one example, it works everywhere with ``jax.vjp`` as its rule:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Pinball(Loss):
    ...     quantile: float = 0.9
    ...     def per_example(self, prediction, target):
    ...         e = target - prediction
    ...         return jnp.maximum(self.quantile * e, (self.quantile - 1) * e)
    >>> Pinball()(jnp.array([1.0, 3.0]), jnp.array([2.0, 2.0])), Pinball().rule
    (Array(0.5, dtype=float32), 'auto')

    A loss that forms its gradient in the forward pass defines ``terms``, ``__call__``, ``forward`` and ``backward``;
    its ``forward`` calls ``over_steps`` first if predictions may come with lengths.
    """

    applies: ClassVar[Literal["sigmoid", "softmax"] | None] = None
    """What the loss applies to the prediction: such a loss takes logits, not probabilities."""

    takes_lengths: ClassVar[bool] = False
    """Whether the loss judges whole sequences and reads their lengths itself."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a loss", aside=OPTIONAL)
        pair = ("prediction", "target")
        check_methods(cls, per_example=pair, terms=pair, terms_backward=("cache", "dterms"), check=pair, kinks_at=pair)
        check_methods(cls, counted=("target", "shape"))
        check_methods(cls, forward=(*pair, "weights"), backward=("cache", "dvalue"), __call__=(*pair, "weights"))

    @property
    def head(self) -> Layer | None:
        """The layer with the loss's parameters, which ``Objective`` appends to the model; ``None`` if it has none."""
        return None

    def predictions(self, outputs: Any) -> Any:
        """What metrics get: the outputs of the model, or the predictions made from them if the loss has a head."""
        return outputs

    def per_example(self, prediction: Any, target: Any) -> Any:
        """The loss of one example, without the batch axis: a number, or one a step."""
        raise NotImplementedError(f"{type(self).__name__} defines neither terms nor per_example")

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        """The terms, and the cache for their backward: by default ``per_example`` of every example."""
        prediction, target = jax.tree.map(jnp.asarray, prediction), jax.tree.map(exact_array, target)
        return each_example(self.per_example, prediction, target), {"prediction": prediction, "target": target}

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> Any:
        """The gradient of the prediction; ``dterms`` has the shape of the terms or is a scalar. By the hand rule of the
        class (``rule`` is "hand"), or by ``jax.vjp`` of ``per_example`` if the class has none ("auto")."""
        if type(self).terms is not Loss.terms:
            raise NotImplementedError(f"{type(self).__name__} defines terms without terms_backward")
        leaves, rebuild = floating_leaves(cache["prediction"])
        terms, vjp = jax.vjp(lambda leaves: each_example(self.per_example, rebuild(leaves), cache["target"]), leaves)
        return rebuild(*vjp(jnp.broadcast_to(dterms, terms.shape).astype(terms.dtype)), lambda leaf: None)

    @property
    def rule(self) -> Literal["hand", "auto"]:
        """Whether the gradient was derived by hand or comes from ``jax.vjp``."""
        own = type(self)
        return "auto" if own.terms_backward is Loss.terms_backward and own.backward is Loss.backward else "hand"

    def check(self, prediction: Any, target: Any) -> None:
        """Raises if the target does not fit the prediction (an array or its shape); its values are checked where they
        are known, outside jit."""

    def kinks_at(self, prediction: Any, target: Any) -> Kinks | None:
        """How many entries, in NumPy, stand on a kink or a tie, ``(count, total, words)``; ``None`` without any."""
        return None

    def counted(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        """Which terms count, an array of this shape; ``None`` if all do."""
        return None

    def factors(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        """By what the weights of the terms are multiplied, an array of this shape; ``None`` for 1."""
        return None

    def select(self, keep: jax.Array, prediction: Any) -> Any:
        """The prediction, or its gradient, where ``keep`` (the terms' leading axes) is true, and 0 elsewhere.

        The default selects in every floating array by its leading axes. A loss whose terms do not follow the leading
        axes of the prediction overrides this to say which entries belong to which term.
        """

        def selected(leaf: Any) -> Any:
            shape = getattr(leaf, "shape", None)
            if shape is None or shape[: keep.ndim] != keep.shape or not is_floating(leaf):
                return leaf
            return jnp.where(keep.reshape(keep.shape + (1,) * (len(shape) - keep.ndim)), leaf, 0)

        return jax.tree.map(selected, prediction)

    def drawn(self, key: jax.Array, prediction: Any) -> Any:
        """Targets drawn from the distribution with this prediction, of which the terms of ``likelihood`` are the
        negative log-likelihood, but for a constant."""
        raise NotImplementedError(f"{type(self).__name__} is not a likelihood")

    @property
    def likelihood(self) -> "Loss":
        """The loss without what makes it differ from a negative log-likelihood."""
        return self

    def scores(self, prediction: Any, target: Any, dterms: jax.Array) -> Any:
        """Σ dterms · ∂terms/∂prediction, from the start."""
        return self.terms_backward(self.terms(prediction, target)[1], dterms)

    def __call__(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        """The value; ``jax.grad`` of it is the automatic gradient."""
        return self.forward(prediction, target, weights)[0]

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Cache]:
        """The value and the cache: ``terms``, the cache of the terms, and ``share``, w / Σ w."""
        prediction, target, weights, lengths = self.over_steps(prediction, target, weights)
        if weights is not None:
            check_weights(weights)
            prediction = self.select(jnp.asarray(weights).astype(bool), prediction)
        terms: jax.Array
        terms, cache = returned(self, "terms", "(terms, cache)", self.terms(prediction, target))
        share = self._share(terms, target, weights)
        counted: Any = jnp.where(share == 0, 0, terms * share)
        value = counted.sum() if share.ndim else terms.sum() * share
        return value, {"terms": cache, "share": share} | ({} if lengths is None else {"beside": Static(True)})

    def backward(self, cache: Cache, dvalue: Any = 1.0) -> Any:
        """The gradient of the prediction."""
        share = cache["share"]
        dprediction = self.terms_backward(cache["terms"], jnp.asarray(dvalue, share.dtype) * share)
        dprediction = self.select(share != 0, dprediction)
        return (dprediction, None) if "beside" in cache else dprediction

    def weight(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        """Σ w: the weight of this batch among others."""
        prediction, target, weights, _ = self.over_steps(prediction, target, weights)
        terms = jax.eval_shape(lambda prediction, target: self.terms(prediction, target)[0], prediction, target)
        return self._weights(terms, target, weights)[1]

    def components(self, prediction: Any, target: Any, weights: Any = None) -> dict[str, Component]:
        """The losses that this one is a sum of, by name, each a mean with weights of its own; ``{}`` if it is none."""
        return {}

    def shares(self, terms: Any, target: Any, weights: Any = None) -> jax.Array:
        """w / Σ w of terms of this shape, or one number if all are the same."""
        return self._share(terms, target, weights)

    def over_steps(self, prediction: Any, target: Any, weights: Any) -> Steps:
        """Prediction, target and weights, with weight 0 past the lengths if the prediction has any."""
        if self.takes_lengths:
            return Steps(prediction, target, weights, None)
        return steps_of(prediction, target, weights)

    def _weights(self, terms: Any, target: Any, weights: Any) -> tuple[jax.Array | None, jax.Array]:
        counted = self.counted(target, terms.shape)
        if weights is not None:
            weights = expanded(jnp.asarray(weights), terms.shape).astype(terms.dtype)
            weights = jnp.where(weights >= 0, weights, jnp.nan)  # under jit nothing can raise: the value is NaN
        if (factors := self.factors(target, terms.shape)) is not None:
            factors = factors.astype(terms.dtype)
            # A target that weighs nothing may be NaN.
            weights = factors if weights is None else jnp.where(weights == 0, 0, weights * factors)
        if counted is not None:
            weights = counted.astype(terms.dtype) if weights is None else jnp.where(counted, weights, 0)
        if weights is None:
            return None, jnp.asarray(terms.size, terms.dtype)
        return weights, weights.sum()

    def _share(self, terms: Any, target: Any, weights: Any) -> jax.Array:
        each, total = self._weights(terms, target, weights)
        if each is None:
            return 1 / total
        # A sum of ∞ would make every share 0, and so the value and the gradient.
        total = jnp.where(jnp.isinf(total), jnp.nan, total)
        return jnp.where(total == 0, 0, each / jnp.where(total == 0, 1, total))


def loss_hint(thing: Any) -> str:
    """A hint for a class, or a function of one example, given in place of a loss."""
    if callable(thing) and not isinstance(thing, type | Layer):
        return f"; write fnn.LossOf({getattr(thing, '__name__', 'function')}), with a function of one example"
    return instance_hint(thing)


def check_weights(weights: Any, what: str = "weights", of: str = "") -> None:
    """Raises for weights below 0 or NaN if their values are known."""
    if isinstance(weights, Mapping):
        raise TypeError(f"{what} are one array, got {describe(weights)}; by name they are those of a MultiLoss")
    if (other := foreign(weights, "weights")) is not None:
        raise other.refusal(f"{what}{of} are numbers")
    if is_concrete(weights):
        values = np.asarray(weights)
        wrong = values[~(values >= 0)]
        if wrong.size:
            raise ValueError(f"{what} are at least 0, got {np.unique(wrong)[:5].tolist()}{of}")


def check_weights_by_name(weights: Any, what: str = "weights") -> None:
    """``check_weights`` of an array, or of each of a dict."""
    for name, each in weights.items() if isinstance(weights, Mapping) else ():
        check_weights(each, what, f" for {name!r}")
    if not isinstance(weights, Mapping):
        check_weights(weights, what)


def expanded(weights: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Weights of the leading axes, broadcast over the others."""
    if weights.shape != shape[: weights.ndim]:
        raise ValueError(
            f"weights have the shape of the leading axes of the {shape} terms of the loss, got {describe(weights)}"
        )
    return jnp.broadcast_to(weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)
