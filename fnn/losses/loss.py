"""What every loss shares: the weighted mean over its terms, and the way its gradient starts.

A loss turns a prediction and a target into terms (one an example, or one an entry), and

    value = Σ w t / Σ w        dt = dvalue · w / Σ w

with ``weights`` w of the shape of the leading axes of the terms, repeated over the others; without them every term
counts 1. A sum of weights of zero gives the value 0 and the gradient 0; one that overflows gives NaN. So weights of 0
mask examples out, whatever stands there (a prediction or a target that is NaN leaves no trace), and micro-batches add
up exactly: the whole is the mean of the parts weighted by ``loss.weight``.

Of a prediction ``(p, lengths)`` of sequences the steps past a length do not count: w is 0 there, whatever the weights
say. The gradient is then ``(dp, None)``.

The masking is a selection on the way in (``select``: 0 in the place of a prediction that does not count) and another
on the way out, since a product would leave 0 · NaN; backward is the transpose of both. What does not count is selected
away from ``jax.grad`` too, so the derivative by a *weight* is meant only where that weight is not 0.
"""

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from fnn.corners import Kinks
from fnn.errors import describe, exact_array, floating_array, is_concrete, is_floating, returned
from fnn.guards.foreign import foreign
from fnn.guards.signatures import check_methods
from fnn.guards.spelling import check_spelling
from fnn.layer import Cache, Layer, Static, wide_dtype
from fnn.losses.steps import Steps, steps_of

OPTIONAL = ("head", "predictions", "check", "counted", "select", "weight", "over_steps")
"""Methods that few losses give."""


