"""Functions with planted faults that only the full proof finds, each with the reason.

Each of these faults is found by only one row or test, which takes seconds.
"""

from tools.mutation.targets import Place

_OPTION = "an option of a recurrent layer that only the second row of its class uses"

LEFT: dict[Place, str] = {
    Place("combinators/bidirectional.py", "Bidirectional.fold"): "two layers that differ, and carries inside a model",
    Place("combinators/time_distributed.py", "TimeDistributed.fold"): "a layer that returns a pair",
    Place("combinators/tied.py", "Tied.transpose"): "parameters tied by a function instead of unchanged",
    Place("layers/attention/multi_head_attention.py", "MultiHeadAttention.fold"): "a memory beside a mask: a third row",
    Place(
        "layers/attention/_blockwise.py", "BlockwiseAttention._backward_part"
    ): "dropout in parts: the row of attention that takes longest",
    Place("layers/recurrent/feedback_rnn.py", "FeedbackRNN.gradients"): _OPTION,
    Place("losses/ctc.py", "CTC.select"): "logits without lengths, and a NaN in a sequence of weight 0: a second row",
    Place("losses/ctc.py", "CTC.terms_backward"): "logits without lengths: a second row, which takes eleven seconds",
}
