"""The four networks in Flax's linen, with optax. Modules have fnn's names, so that its parameters fit as they are."""

from typing import Any

import flax.linen as nn  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import optax

from experiments.bench.steps.networks import (
    LEARNING_RATE,
    Convolutional,
    Network,
    Perceptron,
    Recurrent,
    Step,
    Transformer,
)


class Attention(nn.Module):
    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        mask = nn.make_causal_mask(x[..., 0])
        normal = nn.LayerNorm(epsilon=1e-5, name="norm")(x)
        return x + nn.MultiHeadDotProductAttention(self.heads, name="heads")(normal, mask=mask)


class FeedForward(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = nn.Dense(4 * x.shape[-1], name="hidden")(nn.LayerNorm(epsilon=1e-5, name="norm")(x))
        return x + nn.Dense(x.shape[-1], name="out")(nn.gelu(hidden, approximate=False))


class Block(nn.Module):
    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return FeedForward(name="mlp")(Attention(self.heads, name="attention")(x))


class Positions(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.param("embedding", nn.initializers.zeros, x.shape[1:])


class Languages(nn.Module):
    network: Transformer

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        x = nn.Embed(self.network.vocabulary, self.network.features, name="embedding_0")(x)
        x = Positions(name="positional_embedding_0")(x)
        for number in range(self.network.blocks):
            x = Block(self.network.heads, name=f"transformer_block_{number}")(x)
        return nn.Dense(self.network.vocabulary, name="dense_0")(nn.LayerNorm(epsilon=1e-5, name="layer_norm_0")(x))


class Layers(nn.Module):
    network: Perceptron

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        for number in range(self.network.layers - 1):
            x = nn.relu(nn.Dense(self.network.width, name=f"dense_{number}")(x))
        return nn.Dense(self.network.width, name=f"dense_{self.network.layers - 1}")(x)


class Images(nn.Module):
    network: Convolutional

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        for number, channels in enumerate(self.network.channels):
            x = nn.Conv(channels, (3, 3), name=f"conv_{number}")(x)
            norm = nn.BatchNorm(use_running_average=not train, momentum=0.9, name=f"batch_norm_{number}")
            x = nn.max_pool(nn.relu(norm(x)), (2, 2), strides=(2, 2))
        x = nn.relu(nn.Dense(self.network.hidden, name="dense_0")(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.network.classes, name="dense_1")(x)


class Sequences(nn.Module):
    network: Recurrent

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = True) -> jax.Array:
        hidden = nn.RNN(nn.OptimizedLSTMCell(self.network.features, name="lstm_0"))(x)
        return nn.Dense(self.network.classes, name="dense_0")(hidden[:, -1])


def step(network: Network, params: Any, state: Any, batch: tuple) -> Step:
    """A step with optax's Adam, from fnn's parameters."""
    match network:
        case Transformer():
            module: nn.Module = Languages(network)
        case Perceptron():
            module = Layers(network)
        case Convolutional():
            module = Images(network)
        case Recurrent():
            module, params = Sequences(network), {**params, "lstm_0": gates(params["lstm_0"])}
    statistics = {name: {key: each[key] for key in ("mean", "var")} for name, each in state.items()}
    optimizer = optax.adam(LEARNING_RATE)

    def advance(learned: tuple, inputs: Any, targets: Any) -> tuple[tuple, Any]:
        params, statistics, opt_state = learned

        def objective(params: Any) -> tuple[Any, Any]:
            variables = {"params": params, **({"batch_stats": statistics} if statistics else {})}
            logits, changed = module.apply(variables, inputs, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
            return losses.mean(), changed.get("batch_stats", {})

        (loss, statistics), grads = jax.value_and_grad(objective, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), statistics, opt_state), loss

    return Step(advance, (params, statistics, optimizer.init(params)), batch)


def gates(params: Any) -> dict[str, Any]:
    """fnn's kernels and bias of an LSTM as Flax's, which has one of each for every gate, in the order i f g o."""
    inputs, hidden, bias = (jnp.split(params[name], 4, -1) for name in ("kernel", "recurrent_kernel", "bias"))
    found = {f"i{gate}": {"kernel": kernel} for gate, kernel in zip("ifgo", inputs, strict=True)}
    pairs = zip("ifgo", hidden, bias, strict=True)
    return found | {f"h{gate}": {"kernel": kernel, "bias": offset} for gate, kernel, offset in pairs}
