import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.leafwise import sum_of_weights


def test_two_steps_of_adam_by_hand():
    # b1 = 1/2, b2 = 3/4, gradients 2 then 6.
    # t = 1: m = 1, v = 1; corrected 2 and 4: 2 / (2 + 2) = 1/2.
    # t = 2: m = 1/2 + 3 = 7/2, v = 3/4 + 9 = 39/4; corrected by 3/4 and 7/16: 14/3 and 156/7.
    optimizer = optim.adam(0.5, 0.5, 0.75, eps=2.0)
    opt_state = optimizer.init(jnp.zeros(()))
    first, opt_state = optimizer.update(jnp.array(2.0), opt_state)
    second, opt_state = optimizer.update(jnp.array(6.0), opt_state)
    np.testing.assert_allclose(first, -0.25, rtol=1e-6)
    np.testing.assert_allclose(second, -0.5 * (14 / 3) / ((156 / 7) ** 0.5 + 2), rtol=1e-6)
    np.testing.assert_allclose((opt_state[0].mu, opt_state[0].nu), (3.5, 9.75), rtol=1e-6)


def test_eps_root_stands_inside_the_root():
    optimizer = optim.adam(1.0, eps=0.0, eps_root=12.0)
    updates, _ = optimizer.update(jnp.array(2.0), optimizer.init(jnp.zeros(())))
    np.testing.assert_allclose(updates, -0.5, rtol=1e-6)  # 2 / √(4 + 12)


@pytest.mark.parametrize("gradient", [1e-6, 1.0, -1e6])
def test_the_first_step_of_adam_is_the_sign_times_the_rate(gradient):
    optimizer = optim.adam(0.25, eps=0.0)
    updates, _ = optimizer.update(jnp.array(gradient), optimizer.init(jnp.zeros(())))
    np.testing.assert_allclose(updates, -0.25 * np.sign(gradient), rtol=3e-7)


def test_the_first_step_of_adamw_by_hand():
    # −0.5 (sign(g) + 0.25 w) on the kernels, recurrent ones too; −0.5 sign(g) on the bias and the scale.
    params = {"norm": {"scale": 4.0}, "rnn": {"bias": 4.0, "kernel": 4.0, "recurrent_kernel": -8.0}}
    params = jax.tree.map(jnp.array, params)
    grads = jax.tree.map(lambda leaf: jnp.array(3.0), params)
    optimizer = optim.adamw(0.5, weight_decay=0.25)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    expected = {"norm": {"scale": -0.5}, "rnn": {"bias": -0.5, "kernel": -1.0, "recurrent_kernel": 0.5}}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), updates, expected)


def test_the_decay_of_adamw_is_not_seen_by_the_moments():
    params = {"kernel": jnp.array([100.0])}
    optimizer = optim.adamw(0.5, weight_decay=1.0)
    _, opt_state = optimizer.update({"kernel": jnp.array([2.0])}, optimizer.init(params), params)
    np.testing.assert_allclose(opt_state[0].mu["kernel"], 0.2, rtol=1e-6)


def test_zero_gradients_move_nothing():
    optimizer = optim.adam(0.5)
    updates, _ = optimizer.update(jnp.zeros(3), optimizer.init(jnp.zeros(3)))
    np.testing.assert_array_equal(updates, 0)


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999, 0.99999])
@pytest.mark.parametrize("count", [1, 2, 10, 1000, 10**6])
def test_the_bias_correction_is_accurate_in_float32(decay, count):
    exact = -np.expm1(count * np.log1p(np.float64(np.float32(decay)) - 1)) if decay else 1.0
    np.testing.assert_allclose(sum_of_weights(jnp.float32(decay), jnp.array(count)), exact, rtol=5e-7)


def test_decays_of_zero_make_adam_the_descent_of_signs():
    optimizer = optim.adam(0.5, 0.0, 0.0)
    opt_state = optimizer.init(jnp.zeros(2))
    for gradient in ([3.0, -4.0], [-0.5, 2.0]):
        updates, opt_state = optimizer.update(jnp.array(gradient), opt_state)
        np.testing.assert_allclose(updates, -0.5 * np.sign(gradient), rtol=1e-6)


def test_an_update_is_traced_once_for_each_shape_of_leaf(monkeypatch):
    module, traces = sys.modules[type(optim.scale_by_adam()).__module__], []
    original = module.squarable
    monkeypatch.setattr(module, "squarable", lambda g: traces.append(g.shape) or original(g))
    params = {name: jnp.ones(shape) for name, shape in {"a": 3, "b": 3, "c": (2, 3), "d": 3}.items()}
    optimizer = optim.adam(0.1)
    jax.make_jaxpr(optimizer.update)(params, optimizer.init(params), params)
    assert traces == [(3,), (2, 3)]
