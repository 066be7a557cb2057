"""Rewritings that change no behaviour that a test may check, each with the reason.

A row names the file, the function, the operator and the source before and after: of the rewritten node, or of one
around it if that is needed to distinguish the place. It covers every place with this source. A row that matches no
planted fault, or whose fault is found, is an error: the table must be exact.
"""

_ONE = "one_group((x[0], dy[0]))[None] if len(x) == 1 else lax.map(one_group, (x, dy))"
_GROUPS = "a single group without a loop, or in a loop of one step: the loop is only slower"
_SELECTED = "the replacement of a zero divisor: ``where`` discards the quotient"
_TWO_AXES = "with two axes, the last is the second"
_STEPS = "the end of a range in steps of two: one more adds no step"
_LARGEST = "lax.stop_gradient(log_p.max(-1, keepdims=True))"
_CENTRED = f"log_p - {_LARGEST}"
_ABOVE = "jnp.where(x > 0, 0, wide_dy)"
_ZEROED = "every number there is multiplied by 0"
_GATE = "layers/activation/_gated.py"
_INFINITE = "used only for infinite x: the product is infinite too, or NaN"
_MEAN = "self._sum(wide_dy * y)"
_ONE_IN_ALL = "probabilities sum to 1 up to rounding, which test_softmax.py checks in bfloat16"
_SHIFT = "a shift of all logarithms, which the following softmax removes; it keeps digits in long sequences"

_BARRIER = "a barrier changes what XLA keeps in memory, not a value; tests of the compiled memory hold it"
_FOUR_AXES = "with four axes, the last but one is the third"
_FASTER = "two ways to the same sums: which one is faster depends on the sizes"
_SHARDED = (
    "merging axes changes no sum; arrays that are sharded, which it fails on, are in tests/layers/test_sharded.py"
)
_MERGED = "can_merge(x) and can_merge(dy)"
_PRODUCT = "groups == 1 and gradient_is_product(w, x.shape[-1])"
_COLUMNS = f"kernel_gradient_by_columns(x, dy, w) if {_PRODUCT} else _moved(x, dy, w, groups)"
_COUNT = "math.prod(w.window) * channels"
_FEW_COLUMNS = f"is_pointwise(w) or {_COUNT} <= FEW"
_SMALL = "math.prod(w.window) <= LARGEST"

_NO_GRADIENT = (
    "treedef.unflatten([jnp.zeros(shape, dtype) if jnp.issubdtype(dtype, jnp.floating) else None for shape, dtype in"
    " leaves])"
)

