"""Multi-head attention."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from fnn.backprop import Visit, own_backward
from fnn.errors import floating_array, output_gradient, positive
from fnn.guards.inputs import arrays_or_shapes
from fnn.initializers import Initializer, LecunNormal, Zeros
from fnn.layer import Cache, Layer, Params, State, is_training, named_key, required_key
from fnn.layers.attention._blockwise import BlockwiseAttention
from fnn.layers.attention._head_projection import HeadProjection
from fnn.layers.attention._input import attention_members
from fnn.layers.attention._kept import Kept, check_room, features_of, nan_past, nothing_kept, with_next
from fnn.layers.attention.rotary_embedding import check_even, rotated
from fnn.layers.random.dropout import Dropout, drops
from fnn.sequences.lengths import apart, joined_again, lengths_of, valid_steps, without_lengths
from fnn.sequences.stepwise import as_sequence, as_step, refuse_steps


@dataclasses.dataclass(frozen=True)
class MultiHeadAttention(Layer, name="multi_head_attention"):
    """Each position averages the values, weighted by how well its query matches their keys; in several heads.

    Forward:   q = x W_q + b_q,  k = m W_k + b_k,  v = m W_v + b_v  for every head, m = x or the memory
               s = q kᵀ / √d,  p = softmax(s) over the keys that are not masked,  o = p v,  y = o W_o + b_o
    Backward:  do from dy, and dx, dm from dq, dk, dv, by the rules of ``Dense``;  in between, per head,
               dv = pᵀ do,  dp = do vᵀ,  ds = p ⊙ (dp − δ),  δ = Σ p dp,  dq = ds k / √d,  dk = dsᵀ q / √d
               with p recomputed from the log-sum-exp of s, a block of queries at a time

    Input:   ``x`` (N, T, D), ``(x, mask)``, ``(x, memory)`` or ``(x, memory, mask)``: a floating second member is a
             memory (N, S, E) to attend to instead of x, a boolean one is a mask, True = may attend, of shape (N, S),
             (N, T, S) or (N, heads, T, S); axes of size 1 are broadcast over heads or queries. For ``(x, lengths)``,
             lengths integer (N,), no query attends past a length, and x is set to 0 there
    Params:  ``query``, ``key``, ``value``: {``kernel`` (D, heads, d), ``bias`` (heads, d)}, with ``kv_heads`` instead
             of heads and E instead of D for the latter two;  ``out``: {``kernel`` (heads, d, D), ``bias`` (D,)}
    State:   none
    Cache:   ``x``, ``memory`` and ``mask`` if given; ``kernels`` by name; ``query``, ``key``, ``value`` and ``output``
             o by head, ``log_sum_exp`` (…, T, 1); in training ``dropout_key``; ``lengths`` if given. Nothing is of
             size T × S
    Shapes:  (N, T, D) → (N, T, D), any floating dtype, kept; scores and sums in at least float32

    ``head_features`` d is D / num_heads by default. With ``kv_heads``, a key head serves num_heads / kv_heads
    consecutive query heads. With ``causal``, query t sees the keys 0 … t, of a memory too. With ``rotary``, queries and
    keys are rotated as by ``RotaryEmbedding``; this is for self-attention only, since the positions of a memory are
    unrelated. ``dropout`` drops probabilities in training, which then needs a key; masks are drawn for one ``block`` of
    queries at a time and are equal in every precision. A fully masked query has o = 0, y = b_o and no gradient. NaN in
    a masked key or value still reaches the outputs. The bias of the keys adds a constant to all scores of a query:
    without ``rotary`` its gradient is 0. ``start`` and ``step`` decode one position after another.

    Errors: ``ValueError`` for shapes that do not match, num_heads that does not divide D, kv_heads that does not divide
    num_heads, and ``rotary`` with a memory or odd d; ``TypeError`` for members of other types.

    >>> layer = MultiHeadAttention(2, causal=True)
    >>> params, state = layer.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 3, 4), "float32"))
    >>> params["query"]["kernel"].shape, layer.apply(params, state, jnp.ones((5, 3, 4)))[0].shape
    ((4, 2, 2), (5, 3, 4))

    Source: Vaswani et al. 2017, §3.2; Shazeer 2019 and Ainslie et al. 2023 (key heads shared); Dao et al. 2022.
    """

    num_heads: int
    _: dataclasses.KW_ONLY
    head_features: int | None = None
    kv_heads: int | None = None
    causal: bool = False
    rotary: bool = False
    dropout: float = 0.0
    use_bias: bool = True
    kernel_init: Initializer = LecunNormal()
    bias_init: Initializer = Zeros()
    block: int = 128

    over_time = "lengths"

    def __post_init__(self) -> None:
        positive("num_heads", self.num_heads)
        positive("block", self.block)
        Dropout(self.dropout)  # raises for a rate outside [0, 1)
        if self.kv_heads is not None:
            positive("kv_heads", self.kv_heads)
            if self.num_heads % self.kv_heads:
                raise ValueError(f"kv_heads={self.kv_heads} does not divide num_heads={self.num_heads}")
        if self.head_features is not None:
            positive("head_features", self.head_features)
            if self.rotary:
                check_even(self.head_features)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        x, memory, _ = self._members(without_lengths(arrays_or_shapes(x)))
        source = x if memory is None else memory
        projections = self._projections(x.shape[-1])
        features = projections["query"].features
        heads = jax.ShapeDtypeStruct((*x.shape[:2], *features), x.dtype)
        inputs = {"query": x, "key": source, "value": source, "out": heads}
        return {name: each.init(named_key(key, name), inputs[name])[0] for name, each in projections.items()}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[jax.Array, State, Cache]:
        cache: Cache = {"kernels": {}}
        if lengths_of(x) is not None:
            x, lengths = apart(x)
            if lengths is not None:
                x, cache["lengths"] = (x, valid_steps(lengths, x.shape[1])), lengths
        x, memory, mask = self._members(x)
        cache["x"] = x = floating_array(x)
        if memory is not None:
            cache["memory"] = memory = floating_array(memory)
        if mask is not None:
            cache["mask"] = mask = jnp.asarray(mask)
        if drops(self.dropout) and is_training(train):
            cache["dropout_key"] = required_key(self, key)
        q, k, v = self._heads(params, x, x if memory is None else memory, jnp.arange(x.shape[1]), cache)
        q, k, v = self._grouped(q), _swapped(k), _swapped(v)
        output, lse = self._attention.forward(q, k, v, self._spread(mask), cache.get("dropout_key"))
        cache |= {"query": q, "key": k, "value": v, "output": output, "log_sum_exp": lse}
        y = self._project("out", params, self._ungrouped(output), x.shape[-1], cache)
        return y, state, cache

    def backward(self, cache: Cache, dy: jax.Array) -> tuple[Params, Any]:
        return self.fold(cache, dy, own_backward)

    def fold(self, cache: Cache, dy: jax.Array, visit: Visit) -> tuple[Any, Any]:
        """``backward`` with ``visit`` in the place of the projections' own."""
        x, mask, dparams = cache["x"], cache.get("mask"), {}
        dy = output_gradient(dy, x.shape)
        source, projections = cache.get("memory", x), self._projections(x.shape[-1])

        def through(name: str, x: jax.Array, dy: jax.Array) -> jax.Array:
            dparams[name], dx = visit(name, projections[name], {"x": x, "kernel": cache["kernels"][name]}, dy)
            return dx

        q, k, v, lse = (cache[name] for name in ("query", "key", "value", "log_sum_exp"))
        doutput = self._grouped(through("out", self._ungrouped(cache["output"]), dy))
        dq, dk, dv = self._attention.backward(q, k, v, lse, doutput, self._spread(mask), cache.get("dropout_key"))
        dq, dk, dv = self._ungrouped(dq), _swapped(dk), _swapped(dv)
        if self.rotary:
            dq, dk = (rotated(each, jnp.arange(x.shape[1]), -1) for each in (dq, dk))
        dx, dsource = through("query", x, dq), through("key", source, dk) + through("value", source, dv)
        if "memory" in cache:
            return dparams, (dx, dsource) if mask is None else (dx, dsource, None)
        if "lengths" in cache:
            return dparams, joined_again(dx + dsource, cache["lengths"])
        return dparams, dx + dsource if mask is None else (dx + dsource, None)

    def why_no_step(self) -> str | None:
        return None if self.causal else "its queries see later positions too; set causal=True"

    def start(
        self,
        batch_size: int,
        length: int,
        features: int | None = None,
        dtype: Any = None,
        *,
        params: Params | None = None,
        state: State | None = None,
    ) -> Kept:
        """An empty carry for ``step`` (``_kept.py``), for up to ``length`` positions of inputs with ``features``
        features, or of those that the parameters are made for."""
        positive("batch_size", batch_size)
        positive("length", length)
        features, dtype = features_of(params, features, dtype)
        return nothing_kept((batch_size, length, *self._projections(features)["key"].features), dtype)

    def step(self, params: Params, carry: Kept, x: Any, *, state: State | None = None) -> tuple[jax.Array, Kept]:
        """The outputs of the next position x (N, D), or the next ones x (N, t, D), of a causal layer, in inference, and
        the new carry.

        The outputs equal those of ``apply`` on all positions so far. Past the ``length`` of the carry ``step`` raises
        ``ValueError``; inside jit, where the position is unknown, the outputs are NaN.
        """
        refuse_steps(self)
        if getattr(x, "ndim", None) == 2:
            y, carry = self.step(params, carry, as_sequence(x))
            return as_step(y), carry
        x, memory, mask = self._members(x)
        if memory is not None or mask is not None:
            raise TypeError("step takes x (N, D) or (N, t, D) alone, without memory and mask")
        x, position = floating_array(x), carry["position"]
        check_room(carry, x)
        q, k, v = self._heads(params, x, x, position + jnp.arange(x.shape[1], dtype=jnp.int32), {"kernels": {}})
        new = with_next(carry, k, v)
        keys, values = (_swapped(new[name]) for name in ("key", "value"))
        output, _ = self._attention.forward(self._grouped(q), keys, values, offset=position)
        return nan_past(new, self._project("out", params, self._ungrouped(output), x.shape[-1], {"kernels": {}})), new

    @property
    def _attention(self) -> BlockwiseAttention:
        return BlockwiseAttention(self.causal, self.block, Dropout(self.dropout))

    def _projections(self, features: int) -> dict[str, HeadProjection]:
        """The four dense layers for inputs with ``features`` features."""
        if self.head_features is None and features % self.num_heads:
            raise ValueError(
                f"num_heads={self.num_heads} does not divide the {features} features of the input; set head_features"
            )
        each = features // self.num_heads if self.head_features is None else self.head_features
        if self.rotary:
            check_even(each)
        options = {"use_bias": self.use_bias, "kernel_init": self.kernel_init, "bias_init": self.bias_init}
        own, shared = (HeadProjection((heads, each), **options) for heads in (self.num_heads, self._kv_heads))
        out = HeadProjection((features,), contracted=2, **options)
        return {"query": own, "key": shared, "value": shared, "out": out}

    def _project(self, name: str, params: Params, x: jax.Array, features: int, cache: Cache) -> jax.Array:
        own = params.get(name) if isinstance(params, dict) else params
        y, _, kept = self._projections(features)[name].forward(own, {}, x)  # type: ignore[arg-type]
        cache["kernels"][name] = kept["kernel"]
        return y

    def _heads(
        self, params: Params, x: jax.Array, source: jax.Array, positions: jax.Array, cache: Cache
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """q (N, T, heads, d), k and v (N, S, kv_heads, d)."""
        inputs = {"query": x, "key": source, "value": source}
        q, k, v = (self._project(name, params, each, x.shape[-1], cache) for name, each in inputs.items())
        if self.rotary:
            q, k = rotated(q, positions), rotated(k, positions)
        return q, k, v

    @property
    def _kv_heads(self) -> int:
        return self.num_heads if self.kv_heads is None else self.kv_heads

    def _grouped(self, x: jax.Array) -> jax.Array:
        """(N, T, heads, d) → (N, kv_heads, heads / kv_heads, T, d)."""
        return jnp.moveaxis(x.reshape(*x.shape[:2], self._kv_heads, -1, x.shape[-1]), 1, 3)

    def _ungrouped(self, x: jax.Array) -> jax.Array:
        return jnp.moveaxis(x, 3, 1).reshape(x.shape[0], x.shape[3], self.num_heads, x.shape[-1])

    def _spread(self, mask: jax.Array | None) -> jax.Array | None:
        """The mask as (N, kv_heads or 1, heads / kv_heads or 1, T or 1, S)."""
        if mask is None:
            return None
        if mask.ndim < 4:
            return mask.reshape(mask.shape[0], 1, 1, -1, mask.shape[-1])
        heads = (1, 1) if mask.shape[1] == 1 else (self._kv_heads, self.num_heads // self._kv_heads)
        return mask.reshape(mask.shape[0], *heads, *mask.shape[2:])

    def _members(self, x: Any) -> tuple[Any, Any, Any]:
        x, memory, mask = attention_members(x, self.num_heads)
        if memory is not None and self.rotary:
            raise ValueError("rotary positions are for self-attention, got a memory; set rotary=False")
        return x, memory, mask


def _swapped(x: jax.Array) -> jax.Array:
    """(N, S, heads, d) ⟷ (N, heads, S, d)."""
    return jnp.swapaxes(x, 1, 2)
