"""Every row of the table: a step of K-FAC is finite, and what is known of a layer's kernels becomes their factors."""

from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.optim.declared import rules_of
from fnn.optim.kronecker import blocks_of
from fnn.rules._moments import is_known
from fnn.rules.reports import with_reports
from fnn.walk import walk
from tests.cases import QUICK, LayerCase
from tests.points import drawn_point
from tests.rules import alone
from tests.rules.test_rows import rows

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

IN_FULL = (fnn.WeightNorm, fnn.SpectralNorm, fnn.DropConnect, fnn.Frozen, fnn.ConvTranspose, fnn.FeedbackRNN)
"""Layers with kernels whose gradients are not known as products of the rows of inputs and outputs; ``LinearHead`` and
weights that are tied by a function are others."""


@pytest.mark.parametrize("case", rows())
def test_a_step_on_a_row(case: LayerCase):
    statistics = any(isinstance(each, fnn.BatchNorm) for _, each in walk(case.layer))
    point = drawn_point(case.layer, case.input(), train=case.per_example, trained=statistics)
    objective, optimizer = fnn.Objective(case.layer, alone.Energy()), optim.kfac(0.1, fisher="empirical")
    batch, unknown = (point.x, jax.tree.leaves(point.x)[0]), []

    def step(params, state):
        _, grads, reports = with_reports(
            objective, rules_of(optimizer), params, state, batch, key=point.key, report_key=point.key, train=point.train
        )
        contributions = reports[optimizer.rule].contributions
        blocks, _ = blocks_of(params, 2048)
        unknown.extend(block for block in blocks if not is_known(contributions.get(block.kernel), block))
        return optimizer.update(grads, optimizer.init(params), params, reports=reports)

    if case.name in QUICK:  # once a class; of a further option it is asked what is known of its kernels
        check_numbers(*jax.jit(step)(point.params, point.state))
    else:
        jax.eval_shape(step, point.params, point.state)
    layers = [each for _, each in walk(case.layer)]
    in_full = any(isinstance(each, (*IN_FULL, fnn.losses.LinearHead)) or each.rule == "auto" for each in layers)
    assert not unknown or in_full or "user" in case.name, unknown


def check_numbers(updates: Any, state: Any) -> None:
    """All are finite, and no factor has an eigenvalue below zero, but for rounding."""
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((updates, state)))
    for side in jax.tree.leaves(state.known.factors):
        full = side.ndim >= 2 and side.shape[-1] == side.shape[-2]
        values = np.linalg.eigvalsh(side) if full else np.asarray(side)
        assert (values >= -1e-12 * np.abs(values).max(initial=1)).all()
