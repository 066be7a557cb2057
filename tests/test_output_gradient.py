"""An output gradient of another shape is never broadcast in silence, by no layer of the table."""

import pytest

from tests.cases import LAYERS, LayerCase
from tests.points import broadcast_in_silence


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_it_is_refused_or_handed_on(case: LayerCase):
    if case.layer.rule == "hand":
        assert broadcast_in_silence(case.layer, case.input(), train=True) == []
