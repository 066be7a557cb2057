"""The perceptron in Equinox, with optax."""

from typing import Any

import equinox as eqx  # pyright: ignore[reportMissingImports]
import jax
import optax

from experiments.bench.steps.networks import LEARNING_RATE, Network, Perceptron, Step


def step(network: Network, params: Any, state: Any, batch: tuple) -> Step | None:
    """A step from fnn's parameters; ``None`` for the other networks."""
    if not isinstance(network, Perceptron):
        return None
    width = network.width
    module = eqx.nn.MLP(width, width, width, network.layers - 1, key=jax.random.key(0))
    for number in range(network.layers):
        dense = params[f"dense_{number}"]
        module = eqx.tree_at(
            lambda module, number=number: (module.layers[number].weight, module.layers[number].bias),
            module,
            (dense["kernel"].T, dense["bias"]),
        )
    arrays, static = eqx.partition(module, eqx.is_array)
    optimizer = optax.adam(LEARNING_RATE)

    def advance(learned: tuple, inputs: Any, targets: Any) -> tuple[tuple, Any]:
        arrays, opt_state = learned

        def objective(arrays: Any) -> Any:
            logits = jax.vmap(eqx.combine(arrays, static))(inputs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        loss, grads = jax.value_and_grad(objective)(arrays)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(arrays, updates), opt_state), loss

    return Step(advance, (arrays, optimizer.init(arrays)), batch)
