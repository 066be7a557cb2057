"""An output gradient of another shape is never broadcast in silence, by no layer of the table."""

import pytest

from tests.cases import LAYERS, LayerCase, parameters
from tests.points import answers

BY_JAX = ("rotary embedding",)
"""Rows that split the last axis of whatever comes: of another size it is JAX that complains."""


@pytest.mark.parametrize("case", parameters(LAYERS))
def test_it_is_refused_or_handed_on(case: LayerCase):
    if case.layer.rule == "hand":
        found = answers(case.layer, case.input(), train=True)
        raised = {shape[-1] for shape, answer in found.items() if answer == "raised"}
        assert raised == ({1} if case.name in BY_JAX else set())
        assert "broadcast" not in found.values()
