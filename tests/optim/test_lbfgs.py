import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

import fnn
from fnn import optim

KEY = jax.random.key(0)


def rosenbrock(w):
    return jnp.sum(100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2)


def minimise(value_fn, w, steps, optimizer=None):
    optimizer = optimizer or optim.lbfgs()

    def step(carry, _):
        w, opt_state = carry
        value, grad = jax.value_and_grad(value_fn)(w)
        updates, opt_state = optimizer.update(grad, opt_state, w, value=value, grad=grad, value_fn=value_fn)
        return (optim.apply_updates(w, updates), opt_state), (value, opt_state.evaluations)

    run = jax.jit(lambda w: jax.lax.scan(step, (w, optimizer.init(w)), None, length=steps))
    (w, opt_state), (values, evaluations) = run(w)
    return np.asarray(w), opt_state, np.asarray(values), int(evaluations.sum())


def test_two_steps_by_hand():
    # w² from 3: r = g/‖g‖ = 1, and a = 1 will do; then s = −1, y = −2, γ = 1/2: r = 4/2, to the minimum.
    optimizer, w = optim.lbfgs(), jnp.array(3.0)
    step = jax.jit(lambda w, opt_state: optimizer.update(2 * w, opt_state, w, value_fn=jnp.square))
    opt_state, seen = optimizer.init(w), []
    for _ in range(2):
        updates, opt_state = step(w, opt_state)
        w = optim.apply_updates(w, updates)
        seen.append(float(updates))
    np.testing.assert_allclose(seen, [-1.0, -2.0], rtol=1e-6)
    np.testing.assert_allclose((opt_state.steps[-1, 0], opt_state.changes[-1, 0], opt_state.weights[-1]), (-1, -2, 0.5))


@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock_is_minimised(size):
    with jax.enable_x64(True):
        w, _, values, evaluations = minimise(rosenbrock, jnp.resize(jnp.array([-1.2, 1.0]), size), 80)
    np.testing.assert_allclose(w, 1, atol=1e-8)
    assert (np.diff(values) <= 0).all()
    assert evaluations <= 110


def test_rosenbrock_is_minimised_in_float32():
    w, opt_state, _, _ = minimise(rosenbrock, jnp.array([-1.2, 1.0]), 60)
    np.testing.assert_allclose(w, 1, atol=1e-5)
    assert opt_state.evaluations == 0  # the gradient is 0 there: nothing is searched


def test_the_two_loops_are_the_recursion_of_bfgs(random):
    # With a memory as long as the run: H ← (1 − ρ s yᵀ) H (1 − ρ y sᵀ) + ρ s sᵀ, beginning at γ for the newest pair.
    root = random(4, 4)
    matrix = root @ root.T + np.eye(4)
    with jax.enable_x64(True):
        w, optimizer = random(4), optim.lbfgs(1.0, 3)
        step, opt_state, pairs = jax.jit(optimizer.update), optimizer.init(jnp.asarray(w)), []
        for _ in range(6):
            g = matrix @ w
            updates, opt_state = step(g, opt_state, w)
            inverse = np.eye(4) * min(1, 1 / np.linalg.norm(g))
            if pairs:
                s, y = pairs[-1]
                inverse = np.eye(4) * (s @ y) / (y @ y)
            for s, y in pairs[-3:]:
                left = np.eye(4) - np.outer(s, y) / (s @ y)
                inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
            np.testing.assert_allclose(updates, -inverse @ g, rtol=1e-9, atol=1e-12)
            s = 0.1 * random(4)
            w, pairs = w + s, [*pairs, (s, matrix @ s)]


def test_a_pair_without_positive_curvature_is_left_out():
    optimizer = optim.lbfgs(0.0)
    step, opt_state = jax.jit(optimizer.update), optimizer.init(jnp.zeros(2))
    for w, g in (
        ([0.0, 0.0], [1.0, 0.0]),
        ([1.0, 0.0], [0.5, 0.0]),
        ([1.0, 1.0], [0.5, 0.0]),
        ([1.0, 1.0], [9.0, 9.0]),
    ):
        _, opt_state = step(jnp.array(g), opt_state, jnp.array(w))
        assert not np.asarray(opt_state.weights).any()  # sᵀy = −0.5, then 0, then s = 0
    _, opt_state = step(jnp.array([10.0, 9.0]), opt_state, jnp.array([2.0, 1.0]))
    np.testing.assert_array_equal(np.asarray(opt_state.weights).nonzero(), [[9]])


