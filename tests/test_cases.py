"""Every row of the table through its whole contract, and no public class without a row."""

import pytest

import fnn
import fnn.combinators
import fnn.layers
from fnn.penalties import Penalty
from fnn.testing import check_layer, check_loss, check_penalty
from tests.cases import LAYERS, LOSSES, PENALTIES, QUICK, ROWS, LayerCase, LossCase, PenaltyCase, parameters

BASES = {fnn.Layer, fnn.Combinator, fnn.layers.Elementwise, fnn.Loss, Penalty}


@pytest.mark.parametrize("case", parameters(LAYERS))
def test_layer(case: LayerCase):
    # Once a class: the rows of the quick proof. A further option changes neither how a combinator runs a layer, nor
    # whether its rule can be differentiated.
    whole = case.name in QUICK
    check_layer(
        case.layer,
        case.input(),
        per_example=case.per_example,
        forward_mode=case.forward_mode,
        second=whole,
        inside=whole,
        finite=case.finite,
    )


@pytest.mark.parametrize("case", parameters(LOSSES))
def test_loss(case: LossCase):
    check_loss(case.loss, *case.batch(), additive=case.additive, finite=case.finite)


@pytest.mark.parametrize("case", parameters(PENALTIES))
def test_penalty(case: PenaltyCase):
    check_penalty(case.penalty, case.params())


def public_classes() -> set[type]:
    modules = (fnn, fnn.layers, fnn.combinators, fnn.losses)
    found = [value for module in modules for name, value in vars(module).items() if not name.startswith("_")]
    kinds = (fnn.Layer, fnn.Loss, Penalty)
    return {each for each in found if isinstance(each, type) and issubclass(each, kinds)} - BASES


def test_every_public_class_has_a_row():
    rows = {type(case.layer) for case in LAYERS} | {type(case.loss) for case in LOSSES}
    rows |= {type(case.penalty) for case in PENALTIES}
    missing = sorted(each.__name__ for each in public_classes() - rows)
    assert not missing, f"add rows to tests/cases/ for {missing}"


def test_every_public_class_has_a_row_in_the_quick_proof():
    missing = public_classes() - {row.kind for row in ROWS if row.name in QUICK}
    assert not missing


@pytest.mark.parametrize("rows", [LAYERS, LOSSES, PENALTIES], ids=["layers", "losses", "penalties"])
def test_the_names_of_the_rows_are_unique(rows: tuple):
    names = [case.name for case in rows]
    assert len(set(names)) == len(names)
