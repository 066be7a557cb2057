"""Differentially private training: DP-SGD with Poisson samples, and how much of the privacy budget it has spent."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import add_gradients
from fnn.combinators.frozen import frozen_layers
from fnn.errors import is_floating, positive
from fnn.guards.ranges import ABOVE_ZERO, AT_LEAST_ZERO, OPEN_FRACTION, is_number
from fnn.layer import Params, State, named_key
from fnn.objective import Aux, Objective, unpacked
from fnn.paths import lies_in, map_named
from fnn.rules.clipped import bounded_sum
from fnn.train.data import Length
from fnn.train.poisson import Poisson, poisson


@dataclasses.dataclass(frozen=True)
class Privacy:
    """Training that reveals little of any one sample: ``fit(…, privacy=Privacy(max_norm, noise_multiplier, delta))``.

        g = (Σ min(1, C / ‖gₙ‖) gₙ + σ C z) / B + ∂penalties/∂θ,  z ~ N(0, 1) for every entry

    summed over a Poisson sample, which every one of the N samples enters by itself with the probability B / N. C is
    ``max_norm``, σ ``noise_multiplier`` and B the ``batch_size`` of the run, the expected number of samples in a step;
    an epoch is N / B steps. Any optimiser may follow.

    The parameters are then (ε, ``delta``)-differentially private: for every set S of results and two data sets, one of
    which has a sample more than the other, P(S) ≤ e^ε P'(S) + δ, where N is taken to be known. ``epsilon`` is in the
    history after every epoch, by the library dp-accounting (``pip install "fnn[privacy]"``). Every step counts as a
    release of its own, micro-batches of ``accumulate`` too. The last entry counts, also where early stopping returns
    earlier parameters; a run that is interrupted within an epoch has spent up to what ``epsilon(…)`` gives for all
    steps of that epoch. What other runs on the same data spent adds to it.

    Private are the parameters and the optimiser state. **Not private** are the losses and metrics of the history, and
    whatever is chosen by them. A choice by validation data costs the privacy of the validation data alone. The
    guarantee holds as long as nobody knows the key and no other run has the same one: two runs with one key draw the
    same noise, and the difference of their results has none. It holds for exact arithmetic: what the rounding of norms
    and of the noise reveals (Mironov 2012) is not accounted for.

    A batch is padded to a size that a draw exceeds with a probability below 1e-10 δ, which is left out of the account.
    ``micro_batch``, a number of samples, computes that many at a time: less memory, the same step. Weights of 0 leave a
    sample out, all others are ignored. A sample whose gradient is not finite adds nothing, and frozen layers get no
    noise. All samples of a batch draw the same random numbers in dropout.

    Errors, when training starts: ``ValueError`` for a batch norm, whose statistics mix samples (use ``GroupNorm`` or
    ``LayerNorm``), an augmentation that says that it mixes them, data that are not arrays, ``method="auto"``,
    ``shuffle=False``, early stopping and best checkpoints by a training entry, ``GradientNoise``, and an optimiser that
    reads more of the data than the gradient (``kfac``, ``lbfgs``, ``reduce_on_plateau``). A checkpoint of a run with
    other settings is not resumed by ``resume="force"``: what was spent before would be left out of the account.

    >>> privacy = Privacy(1.0, noise_multiplier=1.1, delta=1e-5)
    >>> round(privacy.epsilon(samples=60_000, batch_size=256, steps=60 * 234), 1)
    2.4

    Source: Abadi et al. 2016, algorithm 1; Zhu and Wang 2019 for Poisson samples.
    """

    max_norm: float
    noise_multiplier: float
    delta: float
    _: dataclasses.KW_ONLY
    micro_batch: int | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("max_norm", ABOVE_ZERO), ("noise_multiplier", AT_LEAST_ZERO), ("delta", OPEN_FRACTION)):
            value = getattr(self, name)
            if not is_number(value):
                raise TypeError(f"{name} is a number, which the account of the privacy needs, got {value!r}")
            if not allowed.holds(value) or not math.isfinite(value):
                raise ValueError(allowed.refusal(name, value))
        if self.micro_batch is not None:
            positive("micro_batch", self.micro_batch)

    def sampling(self, samples: int, batch_size: int) -> Poisson:
        """How batches are drawn."""
        return poisson(samples, batch_size, self.delta)

    def epsilon(self, *, samples: int, batch_size: int, steps: int) -> float:
        """ε after that many steps; ∞ without noise.

        Errors: ``ImportError`` without dp-accounting.
        """
        positive("steps", steps)
        return _epsilon(self.noise_multiplier, self.delta, self.sampling(samples, batch_size).rate, steps)

    def spent(self, sampling: Poisson, length: Length) -> list[float]:
        """ε after every epoch of a run."""
        steps = [(epoch + 1) * sampling.plan.steps for epoch in range(length.epochs)]
        if length.last is not None:
            steps[-1] += length.last - sampling.plan.steps
        return [_epsilon(self.noise_multiplier, self.delta, sampling.rate, each) for each in steps]

    def gradients(
        self,
        objective: Objective,
        params: Params,
        state: State,
        batch: tuple,
        *,
        expected: int,
        key: jax.Array,
        noise_key: jax.Array,
    ) -> tuple[tuple[jax.Array, Aux], Params]:
        """``((value, aux), g)`` of a padded batch: the value without noise, g as above."""
        bare = dataclasses.replace(objective, penalties=())
        (value, aux), sums = self._summed(bare, params, state, batch, key)
        frozen = frozen_layers(objective.model)

        def noisy(path: str, leaf: jax.Array, total: jax.Array) -> jax.Array:
            if not is_floating(leaf) or lies_in(path, frozen):
                return jnp.zeros_like(leaf)
            noise = jax.random.normal(named_key(noise_key, path), leaf.shape, total.dtype)
            return ((total + self.noise_multiplier * self.max_norm * noise) / expected).astype(leaf.dtype)

        cost, penalties = objective.penalty(params)
        grads = map_named(noisy, params, sums)
        return (value + cost, aux), grads if penalties is None else add_gradients(grads, penalties)

    def _summed(
        self, objective: Objective, params: Params, state: State, batch: tuple, key: jax.Array
    ) -> tuple[tuple[jax.Array, Aux], Params]:
        """The sum of the clipped gradients, with the mean value and what else there is of all samples."""
        inputs, targets, weights = unpacked(batch)
        room = jax.tree.leaves(inputs)[0].shape[0]
        batch = inputs, targets, jnp.ones(room, jnp.float32) if weights is None else weights
        size = room if self.micro_batch is None else min(self.micro_batch, room)

        def clipped(part: tuple) -> tuple[tuple[jax.Array, Aux], Params]:
            return bounded_sum(objective, params, state, part, max_norm=self.max_norm, key=key)

        if size == room:
            return clipped(batch)
        parts = -(-room // size)
        padded = jax.tree.map(
            lambda leaf: jnp.pad(leaf, [(0, parts * size - room)] + [(0, 0)] * (leaf.ndim - 1)), batch
        )
        padded = jax.tree.map(lambda leaf: leaf.reshape(parts, size, *leaf.shape[1:]), padded)

        def add(total: Params, part: tuple) -> tuple[Params, tuple]:
            (value, aux), more = clipped(part)
            weight = objective.loss.weight(aux.outputs, *part[1:]).astype(value.dtype)
            return jax.tree.map(jnp.add, total, more), (value * weight, weight, aux)

        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(clipped, _first(padded))[1])
        total, (values, weights, aux) = jax.lax.scan(add, zeros, padded)
        outputs = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:room], aux.outputs)
        weight = weights.sum()
        value: Any = jnp.where(weight == 0, 0, values.sum() / jnp.where(weight == 0, 1, weight))
        return (value, Aux(_first(aux.state), outputs)), total


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


@functools.lru_cache(4096)
def _epsilon(noise_multiplier: float, delta: float, rate: float, steps: int) -> float:
    if not noise_multiplier:
        return math.inf
    try:
        import dp_accounting
        from dp_accounting import pld
    except ImportError as error:
        raise ImportError('the account of the privacy needs dp-accounting: pip install "fnn[privacy]"') from error
    step = dp_accounting.PoissonSampledDpEvent(rate, dp_accounting.GaussianDpEvent(noise_multiplier))
    # Losses of privacy are rounded up to multiples of this, which grows as they do, so that little noise takes no more
    # time and memory than much: ε is an upper bound, by less than 1e-4 of it too large.
    interval = 1e-3 * max(1.0, (0.5 / noise_multiplier) ** 2)
    accountant = pld.PLDAccountant(value_discretization_interval=interval)
    accountant.compose(dp_accounting.SelfComposedDpEvent(step, steps))
    return float(accountant.get_epsilon(delta))
