"""What is minimised: a model, a loss and penalties, with the gradient by hand or by ``jax.grad``."""

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import jax

from fnn.backprop import Rule, add_gradients, backprop
from fnn.calls import apply_of, backward_of, forward_of, init_of
from fnn.combinators.serial import Serial
from fnn.errors import describe, instance_hint, located, returned, tuple_of
from fnn.layer import Cache, Layer, Params, State
from fnn.losses.loss import Loss, loss_hint
from fnn.penalties import Penalty
from fnn.ruled import Replaced, checked_rules, rule_of
from fnn.takes_logits import warn_of_probabilities
from fnn.values import FrozenDict
from fnn.walk import walk

Method = Literal["manual", "auto"]

HEAD = "loss"
"""The name that a loss's head has in the model."""


class Aux(NamedTuple):
    """What an objective returns along with its value."""

    state: State
    outputs: Any


@dataclasses.dataclass(frozen=True)
class Objective:
    """value = loss(model(inputs), targets, weights) + Σ penalties(params)

    ``batch`` is ``(inputs, targets)`` or ``(inputs, targets, weights)``.

    A loss with parameters brings a head, a layer that is appended to the model under the name ``loss``: ``model``
    becomes ``Serial(…, loss=head)``. The layers of a ``Serial`` keep their names; any other model becomes the first
    layer, named as in ``Serial(model)``. Nothing is appended to a model that already has a layer ``loss``: it may
    contain the head (tied to an embedding, say), and an objective rebuilt from its fields equals the original.

    ``rules``, ``{glob: rule}``, replaces the backward pass of the layers whose paths match: ``value_and_grad`` and all
    that trains then follow what the rules pass back, while the value, and ``jax.grad`` of it, stay what they are. A
    rule is ``FeedbackAlignment()``, ``DirectFeedbackAlignment()``, ``SignSymmetry()``, ``StraightThrough()``,
    ``QuantizedDelta(bits)``, ``NoisyDelta(scale)`` or a function (path, layer, cache, dy) -> (dparams, dx), as for
    ``backprop``. Layers that contain their kernels (attention, gated units, ``FeedForward``) are one layer to a rule.

    Warns if the model ends in a sigmoid or softmax and the loss applies one itself. Errors: ``ValueError`` for a glob
    of ``rules`` that matches no layer, and for two that match the same one.

    >>> import jax.numpy as jnp, fnn
    >>> objective = Objective(fnn.Dense(2), fnn.CrossEntropy(), (fnn.L2(1e-4),))
    >>> batch = (jnp.ones((4, 3)), jnp.array([0, 1, 0, 1]))
    >>> params, state = objective.init(jax.random.key(0), batch[0])
    >>> (value, aux), grads = objective.value_and_grad(params, state, batch)
    >>> grads["kernel"].shape
    (3, 2)
    """

    model: Layer
    loss: Loss
    penalties: Sequence[Penalty] = ()
    _: dataclasses.KW_ONLY
    rules: Mapping[str, Rule | Replaced] = FrozenDict()

    def __post_init__(self) -> None:
        if not isinstance(self.model, Layer):
            raise TypeError(f"the model of an objective must be a layer, got {self.model!r}{instance_hint(self.model)}")
        if not isinstance(self.loss, Loss):
            raise TypeError(
                f"expected a loss such as CrossEntropy() for the objective, got {self.loss!r}{loss_hint(self.loss)}"
            )
        object.__setattr__(self, "penalties", tuple_of(Penalty, "penalties", self.penalties))
        object.__setattr__(self, "model", _with_head(self.model, self.loss.head))
        object.__setattr__(self, "rules", checked_rules(self.model, self.rules))
        warn_of_probabilities(self.model, self.loss, stacklevel=3)

    def with_model(self, model: Layer) -> Self:
        """The objective with another model, derived from this one's: no warning is repeated."""
        other = copy.copy(self)
        object.__setattr__(other, "model", _with_head(model, self.loss.head))
        return other

    def init(self, key: jax.Array, inputs: Any) -> tuple[Params, State]:
        """Parameters and state for inputs like these (arrays or shapes)."""
        with located("", self.model, inputs):
            return init_of(self.model, key, inputs)

    def __call__(
        self, params: Params, state: State, batch: tuple, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, Aux]:
        """``(value, aux)``; ``jax.grad`` of it is the automatic gradient."""
        inputs, targets, weights = unpacked(batch)
        with located("", self.model, inputs):
            outputs, new_state = apply_of(self.model, params, state, inputs, train=train, key=key)
        with located("loss", self.loss, (outputs, targets)):
            value = self.loss(outputs, targets, weights)
        for penalty in self.penalties:
            value = value + penalty(params)
        return value, Aux(new_state, outputs)

    def value_and_grad(
        self,
        params: Params,
        state: State,
        batch: tuple,
        *,
        key: jax.Array | None = None,
        train: bool = True,
        method: Method = "manual",
    ) -> tuple[tuple[jax.Array, Aux], Params]:
        """``((value, aux), grads)``, by the hand rules (``"manual"``) or by ``jax.grad`` (``"auto"``)."""
        check_method(method)
        if method == "auto":
            if self.rules:
                raise ValueError(
                    "method='auto' differentiates the value, and the rules of the objective replace backward passes by"
                    " hand; leave out one of the two"
                )
            return jax.value_and_grad(self, has_aux=True)(params, state, batch, train=train, key=key)
        value, aux, cache, doutputs = self.forward(params, state, batch, train=train, key=key)
        cost, grads = self.backward(params, cache, doutputs, key=key)
        return (value + cost, aux), grads

    def forward(
        self, params: Params, state: State, batch: tuple, *, train: bool = True, key: jax.Array | None = None
    ) -> tuple[jax.Array, Aux, Cache, Any]:
        """``(value, aux, cache, doutputs)`` without the penalties: what ``backprop(model, cache, doutputs)`` needs."""
        inputs, targets, weights = unpacked(batch)
        with located("", self.model, inputs):
            outputs, new_state, cache = forward_of(self.model, params, state, inputs, train=train, key=key)
        with located("loss", self.loss, (outputs, targets)):
            value, loss_cache = returned(
                self.loss, "forward", "(value, cache)", self.loss.forward(outputs, targets, weights)
            )
            doutputs = self.loss.backward(loss_cache)
        return value, Aux(new_state, outputs), cache, doutputs

    def backward(
        self, params: Params, cache: Cache, doutputs: Any, *, key: jax.Array | None = None
    ) -> tuple[Any, Params]:
        """``(cost, grads)`` from what ``forward`` returned: the sum of the penalties, and the gradient of the value and
        them, or what the rules pass back in its place."""
        with located("", self.model, doutputs, "given the output gradient"):
            if self.rules:
                grads, _ = backprop(self.model, cache, doutputs, self.rule(doutputs, key))
            else:
                grads, _ = backward_of(self.model, cache, doutputs)
        cost, dpenalties = self.penalty(params)
        return cost, grads if dpenalties is None else add_gradients(grads, dpenalties)

    def rule(self, doutputs: Any, key: jax.Array | None) -> Rule | None:
        """What ``backprop`` is given for ``rules``, ``None`` for every layer's own backward."""
        return rule_of(self.model, self.rules, doutputs, key) if self.rules else None

    def refuse_rules(self, what: str) -> None:
        """Raises if there are rules: what they pass back is no gradient, and has no ``what``."""
        if self.rules:
            raise ValueError(
                f"what the rules {self.rules!r} pass back is no gradient, so that it has no {what}; take them off with"
                f" dataclasses.replace(objective, rules={{}})"
            )

    def penalty(self, params: Params) -> tuple[Any, Params | None]:
        """The sum of the penalties and its gradient, ``(0, None)`` without any."""
        total, gradient = 0, None
        for penalty in self.penalties:
            cost, cache = returned(penalty, "forward", "(value, cache)", penalty.forward(params))
            total, dparams = total + cost, penalty.backward(cache)
            gradient = dparams if gradient is None else add_gradients(gradient, dparams)
        return total, gradient


def check_method(method: Any) -> None:
    """Raises if ``method`` is neither "manual" nor "auto"."""
    if not isinstance(method, str) or method not in ("manual", "auto"):
        raise ValueError(f"method is 'manual' or 'auto', got {method!r}")


def _with_head(model: Layer, head: Layer | None) -> Layer:
    if head is None or _has_head(model):
        return model
    body = model if isinstance(model, Serial) else Serial(model)
    return Serial(**body.children(), **{HEAD: head})


def _has_head(model: Layer) -> bool:
    # By path, not by type: comparing gradients replaces every layer by a wrapper.
    return any(path == HEAD for path, _ in walk(model))


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """``(inputs, targets, weights)`` of a batch, weights ``None`` if there are none."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise TypeError(f"a batch is (inputs, targets) or (inputs, targets, weights), got {describe(batch)}")
    inputs, targets, *weights = batch
    return inputs, targets, weights[0] if weights else None
