"""Penalties."""

import fnn
from tests.cases.rows import PenaltyCase

PENALTIES = (
    PenaltyCase("L1", fnn.L1(0.3)),
    PenaltyCase("L1 of all", fnn.L1(0.3, paths="*")),
    PenaltyCase("L2", fnn.L2(0.3)),
    PenaltyCase("L2 of two globs", fnn.L2(0.3, paths=("*/bias", "scale"))),
    PenaltyCase("elastic net", fnn.ElasticNet(0.3, 0.7)),
    PenaltyCase("elastic net of two globs", fnn.ElasticNet(0.3, 0.7, paths=("*/bias", "scale"))),
)