@dataclasses.dataclass(frozen=True)
class Loss:
    """The base of losses: a subclass gives ``terms`` and ``terms_backward``.

    One that forms its gradient on the way forward gives ``terms``, and ``__call__``, ``forward`` and ``backward``; its
    ``forward`` asks ``over_steps`` first, if predictions may have lengths beside them.
    """

    applies: ClassVar[Literal["sigmoid", "softmax"] | None] = None
    """What the loss applies to the prediction itself, so that it takes logits and not what this makes of them."""

    takes_lengths: ClassVar[bool] = False
    """Whether the loss is one of whole sequences, and reads their lengths itself."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a loss", aside=OPTIONAL)
        pair = ("prediction", "target")
        check_methods(cls, terms=pair, terms_backward=("cache", "dterms"), check=pair, kinks_at=pair)
        check_methods(cls, counted=("target", "shape"))
        check_methods(cls, forward=(*pair, "weights"), backward=("cache", "dvalue"), __call__=(*pair, "weights"))

    @property
    def head(self) -> Layer | None:
        """The layer with the parameters of the loss, which ``Objective`` appends to the model; ``None`` for none."""
        return None

    def predictions(self, outputs: Any) -> Any:
        """What metrics see of the outputs of a model: the outputs, unless the loss ends the model with its head."""
        return outputs

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        """The terms, and the cache for their backward."""
        raise NotImplementedError(f"{type(self).__name__} does not define terms")

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> Any:
        """The gradient of the prediction; ``dterms`` has the shape of the terms, or is one scalar for all."""
        raise NotImplementedError(f"{type(self).__name__} does not define terms_backward")

    def check(self, prediction: Any, target: Any) -> None:
        """Raises for a target that does not fit the prediction (an array, or its shape); its values are looked at
        where they can be, outside jit."""

    def kinks_at(self, prediction: Any, target: Any) -> Kinks | None:
        """How many entries, in NumPy, stand on a kink or a tie, ``(count, total, words)``; ``None`` without any."""
        return None

    def counted(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        """Which of the terms, an array of this shape, count; ``None`` if all do."""
        return None

    def select(self, keep: jax.Array, prediction: Any) -> Any:
        """The prediction where ``keep``, of the leading axes of the terms, holds, 0 elsewhere; and its gradient alike.

        A prediction of one array is selected by its leading axes. A loss whose prediction is a tree, or whose terms
        are not of the prediction's leading axes, says here which entries belong to which term.
        """
        shape = getattr(prediction, "shape", None)
        if shape is None or shape[: keep.ndim] != keep.shape:
            return prediction
        return jnp.where(keep.reshape(keep.shape + (1,) * (len(shape) - keep.ndim)), prediction, 0)

    def __call__(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        """The value; ``jax.grad`` through it is the automatic gradient."""
        return self.forward(prediction, target, weights)[0]

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Cache]:
        """The value, and the cache: ``terms``, that of the terms, and ``share``, w / Σ w."""
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
        """Σ w: what this batch counts beside others."""
        prediction, target, weights, _ = self.over_steps(prediction, target, weights)
        terms = jax.eval_shape(lambda prediction, target: self.terms(prediction, target)[0], prediction, target)
        return self._weights(terms, target, weights)[1]

    def over_steps(self, prediction: Any, target: Any, weights: Any) -> Steps:
        """What is judged of a prediction that may have lengths beside it."""
        if self.takes_lengths:
            return Steps(prediction, target, weights, None)
        return steps_of(prediction, target, weights)

    def _weights(self, terms: Any, target: Any, weights: Any) -> tuple[jax.Array | None, jax.Array]:
        counted = self.counted(target, terms.shape)
        if weights is not None:
            weights = expanded(jnp.asarray(weights), terms.shape).astype(terms.dtype)
            weights = jnp.where(weights >= 0, weights, jnp.nan)  # where nothing can be raised, the value shows it
        if counted is not None:
            weights = counted.astype(terms.dtype) if weights is None else jnp.where(counted, weights, 0)
        if weights is None:
            return None, jnp.asarray(terms.size, terms.dtype)
        return weights, weights.sum()

    def _share(self, terms: Any, target: Any, weights: Any) -> jax.Array:
        each, total = self._weights(terms, target, weights)
        if each is None:
            return 1 / total
        # A sum of ∞ would make every share 0, and with them the value and the gradient.
        total = jnp.where(jnp.isinf(total), jnp.nan, total)
        return jnp.where(total == 0, 0, each / jnp.where(total == 0, 1, total))


def check_weights(weights: Any, what: str = "weights") -> None:
    """Raises for weights below 0, or NaN, where values can be looked at."""
    if (other := foreign(weights, "weights")) is not None:
        raise other.refusal(f"{what} are numbers")
    if is_concrete(weights):
        values = np.asarray(weights)
        wrong = values[~(values >= 0)]
        if wrong.size:
            raise ValueError(f"{what} are at least 0, got {np.unique(wrong)[:5].tolist()}")


def expanded(weights: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Weights of the leading axes, repeated over the others."""
    if weights.shape != shape[: weights.ndim]:
        raise ValueError(
            f"weights have the shape of the leading axes of the {shape} terms of the loss, got {describe(weights)}"
        )
    return jnp.broadcast_to(weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim)), shape)


def same_shape(prediction: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    """Prediction and target of an elementwise loss, as arrays of one shape, or an error: nothing broadcasts."""
    prediction, target = floating_array(prediction), exact_array(target)
    if prediction.shape != target.shape:
        of_classes = target.shape == prediction.shape[:-1] and prediction.shape[-1] > 1
        if of_classes and jnp.issubdtype(target.dtype, jnp.integer):
            raise ValueError(
                f"prediction and target must have the same shape, got {describe(prediction)} and {describe(target)};"
                f" labels of classes go with CrossEntropy(), or are made one-hot: jax.nn.one_hot(target,"
                f" {prediction.shape[-1]})"
            )
        raise ValueError(
            f"prediction and target must have the same shape, got {describe(prediction)} and {describe(target)};"
            f" nothing is broadcast, so reshape one of them"
        )
    return prediction, target


def real_target(prediction: Any, target: Any) -> tuple[jax.Array, jax.Array]:
    """Prediction and target of a regression, of one shape and one floating dtype, in the dtype to compute in."""
    prediction, target = same_shape(prediction, target)
    if not is_floating(target) or target.dtype != prediction.dtype:
        raise TypeError(f"the target has the prediction's dtype, {prediction.dtype}, got {describe(target)}")
    wide = wide_dtype(prediction.dtype)
    return prediction.astype(wide), target.astype(wide)
