"""The one table of every public layer, combinator, loss and penalty, with the options that change what each computes.

A row is checked by ``tests/test_cases.py`` against the whole contract; a public class without a row fails there. Every
file of this folder holds the rows of one family, as ``LAYERS``, ``LOSSES`` or ``PENALTIES``. Inputs are drawn from the
row's name, so that a row keeps its numbers when others are added.

The quick proof takes the first row of every class, and those marked ``quick``: with them it finds the planted faults
that the others do not show. The full proof takes all.
"""

import importlib
import pkgutil
from typing import Any

import pytest

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

ROWS: tuple[Any, ...] = (*LAYERS, *LOSSES, *PENALTIES)

QUICK: frozenset[str] = frozenset(
    {row.name for row in {row.kind: row for row in reversed(ROWS)}.values()} | {row.name for row in ROWS if row.quick}
)
"""The names of the rows of the quick proof."""


def parameters(rows: tuple) -> list:
    """Rows as parameters of a test, those that the quick proof leaves out marked."""
    return [pytest.param(row, id=row.name, marks=() if row.name in QUICK else pytest.mark.full) for row in rows]
