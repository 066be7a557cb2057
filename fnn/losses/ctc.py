"""Connectionist temporal classification: labels for a sequence of frames, without alignment between the two."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp

from fnn.errors import describe, floating_array, is_concrete
from fnn.layer import Cache, wide_dtype
from fnn.losses.logits import log_softmax
from fnn.losses.loss import Loss

NEVER = -1e30
"""The logarithm of a probability of 0: finite, so that differences and derivatives of it are finite too."""


@dataclasses.dataclass(frozen=True)
class CTC(Loss):
    """The negative log-probability that the frames spell the labels, summed over all alignments.

    A path has one symbol a frame; it spells what is left after merging equal neighbours and then dropping blanks. With
    y = softmax(z) and the S = 2L + 1 places  l' = blank, l₁, blank, l₂, …, l_L, blank,  in logarithms:

    Forward:   α₀(s) = log [s = 0],  αₜ(s) = log yₜ(l'ₛ) + log(exp(αₜ₋₁(s)) + exp(αₜ₋₁(s−1)) + [skipₛ] exp(αₜ₋₁(s−2)))
               skipₛ:  l'ₛ is a label and differs from the label before it: equal labels need a blank between them
               t = −log(exp(α_T(S−1)) + exp(α_T(S−2))),  value = Σ w t / Σ w
    Backward:  β_T(s) = log [s ≥ S−2],  βₜ₋₁(s) = the log-sum of βₜ(s') + log yₜ(l'ₛ') over the places s' after s
               γₜ(s) = exp(αₜ(s) + βₜ(s)), normalised over s: the probability of being at place s in frame t
               dzₜ(k) = (yₜ(k) − Σ_(s: l'ₛ = k) γₜ(s)) · dvalue · w / Σ w

    α and β are normalised frame by frame, so that float32 keeps its digits in long sequences.

    Cache:   ``logits`` z, ``lengths`` (or ``None``) and ``labels``, unchanged; ``alpha`` α (T, N, S);
             ``possible`` (N,), whether a path spells the labels
    Shapes:  z (N, T, V) or (z, lengths (N,)); labels (N, L), integer, padded at the end with −1; weights (N,) → scalar

    Frames past a sequence's length do not count and have gradient 0. A term is the cost of a whole sequence, not
    divided by its length. Labels that no path spells (too few frames, or a logit of −∞) cost ∞ and have gradient 0; so
    do labels whose paths all have a log-probability below −5e29. An empty label sequence is spelled by blanks alone.

    Errors: ``ValueError`` for other shapes and, outside jit, for labels outside [0, V) or equal to the blank, for −1
    before a label, for lengths outside [0, T] and for more labels than the frames can spell; ``TypeError`` for labels
    or lengths that are not integers. Inside jit, where values are unknown, such a label or length makes the value NaN,
    and too few frames make it ∞.

    >>> CTC()(jnp.zeros((1, 2, 3)), jnp.array([[1, -1]]))  # 1 1, 1 blank, blank 1: three of nine paths
    Array(1.0986123, dtype=float32)

    Source: Graves et al. 2006, §4, with a β that leaves out the emission of its own frame.
    """

    applies = "softmax"

    _: dataclasses.KW_ONLY
    blank: int = 0

    takes_lengths = True

    def __post_init__(self) -> None:
        if isinstance(self.blank, bool) or not isinstance(self.blank, int):
            raise TypeError(f"blank is an integer, got {self.blank!r}")
        if self.blank < 0:
            raise ValueError(f"blank is a class of at least 0, got {self.blank}")

    def terms(self, prediction: Any, target: Any) -> tuple[jax.Array, Cache]:
        logits, lengths = _with_lengths(prediction)
        logits = floating_array(logits)
        self.check(prediction, target)
        labels = jnp.asarray(target).astype(jnp.int32)
        places, skip, end = self._places(labels, logits)
        emissions, frames, running = _frames(logits, lengths, places)

        def step(carry: tuple, each: tuple) -> tuple[tuple, jax.Array]:
            (alpha, log_p), (emission, running) = carry, each
            new = emission + _reached(alpha, skip)
            size = logsumexp(new, -1)
            alpha = jnp.where(running[:, None], new - size[:, None], alpha)
            return (alpha, log_p + jnp.where(running, size, 0)), alpha

        first = lax.broadcasted_iota(jnp.int32, places.shape, 1) == 0
        start = (_log_of(first, emissions.dtype), jnp.zeros(labels.shape[0], emissions.dtype))
        (last, log_p), alpha = lax.scan(step, start, (emissions, running))
        log_p = log_p + logsumexp(jnp.where(end, last, NEVER), -1)
        possible = ~(log_p <= NEVER / 2)  # negated, so that NaN logits count as possible and the term is NaN
        valid = self._valid(labels, logits) & _valid_lengths(lengths, frames)
        terms = jnp.where(valid, jnp.where(possible, -log_p, jnp.inf), jnp.nan)
        cache = {"logits": logits, "lengths": lengths, "labels": labels, "alpha": alpha, "possible": possible & valid}
        return terms, cache

    def terms_backward(self, cache: Cache, dterms: jax.Array) -> Any:
        logits, lengths, possible = cache["logits"], cache["lengths"], cache["possible"]
        places, skip, end = self._places(cache["labels"], logits)
        emissions, frames, running = _frames(logits, lengths, places)

        def step(beta: jax.Array, each: tuple) -> tuple[jax.Array, jax.Array]:
            emission, running, alpha = each
            before = _centred(_left(beta + emission, skip))
            return jnp.where(running[:, None], before, beta), _occupied(alpha, beta)

        last = _log_of(end, emissions.dtype)
        _, occupied = lax.scan(step, last, (emissions, running, cache["alpha"]), reverse=True)
        dlogits = jnp.exp(log_softmax(logits.astype(emissions.dtype)))
        sequence = jnp.arange(logits.shape[0])[:, None, None]
        dlogits = dlogits.at[sequence, frames[None, :, None], places[:, None, :]].add(-occupied.swapaxes(0, 1))
        # where, not a product: the logits of an impossible sequence may hold anything, 0 · NaN is NaN.
        dlogits = jnp.where((running.T & possible[:, None])[..., None], dlogits, 0)
        dlogits = (dlogits * jnp.broadcast_to(dterms, possible.shape)[:, None, None]).astype(logits.dtype)
        return dlogits if lengths is None else (dlogits, None)

    def select(self, keep: jax.Array, prediction: Any) -> Any:
        if not isinstance(prediction, tuple | list):
            return super().select(keep, prediction)
        return super().select(keep, prediction[0]), prediction[1]

    def check(self, prediction: Any, target: Any) -> None:
        logits, lengths = _with_lengths(prediction)
        # A NumPy array stays NumPy: inside jit it is a constant with known values, which jnp.asarray would trace.
        target = target if hasattr(target, "dtype") else jnp.asarray(target)
        if logits.ndim != 3 or target.ndim != 2 or target.shape[0] != logits.shape[0]:
            raise ValueError(
                f"expected logits (N, T, V) and labels (N, L) padded with −1, got {describe(logits)} and"
                f" {describe(target)}"
            )
        if not jnp.issubdtype(target.dtype, jnp.integer):
            raise TypeError(f"labels are integers, got {describe(target)}; convert them with astype(int)")
        if self.blank >= logits.shape[2]:
            raise ValueError(f"blank is one of the {logits.shape[2]} classes, got {self.blank}")
        frames = np.full(logits.shape[:1], logits.shape[1])
        if lengths is not None:
            if lengths.shape != logits.shape[:1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
                raise TypeError(f"lengths are integers {logits.shape[:1]}, got {describe(lengths)}")
            if _is_known(lengths):
                frames = np.asarray(lengths)
                if frames.min() < 0 or frames.max() > logits.shape[1]:
                    raise ValueError(f"lengths lie in [0, {logits.shape[1]}], got {frames.tolist()}")
        if _is_known(target):
            self._check_labels(np.asarray(target).astype(np.int64), frames, logits)

    def _check_labels(self, labels: np.ndarray, frames: np.ndarray, logits: Any) -> None:
        wrong = ~np.asarray(self._valid(labels, logits))
        if wrong.any():
            raise ValueError(
                f"labels lie in [0, {logits.shape[2]}), differ from the blank {self.blank} and are padded at the end"
                f" with −1, got {labels[np.argmax(wrong)].tolist()}"
            )
        equal = (labels[:, 1:] == labels[:, :-1]) & (labels[:, 1:] >= 0)
        needed = (labels >= 0).sum(1) + equal.sum(1)
        if (needed > frames).any():
            i = int(np.argmax(needed > frames))
            raise ValueError(
                f"the labels of sequence {i} need {needed[i]} frames (equal neighbours need a blank between them), but"
                f" there are {frames[i]}; leave that sequence out"
            )

    def _valid(self, labels: Any, logits: Any) -> Any:
        each = (labels >= -1) & (labels < logits.shape[2]) & (labels != self.blank)
        return each.all(1) & ((labels[:, 1:] < 0) | (labels[:, :-1] >= 0)).all(1)

    def _places(self, labels: jax.Array, logits: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """l' (N, S); which places can be reached from two places before; and where a path may end."""
        symbols = jnp.where((labels >= 0) & (labels < logits.shape[2]), labels, self.blank)
        pairs = jnp.stack([jnp.full_like(symbols, self.blank), symbols], -1).reshape(labels.shape[0], -1)
        places = jnp.pad(pairs, ((0, 0), (0, 1)), constant_values=self.blank)
        earlier = jnp.pad(places, ((0, 0), (2, 0)), constant_values=self.blank)[:, :-2]
        last = 2 * (labels >= 0).sum(1, keepdims=True, dtype=jnp.int32)
        place = lax.broadcasted_iota(jnp.int32, places.shape, 1)
        return places, (places != self.blank) & (places != earlier), (place <= last) & (place >= last - 1)


def _with_lengths(prediction: Any) -> tuple[Any, Any]:
    """Logits, and lengths or ``None``."""
    if not isinstance(prediction, tuple | list):
        return prediction if hasattr(prediction, "ndim") else jnp.asarray(prediction), None
    if len(prediction) != 2:
        raise TypeError(f"expected logits or (logits, lengths), got {describe(prediction)}")
    logits, lengths = prediction
    return logits, lengths


def _is_known(values: Any) -> bool:
    return is_concrete(values) and not isinstance(values, jax.ShapeDtypeStruct)


def _valid_lengths(lengths: Any, frames: jax.Array) -> Any:
    return True if lengths is None else (lengths >= 0) & (lengths <= frames.shape[0])


def _frames(logits: jax.Array, lengths: Any, places: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """log y at every place (T, N, S), the frame indices (T,), and which frames lie within each sequence (T, N)."""
    log_y = log_softmax(logits.astype(wide_dtype(logits.dtype)))
    emissions = jnp.take_along_axis(jnp.maximum(log_y, NEVER), places[:, None, :], -1).swapaxes(0, 1)
    frames = jnp.arange(logits.shape[1], dtype=jnp.int32)
    ends = jnp.full(logits.shape[0], logits.shape[1], jnp.int32) if lengths is None else lengths.astype(jnp.int32)
    return emissions, frames, frames[:, None] < ends[None, :]


def _log_of(holds: jax.Array, dtype: Any) -> jax.Array:
    """log 1 where ``holds`` is true, log 0 elsewhere."""
    return jnp.where(holds, 0, NEVER).astype(dtype)


def _reached(alpha: jax.Array, skip: jax.Array) -> jax.Array:
    """The log-sum over each place's predecessors: itself, the one before and, if allowed, the one before that."""
    padded = jnp.pad(alpha, ((0, 0), (2, 0)), constant_values=NEVER)
    return logsumexp(jnp.stack([alpha, padded[:, 1:-1], jnp.where(skip, padded[:, :-2], NEVER)]), 0)


def _left(beta: jax.Array, skip: jax.Array) -> jax.Array:
    """The log-sum over each place's successors: the transpose of ``_reached``."""
    width = ((0, 0), (0, 2))
    one = jnp.pad(beta, width, constant_values=NEVER)[:, 1:-1]
    two = jnp.pad(jnp.where(skip, beta, NEVER), width, constant_values=NEVER)[:, 2:]
    return logsumexp(jnp.stack([beta, one, two]), 0)


def _centred(log_p: jax.Array) -> jax.Array:
    """Logarithms shifted so that the largest is 0: only differences matter, and long sequences keep their digits."""
    return log_p - lax.stop_gradient(log_p.max(-1, keepdims=True))


def _occupied(alpha: jax.Array, beta: jax.Array) -> jax.Array:
    """γ (N, S), the probability of every place in a frame."""
    return jax.nn.softmax(alpha + beta, -1)
