"""Projection onto a large vocabulary and cross-entropy in one, without holding the logits of all rows at once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import describe, exact_array, floating_array, positive, same_dtype
from fnn.initializers import Initializer, LecunNormal
from fnn.layer import Cache, Static, wide_dtype
from fnn.losses.class_weight import Classification
from fnn.losses.cross_entropy import CrossEntropy
from fnn.losses.linear_head import LinearHead


@dataclasses.dataclass(frozen=True)
class LinearCrossEntropy(Classification):
    """Projection, softmax and cross-entropy together: ``Dense(V, use_bias=False)`` and ``CrossEntropy`` in one.

    Forward:   z = h W,  t = the term of ``CrossEntropy`` at z;  value = Σ w t / Σ w
    Backward:  dz = the gradient of ``CrossEntropy``,  dh = dz Wᵀ · dvalue,  dW = Σ hᵀ dz · dvalue

    Only ``chunk`` rows have logits at any time, and their gradient is formed in the forward pass: the share w / Σ w of
    a row does not depend on its logits, so dz is known right away and the backward pass only scales by dvalue. That
    takes three matrix products; recomputing the logits in the backward pass would take four. The logits need
    ``chunk`` · V of memory, next to D · V for dW, which is needed anyway: with ``chunk`` up to D, splitting the
    vocabulary as well would save little and compute the logits twice.

    The parameters belong to ``head``, which ``Objective`` appends to the model under the name ``loss``: W is
    ``params["loss"]["kernel"]``, and the model outputs the pair (h, W). ``predictions(outputs)`` gives the logits,
    which metrics use. Calling the loss forms no gradient; ``jax.grad`` of it recomputes the logits.

    Cache:   ``dhidden`` (…, D) and ``dkernel`` (D, V) for dvalue = 1, in at least float32; ``dtype`` Static, h's
    Shapes:  (h (…, D), W (D, V)), labels (…) integer, weights of the leading axes → scalar, of at least float32

    ``label_smoothing``, ``ignore_index``, ``z_loss`` and ``class_weight`` mean what they mean in ``CrossEntropy``, and
    inside jit a label outside [0, V) makes the value NaN.

    Errors: ``ValueError`` for a kernel or labels of another shape and, outside jit, for a label outside [0, V);
    ``TypeError`` for a prediction that is not a pair, for labels that are not integers and for dtypes that differ.

    >>> loss = LinearCrossEntropy(3, chunk=2)
    >>> outputs, labels = (jnp.ones((4, 2)), jnp.zeros((2, 3))), jnp.array([0, 1, 2, 0])
    >>> loss(outputs, labels)
    Array(1.0986123, dtype=float32)
    >>> value, cache = loss.forward(outputs, labels)
    >>> [each.shape for each in loss.backward(cache)]
    [(4, 2), (2, 3)]

    Source: Hsu et al. 2024 (Liger), which forms the gradient in the forward pass; Wijmans et al. 2024.
    """

    vocabulary: int
    _: dataclasses.KW_ONLY
    chunk: int = 256
    label_smoothing: float = 0.0
    ignore_index: int | None = None
    z_loss: float = 0.0
    kernel_init: Initializer = LecunNormal()

    def __post_init__(self) -> None:
        positive("vocabulary", self.vocabulary)
        positive("chunk", self.chunk)
        super().__post_init__()
        self.check_classes(self.vocabulary)
        _ = self.of_logits  # checks the other options

    @property
    def head(self) -> LinearHead:
        """The layer that holds the kernel."""
        return LinearHead(self.vocabulary, kernel_init=self.kernel_init)

    @property
    def of_logits(self) -> CrossEntropy:
        """The same loss, of the logits."""
        return CrossEntropy(
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            z_loss=self.z_loss,
            class_weight=self.class_weight,
        )

    def class_count(self, prediction: Any) -> int:
        return self.vocabulary

    def predictions(self, outputs: Any) -> jax.Array:
        """The logits h W (…, V) of all rows, in at least float32."""
        hidden, kernel = self._pair(outputs)
        wide = wide_dtype(hidden.dtype)
        return hidden.astype(wide) @ kernel.astype(wide)

    def __call__(self, prediction: Any, target: Any, weights: Any = None) -> jax.Array:
        """The value; ``jax.grad`` of it is the automatic gradient."""
        return super().forward(prediction, target, weights)[0]

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        hidden, kernel, labels = self._operands(prediction, target)
        counted = self.counted(labels, labels.shape)
        if counted is not None:
            hidden, _ = self.select(counted, (hidden, kernel))

        # Checkpointed, so that the automatic gradient does not keep the logits either.
        @jax.checkpoint
        def terms_of(kernel: jax.Array, hidden: jax.Array, labels: jax.Array) -> jax.Array:
            return self.of_logits.terms(hidden.astype(kernel.dtype) @ kernel, labels)[0]

        def step(carry: None, rows: tuple) -> tuple[None, jax.Array]:
            return carry, terms_of(kernel, *rows)

        _, terms = in_chunks(step, None, (hidden.reshape(-1, hidden.shape[-1]), labels.reshape(-1)), self.chunk)
        return terms.reshape(labels.shape), {}

    def forward(self, prediction: Any, target: Any, weights: Any = None) -> tuple[jax.Array, Cache]:
        """The value, and the gradients of hidden vectors and kernel as the cache."""
        prediction, target, weights, lengths = self.over_steps(prediction, target, weights)
        hidden, kernel, labels = self._operands(prediction, target)
        share = self._share(jax.ShapeDtypeStruct(labels.shape, kernel.dtype), labels, weights)
        share = jnp.broadcast_to(share, labels.shape)
        hidden, share = self.select(share != 0, (hidden, kernel))[0], share.reshape(-1)

        def step(dkernel: jax.Array, rows: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            hidden, labels, share = rows
            hidden = hidden.astype(kernel.dtype)
            terms, cache = self.of_logits.terms(hidden @ kernel, labels)
            dlogits = self.of_logits.terms_backward(cache, share)
            return dkernel + hidden.T @ dlogits, (terms, dlogits @ kernel.T)

        rows = (hidden.reshape(-1, hidden.shape[-1]), labels.reshape(-1), share)
        dkernel, (terms, dhidden) = in_chunks(step, jnp.zeros_like(kernel), rows, self.chunk)
        cache = {"dhidden": dhidden.reshape(hidden.shape), "dkernel": dkernel, "dtype": Static(hidden.dtype)}
        counted: Any = jnp.where(share == 0, 0, terms * share)
        return counted.sum(), cache if lengths is None else {**cache, "beside": Static(True)}

    def backward(self, cache: Cache, dvalue: Any = 1.0) -> Any:
        """The gradient of the pair (h, W)."""

        def scaled(gradient: jax.Array) -> jax.Array:
            return (jnp.asarray(dvalue, gradient.dtype) * gradient).astype(cache["dtype"].value)

        gradients = scaled(cache["dhidden"]), scaled(cache["dkernel"])
        return (gradients, None) if "beside" in cache else gradients

    @property
    def likelihood(self) -> "LinearCrossEntropy":
        return dataclasses.replace(self, label_smoothing=0.0, ignore_index=None, z_loss=0.0, class_weight=None)

    def drawn(self, key: jax.Array, prediction: Any) -> jax.Array:
        """Labels with the probabilities softmax(h W), drawn ``chunk`` rows at a time."""
        hidden, kernel = self._pair(prediction)
        wide = wide_dtype(kernel.dtype)

        def step(key: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
            key, own = jax.random.split(key)
            return key, self.of_logits.drawn(own, rows.astype(wide) @ kernel.astype(wide))

        _, labels = in_chunks(step, key, hidden.reshape(-1, hidden.shape[-1]), self.chunk)
        return labels.reshape(hidden.shape[:-1])

    def scores(self, prediction: Any, target: Any, dterms: jax.Array) -> tuple[jax.Array, jax.Array]:
        hidden, kernel, labels = self._operands(prediction, target)
        dterms = jnp.broadcast_to(dterms, labels.shape)

        def step(dkernel: jax.Array, rows: tuple) -> tuple[jax.Array, jax.Array]:
            hidden, labels, dterms = rows
            hidden = hidden.astype(kernel.dtype)
            dlogits = self.of_logits.scores(hidden @ kernel, labels, dterms)
            return dkernel + hidden.T @ dlogits, dlogits @ kernel.T

        rows = (hidden.reshape(-1, hidden.shape[-1]), labels.reshape(-1), dterms.reshape(-1))
        dkernel, dhidden = in_chunks(step, jnp.zeros_like(kernel), rows, self.chunk)
        return dhidden.reshape(hidden.shape).astype(hidden.dtype), dkernel.astype(hidden.dtype)

    def check(self, prediction: Any, target: Any) -> None:
        hidden, kernel = _pair(prediction)
        if hidden.ndim < 1 or kernel.shape != (hidden.shape[-1], self.vocabulary):
            raise ValueError(
                f"expected hidden vectors (…, D) and a kernel (D, {self.vocabulary}), got {describe((hidden, kernel))}"
            )
        target = exact_array(target)
        if target.shape != hidden.shape[:-1]:
            raise ValueError(
                f"expected labels {hidden.shape[:-1]} for hidden vectors {describe(hidden)}, got {describe(target)}"
            )
        self.of_logits.check(jax.ShapeDtypeStruct((*target.shape, self.vocabulary), hidden.dtype), target)

    def select(self, keep: jax.Array, prediction: Any) -> tuple[Any, Any]:
        return super().select(keep, prediction[0]), prediction[1]

    def counted(self, target: Any, shape: tuple[int, ...]) -> jax.Array | None:
        return self.of_logits.counted(target, shape)

    def _operands(self, prediction: Any, target: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The hidden vectors, the kernel cast to the dtype to compute in, and the labels."""
        hidden, kernel = self._pair(prediction)
        self.check((hidden, kernel), target)
        return hidden, kernel.astype(wide_dtype(kernel.dtype)), jnp.asarray(target)

    def _pair(self, prediction: Any) -> tuple[jax.Array, jax.Array]:
        hidden, kernel = _pair(prediction)
        hidden = floating_array(hidden)
        return hidden, same_dtype("kernel", kernel, hidden.dtype)


