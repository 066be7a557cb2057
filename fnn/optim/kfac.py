"""K-FAC: natural gradient descent, with a Fisher matrix that is a Kronecker product for every layer."""

from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, POSITIVE, nan_where_any
from fnn.optim.accumulators import check_gradients, increment, zero_count, zeros_like
from fnn.optim.fisher import Fisher, Targets
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.kronecker import Block, Pair, blocks_of, damped_inverses, over_layers, preconditioned
from fnn.optim.leafwise import running_mean
from fnn.optim.magnitudes import without_zero
from fnn.optim.nonfinite import all_finite
from fnn.optim.transform import Optimizer, constructor
from fnn.paths import map_named, named_leaves


class Known(NamedTuple):
    """What is known of the Fisher matrix, as sums that become means when divided by ``weight``, the sum of the weights.

    ``factors`` are A and G by the path of the kernel, ``squares`` the diagonals of the other parameters by theirs.
    """

    weight: jax.Array
    factors: dict[str, Pair]
    squares: dict[str, jax.Array]


class KfacState(NamedTuple):
    """State of ``kfac``; hyperparams: ``learning_rate``, ``damping``, ``decay``, ``momentum``, ``norm_constraint``.

    ``inverses`` are those of the damped factors, as old as the last step that computed them.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    velocity: Any
    known: Known
    inverses: dict[str, Pair]

    ranges = MappingProxyType(
        {
            "learning_rate": NOT_NEGATIVE,
            "damping": POSITIVE,
            "decay": FRACTION,
            "momentum": FRACTION,
            "norm_constraint": POSITIVE,
        }
    )


@constructor
def kfac(
    learning_rate: Hyperparameter,
    *,
    damping: Hyperparameter = 1e-3,
    decay: Hyperparameter = 0.95,
    update_every: int = 10,
    momentum: Hyperparameter = 0.9,
    norm_constraint: Hyperparameter | None = 1e-3,
    fisher: Targets = "sampled",
    max_size: int = 2048,
) -> Optimizer:
    """Kronecker-factored approximate curvature: a step along F⁻¹ g, F a Fisher matrix of one block for each kernel.

        A ← ρ A + (1 − ρ) mean a aᵀ,  G ← ρ G + (1 − ρ) Σ δ δᵀ      ρ: decay; from 0, and divided by 1 − ρᵗ
        P = (A + π √λ I)⁻¹ V (G + √λ/π I)⁻¹       V: gradient of a kernel as a matrix, λ: damping, π: see below
        p = g / (d + λ)                           other parameters, d the running mean of their diagonal, like A and G
        κ = min(1, √(c / (η² Σ g · p)))           c: norm_constraint, 1 without; the sum is over all parameters
        v ← μ v + κ p,  w ← w − η v               μ: momentum, η: learning_rate

    a are the inputs of the products with a kernel, δ the gradients of their results, for targets that are drawn from
    the model's own predictions (fisher="sampled"), or for those given ("empirical"): a second backward pass over the
    same forward pass. π = √((tr A / D) / (tr G / F)). The inverses are computed every ``update_every`` steps, from the
    first, with the damping of that step; inside ``vmap`` they are computed in every step and mostly thrown away.

    F has the scale of the objective, Σ wᵢ tᵢ / Σ wᵢ, and weights of samples count in it: where the terms tᵢ are −log
    likelihoods, its expectation is the Gauss–Newton matrix, so that but for the noise of drawn targets, η = 1 without
    momentum is Newton's step for a linear model and a squared error. Penalties are in g, not in F. The blocks
    (``fnn/optim/kronecker.py``, ``fnn/rules/fisher.py``):

    - dense layers and attention's projections: a and δ, with a 1 behind a for the bias. Exact for one sample, and for a
      single layer with a squared error;
    - convolutions: a is a window of the input (KFC); recurrent layers: a step. A kernel that is used in many places,
      windows, steps or rows, counts them as independent: A is the mean over them, G the sum;
    - embeddings: A is a diagonal, how often each index occurs. So is a side of more than ``max_size`` entries;
    - ``Repeat``: every layer by itself. Groups of channels have one A, the mean, and their own parts of G;
    - a tied kernel: the sum of A over its uses times the sum of G, scaled so that tr A / D = tr G / F for each;
    - a kernel whose gradient is not known to be a product (``WeightNorm``, ``ConvTranspose``, a layer of your own): the
      gradient V̂ of the drawn targets itself, A = V̂ V̂ᵀ / ‖V̂‖, G = V̂ᵀ V̂ / ‖V̂‖;
    - all else, scales and biases of norms say: d = ĝ², ĝ the gradient of the drawn targets (of given ones: with a
      random sign for every sample). Its expectation is the exact diagonal, since samples are drawn independently.

    Losses that say how targets are drawn: ``CrossEntropy``, ``LinearCrossEntropy`` (whose kernel is one of no known
    product), ``BinaryCrossEntropy``, ``KLDivergence``, ``MeanSquaredError``, ``GaussianNLL``, ``Poisson``. Label
    smoothing and z-loss are in g, not in F.

    ``fit`` and ``make_train`` pass what the rule reports, also inside ``chain``, ``groups``, ``skip_nonfinite`` and
    ``accumulate``, where the factors see the last micro-batch of every update. In your own loop, take value, gradient
    and reports from ``fnn.rules.reports.with_reports``. A report that is not finite makes the update NaN at once.
    Factors and inverses have at least float32. They take Σ 2 (D² + F²) numbers.

    Raises ``ValueError`` for numbers out of range, for a ``fisher`` that is neither, for a loss without a likelihood,
    and for an ``update`` without the report; ``TypeError`` if not a number, scalar array or schedule.

    >>> import fnn
    >>> x = jax.random.normal(jax.random.key(0), (64, 3)) * jnp.array([1.0, 10.0, 100.0])  # badly scaled
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> optimizer = kfac(1.0, damping=1e-8, momentum=0.0, norm_constraint=None)
    >>> run = fnn.make_train(objective, optimizer, steps=12, batch_size=64)
    >>> losses = jax.jit(run)(jax.random.key(1), (x, x.sum(1, keepdims=True) + 1)).history["loss"]
    >>> bool(losses[0] > 1e3), bool(losses[-1] < 1e-3)
    (True, True)

    Source: Martens and Grosse 2015; Grosse and Martens 2016 (KFC); Martens, Ba and Johnson 2018 (recurrent); Ren and
    Goldfarb 2021 (factors of the gradient); Ba, Grosse and Martens 2017, §5 (c); Liu et al. 2023, §2.3 (diagonal).
    """
    positive("update_every", update_every)
    positive("max_size", max_size)
    rule = Fisher(fisher)
    optional = {} if norm_constraint is None else {"norm_constraint": norm_constraint}
    given = Hyperparameters(
        KfacState, learning_rate=learning_rate, damping=damping, decay=decay, momentum=momentum, **optional
    )

    def init(params: Any) -> KfacState:
        (blocks, rest), leaves = blocks_of(params, max_size), named_leaves(zeros_like(params))
        known = Known(jnp.zeros(()), {block.kernel: block.zeros() for block in blocks}, {p: leaves[p] for p in rest})
        inverses = {block.kernel: block.zeros() for block in blocks}
        return KfacState(zero_count(), given.initial(), zeros_like(params), known, inverses)

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, KfacState]:
        values, hyperparams = given.at(state)
        grads, like = check_gradients(grads, params, state.velocity)
        (blocks, rest), report = blocks_of(like, max_size), _report(rule, extra)
        known = state.known if report is None else _with_report(state.known, report, blocks, rest, values["decay"])
        mean = _means(known)

        def inverted() -> dict[str, Pair]:
            of_layer = {block.kernel: over_layers(damped_inverses, block, None) for block in blocks}
            return {path: run(mean.factors[path], values["damping"]) for path, run in of_layer.items()}

        inverses = jax.lax.cond(state.count % update_every == 0, inverted, lambda: state.inverses)
        g = jax.tree.map(lambda g, v: g.astype(v.dtype), named_leaves(grads), named_leaves(state.velocity))
        p = {path: g[path] / (mean.squares[path] + _as(values["damping"], g[path])) for path in rest}
        for block in blocks:
            matrix = over_layers(preconditioned, block)(inverses[block.kernel], block.matrix(g))
            p |= {path: part.reshape(g[path].shape) for path, part in block.leaves(matrix).items()}
        share = _share(g, p, values)
        # A run may end before the first report. A report with a NaN counts now, not at the next inverses.
        share = jnp.where(known.weight > 0, share, 0) + jnp.where(all_finite(known), 0, jnp.nan)

        def moved(path: str, v: jax.Array) -> jax.Array:
            return _as(values["momentum"], v) * v + _as(share, v) * p[path]

        velocity = map_named(moved, state.velocity)
        updates = jax.tree.map(lambda v, w: (-_as(values["learning_rate"], v) * v).astype(w.dtype), velocity, like)
        updates = nan_where_any(values.values(), updates)
        return updates, KfacState(increment(state.count), hyperparams, velocity, known, inverses)

    return Optimizer(init, update, rule)


def _report(rule: Fisher, extra: dict[str, Any]) -> Any:
    """What the rule reported; ``None`` at the end of a run, when waiting micro-batches are applied without a batch."""
    reports = extra.get("reports") or {}
    if rule not in reports and not extra.get("last"):
        raise ValueError(
            "kfac needs what its rule reports of the backward pass: train with fit or make_train, or in your own loop"
            " take ((value, aux), grads, reports) from fnn.rules.reports.with_reports, and call update(grads,"
            " opt_state, params, reports=reports)"
        )
    return reports.get(rule)


def _with_report(known: Known, report: Any, blocks: list[Block], rest: list[str], decay: jax.Array) -> Known:
    """The running sums with one more estimate."""
    factors = {block.kernel: report.factors(block) for block in blocks}
    squares = {path: report.squares(path, known.squares[path]) for path in rest}

    def averaged(mean: jax.Array, x: jax.Array) -> jax.Array:
        return running_mean(x.astype(mean.dtype), mean, _as(decay, mean))

    return jax.tree.map(averaged, known, Known(jnp.ones(()), factors, squares))


def _means(known: Known) -> Known:
    """The running means: the sums over the sum of their weights."""
    return jax.tree.map(lambda total: total / without_zero(_as(known.weight, total)), known)


def _share(g: dict[str, jax.Array], p: dict[str, jax.Array], values: dict[str, jax.Array]) -> jax.Array:
    """κ."""
    if "norm_constraint" not in values:
        return jnp.ones(())
    limit, products = values["norm_constraint"], [jnp.sum(g[path] * p[path]) for path in g]
    length = jnp.sqrt(jnp.maximum(sum(each.astype(limit.dtype) for each in products), 0))
    length, limit = values["learning_rate"] * length, jnp.sqrt(limit)
    share: Any = jnp.where(length > limit, limit / without_zero(length), 1)
    return share


def _as(value: jax.Array, like: jax.Array) -> jax.Array:
    return value.astype(like.dtype)
