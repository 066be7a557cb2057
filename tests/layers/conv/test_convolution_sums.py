"""The sums behind all convolutions: transposes of each other, by places or in groups."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest

from fnn.layers.conv._sums import exchange, gather, kernel_gradient, scatter
from fnn.layers.conv._windows import windows
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")


SUMS = [
    # sizes, channels, features, window, strides, dilation, padding, groups
    ((5, 4), 3, 2, (3, 2), 1, 1, "SAME", 1),
    ((7,), 4, 6, (3,), 2, 2, "SAME", 2),
    ((6, 5), 4, 4, (2, 3), (2, 1), 1, "VALID", 4),
    ((6,), 3, 9, (3,), 2, 1, ((4, 3),), 3),
    ((6,), 6, 3, (2,), 3, 1, "SAME", 3),
    ((5,), 4, 4, (3,), 1, 2, "CAUSAL", 4),
    ((9, 9), 2, 2, (9, 9), 1, 1, "SAME", 2),
]


@pytest.mark.full
@pytest.mark.parametrize("case", SUMS, ids=str)
def test_the_three_sums_are_transposes_of_each_other(case: tuple, random: Any):
    sizes, channels, features, window, strides, dilation, padding, groups = case
    w = windows(sizes, window, strides, dilation, padding)

    @jax.jit
    def sums(x: Any, y: Any, kernel: Any) -> Any:
        transposed = scatter(y, exchange(kernel, groups), w, groups)
        return gather(x, kernel, w, groups), transposed, kernel_gradient(x, y, w, groups)

    x, y, kernel = (
        random(2, *sizes, channels),
        random(2, *w.out, features),
        random(*window, channels // groups, features),
    )
    gathered, scattered, dkernel = sums(x, y, kernel)
    inner = (gathered * y).sum()
    close((x * scattered).sum(), inner)
    close((kernel * dkernel).sum(), inner)


@pytest.mark.parametrize("multiplier", [1, 3])
def test_the_sum_by_places_is_the_grouped_convolution(multiplier: int, random: Any):
    """A kernel of more places than are summed one by one, and the same kernel with a rim of zeros cut off."""
    x, kernel, y = random(2, 9, 12, 4), random(8, 8, 1, 4 * multiplier), random(2, 11, 14, 4 * multiplier)
    large = np.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))
    few = windows((9, 12), (8, 8), 1, 1, ((5, 4), (4, 5)))
    many = windows((9, 12), (9, 9), 1, 1, ((5, 5), (4, 6)))

    @partial(jax.jit, static_argnums=3)
    def both(x: Any, kernel: Any, y: Any, w: Any) -> Any:
        return gather(x, kernel, w, 4), scatter(y, exchange(kernel, 4), w, 4)

    close(both(x, kernel, y, few), both(x, large, y, many))


def test_exchanging_twice_changes_nothing(random: Any):
    kernel = random(3, 2, 4, 6)
    assert (exchange(exchange(kernel, 2), 2) == kernel).all()
    assert (exchange(kernel, 1) == kernel.swapaxes(-1, -2)).all()
