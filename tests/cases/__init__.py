"""The one table of every public layer, combinator, loss and penalty, with the options that change what each computes.

A row is checked by ``tests/test_cases.py`` against the whole contract; a public class without a row fails there. Every
file of this folder holds the rows of one family, as ``LAYERS``, ``LOSSES`` or ``PENALTIES``. Inputs are drawn from the
row's name, so that a row keeps its numbers when others are added.
"""

import importlib
import pkgutil
from typing import Any

from tests.cases.rows import LayerCase as LayerCase
from tests.cases.rows import LossCase as LossCase
from tests.cases.rows import PenaltyCase as PenaltyCase


def _gathered(kind: str) -> tuple[Any, ...]:
    files = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in files]
    return tuple(row for module in modules for row in getattr(module, kind, ()))


LAYERS: tuple[LayerCase, ...] = _gathered("LAYERS")
LOSSES: tuple[LossCase, ...] = _gathered("LOSSES")
PENALTIES: tuple[PenaltyCase, ...] = _gathered("PENALTIES")
