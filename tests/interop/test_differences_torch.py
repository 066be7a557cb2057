"""Settings that no weights can mend: each is a warning that names both places and says what to write."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

import fnn
from fnn.interop import Difference, load_torch, store_torch
from tests.interop.differing import CASES, ROW, STEPS
from tests.interop.modules import spec

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def said(run: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    assert all(issubclass(each.category, Difference) for each in caught)
    assert all(each.filename == __file__ for each in caught)  # where load_torch was called
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("name", CASES)
def test_a_difference_is_said_with_what_to_write(name: str):
    model, make, x, message = CASES[name]
    module = make()
    messages = said(lambda: load_torch(model, module, x))
    assert len(messages) == 1
    assert message in messages[0]
    assert not said(lambda: load_torch(model, module.state_dict(), x))  # a state dict has no settings


def test_a_difference_of_many_layers_is_said_once():
    model, module = fnn.Serial(*[fnn.LayerNorm()] * 6), nn.Sequential(*(nn.LayerNorm(4, 1e-3) for _ in range(6)))
    (message,) = said(lambda: load_torch(model, module, ROW))
    assert "(layer_norm_0, layer_norm_1, layer_norm_2, layer_norm_3 and 2 more)" in message


def test_storing_says_the_same():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params, state = load_torch(fnn.LayerNorm(), nn.LayerNorm(4, 1e-3), ROW)
    (message,) = said(lambda: store_torch(fnn.LayerNorm(), params, state, nn.LayerNorm(4, 1e-3)))
    assert "eps=0.001" in message


def test_a_spectral_norm_whose_weight_has_changed_since_is_said():
    module = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3))
    layer, x = fnn.SpectralNorm(fnn.Dense(3)), torch.randn(2, 4)
    module.train()(x)
    assert not said(lambda: load_torch(layer, module, ROW))
    with torch.no_grad():
        module.parametrizations.weight.original += torch.randn(3, 4)
    (message,) = said(lambda: load_torch(layer, module, ROW))
    expected = "has a v from before the last update of it (the module itself): let the module run once in training"
    assert expected in message
    module.train()(x)
    assert not said(lambda: load_torch(layer, module, ROW))


def test_a_norm_of_ones_own_class_has_its_ε_compared():
    class OtherRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = nn.Parameter(torch.ones(4)), 1e-5

    (message,) = said(lambda: load_torch(fnn.RMSNorm(), OtherRMSNorm(), ROW))
    assert re.search(r"eps=1e-05 \(the module itself\): write RMSNorm\(…, epsilon=1e-05\)", message)


def test_modules_of_another_class_do_not_match_by_their_shapes():
    with pytest.raises(ValueError, match="fnn's model wants weight 4, bias 4 for its"):
        load_torch(fnn.LayerNorm(), nn.GroupNorm(2, 4), STEPS)
    load_torch(fnn.LayerNorm(), nn.GroupNorm(2, 4).state_dict(), STEPS)


def test_bfloat16_is_read_and_written_bit_for_bit():
    module = nn.Linear(4, 3).bfloat16()
    params, _ = load_torch(fnn.Dense(3), module, spec(1, 4, dtype="bfloat16"))
    assert params["kernel"].dtype == "bfloat16"
    np.testing.assert_array_equal(np.float32(params["kernel"]), module.weight.detach().float().numpy().T)
    other = nn.Linear(4, 3).bfloat16()
    store_torch(fnn.Dense(3), params, {}, other)
    assert torch.equal(other.weight, module.weight)
    wide, _ = load_torch(fnn.Dense(3), module, ROW)
    jax.tree.map(lambda one, two: np.testing.assert_array_equal(one, np.float32(two)), wide, params)


def test_a_spectral_norm_in_bfloat16_is_read_and_written():
    module, other = (nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3).bfloat16()) for _ in range(2))
    spectral, state = load_torch(fnn.SpectralNorm(fnn.Dense(3)), module, ROW)
    store_torch(fnn.SpectralNorm(fnn.Dense(3)), spectral, state, other)
    assert torch.equal(other.parametrizations.weight[0]._u, module.parametrizations.weight[0]._u)