@pytest.mark.full
def test_where_no_step_decreases_nothing_moves_and_the_pairs_are_forgotten():
    optimizer, w = optim.lbfgs(), jnp.array([3.0, 1.0])
    opt_state = optimizer.init(w)
    for value_fn, held in ((lambda w: jnp.sum(w**2), True), (lambda w: jnp.sum(w**2) * jnp.nan, False)):
        updates, opt_state = optimizer.update(2 * w, opt_state, w, value=jnp.sum(w**2), value_fn=value_fn)
        w = optim.apply_updates(w, updates)
        assert bool(jnp.any(updates != 0)) == held
    assert not np.asarray(opt_state.weights).any()
    assert float(opt_state.step_size) == 0
    updates, _ = optimizer.update(2 * w, opt_state, w, value_fn=lambda w: jnp.sum(w**2))
    np.testing.assert_allclose(updates, -w / np.linalg.norm(w), rtol=1e-5)  # the gradient at length 1


@pytest.mark.full
@pytest.mark.parametrize("method", ["manual", "auto"])
def test_logistic_regression_is_that_of_scikit_learn(method):
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    reference = LogisticRegression(C=1.0, tol=1e-12, max_iter=1000, solver="newton-cholesky").fit(x, y)
    with jax.enable_x64(True):
        # ½ ‖w‖² + Σ losses there, their mean here.
        objective = fnn.Objective(fnn.Dense(1), fnn.BinaryCrossEntropy(), (fnn.L2(1 / len(x)),))
        data = (x, y[:, None].astype(np.float64))
        train = fnn.make_train(objective, optim.lbfgs(), epochs=80, batch_size=len(x), method=method)
        params = jax.tree.map(np.asarray, jax.jit(train)(KEY, data).params)
    np.testing.assert_allclose(params["kernel"][:, 0], reference.coef_[0], atol=1e-6)
    np.testing.assert_allclose(params["bias"], reference.intercept_, atol=1e-6)


@pytest.mark.full  # the step is that of make_train, which trains above
def test_a_network_is_trained_by_fit_on_the_full_batch(random):
    x = random(30, 3).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(np.int32)
    objective = fnn.Objective(fnn.Serial(fnn.Dense(16), fnn.Tanh(), fnn.Dense(2)), fnn.CrossEntropy(), (fnn.L2(1e-4),))
    result = fnn.fit(objective, optim.lbfgs(), (x, y), epochs=60, batch_size=30, key=KEY, progress=False)
    assert result.history["loss"][-1] < 0.02
    assert optim.hyperparams(result.opt_state)["curv_rtol"] == np.float32(0.9)


@pytest.mark.full
def test_parameters_of_several_dtypes_are_one_vector():
    with jax.numpy_dtype_promotion("strict"):
        params = {"a": jnp.ones((2, 2), jnp.bfloat16), "b": jnp.full(3, 2.0), "none": None}

        def value_fn(params):
            return jnp.sum(params["a"].astype(jnp.float32) ** 2) + jnp.sum(params["b"] ** 2)

        optimizer = optim.lbfgs(memory_size=2)
        opt_state = optimizer.init(params)

        @jax.jit
        def step(params, opt_state):
            updates, opt_state = optimizer.update(jax.grad(value_fn)(params), opt_state, params, value_fn=value_fn)
            return optim.apply_updates(params, updates), opt_state

        for _ in range(4):
            params, after = step(params, opt_state)
            chex.assert_trees_all_equal_shapes_and_dtypes(after, opt_state)
            opt_state = after
    assert opt_state.steps.shape == (2, 7)
    assert (params["a"].dtype, params["b"].dtype) == (jnp.bfloat16, jnp.float32)
    assert float(value_fn(params)) < 1e-3


def test_what_does_not_fit_is_refused():
    optimizer = optim.lbfgs()
    opt_state = optimizer.init(jnp.ones(2))
    with pytest.raises(ValueError, match="lbfgs needs the params"):
        optimizer.update(jnp.ones(2), opt_state)
    with pytest.raises(ValueError, match=r"evaluates the objective: call update\(.*value_fn=value_fn\)"):
        optimizer.update(jnp.ones(2), opt_state, jnp.ones(2))
    with pytest.raises(ValueError, match="the params have 3 entries, the optimiser state is for 2"):
        optimizer.update(jnp.ones(3), opt_state, jnp.ones(3))
    with pytest.raises(ValueError, match="memory_size is at least 1, got 0"):
        optim.lbfgs(memory_size=0)
    with pytest.raises(ValueError, match="max_linesearch_steps is at least 1, got 0"):
        optim.lbfgs(max_linesearch_steps=0)
    with pytest.raises(ValueError, match=r"slope_rtol is below curv_rtol, got 0\.5 and 0\.1"):
        optim.lbfgs(slope_rtol=0.5, curv_rtol=0.1)
    with pytest.raises(ValueError, match=r"curv_rtol is a number in \(0, 1\), got 1.0"):
        optim.lbfgs(curv_rtol=1.0)
