"""The four networks in PyTorch: channels last for images, scaled dot-product attention, and the fused Adam."""

from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from experiments.bench.steps.networks import (
    LEARNING_RATE,
    Convolutional,
    Network,
    Perceptron,
    Recurrent,
    Step,
    Transformer,
)


class Block(nn.Module):
    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(features), nn.LayerNorm(features)
        self.query, self.key, self.value, self.out = (nn.Linear(features, features) for _ in range(4))
        self.hidden, self.back = nn.Linear(features, 4 * features), nn.Linear(4 * features, features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normal = self.attention_norm(x)
        q, k, v = (
            each(normal).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in (self.query, self.key, self.value)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(-2))
        return x + self.back(functional.gelu(self.hidden(self.mlp_norm(x))))


class Languages(nn.Module):
    def __init__(self, network: Transformer) -> None:
        super().__init__()
        self.embedding = nn.Embedding(network.vocabulary, network.features)
        self.positions = nn.Parameter(torch.zeros(network.length, network.features))
        self.blocks = nn.Sequential(*(Block(network.features, network.heads) for _ in range(network.blocks)))
        self.norm, self.out = nn.LayerNorm(network.features), nn.Linear(network.features, network.vocabulary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.embedding(x) + self.positions)))


class Sequences(nn.Module):
    def __init__(self, network: Recurrent) -> None:
        super().__init__()
        self.lstm = nn.LSTM(network.inputs, network.features, batch_first=True)
        self.out = nn.Linear(network.features, network.classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.lstm(x)[0][:, -1])


def step(network: Network, params: Any, state: Any, batch: tuple) -> Step:
    """A step from fnn's parameters."""
    module = _module(network)
    with torch.no_grad():
        for own, given in zip(module.parameters(), _parameters(network, jax.device_get(params)), strict=True):
            own.copy_(torch.from_numpy(np.array(given)))
    if isinstance(module, Sequences):
        module.lstm.bias_hh_l0.requires_grad_(False)  # the two biases are added: one of them is enough
    inputs, targets = (torch.from_numpy(np.array(each)) for each in batch)
    if isinstance(network, Convolutional):
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        inputs = inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    if isinstance(network, Transformer):
        inputs = inputs.long()
    learned = [each for each in module.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(learned, LEARNING_RATE, fused=True)

    def advance(learned: Any, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[Any, Any]:
        optimizer.zero_grad()
        loss = functional.cross_entropy(module(inputs).flatten(0, -2), targets.flatten())
        loss.backward()
        optimizer.step()
        return learned, loss.detach()

    return Step(advance, module, (inputs, targets.long()))


def _module(network: Network) -> nn.Module:
    match network:
        case Transformer():
            return Languages(network)
        case Perceptron():
            width = network.width
            hidden = [each for _ in range(network.layers - 1) for each in (nn.Linear(width, width), nn.ReLU())]
            return nn.Sequential(*hidden, nn.Linear(width, width))
        case Convolutional():
            sizes = zip((1, *network.channels), network.channels, strict=False)
            parts = [
                layer
                for before, after in sizes
                for layer in (nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2))
            ]
            flat = network.channels[-1] * (network.size // 4) ** 2
            head = (nn.Linear(flat, network.hidden), nn.ReLU(), nn.Linear(network.hidden, network.classes))
            return nn.Sequential(*parts, nn.Flatten(), *head)
        case Recurrent():
            return Sequences(network)


def _parameters(network: Network, params: Any) -> list[np.ndarray]:
    """fnn's parameters in the order and the layout of PyTorch's."""

    def linear(dense: Any, inputs: int = 0) -> list[np.ndarray]:
        """Weight and bias; (D, heads, d) and (heads, d, D) become matrices."""
        kernel = dense["kernel"]
        return [kernel.reshape(inputs or kernel.shape[0], -1).T, dense["bias"].reshape(-1)]

    def norm(each: Any) -> list[np.ndarray]:
        return [each["scale"], each["bias"]]

    match network:
        case Transformer():
            # A module's own parameters come before those of the modules in it.
            found = [params["positional_embedding_0"]["embedding"], params["embedding_0"]["embedding"]]
            for number in range(network.blocks):
                attention, mlp = (params[f"transformer_block_{number}"][name] for name in ("attention", "mlp"))
                found += norm(attention["norm"]) + norm(mlp["norm"])
                for name in ("query", "key", "value", "out"):
                    found += linear(attention["heads"][name], network.features)
                found += linear(mlp["hidden"]) + linear(mlp["out"])
            return found + norm(params["layer_norm_0"]) + linear(params["dense_0"])
        case Perceptron():
            return [leaf for number in range(network.layers) for leaf in linear(params[f"dense_{number}"])]
        case Convolutional():
            found = []
            for number in range(len(network.channels)):
                conv = params[f"conv_{number}"]
                found += [conv["kernel"].transpose(3, 2, 0, 1), conv["bias"], *norm(params[f"batch_norm_{number}"])]
            side, channels = network.size // 4, network.channels[-1]
            first = params["dense_0"]["kernel"].reshape(side, side, channels, -1).transpose(2, 0, 1, 3)
            return [
                *found,
                *linear({**params["dense_0"], "kernel": first}, side**2 * channels),
                *linear(params["dense_1"]),
            ]
        case Recurrent():
            lstm = params["lstm_0"]
            zero = np.zeros_like(lstm["bias"])
            return [lstm["kernel"].T, lstm["recurrent_kernel"].T, lstm["bias"], zero, *linear(params["dense_0"])]
