import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim


def updates_of(optimizer, gradients):
    opt_state = optimizer.init(jnp.zeros(2))
    found = []
    for gradient in gradients:
        updates, opt_state = optimizer.update(jnp.array(gradient), opt_state)
        found.append(np.asarray(updates))
    return found


GRADIENTS = [[2.0, -4.0], [1.0, 0.0], [0.0, 8.0]]


def test_sgd_by_hand():
    np.testing.assert_array_equal(updates_of(optim.sgd(0.5), GRADIENTS), [[-1, 2], [-0.5, 0], [0, -4]])


def test_momentum_by_hand():
    # v = (2, −4), (1 + 1, −2), (1, 8 − 1)
    found = updates_of(optim.sgd(0.5, momentum=0.5), GRADIENTS)
    np.testing.assert_array_equal(found, [[-1, 2], [-1, 1], [-0.5, -3.5]])


def test_nesterov_by_hand():
    # g + v/2 with the same v: (3, −6), (2, −1), (0.5, 11.5)
    found = updates_of(optim.sgd(0.5, momentum=0.5, nesterov=True), GRADIENTS)
    np.testing.assert_array_equal(found, [[-1.5, 3], [-1, 0.5], [-0.25, -5.75]])


def test_the_shorthands_are_sgd_at_nine_tenths():
    for shorthand, nesterov in ((optim.momentum, False), (optim.nesterov, True)):
        np.testing.assert_array_equal(
            updates_of(shorthand(0.5), GRADIENTS),
            updates_of(optim.sgd(0.5, momentum=0.9, nesterov=nesterov), GRADIENTS),
        )


def test_the_rate_stands_outside_the_velocity():
    # With the rate inside, the rate of step 0 would go on acting through the velocity: −0.5 − 2 = −2.5.
    optimizer = optim.sgd(lambda step: jnp.where(step == 0, 4.0, 1.0), momentum=0.5)
    np.testing.assert_array_equal(updates_of(optimizer, [[1.0, 1.0], [0.5, 0.5]])[1], -1.0)


def test_momentum_zero_is_no_momentum():
    np.testing.assert_array_equal(
        updates_of(optim.sgd(0.5, momentum=0.0), GRADIENTS), updates_of(optim.sgd(0.5), GRADIENTS)
    )


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov=True needs a momentum"):
        optim.sgd(0.1, nesterov=True)