def _pair(prediction: Any) -> tuple[Any, Any]:
    if not isinstance(prediction, tuple | list) or len(prediction) != 2:
        raise TypeError(
            f"expected the pair (hidden, kernel) that the head of the loss returns, got {describe(prediction)};"
            f" Objective appends the head unless the model already has a layer named 'loss'"
        )
    return prediction[0], prediction[1]


def in_chunks(step: Callable[[Any, Any], tuple[Any, Any]], carry: Any, rows: Any, size: int) -> tuple[Any, Any]:
    """``lax.scan`` of ``step(carry, rows) -> (carry, outputs)`` over ``size`` rows at a time, and once over the rest.

    The outputs keep the first axis of the rows and are concatenated.
    """
    count = jax.tree.leaves(rows)[0].shape[0]
    steps = count // size
    parts = []
    if steps:
        full = jax.tree.map(lambda leaf: leaf[: steps * size].reshape(steps, size, *leaf.shape[1:]), rows)
        carry, outputs = lax.scan(step, carry, full)
        parts.append(jax.tree.map(lambda leaf: leaf.reshape(steps * size, *leaf.shape[2:]), outputs))
    if count % size:
        carry, outputs = step(carry, jax.tree.map(lambda leaf: leaf[steps * size :], rows))
        parts.append(outputs)
    return carry, parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
