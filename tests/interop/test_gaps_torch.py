"""What runs between layers with parameters is compared where the structure of both tells it, and not elsewhere."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.interop import Difference, load_torch
from tests.interop.differing import IMAGE, ROW, STEPS, conv
from tests.interop.modules import spec

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def said(run: Callable[[], Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    assert all(issubclass(each.category, Difference) for each in caught)
    return [str(each.message) for each in caught]


def dense() -> Any:
    return nn.Linear(4, 4)


class Own(nn.Module):
    """A module whose forward alone knows what runs around its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.inside = dense(), nn.ReLU(), nn.Sequential(dense(), nn.Tanh(), dense())

    def forward(self, x: Any) -> Any:
        return self.inside(self.relu(self.first(self.relu(x))))


RELU = nn.ReLU()
D = fnn.Dense(4)
DIFFERING: dict[str, tuple[fnn.Layer, Callable[[], Any], Any, str]] = {
    "an activation that fnn lacks": (
        fnn.Serial(D, D),
        lambda: nn.Sequential(dense(), nn.ReLU(), dense()),
        ROW,
        "no activation (behind dense_0), but PyTorch has Relu() (behind 0): write Relu() there",
    ),
    "an activation that PyTorch lacks": (
        fnn.Serial(D, fnn.Relu(), D),
        lambda: nn.Sequential(dense(), dense()),
        ROW,
        "Relu() (behind dense_0), but PyTorch has no activation (behind 0): leave Relu() out",
    ),
    "a last activation": (
        fnn.Serial(D, fnn.Softmax()),
        dense,
        ROW,
        "Softmax() (behind dense_0), but PyTorch has no activation (behind the module itself): leave Softmax() out",
    ),
    "a first activation": (
        D,
        lambda: nn.Sequential(nn.Tanh(), dense()),
        ROW,
        "no activation (behind the input), but PyTorch has Tanh() (behind the input): write Tanh() there",
    ),
    "an activation in a repeat": (
        fnn.Repeat(fnn.Serial(fnn.Frozen(D), fnn.Relu()), 2),
        lambda: nn.Sequential(dense(), nn.ReLU(), nn.Sequential(dense())),
        ROW,
        "Relu() (behind frozen_0[1]), but PyTorch has no activation (behind 2.0): leave Relu() out",
    ),
    "a part of one's own module": (
        fnn.Serial(fnn.Relu(), D, fnn.Relu(), D, D),
        Own,
        ROW,
        "no activation (behind dense_1), but PyTorch has Tanh() (behind inside.0): write Tanh() there",
    ),
    "another pool": (
        fnn.Serial(conv(), fnn.AvgPool(3), conv()),
        lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.MaxPool2d(3), nn.Conv2d(4, 4, 3, padding=1)),
        IMAGE,
        "AvgPool(window=3) (behind conv_0), but PyTorch has MaxPool(window=(3, 3)",
    ),
    "time in front of a recurrence": (
        fnn.Serial(fnn.LSTM(3)),
        lambda: nn.LSTM(4, 3),
        STEPS,
        "inputs are (N, T, D) (lstm_0), but PyTorch has batch_first=False, inputs of the shape (T, N, D) (l0): ",
    ),
    "time in front of a transformer's layer": (
        fnn.TransformerBlock(2, 6, activation=fnn.Relu()),
        lambda: nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, norm_first=True),
        STEPS,
        "inputs are (N, T, D) (attention/heads), but PyTorch has batch_first=False",
    ),
}


@pytest.mark.parametrize("name", DIFFERING)
def test_what_differs_between_two_layers_is_said_once(name: str):
    model, make, x, message = DIFFERING[name]
    module = make()
    messages = said(lambda: load_torch(model, module, x))
    assert len(messages) == 1
    assert message in messages[0]
    assert not said(lambda: load_torch(model, module.state_dict(), x))


SAME: dict[str, tuple[fnn.Layer, Callable[[], Any], Any]] = {
    "a module that runs twice": (
        fnn.Serial(D, fnn.Relu(), D, fnn.Relu()),
        lambda: nn.Sequential(dense(), RELU, dense(), RELU),
        ROW,
    ),
    "an activation between dropouts": (
        fnn.Serial(D, fnn.Dropout(0.1), fnn.Silu(), D),
        lambda: nn.Sequential(dense(), nn.SiLU(), nn.Dropout(0.1), nn.Identity(), dense()),
        ROW,
    ),
    "a Swish that is a Silu": (fnn.Serial(D, fnn.Swish()), lambda: nn.Sequential(dense(), nn.SiLU()), ROW),
    "a Lambda": (fnn.Serial(D, fnn.Lambda(jnp.sin)), lambda: nn.Sequential(dense(), nn.ReLU()), ROW),
    "a pool of the whole image": (
        fnn.Serial(conv(), fnn.GlobalAvgPool()),
        lambda: nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.AvgPool2d(9), nn.Flatten()),
        IMAGE,
    ),
    "a position-wise network": (
        fnn.FeedForward(6),
        lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 4)),
        ROW,
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_the_same_or_unknown_is_not_a_difference(name: str, capsys: pytest.CaptureFixture):
    model, make, x = SAME[name]
    assert not said(lambda: load_torch(model, make(), x))
    assert "a forward calls as functions" not in capsys.readouterr().out


def test_a_forward_of_ones_own_may_call_functions_which_the_last_line_says(capsys: pytest.CaptureFixture):
    load_torch(fnn.Serial(fnn.Relu(), D, fnn.Relu(), D, fnn.Tanh(), D), Own(), ROW)
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    assert last == (
        " Activations and pools that a forward calls as functions are not seen: compare those of Own yourself."
    )


CLASSIFIER = fnn.Serial(fnn.Conv(8, (3, 3), padding=1), fnn.MaxPool(2), fnn.Flatten(), fnn.Dense(5))
SHAPES = {"0.weight": (8, 3, 3, 3), "0.bias": (8,), "3.weight": (5, 128), "3.bias": (5,)}
ARRAYS = {key: np.ones(shape, np.float32) for key, shape in SHAPES.items()}


def test_channels_in_front_are_said_where_weights_do_not_fit():
    message = (
        r"in fnn images are \(N, H, W, C\): x has the shape \(1, 3, 8, 8\), and .*; give numpy.moveaxis\(x, 1, -1\)"
    )
    with pytest.raises(ValueError, match="conv_0 wants weight 8×8×3×3") as caught:
        load_torch(CLASSIFIER, ARRAYS, torch.zeros(1, 3, 8, 8))
    (note,) = caught.value.__notes__
    assert re.match(message, note)


@pytest.mark.parametrize("shape", [(1, 8, 8, 3), (1, 8, 8, 8), (1, 8)])
def test_they_are_not_said_of_other_faults(shape: tuple[int, ...]):
    other = ARRAYS | {"3.weight": np.ones((7, 128)), "3.bias": np.ones(7)}
    with pytest.raises((TypeError, ValueError)) as caught:
        load_torch(CLASSIFIER, other, spec(*shape))
    assert not any("in fnn" in str(note) for note in getattr(caught.value, "__notes__", ()))


def test_x_may_be_a_tensor():
    for x in (torch.zeros(1, 4, requires_grad=True), torch.zeros(1, 4, device="meta")):
        module = dense()
        params, _ = load_torch(D, module, x)
        np.testing.assert_array_equal(params["kernel"], module.weight.detach().numpy().T)
    pair = torch.zeros(1, 4), torch.zeros(1, 2)
    params, _ = load_torch(fnn.Bilinear(3), nn.Bilinear(4, 2, 3), pair)
    assert params["kernel"].shape == (4, 2, 3)
