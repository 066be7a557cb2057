"""What ``as_flax``, ``as_equinox`` and ``as_haiku`` refuse, whether the other libraries are installed or not."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import pytest

import fnn
from fnn.interop import as_equinox, as_flax, as_haiku

HOSTS = {
    "flax.linen": ("as_flax", "_linen_module", as_flax, "flax"),
    "flax.nnx": ("as_nnx", "nnx_module", lambda layer: as_flax(layer, api="nnx"), "flax>=0.12"),
    "equinox": ("as_equinox", "_equinox_module", as_equinox, "equinox"),
    "haiku": ("as_haiku", "_haiku_module", as_haiku, "dm-haiku"),
}


@pytest.mark.parametrize("module", HOSTS)
def test_a_library_that_is_missing_raises_and_names_the_package(module: str, monkeypatch: pytest.MonkeyPatch):
    file, made, function, package = HOSTS[module]
    monkeypatch.setitem(sys.modules, module, None)
    getattr(importlib.import_module(f"fnn.interop.{file}"), made).cache_clear()
    with pytest.raises(ImportError, match=f"needs {module.partition('.')[0]}: pip install '{package}'"):
        function(fnn.Relu())


@pytest.mark.parametrize("function", [as_flax, as_equinox, as_haiku])
def test_only_layers_are_taken(function: Callable[..., Any]):
    with pytest.raises(TypeError, match=rf"{function.__name__} takes a layer of fnn, got .*; did you mean Relu\(…\)\?"):
        function(fnn.Relu)
