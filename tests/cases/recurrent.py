"""Recurrent layers, and the combinators over time."""

import numpy as np

import fnn
from tests.cases.draws import boolean, both, lengths, normal
from tests.cases.rows import LayerCase
from tests.cases.users import Gated, Scaled


def nothing(draw: np.random.Generator) -> None:
    return None


SERIES, STATE = normal(3, 4, 2), normal(3, 3)
PAIR = both(STATE, STATE)
RAGGED = both(SERIES, lengths(4, 0, 2))
CARRIED = both(SERIES, lengths(2, 4, 0), STATE)
PAIR_CARRIED = both(SERIES, lengths(2, 4, 0), PAIR)
TWO_CARRIED = both(SERIES, lengths(2, 4, 0), PAIR)
FED_BACK = both(SERIES, lengths(2, 4, 0), both(STATE, normal(3, 2)))

LAYERS = (
    LayerCase("simple RNN", fnn.SimpleRNN(3), SERIES),
    LayerCase("simple RNN, reversed, carries", fnn.SimpleRNN(3, reverse=True, return_carry=True), CARRIED),
    LayerCase(
        "simple RNN, last, layer norm", fnn.SimpleRNN(3, layer_norm=True, return_sequences=False), RAGGED, quick=True
    ),
    LayerCase("LSTM", fnn.LSTM(3), SERIES),
    LayerCase("LSTM, lengths", fnn.LSTM(3), RAGGED),
    LayerCase("LSTM, carries, no lengths", fnn.LSTM(3, return_carry=True), both(SERIES, nothing, PAIR)),
    LayerCase(
        "LSTM, reversed, last, carries",
        fnn.LSTM(3, reverse=True, return_carry=True, return_sequences=False),
        PAIR_CARRIED,
    ),
    LayerCase("LSTM, layer norm, dropout", fnn.LSTM(3, layer_norm=True, recurrent_dropout=0.4), PAIR_CARRIED),
    LayerCase("GRU", fnn.GRU(3), SERIES),
    LayerCase("GRU, last, carries", fnn.GRU(3, return_carry=True, return_sequences=False), CARRIED),
    LayerCase("GRU, reversed, carried", fnn.GRU(3, reverse=True), CARRIED),
    LayerCase("GRU, layer norm, dropout", fnn.GRU(3, layer_norm=True, recurrent_dropout=0.4), CARRIED),
    LayerCase("feedback RNN", fnn.FeedbackRNN(3, 2), SERIES),
    LayerCase(
        "feedback RNN, Jordan",
        fnn.FeedbackRNN(3, 2, return_carry=True, return_sequences=False, lateral=False, self_feedback=False),
        FED_BACK,
        quick=True,
    ),
    LayerCase(
        "feedback RNN, lateral, reversed",
        fnn.FeedbackRNN(3, 2, output_feedback=False, self_feedback=False, activation=fnn.Silu(), reverse=True),
        FED_BACK,
    ),
    LayerCase(
        "feedback RNN, each itself",
        fnn.FeedbackRNN(3, 1, output_feedback=False, lateral=False, activation=fnn.Sigmoid()),
        RAGGED,
    ),
    LayerCase(
        "feedback RNN, nothing fed back",
        fnn.FeedbackRNN(3, 1, output_feedback=False, lateral=False, self_feedback=False),
        SERIES,
    ),
    LayerCase(
        "bidirectional, carries, no lengths, one of them given",
        fnn.Bidirectional(
            fnn.SimpleRNN(3, return_carry=True), merge="sum", opposite=fnn.GRU(3, reverse=True, return_carry=True)
        ),
        both(SERIES, nothing, both(nothing, STATE)),
    ),
    LayerCase("bidirectional, joined", fnn.Bidirectional(fnn.GRU(2)), RAGGED),
    LayerCase(
        "bidirectional, multiplied, last",
        fnn.Bidirectional(fnn.SimpleRNN(3, return_sequences=False), merge="multiply"),
        CARRIED,
    ),
    LayerCase(
        "bidirectional, summed, another layer",
        fnn.Bidirectional(fnn.SimpleRNN(3), merge="sum", opposite=fnn.GRU(3, reverse=True)),
        SERIES,
    ),
    LayerCase("bidirectional, carries", fnn.Bidirectional(fnn.GRU(3, return_carry=True)), TWO_CARRIED),
    LayerCase(
        "bidirectional, carries of two members, last, multiplied",
        fnn.Bidirectional(fnn.LSTM(3, return_carry=True, return_sequences=False), merge="multiply"),
        both(SERIES, lengths(2, 4, 0), both(PAIR, PAIR)),
    ),
    LayerCase(
        "bidirectional with carries in a model",
        fnn.Serial(fnn.Bidirectional(fnn.SimpleRNN(2, return_carry=True)), fnn.First(fnn.Dense(2))),
        RAGGED,
    ),
    LayerCase("time distributed of sequences", fnn.TimeDistributed(fnn.Serial(fnn.Dense(3), fnn.Tanh())), RAGGED),
    LayerCase("time distributed", fnn.TimeDistributed(fnn.Serial(fnn.Dense(3), fnn.Tanh())), SERIES),
    LayerCase(
        "time distributed, batch norm, dropout",
        fnn.TimeDistributed(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3))),
        SERIES,
    ),
    LayerCase("time distributed, a pair in and out", fnn.TimeDistributed(Gated()), both(SERIES, SERIES)),
    LayerCase("time distributed, a tuple", fnn.TimeDistributed(Scaled()), both(SERIES, boolean(3, 4, 2))),
    LayerCase(
        "recurrent layers in a model",
        fnn.Serial(fnn.Bidirectional(fnn.LSTM(2)), fnn.GRU(3, return_sequences=False), fnn.Dense(2)),
        SERIES,
    ),
)
