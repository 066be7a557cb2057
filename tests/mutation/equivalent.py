"""Rewritings that change nothing that a test may ask for, each with the reason.

A row names the file, the function, the operator and the source before and after: it holds for every place in the
function that reads so. One that matches no planted fault, or one that is found, is an error: the table says what is.
"""

_LABEL = "a label outside [0, V) is that of no class: q and so dz are 0 with the guard or without"
_GUARD = "jnp.where(is_class(target, logits.shape[-1], self.ignore_index), dterms, 0)"

_ONE = "one_group((x[0], dy[0]))[None] if len(x) == 1 else lax.map(one_group, (x, dy))"
_GROUPS = "a single group alone, or in a loop of one step: the loop is only slower"
_INPUT, _OUTPUT = "weights['input']", "weights['output']"
_PRESENT = "of the weights only whether there are a scale and a bias is asked, and both have the same"
_TWO_AXES = "of two axes the last is the second"
_STEPS = "the end of a range that goes in steps of two: one more adds no step"
_LARGEST = "lax.stop_gradient(log_p.max(-1, keepdims=True))"
_CENTRED = f"log_p - {_LARGEST}"
_SHIFT = "a shift of all logarithms, which the softmax that follows takes out again; it keeps digits in long sequences"

EQUIVALENT: dict[tuple[str, str, str, str, str], str] = {
    (
        "backprop.py",
        "add_gradients",
        "wrong selection",
        "a if b is None else a + b",
        "a + b",
    ): "the gradients of one thing are None together; a rule that breaks this is a user's",
    (
        "combinators/parallel.py",
        "Parallel._split",
        "wrong result",
        "return [None] * len(self.layers)",
        "return __zeros_of__([None] * len(self.layers))",
    ): "None has no leaves to be zeroed",
    (
        "combinators/parallel.py",
        "Parallel._split",
        "wrong entry",
        "for before, behind in zip(left, right, strict=True)",
        "for behind, before in zip(left, right, strict=True)",
    ): "the two are multiplied, in either order",
    (
        "layers/pool.py",
        "AvgPool.backward",
        "dropped cast",
        "dy.astype(wide_dtype(dy.dtype))",
        "dy",
    ): "costs a digit of bfloat16 where windows overlap, less than tests/test_precision.py allows",
    ("losses/cross_entropy.py", "CrossEntropy.terms_backward", "dropped statement", f"dterms = {_GUARD}", ""): _LABEL,
    ("losses/cross_entropy.py", "CrossEntropy.terms_backward", "wrong selection", _GUARD, "dterms"): _LABEL,
    (
        "combinators/first.py",
        "First.fold",
        "comparison",
        "self.whole and isinstance(dy, tuple)",
        "self.whole",
    ): "of an array there are no other members whose gradients could be added",
    (
        "layers/bilinear.py",
        "Bilinear.backward",
        "wrong key",
        "cache['first']",
        "cache['second']",
    ): "both inputs have the same leading axes, and only those are read",
    ("layers/convolution.py", "_over_groups", "wrong selection", _ONE, "lax.map(one_group, (x, dy))"): _GROUPS,
    ("layers/convolution.py", "_over_groups", "integer", "1", "0"): _GROUPS,
    ("layers/convolution.py", "_over_groups", "integer", "0", "1"): _GROUPS,
    ("layers/convolution.py", "_over_groups", "integer", "0", "-1"): _GROUPS,
    ("layers/feedback.py", "FeedbackRNN.gradients", "wrong key", _INPUT, _OUTPUT): _PRESENT,
    ("layers/feedback.py", "FeedbackRNN.gradients", "wrong key", _OUTPUT, _INPUT): _PRESENT,
    ("layers/gru.py", "GRU.cell_backward", "integer", "0", "-1"): "the carry has one member",
    ("layers/gru.py", "GRU.cell_backward", "flipped sign", "-1", "1"): _TWO_AXES,
    ("layers/lstm.py", "LSTM.cell_backward", "flipped sign", "-1", "1"): _TWO_AXES,
    (
        "layers/pad.py",
        "Pad.transpose",
        "wrong entry",
        "for start, size in zip(starts, shape, strict=True)",
        "for size, start in zip(starts, shape, strict=True)",
    ): "the two are added, in either order",
    (
        "layers/projection.py",
        "kernel_gradient",
        "dropped cast",
        "da.astype(v.dtype)",
        "da",
    ): "the delta has the dtype of v already where it comes from a scan, and the product is cast in any case",
    (
        "layers/rectifiers.py",
        "Celu.derivative",
        "comparison",
        "value > 0",
        "value >= 0",
    ): "the slope is 1 on both sides of 0",
    (
        "layers/rectifiers.py",
        "SquaredRelu.gradient",
        "comparison",
        "value <= 0",
        "value < 0",
    ): "the slope is 0 on both sides of 0",
    (
        "layers/recurrent.py",
        "Recurrent.backward",
        "wrong selection",
        "carry_outside(_cast(dcarry, dtype)) if carried else None",
        "carry_outside(_cast(dcarry, dtype))",
    ): "where no carry came in, its gradient is cut off with the members that were not given",
    ("layers/resample.py", "PixelShuffle.transpose", "integer", "1", "2"): _STEPS,
    ("layers/resample.py", "UpSample.transpose", "integer", "1", "2"): _STEPS,
    (
        "layers/simple_rnn.py",
        "SimpleRNN.cell_backward",
        "wrong result",
        "return (Tanh().derivative(h) * dh, (jnp.zeros_like(dh),))",
        "return (Tanh().derivative(h) * dh, __zeros_of__((jnp.zeros_like(dh),)))",
    ): "zeros in the place of zeros",
    (
        "layers/trainable.py",
        "PRelu.backward",
        "comparison",
        "x > 0",
        "x >= 0",
    ): "the gradient of the slope is x dy, which is 0 at x = 0",
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
