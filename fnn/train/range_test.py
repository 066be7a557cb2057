"""The range test: which learning rate a model bears with an optimiser, from one short run with rising rates."""

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import positive
from fnn.guards.options import one_key
from fnn.guards.ranges import POSITIVE, in_range
from fnn.guards.signatures import check_takes
from fnn.layer import Params, State, named_key
from fnn.objective import Objective
from fnn.optim.hyperparameters import hyperparams, set_hyperparams, with_hyperparams_of
from fnn.optim.transform import is_optimizer
from fnn.train.balance import balanced
from fnn.train.checks import check_data, check_start
from fnn.train.data import Batches, arrays, is_arrays, samples
from fnn.train.host_batches import HostBatches
from fnn.train.step import Augment, Learned, Training
from fnn.train.stream import shapes

DECAY, RISE, LIKELY = 0.95, 3.0, 3.0
"""The decay of the mean of the losses; by how many falls it rises where the run diverged; how many standard deviations
a fall is more than noise."""

MEMORY = round(1 / (1 - DECAY))
"""The number of losses of which the mean mostly consists."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class LearningRates:
    """What ``find_learning_rate`` found, in NumPy: the loss of a batch just before the step with each of the rates.

    ``smoothed`` holds the means of ``losses`` before the run diverged, and so may be shorter, even empty.
    ``suggestion`` is NaN if the loss never fell.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def plot(self, path: str | os.PathLike) -> None:
        """Draws the losses against the rates, with the suggestion, and saves the picture; the ending gives the format.

        Errors: ``ImportError`` where matplotlib is not installed.
        """
        from fnn.train.range_plot import save_rates

        save_rates(self, path)

    def __repr__(self) -> str:
        end = f", diverged at {self.rates[len(self.smoothed)]:.3g}" if len(self.smoothed) < len(self.rates) else ""
        steps = f"{len(self.rates)} steps from {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"LearningRates(suggestion={self.suggestion:.3g}, {steps}{end})"


def find_learning_rate(
    objective: Objective,
    optimizer: Any,
    data: Any,
    *,
    key: jax.Array,
    batch_size: int | None = None,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 200,
    params: Params | None = None,
    state: State | None = None,
    augment: Augment | None = None,
) -> LearningRates:
    """Suggests a learning rate: trains for ``steps`` batches with rates that rise from ``lowest`` to ``highest``.

        rate_t = lowest · (highest/lowest)^(t/(steps − 1)),  loss l_t before the step with rate_t,  t = 0, 1, …
        m_t = Σ_(i≤t) 0.95^(t−i) l_i / Σ_(i≤t) 0.95^(t−i)    the mean, its bias corrected
        suggestion = rate_t / 10 at the least m_t, from t = 20 on (or from the middle of a shorter run)

    Before, m is a mean of so few batches that one easy batch would be its minimum. The run has diverged, and
    nothing counts from there on, where m is not finite or has risen from its minimum by three times its fall, or by
    three times the minimum if that is more. The steepest descent of m, the other common choice, lay in the noise of
    the first batches or at the edge of divergence more often than not. The suggestion is a rate to begin with: over
    three keys, ten epochs at it had a training loss of at most 1.9 times the best of a sweep's 16 rates for a
    perceptron on digits (with Adam and with SGD), and 2.5 times for two noisy regressions; for a convolution with
    batch norm, whose loss has no edge, 1.0, 2.1 and 9.1 times. ``plot`` shows which case it is.

    ``optimizer`` is an optimiser with a hyper-parameter ``learning_rate`` that is a number, whatever number it is, or a
    function of the rate: ``fnn.optim.adam``, ``lambda rate: fnn.optim.chain(…, fnn.optim.sgd(rate))``. ``data`` and
    ``batch_size`` are as in ``fit``; the last, smaller batch of an epoch is left out. The steps are one compiled
    program. ``params`` and ``state`` to begin with are not changed, and nothing that was learned is kept. A warning
    says if the loss never fell or was not finite from the start, or was still falling at ``highest``.

    Errors: ``ValueError`` for rates that do not rise, fewer than 20 steps, an optimiser without a ``learning_rate`` or
    with one that a schedule drives, and a function that ignores its rate; and those of ``fit`` for data.

    >>> import fnn
    >>> x = jnp.linspace(-1, 1, 64)[:, None]
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> found = find_learning_rate(objective, fnn.optim.sgd, (x, 3 * x + 1), batch_size=16, key=jax.random.key(0))
    >>> 0.01 < found.suggestion < 1
    True

    Source: Smith 2017, Cyclical learning rates, §3.3.
    """
    one_key(key)
    check_start(params, state)
    positive("steps", steps)
    lowest, highest = (
        in_range(name, float(rate), POSITIVE) for name, rate in (("lowest", lowest), ("highest", highest))
    )
    if not lowest < highest < np.inf or steps < 20:
        raise ValueError(
            f"the rates rise from lowest to highest in 20 steps or more, got {lowest=}, {highest=}, {steps=}"
        )
    made = _optimizer_of(optimizer, lowest, highest)
    objective = balanced(objective, data, params, state)
    batches = _batches(data, batch_size, steps, named_key(key, "order"))
    first = Training(objective, made(lowest), augment=augment)
    learned = first.start(key, batches.of(0)[0], params, state)
    check_data(objective, learned.params, learned.state, batches.data, metrics=())
    _with_rate(optimizer, made(lowest), learned, lowest)  # raises for an optimiser without a rate
    rates = np.geomspace(lowest, highest, steps).astype(np.float32)

    @jax.jit
    def run(learned: Learned, batches: Batches, rates: jax.Array) -> jax.Array:
        def step(learned: Learned, each: tuple) -> tuple[Learned, jax.Array]:
            number, rate = each
            optimizer_ = made(rate)
            training = Training(objective, optimizer_, augment=augment)
            learned = _with_rate(optimizer, optimizer_, learned, rate)
            learned, totals = training.step(learned, batches.of(number), jax.random.fold_in(key, number))
            return learned, training.values(totals)["loss"]

        return jax.lax.scan(step, learned, (jnp.arange(steps), rates))[1]

    losses = np.asarray(run(learned, batches, jnp.asarray(rates)), np.float64)
    return _judged(rates.astype(np.float64), losses)


