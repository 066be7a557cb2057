"""Images (N, H, W) without channels, which a window of one integer takes for sequences: said where it is likely."""

import re
import warnings

import jax
import pytest

import fnn
from fnn.layer import Layer

KEY = jax.random.key(0)
IMAGES = jax.ShapeDtypeStruct((2, 28, 28), "float32")

WARNED = {
    "conv": fnn.Conv(4, 3),
    "depthwise conv": fnn.DepthwiseConv(3),
    "separable conv": fnn.SeparableConv(28, 3),
    "conv transpose": fnn.ConvTranspose(4, 3),
    "max pool": fnn.MaxPool(2),
    "average pool": fnn.AvgPool(2),
}


@pytest.mark.parametrize("name", WARNED)
def test_square_inputs_of_an_integer_window_are_warned_of_once(name: str):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        jax.eval_shape(fnn.Serial(WARNED[name]).init, KEY, IMAGES)
    assert len(caught) == 1
    named = type(WARNED[name]).__name__ if name != "separable conv" else "DepthwiseConv"
    message = str(caught[0].message)
    assert message.startswith(f"{named}(")
    assert re.search(
        r"takes float32\[2,28,28\] for sequences and slides along one axis of 28 steps with 28 channels; if these are"
        r" images, .* x\[..., None\]; if they are sequences, write (window=\(2|kernel_size=\(3),\)$",
        message,
    )
    assert caught[0].category is UserWarning


SILENT: dict[str, tuple[Layer, tuple[int, ...]]] = {
    "sequences by name": (fnn.Conv(4, (3,)), (2, 28, 28)),
    "sequences by name, pooled": (fnn.MaxPool((2,)), (2, 28, 28)),
    "sequences by name, a kernel a channel": (fnn.DepthwiseConv((3,)), (2, 28, 28)),
    "sequences by their padding": (fnn.Conv(4, 3, padding="CAUSAL"), (2, 28, 28)),
    "a kernel of one place": (fnn.Conv(4, 1), (2, 28, 28)),
    "not square": (fnn.Conv(4, 3), (2, 28, 27)),
    "small": (fnn.Conv(4, 3), (2, 7, 7)),
    "with channels": (fnn.Serial(fnn.Conv(4, 3), fnn.MaxPool(2)), (2, 28, 28, 1)),
}


@pytest.mark.parametrize("name", SILENT)
def test_anything_else_is_taken_as_it_is(name: str):
    layer, shape = SILENT[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(layer.init, KEY, jax.ShapeDtypeStruct(shape, "float32"))
