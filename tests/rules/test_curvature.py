"""Second derivatives: against matrices that ``jax.hessian`` forms in full."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import fnn
from tests import compiled
from tests.comparing import close

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((6, 3))
LABELS = np.random.default_rng(1).integers(0, 3, 6)


def tanh_network(*penalties: fnn.L2) -> tuple[fnn.Objective, Any]:
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(3)), fnn.CrossEntropy(), penalties)
    return objective, compiled.start(objective, KEY, X)[0]


def hessian(objective: fnn.Objective, params: Any) -> np.ndarray:
    flat, unravel = ravel_pytree(params)
    value = jax.hessian(lambda flat: objective(unravel(flat), {}, (X, LABELS), train=True)[0])
    return np.asarray(jax.jit(value)(flat))


def gauss_newton(objective: fnn.Objective, params: Any) -> np.ndarray:
    flat, unravel = ravel_pytree(params)

    def outputs(flat: jax.Array) -> jax.Array:
        return objective.model.apply(unravel(flat), {}, X)[0]

    @jax.jit
    def both(flat: jax.Array) -> tuple:
        return jax.jacobian(outputs)(flat), jax.hessian(lambda y: objective.loss(y, LABELS))(outputs(flat))

    jacobian, of_loss = (np.asarray(each) for each in both(flat))
    jacobian = jacobian.reshape(-1, flat.size)
    return jacobian.T @ of_loss.reshape(len(jacobian), -1) @ jacobian


def columns(product: Any, params: Any) -> np.ndarray:
    flat, unravel = ravel_pytree(params)
    each = jax.jit(jax.vmap(lambda v: ravel_pytree(product(unravel(v)))[0]))
    return np.asarray(each(np.eye(flat.size))).T


@pytest.mark.parametrize("penalties", [(), (fnn.L2(0.3),)], ids=["plain", "penalty"])
def test_the_hessian_by_its_columns(penalties: tuple):
    objective, params = tanh_network(*penalties)
    found = columns(lambda v: fnn.hessian_vector(objective, params, {}, (X, LABELS), v), params)
    close(found, hessian(objective, params), rtol=1e-10, atol=1e-12)


def test_the_gauss_newton_matrix_by_its_columns():
    objective, params = tanh_network()
    found = columns(lambda v: fnn.gauss_newton_vector(objective, params, {}, (X, LABELS), v), params)
    close(found, gauss_newton(objective, params), rtol=1e-10, atol=1e-12)
    with_penalty = fnn.Objective(objective.model, objective.loss, (fnn.L2(0.5, paths="*"),))
    more = columns(lambda v: fnn.gauss_newton_vector(with_penalty, params, {}, (X, LABELS), v), params)
    close(more - found, 0.5 * np.eye(len(found)), rtol=1e-10, atol=1e-10)


def test_with_softmax_the_gauss_newton_matrix_is_the_fisher_matrix():
    objective, params = tanh_network()
    flat, unravel = ravel_pytree(params)

    def log_probabilities(flat: jax.Array) -> jax.Array:
        return jax.nn.log_softmax(objective.model.apply(unravel(flat), {}, X)[0])

    scores, chances = jax.jit(lambda flat: (jax.jacobian(log_probabilities)(flat), log_probabilities(flat)))(flat)
    fisher = np.einsum("nc,nci,ncj->ij", np.exp(chances), scores, scores) / len(X)
    found = columns(lambda v: fnn.gauss_newton_vector(objective, params, {}, (X, LABELS), v), params)
    close(found, fisher, rtol=1e-9, atol=1e-12)


def test_a_loss_that_multiplies_by_its_kernel_itself_has_the_matrix_of_its_logits():
    objective = fnn.Objective(fnn.Dense(4), fnn.LinearCrossEntropy(3, chunk=4))
    params = compiled.start(objective, KEY, X)[0]
    found = columns(lambda v: fnn.gauss_newton_vector(objective, params, {}, (X, LABELS), v), params)
    logits = fnn.Objective(fnn.Serial(fnn.Dense(4), loss=fnn.Dense(3, use_bias=False)), fnn.CrossEntropy())
    close(found, gauss_newton(logits, params), rtol=1e-10, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-12


def test_the_largest_eigenvalues_are_those_of_the_matrix():
    objective, params = tanh_network()
    product = jax.jit(lambda v: fnn.hessian_vector(objective, params, {}, (X, LABELS), v))
    found = fnn.top_eigenvalues(product, params, 3, key=KEY)
    close(found, np.linalg.eigvalsh(hessian(objective, params))[::-1][:3], rtol=1e-8)


def test_as_many_steps_as_parameters_find_an_eigenvalue_as_often_as_it_occurs():
    values = np.array([5.0, 5.0, 2.0, 0.0, 0.0, -7.0])
    found = fnn.top_eigenvalues(lambda v: {"w": values * v["w"]}, {"w": jnp.zeros(6)}, 6, key=KEY)
    close(found, np.sort(values)[::-1], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("count", "kind"), [(0, ValueError), (7, ValueError), (2.5, TypeError)])
def test_a_count_of_eigenvalues_out_of_range(count: Any, kind: type[Exception]):
    with pytest.raises(kind, match="count"):
        fnn.top_eigenvalues(lambda v: v, {"w": jnp.zeros(6)}, count, key=KEY)
    with pytest.raises(kind if kind is TypeError else ValueError, match="samples"):
        fnn.diagonal_estimate(lambda v: v, {"w": jnp.zeros(6)}, key=KEY, samples=min(count, 0) if count != 2.5 else 2.5)  # type: ignore[arg-type]


def test_eigenvalues_of_parameters_in_half_precision():
    values = np.array([5.0, 1.0, -2.0], jnp.bfloat16)
    found = fnn.top_eigenvalues(lambda v: {"w": values * v["w"]}, {"w": jnp.zeros(3, jnp.bfloat16)}, 1, key=KEY)
    close(found, np.array([5.0], np.float32), rtol=2.0**-6)


def test_the_estimate_of_the_diagonal_has_the_mean_and_the_variance_that_it_says():
    matrix = np.random.default_rng(2).standard_normal((5, 5))
    found = fnn.diagonal_estimate(lambda v: {"w": matrix @ v["w"]}, {"w": jnp.zeros(5)}, key=KEY, samples=4000)["w"]
    spread = np.sqrt(((matrix - np.diag(np.diag(matrix))) ** 2).sum(1) / 4000)
    assert (np.abs(found - np.diag(matrix)) < 5 * spread).all()

    def one(key: jax.Array) -> jax.Array:
        return fnn.diagonal_estimate(lambda v: {"w": matrix @ v["w"]}, {"w": jnp.zeros(5)}, key=key, samples=1)["w"]

    few = jax.jit(jax.vmap(one))(jax.random.split(KEY, 400))
    np.testing.assert_allclose(np.std(few, 0), spread * np.sqrt(4000), rtol=0.25)


@pytest.mark.parametrize("product", [fnn.hessian_vector, fnn.gauss_newton_vector])
def test_a_vector_of_another_shape_is_refused(product: Any):
    objective, params = tanh_network()
    with pytest.raises(ValueError, match="the vector has the structure, shapes and dtypes of the parameters"):
        product(objective, params, {}, (X, LABELS), {"kernel": jnp.zeros(3)})
