"""Second derivatives as products with a vector, through the hand-written gradient."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from fnn.calls import apply_of, backward_of, forward_of
from fnn.errors import describe, positive
from fnn.layer import Params, State, wide_dtype
from fnn.objective import Objective, unpacked
from fnn.rules.examples import of_logits

Product = Callable[[Params], Params]
"""A matrix by its product with a vector in the shape of the parameters."""


def hessian_vector(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    vector: Params,
    *,
    key: jax.Array | None = None,
    train: bool = True,
) -> Params:
    """H v, with H the second derivatives of the objective in its parameters, without forming H.

        H v = d/dε ∇(θ + ε v) at ε = 0,  the forward derivative of the gradient by hand

    ``vector`` v has the structure, shapes and dtypes of ``params``, and so has H v. Costs about two gradients.

    Errors: ``ValueError`` for a vector of another structure or other shapes.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    >>> params, batch = {"kernel": jnp.zeros((1, 1))}, (jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)))
    >>> hessian_vector(objective, params, {}, batch, {"kernel": jnp.ones((1, 1))})["kernel"].item()  # 2 · (1 + 9) / 2
    10.0

    Source: Pearlmutter 1994.
    """
    _check_vector(params, vector)
    objective.refuse_rules("second derivatives")

    def gradient(params: Params) -> Params:
        return objective.value_and_grad(params, state, batch, key=key, train=train)[1]

    return jax.jvp(gradient, (params,), (vector,))[1]


def gauss_newton_vector(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    vector: Params,
    *,
    key: jax.Array | None = None,
    train: bool = True,
) -> Params:
    """G v, with G = Jᵀ H_L J: J the model's outputs by its parameters, H_L the loss by the outputs.

    J v by the forward derivative of the model, H_L of it by that of the loss's gradient, Jᵀ of that by the backward
    pass. G is H without the model's own curvature, and positive semi-definite for convex losses; with softmax and
    cross-entropy it is the Fisher matrix. Penalties count with their second derivatives.

    Shapes, dtypes and errors are those of ``hessian_vector``.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    >>> params, batch = {"kernel": jnp.zeros((1, 1))}, (jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)))
    >>> gauss_newton_vector(objective, params, {}, batch, {"kernel": jnp.ones((1, 1))})["kernel"].item()
    10.0

    Source: Schraudolph 2002; Martens 2020, §8 for the Fisher matrix.
    """
    _check_vector(params, vector)
    objective.refuse_rules("second derivatives")
    objective = of_logits(objective)  # or the loss's own kernel would count as an output
    inputs, targets, weights = unpacked(batch)

    def outputs(params: Params) -> Any:
        return apply_of(objective.model, params, state, inputs, train=train, key=key)[0]

    def doutputs(outputs: Any) -> Any:
        return objective.loss.backward(objective.loss.forward(outputs, targets, weights)[1])

    made, moved = jax.jvp(outputs, (params,), (vector,))
    _, curved = jax.jvp(doutputs, (made,), (moved,))
    _, _, cache = forward_of(objective.model, params, state, inputs, train=train, key=key)
    product, _ = backward_of(objective.model, cache, curved)
    for penalty in objective.penalties:
        slope = jax.jvp(lambda p, penalty=penalty: penalty.backward(penalty.forward(p)[1]), (params,), (vector,))[1]
        product = jax.tree.map(jnp.add, product, slope)
    return product


def top_eigenvalues(
    product: Product, like: Params, count: int, *, key: jax.Array, steps: int | None = None
) -> jax.Array:
    """The ``count`` largest eigenvalues of a symmetric matrix, given by its product with a vector; largest first.

    Lanczos: a basis of Krylov vectors v, A v, A² v, … from a random v, each made orthogonal to all before it, twice,
    so that rounding does not produce copies of eigenvalues already found; then the eigenvalues of the tridiagonal
    matrix. ``steps`` of it, 4 ``count`` + 20 by default and at most the number of parameters, need as many vectors of
    memory. With fewer steps than parameters, an eigenvalue that occurs several times may come out once.

    ``like``: an example of the vectors, the parameters. Errors: ``ValueError`` for a count below 1 or above the number
    of parameters, or for no steps; ``TypeError`` if they are not integers.

    >>> product = lambda v: {"w": jnp.array([1.0, 2.0, 5.0]) * v["w"]}
    >>> top_eigenvalues(product, {"w": jnp.zeros(3)}, 2, key=jax.random.key(0)).round(3)
    Array([5., 2.], dtype=float32)

    Source: Lanczos 1950; Golub and Van Loan 2013, §10.1 and 10.3.
    """
    positive("count", count)
    if steps is not None:
        positive("steps", steps)
    flat, unravel = ravel_pytree(like)
    if count > flat.size:
        raise ValueError(f"count lies between 1 and the {flat.size} parameters, got {count}")
    steps, wide = min(flat.size, 4 * count + 20 if steps is None else max(steps, count)), wide_dtype(flat.dtype)

    def times(v: jax.Array) -> jax.Array:
        return ravel_pytree(product(unravel(v.astype(flat.dtype))))[0].astype(wide)

    def drawn(i: Any) -> jax.Array:
        return jax.random.normal(jax.random.fold_in(key, i), flat.shape, jnp.float32).astype(wide)

    def orthogonalised(v: jax.Array, basis: jax.Array) -> tuple[jax.Array, jax.Array]:
        for _ in range(2):
            v = v - basis.T @ (basis @ v)
        size = jnp.sqrt(jnp.vdot(v, v))
        return v / jnp.where(size == 0, 1, size), size

    def step(carry: tuple, i: jax.Array) -> tuple:
        basis, v = carry
        basis = basis.at[i].set(v)
        w = times(v)
        diagonal = jnp.vdot(v, w)
        following, size = orthogonalised(w, basis)
        # In an invariant subspace only rounding is left of w: go on from another vector, which the matrix keeps apart.
        lost = size <= 100 * jnp.finfo(w.dtype).eps * jnp.sqrt(jnp.vdot(w, w))
        following = jnp.where(lost, orthogonalised(drawn(i + 1), basis)[0], following)
        return (basis, following), (diagonal, jnp.where(lost, 0, size))

    empty = jnp.zeros((steps, flat.size), wide)
    start, _ = orthogonalised(drawn(0), empty)
    _, (diagonal, off_diagonal) = jax.lax.scan(step, (empty, start), jnp.arange(steps))
    matrix = jnp.diag(diagonal) + jnp.diag(off_diagonal[:-1], 1) + jnp.diag(off_diagonal[:-1], -1)
    return jnp.linalg.eigvalsh(matrix)[::-1][:count]


def diagonal_estimate(product: Product, like: Params, *, key: jax.Array, samples: int) -> Params:
    """The diagonal of a matrix, given by its product with a vector: the mean of z ⊙ A z over random signs z.

    Unbiased; the variance of an entry is 1/``samples`` times the sum of the squares beside it in its row, so that a
    diagonal matrix is found exactly. Errors: ``ValueError`` for no samples.

    >>> product = lambda v: {"w": jnp.array([1.0, 2.0, 5.0]) * v["w"]}
    >>> diagonal_estimate(product, {"w": jnp.zeros(3)}, key=jax.random.key(0), samples=1)["w"]
    Array([1., 2., 5.], dtype=float32)

    Source: Bekas, Kokiopoulou and Saad 2007, after Hutchinson 1990.
    """
    positive("samples", samples)
    flat, unravel = ravel_pytree(like)

    def add(total: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        z = jax.random.rademacher(key, flat.shape, jnp.int32).astype(flat.dtype)
        return total + z * ravel_pytree(product(unravel(z)))[0], None

    total, _ = jax.lax.scan(add, jnp.zeros_like(flat), jax.random.split(key, samples))
    return unravel(total / samples)


def _check_vector(params: Params, vector: Params) -> None:
    if jax.tree.map(jax.typeof, vector) != jax.tree.map(jax.typeof, params):
        raise ValueError(
            f"the vector has the structure, shapes and dtypes of the parameters, {describe(params)}, got"
            f" {describe(vector)}"
        )
