"""The numbers of losses and penalties may be traced, and an elastic net is the sum of both."""

from typing import Any

import jax
import numpy as np
import pytest

import fnn
from tests.comparing import close

pytestmark = pytest.mark.usefixtures("strict_numerics")


def test_an_elastic_net_is_the_sum_of_both():
    params = {"dense_0": {"kernel": np.array([[3.0, -4.0, 0.0]]), "bias": np.array([7.0])}}
    penalty = fnn.ElasticNet(0.1, 0.2)
    close(penalty(params), 0.1 * 7 + 0.5 * 0.2 * 25)
    _, cache = penalty.forward(params)
    slopes = penalty.backward(cache)["dense_0"]
    close(slopes, {"kernel": np.array([[0.1 + 0.6, -0.1 - 0.8, 0]]), "bias": np.zeros(1)}, atol=0)


def test_strengths_may_be_traced():
    params = {"kernel": np.array([3.0, -4.0])}

    @jax.jit
    def run(l1: Any, l2: Any) -> Any:
        penalty = fnn.ElasticNet(l1, l2)
        return penalty(params), penalty.backward(penalty.forward(params)[1])["kernel"], fnn.L1(l1)(params)

    close(run(0.1, 0.2), (0.7 + 2.5, np.array([0.7, -0.9]), 0.7))


@pytest.mark.full
def test_a_loss_takes_traced_numbers(random: Any, draw: np.random.Generator):
    e = np.array([0.1, 2.0, -3.0])
    close(jax.jit(lambda delta: fnn.Huber(delta)(e, np.zeros(3)))(0.5), fnn.Huber(0.5)(e, np.zeros(3)))
    z, labels = random(4, 3), draw.integers(0, 3, 4)
    focal = jax.jit(lambda gamma: fnn.Focal(gamma)(z, labels))
    for gamma in (0.0, 2.0):
        close(focal(gamma), fnn.Focal(gamma)(z, labels))
