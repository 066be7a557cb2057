"""Relevance propagation (LRP), as what is passed back in the place of the gradient: R = x ⊙ g (attribution.py)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import own_backward
from fnn.combinators.feed_forward import FeedForward
from fnn.guards.ranges import AT_LEAST_ZERO, keep_in_range
from fnn.layer import Layer, Params
from fnn.layers.activation._elementwise import Elementwise
from fnn.layers.attention._head_projection import HeadProjection
from fnn.layers.attention.multi_head_attention import MultiHeadAttention
from fnn.layers.attention.positions import PositionalEmbedding
from fnn.layers.linear.embedding import Embedding
from fnn.layers.linear.gated_linear import Gated
from fnn.layers.norm._sample_norm import SampleNorm
from fnn.layers.norm.batch_norm import BatchNorm
from fnn.layers.norm.rms_norm import RMSNorm
from fnn.paths import map_named, matches
from fnn.rules.attribution import GradientTimesInput, Seen, through
from fnn.rules.constant_weights import at_constant_deviation, at_constant_weights
from fnn.rules.feedback import WITH_KERNEL

LINEAR = (*WITH_KERNEL, HeadProjection)
"""Layers with a kernel, which are linear but for their bias."""

ADDED = (Embedding, PositionalEmbedding)
"""Layers whose parameters take part of the relevance, or all of it, as a bias does."""


@dataclasses.dataclass(frozen=True)
class Epsilon(GradientTimesInput):
    """LRP-ε: a layer's inputs share its output's relevance in proportion to what they added to it.

        R_i = Σ_j x_i w_ij / (y_j + ε sign(y_j)) R_j,  sign(0) = 1

    Backward:  at a layer with a kernel, and at a normalisation, g_x = J_xᵀ (g ⊙ y / (y + ε sign(y)))
               at an activation y = f(x), which keeps relevances, g_x = g ⊙ y / x, and 0 where x = 0
               at pools, reshapes and whatever else has no parameters: the gradient

    Inside attention, a gated unit or a ``FeedForward`` it holds layer by layer. What multiplies a signal is a constant
    there: the weights of attention, gates, and the standard deviation of layer, group, instance and RMS norms. All
    relevance then goes to the values, and none to queries, keys and gates.

    What a bias adds to an output keeps its share. So without biases, and for ε = 0, all relevances sum to the output.

    Errors: ``ValueError`` for another layer with parameters, named by its path.

    Source: Bach et al. 2015, eq. 58; Montavon et al. 2019, §10.2; Ali et al. 2022 for attention and norms; Arras et al.
    2017 for gates.
    """

    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        keep_in_range(self, epsilon=AT_LEAST_ZERO)

    def back(self, layer: Layer, seen: Seen, g: Any) -> Any:
        if isinstance(layer, LINEAR):
            return self.through_kernel(layer, seen, g)
        if isinstance(layer, BatchNorm):
            return seen.back(layer, g * _over(seen.y, seen.y, self.epsilon))
        if isinstance(layer, SampleNorm | RMSNorm):
            return at_constant_deviation(layer, seen, g * _over(seen.y, seen.y, self.epsilon))
        if isinstance(layer, Elementwise):
            return g * jnp.where(seen.x == 0, 0, seen.y / jnp.where(seen.x == 0, 1, seen.x))
        if isinstance(layer, MultiHeadAttention | Gated):
            return at_constant_weights(self, layer, seen, g)
        if isinstance(layer, FeedForward):
            network = layer.network(seen.cache["width"].value)
            return through(self, network, seen.params, seen.state, seen.x, lambda _: g)
        if isinstance(layer, ADDED):
            return seen.back(layer, g)
        if jax.tree.leaves(seen.params):
            raise ValueError(f"{type(self).__name__} has no rule for {type(layer).__name__}, which has parameters")
        return seen.back(layer, g)

    def through_kernel(self, layer: Any, seen: Seen, g: Any) -> Any:
        """What a layer with a kernel passes back."""
        return seen.back(layer, g * _over(seen.y, seen.y, self.epsilon))


@dataclasses.dataclass(frozen=True)
class Gamma(Epsilon):
    """LRP-γ: LRP-ε with what adds to an output weighted up, so that less relevance cancels.

        R_i = Σ_j x_i (w_ij + γ w⁺_ij) / Σ_k x_k (w_kj + γ w⁺_kj) R_j,  w⁺ = max(w, 0), the bias alike

    Backward:  at a layer with a kernel g_x = J'_xᵀ (g ⊙ y / (y' + ε sign(y'))),  ' with W + γ W⁺ and b + γ b⁺;  else
               as ``Epsilon``

    Source: Montavon et al. 2019, §10.2.1; for inputs that are not negative.
    """

    gamma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_in_range(self, gamma=AT_LEAST_ZERO)

    def through_kernel(self, layer: Any, seen: Seen, g: Any) -> Any:
        def raised_up(w: jax.Array) -> jax.Array:
            positive: Any = jnp.where(w > 0, w, 0)
            return w + self.gamma * positive

        raised = jax.tree.map(raised_up, seen.params)
        return _through(layer, raised, seen, g, self.epsilon)


@dataclasses.dataclass(frozen=True)
class ZPlus(Epsilon):
    """LRP-z⁺: only what adds to an output shares its relevance; an output without a positive weight loses it.

        R_i = Σ_j x_i w⁺_ij / Σ_k x_k w⁺_kj R_j,  w⁺ = max(w, 0), without the bias

    Backward:  at a layer with a kernel g_x = J⁺_xᵀ (g ⊙ y / (y⁺ + ε sign(y⁺))),  ⁺ with W⁺ and b = 0;  else as
               ``Epsilon``

    Source: Montavon et al. 2017, eq. 7 (the z⁺ rule of deep Taylor decomposition); for inputs that are not negative.
    """

    def through_kernel(self, layer: Any, seen: Seen, g: Any) -> Any:
        def positive(path: str, w: jax.Array) -> jax.Array:
            return jnp.where(w > 0, w, 0) if matches("*/kernel", path) else jnp.zeros_like(w)

        return _through(layer, map_named(positive, seen.params), seen, g, self.epsilon)


def _through(layer: Layer, params: Params, seen: Seen, g: Any, epsilon: Any) -> Any:
    """J'ᵀ (g ⊙ y / (y' + ε sign(y'))), ' the layer with other parameters."""
    y, _, cache = layer.forward(params, seen.state, seen.x)
    return own_backward("", layer, cache, g * _over(seen.y, y, epsilon))[1]


def _over(y: jax.Array, other: jax.Array, epsilon: Any) -> jax.Array:
    """y / (y' + ε sign(y')), and 0 where that is 0."""
    below = other + jnp.asarray(epsilon, other.dtype) * jnp.where(other < 0, -1, 1).astype(other.dtype)
    return jnp.where(below == 0, 0, y / jnp.where(below == 0, 1, below))
