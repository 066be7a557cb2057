"""Muon: the momentum of a matrix, orthogonalised by a Newton–Schulz iteration."""

import math
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.guards.ranges import FRACTION, NOT_NEGATIVE, POSITIVE
from fnn.optim.accumulators import accumulator_dtype, check_gradients, increment, zero_count, zeros_like
from fnn.optim.adam import scale_by_adam
from fnn.optim.adam_variants import scale_by_nadam
from fnn.optim.hyperparameters import Hyperparameter, Hyperparameters
from fnn.optim.leafwise import mean_one_step_ahead, running_mean, sum_of_weights
from fnn.optim.magnitudes import shrunk, without_zero
from fnn.optim.transform import Optimizer, constructor, refuse_unread
from fnn.paths import map_named, named_leaves, select
from fnn.stacked import layer_shapes, map_layers

Coefficients = tuple[float, float, float]

STEEPEST: Coefficients = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: the steepest quintic at 0 that still brings every singular value to about 1."""

DEFAULT_STEPS = 5
"""The default number of steps of the iteration."""

LARGEST_SHARE = 1e-6
"""The largest fraction of a matrix's norm that ``eps`` may add to it; more would shrink the step of small gradients."""


class MuonState(NamedTuple):
    """State of ``muon``: the momentum of the matrices, and the state of Adam for the ``rest``.

    hyperparams: ``learning_rate``, ``beta``, ``eps``, ``weight_decay``, ``adam_weight_decay``, and if given
    ``adam_learning_rate`` and ``consistent_rms``; those of Adam (``b1``, …) are in ``rest``.
    """

    count: jax.Array
    hyperparams: dict[str, Any]
    mu: Any
    rest: Any

    ranges = MappingProxyType(
        {
            "learning_rate": NOT_NEGATIVE,
            "beta": FRACTION,
            "eps": NOT_NEGATIVE,
            "weight_decay": NOT_NEGATIVE,
            "adam_weight_decay": NOT_NEGATIVE,
            "adam_learning_rate": NOT_NEGATIVE,
            "consistent_rms": POSITIVE,
        }
    )


