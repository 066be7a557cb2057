"""The whole digits network: hand-derived backpropagation is ``jax.grad``, at one point and along a training run."""

from functools import partial

import jax
import numpy as np
import pytest

import fnn
from experiments import data
from experiments.digits import Digits
from fnn.optim.transform import apply_updates
from fnn.paths import named_leaves

# Fifty steps of convolutions that are not optimised take longer than all compiling.
pytestmark = pytest.mark.usefixtures("users_compilation")

OBJECTIVE = Digits().objective()


OPTIMIZER = fnn.optim.adamw(3e-3)


def batches(dtype, count):
    digits = data.load_digits().train
    for step in range(count):
        chosen = slice(20 * step, 20 * step + 20)
        yield np.asarray(digits.images[chosen], dtype), np.asarray(digits.labels[chosen])


@partial(jax.jit, static_argnames="method")
def step(params, state, opt_state, batch, key, method):
    (value, aux), grads = OBJECTIVE.value_and_grad(params, state, batch, key=key, method=method)
    updates, opt_state = OPTIMIZER.update(grads, opt_state, params)
    return apply_updates(params, updates), aux.state, opt_state, value, grads


@partial(jax.jit, static_argnames="dtype")
def started(dtype):
    params, state = OBJECTIVE.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 8, 8, 1), dtype))
    return params, state, OPTIMIZER.init(params)


def trained(method, dtype, steps):
    """The losses on the way and the last gradient of plain steps."""
    point, losses, grads = started(dtype), [], None
    for index, batch in enumerate(batches(dtype, steps)):
        *point, value, grads = step(*point, batch, jax.random.key(index), method)
        losses.append(float(value))
    return np.array(losses), grads


def relative_errors(one, other):
    one, other = (named_leaves(jax.tree.map(np.asarray, tree)) for tree in (one, other))
    return {path: np.linalg.norm(leaf - other[path]) / np.linalg.norm(other[path]) for path, leaf in one.items()}


@pytest.mark.full
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), pytest.param("float32", 1e-5, marks=pytest.mark.full)]
)
def test_the_gradient_by_hand_is_that_of_jax_grad(dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        (losses, manual), (others, automatic) = (trained(method, dtype, 1) for method in ("manual", "auto"))
        assert losses == pytest.approx(others, rel=tolerance)
        errors = relative_errors(manual, automatic)
    assert max(errors.values()) <= tolerance, errors


@pytest.mark.full
def test_fifty_steps_by_hand_and_by_jax_grad_give_one_loss_curve():
    curves = [trained(method, "float64", 50)[0] for method in ("manual", "auto")]
    assert curves[0][-1] < 0.6 * curves[0][0]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-10, atol=0)


@pytest.mark.full
def test_the_report_of_the_whole_network_passes():
    batch = next(batches("float32", 1))
    params, state, _ = started("float32")
    report = fnn.compare_gradients(
        OBJECTIVE, params, state, batch, key=jax.random.key(1), methods=("manual", "reverse"), cost=False
    )
    assert report.ok, str(report)
    assert report.max_error <= 1e-12
