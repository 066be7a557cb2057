import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim

PARAMS = {"dense": {"bias": jnp.array([2.0]), "kernel": jnp.array([2.0])}, "norm": {"scale": jnp.array([2.0])}}
GRADS = {"dense": {"bias": jnp.array([1.0]), "kernel": jnp.array([1.0])}, "norm": {"scale": jnp.array([1.0])}}


def decayed(paths, strength=0.5):
    transform = optim.decay_weights(strength, paths)
    updates, _ = transform.update(GRADS, transform.init(PARAMS), PARAMS)
    return [
        float(updates["dense"]["bias"][0]),
        float(updates["dense"]["kernel"][0]),
        float(updates["norm"]["scale"][0]),
    ]


def test_decay_by_hand_and_by_path():
    assert decayed("*/kernel") == [1, 2, 1]
    assert decayed(["*/bias", "norm/*"]) == [2, 1, 2]
    assert decayed(iter(["*"])) == [2, 2, 2]  # the globs are used at every step


def test_weights_shrink_by_one_minus_rate_times_strength():
    optimizer = optim.chain(optim.decay_weights(0.5), optim.sgd(0.25))
    params, opt_state = {"kernel": jnp.array([8.0])}, optimizer.init({"kernel": jnp.array([8.0])})
    for expected in (7.0, 6.125):
        updates, opt_state = optimizer.update({"kernel": jnp.zeros(1)}, opt_state, params)
        params = optim.apply_updates(params, updates)
        np.testing.assert_array_equal(params["kernel"], expected)


def test_a_glob_that_matches_nothing_is_refused_at_init():
    with pytest.raises(ValueError, match=r"the glob '\*/kernal' matches none of the paths \[dense/bias, dense/kernel"):
        optim.decay_weights(0.1, "*/kernal").init(PARAMS)
    with pytest.raises(ValueError, match=r"the glob '\*/kernel' matches none of the paths \[0\]"):
        optim.adamw(0.1).init([jnp.ones(1)])


def test_decay_without_params_is_refused():
    for optimizer in (optim.decay_weights(0.1), optim.adamw(0.1)):
        with pytest.raises(ValueError, match=r"weight decay needs the params: call update\(grads, opt_state, params\)"):
            optimizer.update(GRADS, optimizer.init(PARAMS))


def test_the_name_is_one_of_two():
    with pytest.raises(ValueError, match=r"name is one of \['strength', 'weight_decay'\], got 'decay'"):
        optim.decay_weights(0.1, name="decay")  # pyright: ignore[reportArgumentType]