def _judged(rates: np.ndarray, losses: np.ndarray) -> LearningRates:
    smoothed = means_of(losses)
    if not smoothed.size:
        return _unsuggested(rates, losses, smoothed, f"the loss of the first batch is {losses[0]}", "look at the data")
    first = losses[: len(smoothed)][: max(2, len(losses) // 10)]  # what diverged at once tells of no fall
    noise = first.std() * np.sqrt((1 - DECAY) / (1 + DECAY))
    begin = min(MEMORY, len(smoothed) // 2)
    best = begin + int(np.argmin(smoothed[begin:]))
    if best == begin or not first.mean() - smoothed[best] > LIKELY * noise:
        why = f"the loss did not fall by more than its noise at any rate from {rates[0]:.3g} to {rates[-1]:.3g}"
        return _unsuggested(rates, losses, smoothed, why, "give other rates, more steps or larger batches")
    if best == len(losses) - 1:
        warnings.warn(
            f"the loss was still falling at the highest rate, {rates[-1]:.3g}: the suggestion is too low, give a higher"
            f" highest=",
            RuntimeWarning,
            stacklevel=3,
        )
    return LearningRates(rates, losses, smoothed, float(rates[best] / 10))


def _unsuggested(rates: np.ndarray, losses: np.ndarray, smoothed: np.ndarray, why: str, advice: str) -> LearningRates:
    warnings.warn(f"{why}, so that no rate is suggested: {advice}", RuntimeWarning, stacklevel=4)
    return LearningRates(rates, losses, smoothed, float("nan"))


def means_of(losses: np.ndarray) -> np.ndarray:
    """The smoothed losses, up to where the run diverged."""
    mean, lowest, found = 0.0, np.inf, list[float]()
    for count, loss in enumerate(losses, 1):
        mean = DECAY * mean + (1 - DECAY) * loss
        corrected = mean / (1 - DECAY**count)
        if not np.isfinite(corrected):
            break
        if found and corrected > lowest + RISE * max(abs(lowest), found[0] - lowest):
            break
        lowest = min(lowest, corrected)
        found.append(float(corrected))
    return np.array(found)


def _optimizer_of(optimizer: Any, lowest: float, highest: float) -> Callable[[Any], Any]:
    """The optimiser as a function of the rate."""
    if is_optimizer(optimizer):
        return lambda rate: optimizer
    check_takes("optimizer", optimizer, "rate")
    if repr(optimizer(lowest)) == repr(optimizer(highest)):
        raise ValueError(f"the optimizer ignores the rate that it is called with: {optimizer(lowest)!r} for every rate")
    return optimizer


def _with_rate(given: Any, made: Any, learned: Learned, rate: Any) -> Learned:
    """What was learned, with this rate in the optimiser's state."""
    if not is_optimizer(given):
        return learned._replace(opt_state=with_hyperparams_of(learned.opt_state, made.init(learned.params)))
    if "learning_rate" not in (names := hyperparams(learned.opt_state)):
        raise ValueError(
            f"{given!r} has no single hyper-parameter learning_rate, only {list(names)}; give a function of the rate,"
            f" such as lambda rate: fnn.optim.adam(rate)"
        )
    return learned._replace(opt_state=set_hyperparams(learned.opt_state, learning_rate=rate))


def _batches(data: Any, batch_size: int | None, steps: int, key: jax.Array) -> Batches:
    """So many batches of one size."""
    if not is_arrays(data):
        source = HostBatches(data, batch_size, lambda key, count: np.arange(count), steps)
        found = list(source.epoch(0, None))
        size = samples(found[0])
        if any(shapes(batch) != shapes(found[0]) for batch in found):
            raise ValueError(
                f"the batches have one shape, {size} samples as in the first; leave a smaller last one out"
            )
        return Batches(jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found), None, 0, size)
    if batch_size is None:
        raise ValueError("arrays are cut into batches: give batch_size")
    positive("batch_size", batch_size)
    data = arrays(data)
    count = samples(data)
    size = min(batch_size, count)
    whole = count // size * size
    epochs = -(-steps * size // whole)
    keys = jax.random.split(key, epochs)
    order = jax.vmap(lambda key: jax.random.permutation(key, count)[:whole])(keys).reshape(-1)
    return Batches(data, order, 0, size)