@constructor
def muon(
    learning_rate: Hyperparameter,
    ns_coeffs: Coefficients | Sequence[Coefficients] = STEEPEST,
    ns_steps: int = DEFAULT_STEPS,
    beta: Hyperparameter = 0.95,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0.0,
    *,
    nesterov: bool = True,
    adaptive: bool = False,
    adam_b1: Hyperparameter = 0.9,
    adam_b2: Hyperparameter = 0.999,
    adam_eps_root: Hyperparameter = 0.0,
    adam_weight_decay: Hyperparameter = 0.0,
    adam_learning_rate: Hyperparameter | None = None,
    consistent_rms: Hyperparameter | None = None,
    matrices: str | Iterable[str] | None = None,
    paths: str | Iterable[str] = "*/kernel",
) -> Optimizer:
    """Muon for matrices, Adam for every other leaf.

        m ← β m + (1 − β) g                       β: beta, from 0
        M = m / (1 − βᵗ)                          nesterov=False
        M = β m / (1 − βᵗ⁺¹) + (1 − β) g / (1 − βᵗ)                 nesterov
        X = M / (‖M‖ + min(eps, 10⁻⁶ ‖M‖))        ‖·‖ = √Σ·²: every singular value is then at most 1
        X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X        ns_steps times, (a, b, c) = ns_coeffs
        X ← ⟨M, X⟩ X                              only if adaptive
        s = √max(1, outputs / inputs)             X has shape (inputs, outputs)
        s = consistent_rms · √max(inputs, outputs)                  if given; 0.2 for Adam's usual step size
        w ← w − η (s X + λ w)                     η: learning_rate, λ: weight_decay, 0 outside ``paths``

    With M = U S Vᵀ, the iteration applies the polynomial a s + b s³ + c s⁵ repeatedly to every singular value s and
    leaves U and V unchanged. The default coefficients make small values grow fastest, and then keep them between 0.7
    and 1.2: the result is near U Vᵀ, not equal to it. A sequence of triples gives every step its own coefficients
    (then leave out ``ns_steps``). They are part of the program and cannot be set while it runs.

    ``matrices``: by default all leaves with two axes. That includes embedding tables and the output layer, which the
    authors leave to Adam; choose others with globs (fnn.paths): ``"conv*/kernel"``. A leaf with more axes is treated as
    a matrix of all its axes but the last by the last, like a convolution over patches. (For the ``query`` kernel of an
    attention layer, (features, heads, width), this is not the matrix of its product.) In a leaf that ``Repeat``
    stacks, every layer has its own matrix.

    The other leaves are updated by ``nadam`` if ``nesterov``, else by ``adam``, with ``eps``, ``adam_b1``, ``adam_b2``
    and ``adam_eps_root``, the same rate or ``adam_learning_rate``, and the decay ``adam_weight_decay``. All this is
    optax's convention; by default both decays exclude biases and scales (``paths="*"`` decays everything, as optax
    does). X is prepared as by optax's ``"frobenius"``, except that there a gradient near the size of eps is hardly
    orthogonalised: here the step is the same for gradients of any size, and 0 for 0.

    Raises ``ValueError`` for a negative rate, beta outside [0, 1), coefficients that are not triples, or not
    ``ns_steps`` of them, a glob that matches no path or a leaf with fewer than two axes, and an ``update`` without
    params; ``TypeError`` if not a number, scalar array or schedule.

    Source: Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024; consistent_rms: Liu et al.,
    Muon is scalable for LLM training, 2025; adaptive: Bernstein and Newhouse, Old optimizer, new norm, 2024.

    >>> optimizer = muon(0.5, ns_coeffs=(1.5, -0.5, 0.0), ns_steps=20)  # the classical ones, which converge to U Vᵀ
    >>> params = {"bias": jnp.zeros(2), "kernel": jnp.zeros((2, 2))}
    >>> grads = {"bias": jnp.array([3.0, -1.0]), "kernel": jnp.array([[0.0, 4.0], [-1.0, 0.0]])}
    >>> optimizer.update(grads, optimizer.init(params), params)[0]["kernel"].round(4) + 0.0
    Array([[ 0. , -0.5],
           [ 0.5,  0. ]], dtype=float32)
    """
    triples = _triples(ns_coeffs, ns_steps)
    globs = (paths,) if isinstance(paths, str) else tuple(paths)
    matrices = matrices if matrices is None or isinstance(matrices, str) else tuple(matrices)
    optional = {"adam_learning_rate": adam_learning_rate, "consistent_rms": consistent_rms}
    given = Hyperparameters(
        MuonState,
        learning_rate=learning_rate,
        beta=beta,
        eps=eps,
        weight_decay=weight_decay,
        adam_weight_decay=adam_weight_decay,
        **{name: value for name, value in optional.items() if value is not None},
    )
    others = (scale_by_nadam if nesterov else scale_by_adam)(adam_b1, adam_b2, eps, adam_eps_root)

    def init(params: Any) -> MuonState:
        select(globs, named_leaves(params))  # raises here for a glob that matches nothing, before any step
        chosen = _chosen(matrices, params)
        mu = zeros_like(_part(chosen, params))
        return MuonState(zero_count(), given.initial(), mu, others.init(_part(chosen, params, inside=False)))

    def update(grads: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, MuonState]:
        del extra
        if params is None:
            raise ValueError("muon needs the params: call update(grads, opt_state, params)")
        values, hyperparams = given.at(state)
        grads, params = check_gradients(grads, params)
        chosen, decayed = _chosen(matrices, params), set(select(globs, named_leaves(params)))
        count = increment(state.count)

        def direction(path: str, g: jax.Array, m: jax.Array) -> tuple[jax.Array, jax.Array]:
            del path
            value = {name: value.astype(m.dtype) for name, value in values.items()}
            g = g.astype(m.dtype)
            m = running_mean(g, m, value["beta"])
            ahead = mean_one_step_ahead(value["beta"], count, g, m)
            mean = ahead if nesterov else m / sum_of_weights(value["beta"], count)
            matrix = mean.reshape(-1, mean.shape[-1])
            x = orthogonalised(matrix, triples, value["eps"])
            if adaptive:
                small, _, scale = shrunk(matrix)
                x = jnp.sum(small * x) * x * scale
            return (_size(matrix, value.get("consistent_rms")) * x).reshape(m.shape), m

        def step(path: str, u: jax.Array, w: jax.Array) -> jax.Array:
            dtype = accumulator_dtype(w)
            own = path in chosen or "adam_learning_rate" not in values
            rate = values["learning_rate" if own else "adam_learning_rate"].astype(dtype)
            decay = values["weight_decay" if path in chosen else "adam_weight_decay"].astype(dtype)
            u = u.astype(dtype)
            u = u + decay * w.astype(dtype) if path in decayed else u
            return (-rate * u).astype(w.dtype)

        # Adam's updates have the dtype of the params it gets: give it wide ones, so that they are rounded once.
        wide = jax.tree.map(lambda w: w.astype(accumulator_dtype(w)), params)
        rest = [_part(chosen, tree, inside=False) for tree in (grads, wide)]
        directions, rest_state = others.update(rest[0], state.rest, rest[1])
        treedef = jax.tree.structure(state.mu)
        rows = treedef.flatten_up_to(map_layers(direction, _part(chosen, grads), state.mu))
        matrices_moved, mu = (treedef.unflatten([row[place] for row in rows]) for place in range(2))
        moved = named_leaves(directions) | named_leaves(matrices_moved)
        updates = map_named(lambda path, w: step(path, moved[path], w), params)
        return updates, MuonState(count, hyperparams, mu, rest_state)

    return Optimizer(init, update)


