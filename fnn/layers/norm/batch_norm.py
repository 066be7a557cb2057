"""Batch normalisation, with its running statistics as state."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.errors import is_concrete, output_gradient
from fnn.guards.inputs import array_or_shape
from fnn.guards.ranges import AT_LEAST_ZERO, SHARE, Range, keep_in_range
from fnn.layer import Cache, Layer, Params, State, Static, float_dtype, is_training, state_entry, wide_dtype
from fnn.layers.norm._scaled import init_scaled, scale_of, scaled, scaled_gradients
from fnn.layers.norm._standardize import (
    Sets,
    columns_of,
    inverse_root,
    moments,
    normalized,
    standardize_backward,
    sums_over_positions,
)
from fnn.sequences.lengths import apart, joined_again, valid_steps, without_lengths, without_padding

DECAY = Range("in [0, 1]", SHARE.holds, verb="lies")


@dataclasses.dataclass(frozen=True)
class BatchNorm(Layer, name="batch_norm"):
    """Standardises every channel over all other axes, then scales and shifts it.

    Forward, in training:   μ, σ² over the batch;  x̂ = (x − μ) r,  r = 1/√(σ² + ε);  y = γ x̂ + β
                            mean' = decay · mean + (1 − decay) μ,  var' = decay · var + (1 − decay) σ²
    Forward, in inference:  the same x̂ and y with the running ``mean`` and ``var``; the state does not change

    Backward:  dγ = Σ dy ⊙ x̂,  dβ = Σ dy,  dx̂ = γ dy
               dx = r (dx̂ − mean(dx̂) − x̂ · mean(dx̂ ⊙ x̂)) in training,  dx = r dx̂ in inference

    Params:  ``scale`` γ, ``bias`` β, each (C,); left out by ``use_scale=False``, ``use_bias=False``
    State:   ``mean``, ``var`` (C,) in at least float32, and ``count``, the number of updates so far
    Cache:   ``x`` (…, C), ``mean``, ``inverse`` r (1, …, 1, C), ``scale`` (C,) if any, ``train`` Static; x̂ is
             recomputed
    Shapes:  (…, C) → (…, C), any floating dtype, kept; for ``(x, lengths)``, x (N, T, C), only the steps within the
             lengths count in μ, σ² and the sums, y is 0 past them, and the cache has ``lengths``

    Conventions: ``decay`` is the weight of the old statistic; both variances are biased (1/n; PyTorch's running
    variance is not, so convert on import). With ``axis_name`` statistics are also taken over a mapped axis of devices.
    A bias right before a batch norm has gradient zero in training; as computed, it is rounding.
    If σ² of a channel overflows, r and y are NaN, not the 0 that 1/∞ would give.
    If μ or σ² of any channel is not finite, the state does not change, bit for bit, on any device: one NaN does not
    spoil the statistics for good, and you can tell from ``count``, which did not move.

    Errors: ``ValueError`` for training on one value per channel (its variance is 0; inside jit, where lengths are
    unknown, the output is NaN), for missing state and, outside jit, for inference before the first update.

    >>> layer = BatchNorm()
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((4, 2), "float32"))
    >>> y, state = layer.apply(params, state, jnp.array([[0.0, 1.0], [2.0, 1.0]]), train=True)
    >>> y.round(3).tolist(), state["mean"].round(3).tolist()
    ([[-1.0, 0.0], [1.0, 0.0]], [0.10000000149011612, 0.10000000149011612])

    Source: Ioffe and Szegedy 2015, algorithm 1; the three sums of its §3 collected into one formula.
    """

    _: dataclasses.KW_ONLY
    decay: float = 0.9
    epsilon: float = 1e-5
    use_scale: bool = True
    use_bias: bool = True
    axis_name: str | None = None

    def __post_init__(self) -> None:
        keep_in_range(self, decay=DECAY, epsilon=AT_LEAST_ZERO)

    over_time = "lengths"

    def why_no_step(self) -> None:  # type: ignore[override]
        return None  # in inference it treats each step alone

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        x = array_or_shape(without_lengths(x))
        if x.ndim < 2:
            raise ValueError(f"expected an input (N, …, C), got the shape {tuple(x.shape)}")
        wide, shape = wide_dtype(float_dtype(x)), (x.shape[-1],)
        state = {"mean": jnp.zeros(shape, wide), "var": jnp.ones(shape, wide), "count": jnp.zeros((), jnp.int32)}
        return init_scaled(self, x), state

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        x, lengths = apart(x)
        if x.ndim < 2:
            raise ValueError(f"expected an input (N, …, C), got the shape {x.shape}")
        own, channels = columns_of(x.shape), x.shape[-1:]
        sets = own.merged(x)
        counted = None if lengths is None else _counted(lengths, x, sets)
        old = {name: state_entry(state, name, channels) for name in ("mean", "var")}
        count = state_entry(state, "count", ())
        if is_training(train):
            values = self._values(x, lengths)
            mean, var = moments(sets.of(x), sets, self.axis_name, counted)
            var = var if counted is None else jnp.where(values < 2, jnp.nan, var)
            new_state = self._updated(old, count, {"mean": mean, "var": var})
        else:
            if is_concrete(count) and int(count) == 0:
                raise ValueError(
                    "this batch norm has no statistics yet (count is 0): use the state that a training step returned"
                )
            mean, var = (jnp.asarray(each, wide_dtype(x.dtype)).reshape(sets.statistic) for each in old.values())
            new_state = state
        inverse = inverse_root(var, self.epsilon)
        y, kept = scaled(self, params, normalized(sets.of(x), mean, inverse), x.dtype)
        y, mean, inverse = y.reshape(x.shape), mean.reshape(own.statistic), inverse.reshape(own.statistic)
        cache = {"x": x, "mean": mean, "inverse": inverse, "train": Static(train), **kept}
        if lengths is None:
            return y, new_state, cache
        return without_padding(y, lengths), new_state, {**cache, "lengths": lengths}

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        x, lengths, counted = cache["x"], cache.get("lengths"), None
        sets = columns_of(x.shape).merged(x)
        mean, inverse = (cache[name].reshape(sets.statistic) for name in ("mean", "inverse"))
        dy = output_gradient(dy, x.shape)
        dtype = dy.dtype
        if lengths is not None:
            dy, counted = without_padding(dy, lengths), _counted(lengths, x, sets)
        dy, normal = sets.of(dy).astype(mean.dtype), normalized(sets.of(x), mean, inverse)
        sums, scale = sums_over_positions(dy, normal, sets, counted), scale_of(cache, dy)
        if cache["train"].value:
            dx = standardize_backward(dy, normal, inverse, scale, sums, sets, self.axis_name, counted)
        else:
            dx = inverse * (dy if scale is None else scale * dy)
        return scaled_gradients(self, sums, dtype), joined_again(dx.reshape(x.shape).astype(dtype), lengths)

    def _values(self, x: jax.Array, lengths: jax.Array | None) -> Any:
        """The number of values per channel, over all devices; raises for fewer than two."""
        values: Any = x.size // x.shape[-1] if lengths is None else lengths.sum()
        if self.axis_name is not None:
            values = values * lax.axis_size(self.axis_name) if lengths is None else lax.psum(values, self.axis_name)
        if is_concrete(values) and values < 2:
            found = "one" if values else "none"
            raise ValueError(f"training needs at least two values per channel for a variance, got {found}")
        return values

    def _updated(self, old: State, count: jax.Array, new: State) -> State:
        # Statistics are not differentiated: no gradient may leak through the returned state.
        new = {name: lax.stop_gradient(each).reshape(old[name].shape) for name, each in new.items()}
        # If the mean is not finite, neither is the mean of (x − mean)², so checking the variance is enough.
        finite = jnp.isfinite(new["var"]).all()

        def moved(old: jax.Array, new: jax.Array) -> jax.Array:
            return jnp.where(finite, self.decay * old + (1 - self.decay) * new.astype(old.dtype), old)

        return {**{name: moved(old[name], new[name]) for name in old}, "count": count + finite.astype(count.dtype)}


def _counted(lengths: jax.Array, x: jax.Array, sets: Sets) -> jax.Array:
    """Which positions of x (N, T, C) lie within the lengths, in the shape of the sets, with one channel."""
    return valid_steps(lengths, x.shape[1]).reshape(*sets.shape[:-1], 1)