EQUIVALENT: dict[tuple[str, str, str, str, str], str] = {
    (
        "combinators/frozen.py",
        "Frozen.transpose",
        "wrong result",
        "return jax.tree.map(jnp.zeros_like, dparams)",
        "return __zeros_of__(jax.tree.map(jnp.zeros_like, dparams))",
    ): "zeros of zeros",
    (
        "combinators/graph.py",
        "Graph.fold",
        "integer",
        "self.inputs[0]",
        "self.inputs[-1]",
    ): "an input that comes alone is the only one",
    (
        "combinators/graph.py",
        "_zeros",
        "wrong result",
        f"return {_NO_GRADIENT}",
        f"return __zeros_of__({_NO_GRADIENT})",
    ): "zeros of zeros",
    (
        "combinators/parallel.py",
        "Parallel._split",
        "wrong result",
        "return [None] * len(self.layers)",
        "return __zeros_of__([None] * len(self.layers))",
    ): "None has no leaves to be zeroed",
    (
        "layers/joining.py",
        "product_gradients",
        "integer",
        "members[0].shape",
        "members[-1].shape",
    ): "all arrays to be multiplied have the same shape",
    (
        "layers/joining.py",
        "concatenation_gradients",
        "integer",
        "shapes[0]",
        "shapes[1]",
    ): "all arrays to be joined have one shape but for that axis",
    (
        "layers/joining.py",
        "concatenation_gradients",
        "integer",
        "shapes[0]",
        "shapes[-1]",
    ): "all arrays to be joined have one shape but for that axis",
    (
        "layers/joining.py",
        "product_gradients",
        "wrong entry",
        "for before, behind in zip(left, right, strict=True)",
        "for behind, before in zip(left, right, strict=True)",
    ): "the two are multiplied, in either order",
    (
        "layers/pool/windowed.py",
        "AvgPool.backward",
        "dropped cast",
        "dy.astype(wide_dtype(dy.dtype))",
        "dy",
    ): "costs a digit of bfloat16 where windows overlap, less than `check_layer` allows",
    (
        "combinators/first.py",
        "First.fold",
        "comparison",
        "self.whole and isinstance(dy, tuple)",
        "self.whole",
    ): "an array has no other members whose gradients could be added",
    (
        "layers/linear/bilinear.py",
        "Bilinear.gradients",
        "wrong key",
        "(*cache['first'].shape[:-1], self.features)",
        "(*cache['second'].shape[:-1], self.features)",
    ): "both inputs have the same leading axes, and only these are read",
    ("layers/conv/_sums.py", "_over_groups", "wrong selection", _ONE, "lax.map(one_group, (x, dy))"): _GROUPS,
    ("layers/conv/_sums.py", "_over_groups", "integer", "1", "0"): _GROUPS,
    ("layers/conv/_sums.py", "_over_groups", "integer", "0", "1"): _GROUPS,
    ("layers/conv/_sums.py", "_over_groups", "integer", "0", "-1"): _GROUPS,
    ("layers/recurrent/gru.py", "GRU.cell_backward", "integer", "0", "-1"): "the carry has one member",
    ("layers/recurrent/gru.py", "GRU.cell_backward", "flipped sign", "-1", "1"): _TWO_AXES,
    ("layers/recurrent/lstm.py", "LSTM.cell_backward", "flipped sign", "-1", "1"): _TWO_AXES,
    (
        "layers/shape/pad.py",
        "Pad.transpose",
        "wrong entry",
        "for start, size in zip(starts, shape, strict=True)",
        "for size, start in zip(starts, shape, strict=True)",
    ): "the two are added, in either order",
    (
        "layers/recurrent/_affine_map.py",
        "AffineMap.gradients",
        "dropped cast",
        "da.astype(dtype)",
        "da",
    ): "a delta from a scan already has the dtype of v, and the product is cast in any case",
    (
        "layers/activation/elu.py",
        "Celu.derivative",
        "comparison",
        "value > 0",
        "value >= 0",
    ): "the slope is 1 on both sides of 0",
    (
        "layers/activation/rectifiers.py",
        "SquaredRelu.gradient",
        "comparison",
        "value <= 0",
        "value < 0",
    ): "the slope is 0 on both sides of 0",
    (
        "layers/shape/pixel_shuffle.py",
        "PixelShuffle.transpose",
        "integer",
        "range(2, 2 * rank + 1, 2)",
        "range(2, 2 * rank + 2, 2)",
    ): _STEPS,
    (
        "layers/shape/up_sample.py",
        "UpSample.transpose",
        "integer",
        "range(2, 2 * len(scales) + 1, 2)",
        "range(2, 2 * len(scales) + 2, 2)",
    ): _STEPS,
    (
        "layers/recurrent/simple_rnn.py",
        "SimpleRNN.cell_backward",
        "wrong result",
        "return (Tanh().derivative(h) * dh, (jnp.zeros_like(dh),))",
        "return (Tanh().derivative(h) * dh, __zeros_of__((jnp.zeros_like(dh),)))",
    ): "zeros instead of zeros",
    (
        "layers/activation/softmax.py",
        "Softmax.backward",
        "dropped factor",
        f"{_MEAN} / self._sum(y)",
        _MEAN,
    ): _ONE_IN_ALL,
    (
        "layers/activation/softmax.py",
        "Softmax.backward",
        "× for ÷",
        f"{_MEAN} / self._sum(y)",
        f"{_MEAN} * self._sum(y)",
    ): _ONE_IN_ALL,
    (
        "layers/activation/p_relu.py",
        "PRelu.backward",
        "comparison",
        "jnp.where(x > 0, 0, wide_dy)",
        "jnp.where(x >= 0, 0, wide_dy)",
    ): "the gradient of the slope is x dy, which is 0 at x = 0",
    ("layers/activation/p_relu.py", "PRelu.backward", "integer", _ABOVE, "jnp.where(x > 0, 1, wide_dy)"): _ZEROED,
    ("layers/activation/p_relu.py", "PRelu.backward", "integer", _ABOVE, "jnp.where(x > 0, -1, wide_dy)"): _ZEROED,
    (
        "layers/activation/gelu.py",
        "Gelu.derivative",
        "dropped statement",
        "value = jax.lax.optimization_barrier(value)",
        "",
    ): _BARRIER,
    (
        "layers/activation/gelu.py",
        "Gelu.derivative",
        "dropped call",
        "jax.lax.optimization_barrier(value)",
        "value",
    ): _BARRIER,
    (
        "layers/attention/_blockwise.py",
        "BlockwiseAttention.backward",
        "dropped call",
        "lax.optimization_barrier((q, k, lse))",
        "(q, k, lse)",
    ): _BARRIER,
    (
        "layers/attention/_blockwise.py",
        "BlockwiseAttention.backward",
        "wrong entry",
        "parts, dk, dv = ([], jnp.zeros(k.shape, lse.dtype), jnp.zeros(v.shape, lse.dtype))",
        "parts, dv, dk = ([], jnp.zeros(k.shape, lse.dtype), jnp.zeros(v.shape, lse.dtype))",
    ): "both are zeros of one shape",
    (
        "layers/attention/_blockwise.py",
        "BlockwiseAttention.backward",
        "flipped sign",
        "k.shape[-2]",
        "k.shape[2]",
    ): _FOUR_AXES,
    ("layers/attention/_blockwise.py", "BlockwiseAttention._backward_part", "flipped sign", "-2", "2"): _FOUR_AXES,
    ("layers/_rows.py", "product_of_rows", "wrong selection", f"if {_MERGED}:", f"if not ({_MERGED}):"): _SHARDED,
    ("layers/_rows.py", "product_of_rows", "comparison", _MERGED, "can_merge(x)"): _SHARDED,
    ("layers/_rows.py", "product_of_rows", "comparison", _MERGED, "can_merge(dy)"): _SHARDED,
    ("layers/_rows.py", "product_of_rows", "dropped term", "x.ndim - 1", "1"): _SHARDED,
    ("layers/conv/_sums.py", "kernel_gradient", "wrong selection", _COLUMNS, "_moved(x, dy, w, groups)"): _FASTER,
    ("layers/conv/_sums.py", "kernel_gradient", "comparison", _PRODUCT, "groups == 1"): _FASTER,
    ("layers/conv/_sums.py", "kernel_gradient", "integer", "groups == 1", "groups == 0"): _FASTER,
    ("layers/conv/_sums.py", "kernel_gradient", "flipped sign", "-1", "1"): _FASTER,
    ("layers/conv/_sums.py", "kernel_gradient", "integer", "x.shape[-1]", "x.shape[-2]"): _FASTER,
    ("layers/conv/_sums.py", "kernel_gradient", "integer", "x.shape[-1]", "x.shape[-0]"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "comparison", _FEW_COLUMNS, "is_pointwise(w)"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "comparison", _FEW_COLUMNS, f"{_COUNT} <= FEW"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "comparison", f"{_COUNT} <= FEW", f"{_COUNT} < FEW"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "comparison", f"{_COUNT} <= FEW", f"{_COUNT} > FEW"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "× for ÷", _COUNT, _COUNT.replace("*", "/")): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "dropped factor", _COUNT, "math.prod(w.window)"): _FASTER,
    ("layers/conv/_pointwise.py", "gradient_is_product", "dropped factor", _COUNT, "channels"): _FASTER,
    ("layers/pool/windowed.py", "_spread", "wrong selection", f"if {_SMALL}:", f"if not {_SMALL}:"): _FASTER,
    ("layers/pool/windowed.py", "_spread", "comparison", _SMALL, _SMALL.replace("<=", "<")): _FASTER,
    ("layers/pool/windowed.py", "_spread", "comparison", _SMALL, _SMALL.replace("<=", ">")): _FASTER,
    (
        "layers/pool/windowed.py",
        "_to_winners",
        "wrong entry",
        "for out, size in zip(w.out, w.window, strict=True)",
        "for size, out in zip(w.out, w.window, strict=True)",
    ): "the two are multiplied, in either order",
    (
        "layers/activation/_gated.py",
        "gated_slope",
        "comparison",
        "steepness * x < 0",
        "steepness * x <= 0",
    ): _INFINITE,
    (_GATE, "gated_slope", "integer", "steepness * x < 0", "steepness * x < 1"): _INFINITE,
    (_GATE, "gated_slope", "integer", "steepness * x < 0", "steepness * x < -1"): _INFINITE,
    (
        "losses/regression.py",
        "RootMeanSquaredError.backward",
        "integer",
        "jnp.where(value == 0, 1, value)",
        "jnp.where(value == 0, 2, value)",
    ): _SELECTED,
    (
        "losses/similarity.py",
        "CosineSimilarity.terms_backward",
        "integer",
        "jnp.where(norm == 0, 1, norm)",
        "jnp.where(norm == 0, 2, norm)",
    ): _SELECTED,
    ("losses/ctc.py", "_centred", "dropped term", _CENTRED, "log_p"): _SHIFT,
    ("losses/ctc.py", "_centred", "flipped sign", _CENTRED, _CENTRED.replace("log_p -", "log_p +")): _SHIFT,
    ("losses/ctc.py", "_centred", "dropped call", _LARGEST, "log_p.max(-1, keepdims=True)"): _SHIFT,
    ("losses/ctc.py", "_centred", "flipped sign", "-1", "1"): _TWO_AXES,
    ("losses/ctc.py", "_occupied", "flipped sign", "-1", "1"): _TWO_AXES,
    (
        "losses/ctc.py",
        "CTC.terms_backward",
        "comparison",
        "running.T & possible[:, None]",
        "running.T",
    ): "labels that no path spells cost ∞, and no row of the table has an infinite value; tests/losses/test_ctc.py has",
}
