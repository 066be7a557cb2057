"""The whole digits network: hand-derived backpropagation is ``jax.grad``, at one point and along a training run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments import data
from experiments.digits import Digits
from fnn.optim.transform import apply_updates
from fnn.paths import named_leaves

OBJECTIVE = Digits().objective()


def batches(dtype, count):
    digits = data.load_digits().train
    for step in range(count):
        chosen = slice(20 * step, 20 * step + 20)
        yield jnp.asarray(digits.images[chosen], dtype), jnp.asarray(digits.labels[chosen])


def trained(method, dtype, steps):
    """Parameters, the losses on the way and the last gradient of plain steps, one compiled program each."""
    optimizer = fnn.optim.adamw(3e-3)
    params, state = OBJECTIVE.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 8, 8, 1), dtype))
    opt_state, losses, grads = optimizer.init(params), [], None

    @jax.jit
    def step(params, state, opt_state, batch, key):
        (value, aux), grads = OBJECTIVE.value_and_grad(params, state, batch, key=key, method=method)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return apply_updates(params, updates), aux.state, opt_state, value, grads

    for index, batch in enumerate(batches(dtype, steps)):
        params, state, opt_state, value, grads = step(params, state, opt_state, batch, jax.random.key(index))
        losses.append(float(value))
    return np.array(losses), grads


def relative_errors(one, other):
    return {
        path: float(jnp.linalg.norm((leaf - reference).ravel()) / jnp.linalg.norm(reference.ravel()))
        for (path, leaf), reference in zip(named_leaves(one).items(), named_leaves(other).values(), strict=True)
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_the_gradient_by_hand_is_that_of_jax_grad(dtype, tolerance):
    with jax.enable_x64(dtype == "float64"):
        (losses, manual), (others, automatic) = (trained(method, dtype, 1) for method in ("manual", "auto"))
        assert losses == pytest.approx(others, rel=tolerance)
        errors = relative_errors(manual, automatic)
    assert max(errors.values()) <= tolerance, errors


def test_fifty_steps_by_hand_and_by_jax_grad_give_one_loss_curve():
    curves = [trained(method, "float64", 50)[0] for method in ("manual", "auto")]
    assert curves[0][-1] < 0.6 * curves[0][0]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-10, atol=0)


def test_the_report_of_the_whole_network_passes():
    batch = next(batches("float32", 1))
    params, state = OBJECTIVE.init(jax.random.key(0), batch[0])
    report = fnn.compare_gradients(
        OBJECTIVE, params, state, batch, key=jax.random.key(1), methods=("manual", "reverse"), cost=False
    )
    assert report.ok, str(report)
    assert report.max_error <= 1e-12
