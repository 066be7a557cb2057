"""The activation that CONTRIBUTING.md adds is right, and its row says what the tests ask for."""

import doctest
import re
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.testing import check_layer

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
CLASS, ROW = (
    textwrap.dedent(code) for code in re.findall(r"^ *```python\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
)


@pytest.fixture
def softshrink(monkeypatch) -> Any:
    """The class; where fnn has one of that name, it is that of the guide for the length of a test."""
    names: dict[str, Any] = {}
    exec(CLASS, names)
    monkeypatch.setattr(fnn, "Softshrink", names["Softshrink"], raising=False)
    return names["Softshrink"]


def test_the_class_of_the_guide_keeps_the_contract_and_its_example_runs(softshrink):
    check_layer(softshrink(), np.array([[-2.0, -0.75, -0.1], [0.2, 0.6, 3.0]]), dtypes=())
    example = doctest.DocTestParser().get_doctest(softshrink.__doc__, {"Softshrink": softshrink, "jnp": jnp}, "", "", 0)
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        assert doctest.DocTestRunner().run(example) == (0, 1)


def test_the_row_of_the_guide_is_true(softshrink):
    names: dict[str, Any] = {}
    exec(ROW, names)
    (row,) = names["ROWS"]
    inputs, outputs, slopes = map(np.array, row.by_hand)
    y, _, cache = row.layer.forward({}, {}, inputs.astype(float))
    np.testing.assert_array_equal(y, outputs)
    np.testing.assert_array_equal(row.oracle(inputs), outputs)
    np.testing.assert_array_equal(row.layer.backward(cache, jnp.ones(len(inputs)))[1], slopes)
    assert set(row.layer.corners) <= set(row.slopes_at)


def test_the_paths_that_the_guide_names_exist():
    """Paths by their folder; files of one package are named without it where the line says which package it is."""
    named = set(re.findall(r"`((?:fnn|tests|tools|\.ci)/[\w/.]+)`", GUIDE)) - {
        "fnn/layers/activation/softshrink.py",
        "tests/cases/activation/softshrink.py",
    }
    assert len(named) > 10
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_walk_of_a_batch_names_files_of_the_package():
    walk = GUIDE.partition("## One batch")[2].partition("\n## ")[0]
    files = re.findall(r"`([\w/]+\.py)`", walk)
    assert len(files) >= 10
    assert not [name for name in files if not any((ROOT / "fnn" / folder / name).is_file() for folder in ("", "train"))]
