"""Arrays as matrices whose rows are the positions of all leading axes.

A sum over several axes and a product that contracts several are, on a matrix, a sum over one axis and a plain matrix
product. XLA:CPU has fast code for these alone: it turns the others into windows without threads and vectors, or copies
an operand, with whatever was fused into it, into another order first. Elsewhere the reshape is free.
"""

import jax


def rows(x: jax.Array) -> jax.Array:
    """(…, D) as (M, D)."""
    return x.reshape(-1, x.shape[-1])


def as_matrix(x: jax.Array) -> jax.Array:
    """x with its leading axes merged, or as it is if it has none to merge: for what acts on each entry alone."""
    return rows(x) if x.ndim > 2 else x


def sum_of_rows(x: jax.Array) -> jax.Array:
    """The sum over all axes but the last: (…, D) → (D,)."""
    return rows(x).sum(0)
