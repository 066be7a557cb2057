"""Every example in a docstring runs, and the docstring of every layer, loss and penalty states both passes."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import jax
import pytest

import fnn
import fnn.combinators
import fnn.layers
from fnn.layer import Layer
from fnn.losses import Loss
from fnn.penalties import Penalty

MODULES = sorted({"fnn", *(module.name for module in pkgutil.walk_packages(fnn.__path__, "fnn."))} - {"fnn.__main__"})
BASES = {Layer, Loss, Penalty, fnn.Combinator}


def modules() -> list:
    # By import_module: a function of the package may have the name of a module (fnn.platform.doctor).
    return [importlib.import_module(name) for name in MODULES]


@pytest.mark.full
@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str):
    """Examples are shown as they print at JAX's own settings."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def public_classes() -> list[type]:
    found = [value for module in (fnn, fnn.layers, fnn.combinators, fnn.losses) for value in vars(module).values()]
    kinds = (Layer, Loss, Penalty)
    chosen = {each for each in found if isinstance(each, type) and issubclass(each, kinds)} - BASES
    return sorted(chosen, key=lambda each: each.__name__)


@pytest.mark.parametrize("each", public_classes(), ids=lambda each: each.__name__)
def test_the_documentation_states_both_passes(each: type):
    text = inspect.getdoc(each) or ""
    assert "__doc__" in vars(each), f"{each.__name__} has no docstring of its own"
    # In the order of every docstring here; a forward may be given for each of several modes.
    places = [text.find(word) for word in ("Forward", "Backward")]
    assert -1 < places[0] < places[1], f"{each.__name__}: Forward and Backward expected, in this order, in\n{text}"
    if each is not fnn.layers.Elementwise:
        assert ">>>" in text, f"{each.__name__} shows no example"


def test_every_module_says_what_it_is_for():
    silent = [module.__name__ for module in modules() if not module.__doc__ and Path(module.__file__).read_text()]
    assert not silent