def orthogonalised(matrix: jax.Array, triples: Sequence[Coefficients], eps: Any) -> jax.Array:
    """The matrix with singular values near 1: a Newton–Schulz step of aX + b(XXᵀ)X + c(XXᵀ)²X for every triple."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix  # the same result, with the smaller of XXᵀ and XᵀX
    x, length, scale = shrunk(x)
    length = without_zero(length)
    x = x / (length + jnp.minimum(eps / scale, LARGEST_SHARE * length))
    for a, b, c in triples:
        square = x @ x.T
        x = a * x + (b * square + c * (square @ square)) @ x
    return x.T if tall else x


def _size(matrix: jax.Array, consistent_rms: jax.Array | None) -> Any:
    inputs, outputs = matrix.shape
    if consistent_rms is None:
        return math.sqrt(max(1, outputs / inputs))
    return consistent_rms * math.sqrt(max(inputs, outputs))


def _chosen(matrices: str | Iterable[str] | None, params: Any) -> set[str]:
    shapes = layer_shapes(params)
    if matrices is None:
        return {path for path, shape in shapes.items() if len(shape) == 2}
    chosen = set(select(matrices, shapes))
    for path in chosen:
        if len(shapes[path]) < 2:
            raise ValueError(
                f"the matrices of muon have at least two axes, but {path!r} has shape {shapes[path]};"
                f" choose globs that do not match it"
            )
    return chosen


def _part(chosen: set[str], tree: Any, *, inside: bool = True) -> Any:
    """The tree with ``None`` for the leaves outside the chosen paths (``inside=False``: for those inside)."""
    return map_named(lambda path, leaf: leaf if (path in chosen) == inside else None, tree)


def _triples(ns_coeffs: Any, ns_steps: int) -> list[Coefficients]:
    positive("ns_steps", ns_steps)
    try:
        rows = [tuple(map(float, row)) for row in ns_coeffs]
    except TypeError:  # one triple: its members are not rows
        rows = [tuple(map(float, ns_coeffs))] * ns_steps
    else:
        if ns_steps != len(rows):
            refuse_unread(f"ns_coeffs already give {len(rows)} steps", ns_steps=(ns_steps, DEFAULT_STEPS))
    if not rows or any(len(row) != 3 or not all(map(math.isfinite, row)) for row in rows):
        raise ValueError(f"ns_coeffs are three numbers, or three for every step, got {ns_coeffs!r}")
    return [(a, b, c) for a, b, c in rows]
