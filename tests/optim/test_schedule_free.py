import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn import optim


def descend(optimizer, params, steps, grad):
    def step(carry, _):
        params, opt_state = carry
        updates, opt_state = optimizer.update(grad(params), opt_state, params)
        return (optim.apply_updates(params, updates), opt_state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), None, length=steps)[0]


def test_the_weights_are_powers_of_the_largest_rate_so_far_by_hand():
    # Rates 1, 3, 2 and gradients 1: z = −1, −4, −6; weights 1, 9, 9; x = −1, −3.7, (10 · −3.7 + 9 · −6)/19.
    optimizer = optim.schedule_free(optim.piecewise((1.0, 3.0, 2.0), (1, 2)), b1=0.5)
    y, opt_state = descend(optimizer, jnp.array(0.0), 3, jnp.ones_like)
    x = (10 * -3.7 + 9 * -6) / 19
    np.testing.assert_allclose(opt_state.z, -6, rtol=1e-6)
    np.testing.assert_allclose(optim.schedule_free_eval_params(opt_state, y), x, rtol=1e-6)
    np.testing.assert_allclose(y, (x - 6) / 2, rtol=1e-6)


def test_at_a_constant_rate_the_parameters_to_evaluate_are_the_plain_mean():
    w = jnp.array([4.0, -1.0])
    optimizer = optim.schedule_free_sgd(0.1)
    y, z, seen = w, w, []
    opt_state = optimizer.init(y)
    for _ in range(5):
        z = z - 0.1 * 2 * y
        seen.append(z)
        updates, opt_state = optimizer.update(2 * y, opt_state, y)
        y = optim.apply_updates(y, updates)
    np.testing.assert_allclose(optim.schedule_free_eval_params(opt_state, y), np.mean(seen, 0), rtol=1e-5)


def test_the_first_step_of_adamw_by_hand():
    # u = sign(g) + 0.25 w on the kernel; z = x = y after one step, w − 0.5 u.
    params = {"bias": jnp.array([4.0]), "kernel": jnp.array([4.0])}
    optimizer = optim.schedule_free_adamw(0.5, eps=0.0, weight_decay=0.25)
    updates, opt_state = optimizer.update(jax.tree.map(lambda w: -w, params), optimizer.init(params), params)
    np.testing.assert_allclose((updates["bias"], updates["kernel"]), ([0.5], [0.0]), atol=1e-6)
    assert {"learning_rate", "b1", "b2", "eps", "weight_decay", "weight_lr_power"} == set(optim.hyperparams(opt_state))


def test_the_parameters_to_evaluate_agree_with_optax():
    params = {"kernel": jnp.array([4.0, -1.0])}
    found = []
    for library, wrap, evaluate in (
        (optim, optim.schedule_free_sgd(0.3, b1=0.7), optim.schedule_free_eval_params),
        (optax, optax.contrib.schedule_free_sgd(0.3, b1=0.7), optax.contrib.schedule_free_eval_params),
    ):
        w, opt_state = params, wrap.init(params)
        for _ in range(10):
            updates, opt_state = wrap.update(w, opt_state, w)
            w = library.apply_updates(w, updates)
        found.append(evaluate(opt_state, w)["kernel"])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_while_the_rate_is_zero_nothing_moves():
    optimizer = optim.schedule_free(optim.piecewise((0.0, 1.0), (2,)))
    y, opt_state = descend(optimizer, jnp.array(3.0), 2, jnp.ones_like)
    assert (float(y), float(opt_state.sum_of_weights)) == (3.0, 0.0)
    y, _ = descend(optimizer, jnp.array(3.0), 3, jnp.ones_like)
    assert float(y) == 2.0


def test_the_average_is_better_than_the_last_point_of_noisy_descent():
    key, w = jax.random.key(0), jnp.full(20, 3.0)

    def step(carry, key):
        params, opt_state = carry
        grads = params + jax.random.normal(key, params.shape)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optim.apply_updates(params, updates), opt_state), None

    optimizer = optim.schedule_free_sgd(0.3)
    (y, opt_state), _ = jax.lax.scan(step, (w, optimizer.init(w)), jax.random.split(key, 500))
    x = optim.schedule_free_eval_params(opt_state, y)
    assert jnp.linalg.norm(x) < 0.3 * jnp.linalg.norm(opt_state.z)


@pytest.mark.full
def test_it_trains_and_its_parameters_are_found_in_a_chain(random):
    x = random(40, 3).astype(np.float32)
    data = (x, (x.sum(1) > 0).astype(np.int32))
    objective = fnn.Objective(fnn.Serial(fnn.Dense(8), fnn.Tanh(), fnn.Dense(2)), fnn.CrossEntropy())
    optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.schedule_free_adamw(0.05, warmup_steps=5))
    train = jax.jit(fnn.make_train(objective, optimizer, epochs=20, batch_size=10))
    result = train(jax.random.key(0), data)
    params = optim.schedule_free_eval_params(result.opt_state, result.params)
    assert fnn.evaluate(objective, params, result.state, data)["loss"] < 0.2


def test_bfloat16_parameters_are_averaged_in_float32():
    params = jnp.ones(2, jnp.bfloat16)
    optimizer = optim.schedule_free_sgd(1e-3)
    _, opt_state = optimizer.update(params, optimizer.init(params), params)
    np.testing.assert_allclose(opt_state.z, 0.999, rtol=1e-6)
    assert optim.schedule_free_eval_params(opt_state, params).dtype == jnp.bfloat16


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"b1 is a number in \(0, 1\], got 0"):
        optim.schedule_free(0.1, b1=0)
    with pytest.raises(ValueError, match="schedule_free needs the params"):
        optim.schedule_free(0.1).update(jnp.ones(1), optim.schedule_free(0.1).init(jnp.ones(1)))
    with pytest.raises(ValueError, match="expected one schedule_free in this optimiser state, found 0"):
        optim.schedule_free_eval_params(optim.sgd(0.1).init(jnp.ones(1)), jnp.ones(1))
    with pytest.raises(ValueError, match="warmup_steps is at least 1, got 0"):
        optim.schedule_free_sgd(0.1, 0)
    with pytest.raises(ValueError, match="learning_rate is a finite number of at least 0, got -1"):
        optim.schedule_free_sgd(-1, 3)
    with pytest.raises(
        TypeError, match=r"schedule_free, direction .*: expected an optimizer, .* got <class .fnn.optim.adam.adam"
    ):
        optim.schedule_free(0.1, optim.adam)
