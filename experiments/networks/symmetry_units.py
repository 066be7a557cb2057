"""What can be done to the hidden units of a network with one hidden layer, for ``symmetry``."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn

Moves = list[tuple[np.ndarray, np.ndarray]]
"""Orders of the hidden units, and a factor for each of them."""


def transformed(params: Any, order: Any, factor: Any) -> Any:
    """The network whose units' weights in are multiplied and weights out divided by a factor each, then reordered."""
    hidden, output = params["dense_0"], params["dense_1"]
    return {
        "dense_0": {"kernel": (hidden["kernel"] * factor)[:, order], "bias": (hidden["bias"] * factor)[order]},
        "dense_1": {"kernel": (output["kernel"] / factor[:, None])[order], "bias": output["bias"]},
    }


def changes(objective: fnn.Objective, params: Any, batch: tuple, kinds: dict[str, Moves]) -> dict[str, Any]:
    """The least, median and largest relative change of the loss and of its gradient's norm, by kind, in float64."""

    def loss_and_norm(params: Any, batch: tuple, order: jax.Array, factor: jax.Array) -> tuple[jax.Array, jax.Array]:
        (value, _), grads = objective.value_and_grad(transformed(params, order, factor), {}, batch)
        return value, jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(grads)))

    with jax.enable_x64(True):
        wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), params)
        images = jnp.asarray(batch[0], jnp.float64), jnp.asarray(batch[1])
        run = jax.jit(loss_and_norm)
        units = len(params["dense_0"]["bias"])
        start = np.array(run(wide, images, jnp.arange(units), jnp.ones(units)))
        found = {}
        for kind, each in kinds.items():
            values = np.array([run(wide, images, jnp.asarray(order), jnp.asarray(factor)) for order, factor in each])
            relative = np.abs(values - start) / start
            found[kind] = {
                name: [float(how(relative[:, i])) for how in (np.min, np.median, np.max)]
                for i, name in enumerate(("loss", "gradient"))
            }
    return found


def most(change: dict[str, list[float]]) -> float:
    """The largest relative change of the loss or of the norm of the gradient."""
    return max(change["loss"][2], change["gradient"][2])


def matched(first: Any, second: Any, *, signs: bool) -> Any:
    """The second network with its hidden units in the order, and with ``signs`` with the signs, nearest to the first.

    ‖θ − Pθ'‖² is least if the sum of the inner products of the weights around the units is largest.
    """
    from scipy.optimize import linear_sum_assignment

    def around(params: Any) -> np.ndarray:
        return np.concatenate(
            [params["dense_0"]["kernel"], params["dense_0"]["bias"][None], params["dense_1"]["kernel"].T]
        )

    products = around(first).T @ around(second)
    _, order = linear_sum_assignment(np.abs(products) if signs else products, maximize=True)
    factor = np.ones(len(order), products.dtype)
    if signs:
        factor[order] = np.where(products[np.arange(len(order)), order] < 0, -1, 1)
    return transformed(second, order, factor)


def barrier(losses: list[float]) -> float:
    """The most by which the losses on a line exceed the straight line between its ends."""
    steps = np.linspace(0, 1, len(losses))
    return float(np.max(np.array(losses) - (1 - steps) * losses[0] - steps * losses[-1]))
