"""Activations: one row has all that is asked of an elementwise one, gathered from the ``ROWS`` of the files here.

Every test of activations reads these rows (tests/layers/activation/, tests/test_kinks.py, tests/generated/), as does
the table of all layers. A new activation is a class, two lines of import, and a row.
"""

import importlib
import pkgutil

from tests.cases.activation.others import LAYERS as OTHERS
from tests.cases.activation.row import Activation as Activation
from tests.cases.rows import LayerCase

ACTIVATIONS: tuple[Activation, ...] = tuple(
    row
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
    for row in getattr(importlib.import_module(f"{__name__}.{name}"), "ROWS", ())
)

LAYERS: tuple[LayerCase, ...] = (*(row.case for row in ACTIVATIONS), *OTHERS)
