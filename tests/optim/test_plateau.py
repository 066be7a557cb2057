import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn import optim


def scales(transform, values):
    step, opt_state, found = jax.jit(transform.update), transform.init(jnp.zeros(())), []
    for value in values:
        updates, opt_state = step(jnp.array(1.0), opt_state, value=jnp.array(value))
        found.append(float(updates))
    return found


def test_the_scale_falls_after_patience_and_waits_through_the_cooldown_by_hand():
    # 5 is best; two more looks without progress halve it; two of cooldown count nothing; two more halve it again.
    transform = optim.reduce_on_plateau(0.5, 2, cooldown=2, min_scale=0.2)
    found = scales(transform, [5.0, 5.0, 6.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0, 7.0])
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25, np.float32(0.2)]


def test_progress_is_relative_and_absolute():
    assert scales(optim.reduce_on_plateau(0.5, 1, rtol=0.1), [10.0, 9.1, 8.9]) == [1, 0.5, 0.5]
    assert scales(optim.reduce_on_plateau(0.5, 1, rtol=0.0, atol=2.0), [10.0, 8.5, 7.5]) == [1, 0.5, 0.5]


def test_progress_is_a_part_of_the_size_of_the_best_whatever_its_sign():
    # A constant −1 was better than itself each time, and so was every loss a little higher than a negative best.
    half = optim.reduce_on_plateau(0.5, 2)
    assert scales(half, [-1.0] * 4) == [1, 1, 0.5, 0.5]
    assert scales(half, [-1.0, -0.99965, -1.00005]) == [1, 1, 0.5]
    assert scales(half, [-1.0, -1.0002, -1.0004, -1.0006]) == [1, 1, 1, 1]
    assert scales(optim.reduce_on_plateau(0.5, 1, rtol=0.1), [-10.0, -10.9, -11.1]) == [1, 0.5, 0.5]
    assert scales(optim.reduce_on_plateau(0.5, 1, rtol=0.1), [1.0, 0.0, -0.01]) == [1, 1, 1]  # of 0 nothing is a part
    for values in ([3.0, 2.9, 2.95, 2.99], [-3.0, -3.1, -3.05, -3.01]):  # the same falls on either side of 0
        assert scales(optim.reduce_on_plateau(0.5, 2, rtol=0.02), values) == [1, 1, 1, 0.5]


def test_values_are_averaged_before_they_are_looked_at():
    found = scales(optim.reduce_on_plateau(0.5, 1, accumulation_size=2), [4.0, 0.0, 1.0, 2.9, 0.0, 3.95])
    assert found == [1, 1, 1, 1, 1, 0.5]  # means 2, 1.95, 1.975


def test_a_nan_is_no_progress():
    assert scales(optim.reduce_on_plateau(0.5, 2), [1.0, float("nan"), float("nan"), 0.5]) == [1, 1, 0.5, 0.5]


@pytest.mark.parametrize("options", [{}, {"cooldown": 3}, {"accumulation_size": 3}, {"min_scale": 0.3, "rtol": 0.05}])
def test_a_noisy_fall_agrees_with_optax(random, options):
    values = np.exp(-np.arange(200) / 30) + 0.05 * random(200)
    options = {"factor": 0.7, "patience": 4, **options}
    ours, theirs = optim.reduce_on_plateau(**options), optax.contrib.reduce_on_plateau(**options)
    found = scales(ours, values)
    np.testing.assert_allclose(found, scales(theirs, values), rtol=1e-6)
    assert found[-1] < 0.5


def test_training_passes_the_value(random):
    x = random(16, 3).astype(np.float32)
    objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    optimizer = optim.chain(optim.sgd(0.3), optim.reduce_on_plateau(0.5, 3, accumulation_size=2))
    result = fnn.fit(
        objective, optimizer, (x, x[:, :1]), epochs=60, batch_size=8, key=jax.random.key(0), progress=False
    )
    assert float(result.opt_state[1].scale) < 1
    assert optim.hyperparams(result.opt_state)["factor"] == 0.5


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"factor": 1.0}, ValueError, r"factor is a number in \(0, 1\), got 1.0"),
        ({"rtol": 1.0}, ValueError, r"rtol is a number in \[0, 1\), got 1.0"),
        ({"rtol": 0.0}, ValueError, "rtol and atol are both 0"),
        ({"patience": 0}, ValueError, "patience is at least 1, got 0"),
        ({"accumulation_size": 0}, ValueError, "accumulation_size is at least 1, got 0"),
        ({"cooldown": -1}, ValueError, "cooldown is at least 0, got -1"),
        ({"cooldown": 0.5}, TypeError, "cooldown is an integer, got 0.5"),
    ],
)
def test_options_out_of_range_are_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        optim.reduce_on_plateau(**options)


def test_an_update_without_a_value_is_refused():
    transform = optim.reduce_on_plateau()
    with pytest.raises(ValueError, match="reduce_on_plateau needs the value of the objective"):
        transform.update(jnp.ones(1), transform.init(jnp.ones(1)))
