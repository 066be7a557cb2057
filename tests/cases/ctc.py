"""Connectionist temporal classification."""

import numpy as np

import fnn
from tests.cases.draws import Draw, both, normal, positive
from tests.cases.rows import LossCase


def rows(*values: list[int]) -> Draw:
    return lambda draw: np.array(values, np.int32)


# None, one, a repeated label, and as many as the frames can spell.
LABELS = rows([-1, -1, -1], [2, -1, -1], [1, 1, -1], [1, 2, 1])

LOSSES = (
    LossCase(
        "ctc, lengths, the blank last, weighted",
        fnn.CTC(blank=3),
        both(both(normal(4, 5, 4), lambda draw: np.array([0, 3, 4, 5], np.int32)), LABELS, positive(4)),
    ),
    LossCase("ctc", fnn.CTC(), both(normal(4, 3, 3), LABELS)),
)
