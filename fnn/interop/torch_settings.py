"""The settings of a module of PyTorch as fields of the layer of fnn, and what fnn has no field for."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fnn.interop.torch_padding import padding, pair_of
from fnn.interop.wanted import Match
from fnn.layer import Layer
from fnn.layers import (
    GRU,
    LSTM,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Embedding,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    MultiHeadAttention,
    RMSNorm,
    SimpleRNN,
)


class Setting(NamedTuple):
    """A setting that differs: what fnn has, what PyTorch has, and what to write instead."""

    ours: str
    theirs: str
    advice: str


def settings(match: Match) -> Iterator[Setting]:
    """What differs between a layer and the module that its arrays are from."""
    layer, module = match.wanted.place.layer, match.group.module
    match layer:
        case Dense():
            yield from _orientation(match)
        case BatchNorm():
            yield from _field(layer, "epsilon", module, "eps", _epsilon(module))
            yield from _momentum(layer, module)
        case LayerNorm() | InstanceNorm() | RMSNorm():
            yield from _field(layer, "epsilon", module, "eps", _epsilon(module))
        case GroupNorm():
            yield from _field(layer, "epsilon", module, "eps", _epsilon(module))
            yield from _field(layer, "groups", module, "num_groups")
        case Conv() | ConvTranspose() | DepthwiseConv():
            yield from _convolution(layer, module)
        case MultiHeadAttention():
            yield from _field(layer, "num_heads", module, "num_heads")
            yield from _field(layer, "dropout", module, "dropout")
            yield from _batch_axis(module)
            if getattr(module, "add_zero_attn", False):
                yield Setting("no such option", "add_zero_attn=True", "a key of zeros has no counterpart in fnn")
        case Embedding():
            yield from _embedding(module)
        case SimpleRNN() | LSTM() | GRU():
            yield from _recurrent(layer, module)
            yield from _batch_axis(module)


def _orientation(match: Match) -> Iterator[Setting]:
    """A square weight of a class that is not PyTorch's may be either way round."""
    _, (inputs, features) = match.wanted.place.leaves["kernel"]
    if inputs == features > 1 and not match.group.classes:
        yield Setting(
            "Dense transposes a square weight as that of a Linear",
            f"a {type(match.group.module).__name__}",
            "where that computes x @ weight, as Conv1D of transformers does, load its weight.T",
        )


def _field(layer: Layer, name: str, module: Any, attribute: str, theirs: Any = None) -> Iterator[Setting]:
    theirs = getattr(module, attribute, None) if theirs is None else theirs
    ours = getattr(layer, name)
    if theirs is None or ours == theirs or (isinstance(theirs, float) and np.isclose(ours, theirs, rtol=1e-6, atol=0)):
        return
    kind = type(layer).__name__
    yield Setting(f"{kind} has {name}={ours}", f"{attribute}={theirs}", f"write {kind}(…, {name}={theirs})")


def _epsilon(module: Any) -> Any:
    """A norm's ε. PyTorch's RMSNorm without one takes float32's, and in float64 float64's; half types float32's too."""
    found = [getattr(module, name) for name in ("eps", "epsilon", "variance_epsilon") if hasattr(module, name)]
    if found and found[0] is None:
        wide = "float64" in str(getattr(getattr(module, "weight", None), "dtype", ""))
        return float(np.finfo(np.float64 if wide else np.float32).eps)
    return found[0] if found else None


def _momentum(layer: BatchNorm, module: Any) -> Iterator[Setting]:
    momentum = getattr(module, "momentum", 1 - layer.decay)
    if momentum is None:
        yield Setting(
            f"BatchNorm has decay={layer.decay}",
            "momentum=None, a mean over all batches",
            "updates in training differ; evaluation does not",
        )
    elif not np.isclose(1 - momentum, layer.decay):
        decay = round(1 - momentum, 12)
        yield Setting(f"BatchNorm has decay={layer.decay}", f"momentum={momentum}", f"write BatchNorm(decay={decay})")


def _convolution(layer: Any, module: Any) -> Iterator[Setting]:
    rank, kind = len(module.kernel_size) if hasattr(module, "kernel_size") else 0, type(layer).__name__
    if not rank:
        return
    for name, attribute in (("strides", "stride"), ("dilation", "dilation")):
        theirs = pair_of(getattr(module, attribute), rank)
        if pair_of(getattr(layer, name), rank) != theirs:
            yield Setting(
                f"{kind} has {name}={getattr(layer, name)}",
                f"{attribute}={theirs}",
                f"write {kind}(…, {name}={theirs})",
            )
    if getattr(module, "padding_mode", "zeros") != "zeros":
        yield Setting(
            f"{kind} pads with zeros",
            f"padding_mode={module.padding_mode!r}",
            f"put Lambda(pad) in front, with jax.numpy.pad of that mode, and write {kind}(…, padding='VALID')",
        )
    else:
        yield from (Setting(*each) for each in padding(layer, module, rank))


def _embedding(module: Any) -> Iterator[Setting]:
    if getattr(module, "padding_idx", None) is not None:
        yield Setting(
            "Embedding trains every row",
            f"padding_idx={module.padding_idx}",
            "its row gets gradients here; evaluation agrees",
        )
    if getattr(module, "max_norm", None) is not None:
        yield Setting(
            "Embedding looks rows up as they are",
            f"max_norm={module.max_norm}",
            "shorten the longer rows of the table once, after loading",
        )
    if getattr(module, "scale_grad_by_freq", False):
        yield Setting("gradients are sums over a symbol's places", "scale_grad_by_freq=True", "training differs")


def _batch_axis(module: Any) -> Iterator[Setting]:
    """PyTorch's default is the time in front; its layers of transformers hand the setting to their attention."""
    if getattr(module, "batch_first", True) is False:
        yield Setting(
            "inputs are (N, T, D)",
            "batch_first=False, inputs of the shape (T, N, D)",
            "exchange their first two axes, and those of the outputs",
        )


def _recurrent(layer: Layer, module: Any) -> Iterator[Setting]:
    if isinstance(layer, SimpleRNN) and getattr(module, "nonlinearity", "tanh") != "tanh":
        yield Setting("SimpleRNN is tanh", f"nonlinearity={module.nonlinearity!r}", "fnn has no such recurrent layer")
    if getattr(module, "dropout", 0):
        yield Setting(
            "nothing is dropped between the layers",
            f"dropout={module.dropout}",
            f"write Dropout({module.dropout}) between them, if it is not there; evaluation agrees",
        )
