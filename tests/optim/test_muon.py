import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn import optim
from fnn.optim.muon import STEEPEST, orthogonalised
from tests.comparing import close


def test_the_first_step_by_hand():
    # M = g = diag(3, 4) of norm 5; one step with (2, −1, 0) takes s to 2s − s³: 0.6 to 0.984, 0.8 to 1.088.
    optimizer = optim.muon(0.5, (2.0, -1.0, 0.0), 1, eps=0.0, weight_decay=0.25, nesterov=False)
    params = {"bias": jnp.array([2.0]), "kernel": jnp.array([[4.0, 0.0], [0.0, 0.0]])}
    grads = {"bias": jnp.array([-7.0]), "kernel": jnp.array([[3.0, 0.0], [0.0, 4.0]])}
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [[-0.5 * (0.984 + 1.0), 0.0], [0.0, -0.5 * 1.088]], rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], [0.5], rtol=1e-6)  # Adam: the sign


def test_nesterov_looks_ahead_by_hand():
    # β = 1/2: m = g/2, M = (1/2)(g/2)/(3/4) + (1/2) g/(1/2) = 4g/3; adaptive: ⟨M, X⟩ X with X = 1.
    optimizer = optim.muon(1.0, (1.0, 0.0, 0.0), 1, beta=0.5, eps=0.0, adaptive=True)
    params = {"kernel": jnp.array([[0.0]])}
    updates, _ = optimizer.update({"kernel": jnp.array([[6.0]])}, optimizer.init(params), params)
    np.testing.assert_allclose(updates["kernel"], [[-8.0]], rtol=1e-6)


@pytest.mark.parametrize(("shape", "scale"), [((2, 8), 2.0), ((8, 2), 1.0)])
def test_a_wide_matrix_is_scaled_up(random, shape, scale):
    params = {"kernel": np.zeros(shape, np.float32)}
    grads = {"kernel": random(*shape).astype(np.float32)}
    optimizer = optim.muon(1.0, (1.5, -0.5, 0.0), 30)
    updates, _ = optimizer.update(grads, optimizer.init(params), params)
    values = np.linalg.svd(updates["kernel"], compute_uv=False)
    np.testing.assert_allclose(values, scale, rtol=1e-4)
    alike = optim.muon(1.0, (1.5, -0.5, 0.0), 30, consistent_rms=0.2)
    updates, _ = alike.update(grads, alike.init(params), params)
    np.testing.assert_allclose(np.linalg.svd(updates["kernel"], compute_uv=False), 0.2 * 8**0.5, rtol=1e-4)


def test_the_iteration_keeps_singular_vectors_and_brings_values_near_one(random):
    matrix = random(6, 4)
    with jax.enable_x64(True):
        found = np.asarray(orthogonalised(jnp.asarray(matrix), [STEEPEST] * 5, 1e-8))
    u, s, v = np.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ found @ v.T
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-12)
    assert (np.abs(np.diag(inner) - 1) < 0.35).all()
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = STEEPEST[0] * s + STEEPEST[1] * s**3 + STEEPEST[2] * s**5
    np.testing.assert_allclose(np.diag(inner), s, rtol=1e-6)


@pytest.mark.full
def test_a_convolution_chosen_by_a_glob_agrees_with_optax(random):
    shapes = {"conv_0": {"bias": (5,), "kernel": (3, 3, 2, 5)}, "dense_0": {"bias": (2,), "kernel": (5, 2)}}
    numbers = optax.contrib.MuonDimensionNumbers
    specification = {
        "conv_0": {"bias": None, "kernel": numbers((0, 1, 2), 3)},
        "dense_0": {"bias": None, "kernel": numbers(0, 1)},
    }

    def draw():
        return jax.tree.map(lambda shape: random(*shape), shapes, is_leaf=lambda node: isinstance(node, tuple))

    with jax.enable_x64(True):
        params = draw()
        ours = optim.muon(0.1, matrices=("conv*/kernel", "dense*/kernel"))
        theirs = optax.contrib.muon(0.1, muon_weight_dimension_numbers=specification)
        our_step, our_state = jax.jit(ours.update), jax.jit(ours.init)(params)
        their_step, their_state = jax.jit(theirs.update), jax.jit(theirs.init)(params)
        for _ in range(3):
            grads = draw()
            one, our_state = our_step(grads, our_state, params)
            other, their_state = their_step(grads, their_state, params)
            close(one, other, rtol=1e-10, atol=1e-12)


def test_the_rest_has_its_own_rate_and_both_can_be_set():
    params = {"bias": jnp.array([0.0]), "kernel": jnp.array([[0.0]])}
    grads = jax.tree.map(lambda w: w + 1, params)
    optimizer = optim.muon(0.5, adam_learning_rate=0.25)
    opt_state = optim.set_hyperparams(optimizer.init(params), adam_learning_rate=0.125)
    assert {"learning_rate", "beta", "b1", "b2", "adam_learning_rate"} <= set(optim.hyperparams(opt_state))
    updates, _ = optimizer.update(grads, opt_state, params)
    np.testing.assert_allclose(updates["bias"], [-0.125 * (0.9 * 0.1 / 0.19 + 1)], rtol=1e-5)  # Nadam's first step


def test_what_does_not_fit_is_refused():
    params = {"bias": jnp.ones(2), "kernel": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=r"at least two axes, but 'bias' has shape \(2,\)"):
        optim.muon(0.1, matrices="*").init(params)
    with pytest.raises(ValueError, match=r"the glob 'conv\*' matches none of the paths"):
        optim.muon(0.1, matrices="conv*").init(params)
    with pytest.raises(ValueError, match="ns_coeffs are three numbers, or three for every step"):
        optim.muon(0.1, (1.0, 2.0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="ns_steps is at least 1, got 0"):
        optim.muon(0.1, ns_steps=0)
    with pytest.raises(ValueError, match="muon needs the params"):
        optim.muon(0.1).update(params, optim.muon(0.1).init(params))
    with pytest.raises(ValueError, match=r"beta is a number in \[0, 1\)"):
        optim.muon(0.1, beta=1.0)


@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e-8, 1e-4, 1e30])
def test_a_small_gradient_is_made_orthogonal_as_a_large_one(random, size):
    # Beside ε = 1e-8 as part of the norm, gradients of 1e-12 came out with singular values from 0.35 down to 0.009.
    params, grads = {"kernel": np.zeros((6, 4), np.float32)}, {"kernel": random(6, 4).astype(np.float32)}
    optimizer = optim.muon(1.0)
    whole, small = (
        np.linalg.svd(optimizer.update(each, optimizer.init(params), params)[0]["kernel"], compute_uv=False)
        for each in (grads, jax.tree.map(lambda g: g * np.float32(size), grads))
    )
    np.testing.assert_allclose(small, whole, rtol=2e-5)
    assert (abs(whole - 1) < 0.35).all()
