"""Functions in which the quick proof leaves planted faults to the full one, each with the reason.

All of these are found by one row or test that takes seconds, and by no other: thirteen faults.
"""

from tools.mutation.targets import Place

_CROSS = "cross-attention: its gradients by query and by memory are those of attention, apart instead of added"
_FIRST = "a tuple passed on whole: a row of attention with a memory and a mask"
_OPTION = "an option of a recurrent layer that only a second row of its class has"

LEFT: dict[Place, str] = {
    Place("backprop.py", "add_gradients"): _FIRST,
    Place("combinators/first.py", "First.fold"): _FIRST,
    Place("combinators/tied.py", "Tied.transpose"): "parameters tied by a function instead of as they are",
    Place("layers/attention/multi_head_attention.py", "MultiHeadAttention.backward"): _CROSS,
    Place("layers/recurrent/feedback_rnn.py", "FeedbackRNN.backward"): _OPTION,
    Place("losses/ctc.py", "CTC.select"): "a NaN in a sequence that weighs nothing: a test of some seconds",
}
