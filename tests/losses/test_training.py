"""Losses whose models look unlike a classifier or a regression learn too."""

import jax
import numpy as np
import pytest

import fnn

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]


def test_a_model_of_mean_and_variance_trains(draw: np.random.Generator):
    x, noise = draw.uniform(-1, 1, (400, 1)), draw.standard_normal((400, 1))
    data = (x, 2 * x + np.exp(x) * noise)
    model = fnn.Parallel(mean=fnn.Dense(1), log_variance=fnn.Dense(1), merge="concatenate")
    objective = fnn.Objective(model, fnn.GaussianNLL())
    train = jax.jit(fnn.make_train(objective, fnn.optim.adam(0.05), epochs=60, batch_size=50))
    params = train(jax.random.key(0), data).params
    np.testing.assert_allclose(params["mean"]["kernel"], [[2.0]], atol=0.3)
    np.testing.assert_allclose(params["log_variance"]["kernel"], [[2.0]], atol=0.3)


def test_a_model_of_triplets_trains(draw: np.random.Generator):
    points = draw.standard_normal((200, 3, 4))
    points[:, 1, 0] = points[:, 0, 0]  # the first coordinate says what belongs together
    objective = fnn.Objective(fnn.Dense(2), fnn.Triplet(1.0))
    result = fnn.fit(
        objective, fnn.optim.adam(0.02), (points, None), epochs=8, batch_size=20, key=jax.random.key(0), progress=False
    )
    assert result.history["loss"][-1] < 0.6 * result.history["loss"][0]
