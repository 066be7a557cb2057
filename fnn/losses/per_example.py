"""Losses of your own from a function of one example, with ``jax.vjp`` as their rule until they get one by hand."""

import dataclasses
from collections.abc import Callable
from typing import Any

from fnn.errors import instance_hint
from fnn.guards.signatures import check_takes
from fnn.layer import Layer
from fnn.losses.loss import Loss


@dataclasses.dataclass(frozen=True)
class LossOf(Loss):
    """A function of one example as a loss.

    Forward:   tₙ = fn(pₙ, yₙ),  value = Σ w t / Σ w
    Backward:  dpₙ = (∂fn/∂pₙ) dtₙ by ``jax.vjp``, dt = dvalue · w / Σ w: the one loss whose rule is ``auto``

    Cache:   ``prediction`` and ``target``
    Shapes:  prediction and target arrays or pytrees of them, (N, …); weights (N,) → scalar. With weights or lengths of
             the steps of sequences, fn returns one number a step, and weights are (N, T)

    fn gets one example without the batch axis, and returns its loss, a floating number; 16-bit numbers reach it as
    float32. It is pure; write it at the top of a module, because losses are compared by their functions, and a
    ``lambda`` made anew compiles everything again.

    A class of your own derives from ``fnn.Loss`` and defines ``per_example``; it can have options, and a rule by hand
    as soon as you give it ``terms`` and ``terms_backward``.

    Errors: ``TypeError`` for something that cannot be called with (prediction, target) or hashed, and for a function
    that returns no floating array; ``ValueError`` if prediction and target do not have one N.

    >>> import jax.numpy as jnp
    >>> def pinball(prediction, target):
    ...     return jnp.maximum(0.9 * (target - prediction), 0.1 * (prediction - target))
    >>> LossOf(pinball)(jnp.array([1.0, 3.0]), jnp.array([2.0, 2.0]))
    Array(0.5, dtype=float32)
    """

    fn: Callable[[Any, Any], Any]

    def __post_init__(self) -> None:
        if not callable(self.fn) or isinstance(self.fn, type | Layer | Loss):
            raise TypeError(f"fn is a function of (prediction, target), got {self.fn!r}{instance_hint(self.fn)}")
        check_takes("fn", self.fn, "prediction", "target")
        try:
            hash(self.fn)
        except TypeError:
            raise TypeError(
                f"fn is hashable, so that losses can be compared; {self.fn!r} is not: write a function at the top of a"
                f" module"
            ) from None

    def __repr__(self) -> str:
        return f"LossOf(fn={getattr(self.fn, '__qualname__', None) or repr(self.fn)})"

    def per_example(self, prediction: Any, target: Any) -> Any:
        return self.fn(prediction, target)
