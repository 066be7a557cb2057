"""The size that a transposed convolution is asked for: any that the convolution reduces to the input's."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layers.conv._sums import exchange
from fnn.layers.conv._windows import adjoint_windows, windows
from tests.comparing import close
from tests.compiled import shape_of
from tests.layers.conv.test_conv_family import OPTIONS, run

pytestmark = pytest.mark.usefixtures("strict_numerics")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_size_that_a_convolution_reduces_can_be_asked_for_and_no_other(name: str):
    sizes, *options, _, smallest_or_largest = OPTIONS[name]
    _, strides, _, padding = options
    steps = itertools.product(*(range(0, -stride, -1) if padding == "SAME" else range(stride) for stride in strides))
    possible = [tuple(np.add(smallest_or_largest, each).tolist()) for each in steps]
    for each in possible:
        w = adjoint_windows(sizes, *options, sizes=each)
        assert w.out == sizes
        assert w == windows(each, *options)
    for each in itertools.product(*(range(max(1, size - 6), size + 6) for size in smallest_or_largest)):
        if each not in possible:
            with pytest.raises(ValueError, match=r"would be convolved to .*; expected|does not fit"):
                adjoint_windows(sizes, *options, sizes=each)


# The size that is given back, the size it was reduced to, and the options.
ODD = {
    "same": ((7, 8), (4, 4), (3, 2), 2, 1, "SAME", 1),
    "valid, dilated, groups": ((9, 10), (3, 3), (2, 2), (3, 3), (2, 1), "VALID", 2),
    "causal, a group a channel": ((8, 7), (4, 4), (3, 3), 2, 1, "CAUSAL", 4),
}


@pytest.mark.parametrize("name", ODD)
def test_of_that_size_it_is_the_adjoint_of_the_convolution(name: str, random: Any):
    out, sizes, window, strides, dilation, padding, groups = ODD[name]
    options: dict[str, Any] = {"strides": strides, "dilation": dilation, "padding": padding, "groups": groups}
    conv = fnn.Conv(4, window, use_bias=False, **options)
    transposed = fnn.ConvTranspose(4, window, use_bias=False, output_size=out, **options)
    x, u, kernel = random(2, *sizes, 4), random(2, *out, 4), random(*window, 4 // groups, 4)
    y = run(conv, {"kernel": np.asarray(exchange(jnp.asarray(kernel), groups))}, u)
    back = run(transposed, {"kernel": kernel}, x)
    assert (y.shape, back.shape) == (x.shape, u.shape)
    close((np.asarray(y) * x).sum(), (u * np.asarray(back)).sum())


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            fnn.ConvTranspose(2, 3, strides=(2, 3), output_size=(9, 9)),
            (2, 4, 3, 1),
            "output_size (9, 9) would be convolved to (5, 3), not to the input's (4, 3); expected 7 to 8 × 7 to 9",
        ),
        (
            fnn.ConvTranspose(2, 3, padding="VALID", output_size=8),
            (2, 4, 1),
            "output_size (8,) would be convolved to (6,), not to the input's (4,); expected 6",
        ),
        (
            fnn.ConvTranspose(2, 3, output_size=(4, 4)),
            (2, 4, 1),
            "output_size has 2 entries for 1 spatial axes: (4, 4)",
        ),
    ],
)
def test_another_size_is_refused(layer: fnn.Layer, shape: tuple[int, ...], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.init(jax.random.key(0), shape_of(*shape))


def test_a_size_is_a_positive_integer_an_axis():
    with pytest.raises(ValueError, match="output_size is at least 1, got 0"):
        fnn.ConvTranspose(2, 3, output_size=0)
    with pytest.raises(TypeError, match="output_size is an integer or a tuple with one per axis, got '7'"):
        fnn.ConvTranspose(2, 3, output_size="7")
