"""The perceptron in Haiku, with optax."""

from typing import Any

import haiku as hk  # pyright: ignore[reportMissingImports]
import jax
import optax

from experiments.bench.steps.networks import LEARNING_RATE, Network, Perceptron, Step


def step(network: Network, params: Any, state: Any, batch: tuple) -> Step | None:
    """A step from fnn's parameters; ``None`` for the other networks."""
    if not isinstance(network, Perceptron):
        return None
    sizes = [network.width] * network.layers
    module = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP(sizes, name="mlp")(x)))
    params = {
        f"mlp/~/linear_{number}": {"w": params[f"dense_{number}"]["kernel"], "b": params[f"dense_{number}"]["bias"]}
        for number in range(network.layers)
    }
    optimizer = optax.adam(LEARNING_RATE)

    def advance(learned: tuple, inputs: Any, targets: Any) -> tuple[tuple, Any]:
        params, opt_state = learned

        def objective(params: Any) -> Any:
            logits = module.apply(params, inputs)
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        loss, grads = jax.value_and_grad(objective)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), loss

    return Step(advance, (params, optimizer.init(params)), batch)
