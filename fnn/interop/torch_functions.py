"""Modules of PyTorch without parameters as layers of fnn, to compare what a model computes between its weights."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fnn.interop.torch_padding import pair_of
from fnn.layer import Layer
from fnn.layers import (
    AvgPool,
    Celu,
    Dropout,
    Elu,
    Gelu,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyRelu,
    LogSigmoid,
    MaxPool,
    Mish,
    Relu,
    Relu6,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
)

Sequence = list[tuple[str, Any]]
"""Paths or prefixes, and the layers there."""

ACTIVATIONS: dict[str, Callable[[Any], Layer]] = {
    "ReLU": lambda module: Relu(),
    "ReLU6": lambda module: Relu6(),
    "LeakyReLU": lambda module: LeakyRelu(module.negative_slope),
    "ELU": lambda module: Elu(float(module.alpha)),
    "CELU": lambda module: Celu(float(module.alpha)),
    "SELU": lambda module: Selu(),
    "GELU": lambda module: Gelu(approximate=module.approximate == "tanh"),
    "SiLU": lambda module: Silu(),
    "Mish": lambda module: Mish(),
    "Sigmoid": lambda module: Sigmoid(),
    "LogSigmoid": lambda module: LogSigmoid(),
    "Hardsigmoid": lambda module: HardSigmoid(),
    "Hardswish": lambda module: HardSwish(),
    "Hardtanh": lambda module: HardTanh(),
    "Tanh": lambda module: Tanh(),
    "Softplus": lambda module: Softplus(),
    "Softsign": lambda module: Softsign(),
    "Softshrink": lambda module: Softshrink(module.lambd),
}
KINDS = (
    *(Relu, Relu6, LeakyRelu, Elu, Celu, Selu, Gelu, Silu, Mish, Sigmoid, LogSigmoid, HardSigmoid, HardSwish, HardTanh),
    *(Tanh, Softplus, Softsign, Softshrink),
)
FUNCTIONS = {"relu": Relu(), "gelu": Gelu(), "silu": Silu(), "tanh": Tanh(), "sigmoid": Sigmoid()}
POOLS = {f"{kind}Pool{rank}d": rank for kind in ("Max", "Avg") for rank in (1, 2, 3)}


def activations(modules: dict[str, Any]) -> Sequence:
    """The activations of the modules, in order, those of transformer layers among them."""
    found = []
    for prefix, module in modules.items():
        if make := ACTIVATIONS.get(type(module).__name__):
            found.append((prefix, make(module)))
        elif type(module).__name__ in ("TransformerEncoderLayer", "TransformerDecoderLayer"):
            name = getattr(module.activation, "__name__", "")
            if name in FUNCTIONS and not hasattr(module.activation, "state_dict"):
                found.append((f"{prefix}.activation".lstrip("."), FUNCTIONS[name]))
    return found


def our_activations(layers: Iterable[tuple[str, Layer]]) -> Sequence:
    """fnn's activations, those that PyTorch has too."""
    return [(path, layer) for path, layer in layers if isinstance(layer, KINDS)]


def pools(modules: dict[str, Any], kind: str) -> Sequence:
    """The pools of one kind, ``Max`` or ``Avg``."""
    found = []
    for prefix, module in modules.items():
        name = type(module).__name__
        if name in POOLS and name.startswith(kind):
            rank = POOLS[name]
            window, strides = (pair_of(each, rank) for each in (module.kernel_size, module.stride))
            found.append(
                (prefix, (MaxPool if kind == "Max" else AvgPool)(window, strides=strides, padding=_pads(module, rank)))
            )
    return found


def _pads(module: Any, rank: int) -> Any:
    return tuple((each, each) for each in pair_of(module.padding, rank))


def our_pools(layers: Iterable[tuple[str, Layer]], kind: type[Layer], rank: int) -> Sequence:
    """fnn's pools, written in the same way; those whose padding depends on the size stay as they are."""
    found = []
    for path, layer in layers:
        if type(layer) is not kind:
            continue
        window = pair_of(layer.window, rank)  # type: ignore[attr-defined]
        strides = window if layer.strides is None else pair_of(layer.strides, rank)  # type: ignore[attr-defined]
        pads: Any = layer.padding  # type: ignore[attr-defined]
        if pads == "VALID":
            pads = ((0, 0),) * rank
        elif not isinstance(pads, str):
            pads = tuple(p if isinstance(p, tuple) else (p, p) for p in pair_of(pads, rank))
        found.append((path, kind(window, strides=strides, padding=pads)))  # type: ignore[call-arg]
    return found


def dropouts(modules: dict[str, Any]) -> Sequence:
    """The modules that drop something."""
    names = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout")
    return [
        (prefix, Dropout(each.p)) for prefix, each in modules.items() if type(each).__name__ in names and 0 < each.p < 1
    ]


def oddities(modules: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Settings that no layer of fnn has: the module's prefix, the setting, and what to write instead."""
    for prefix, module in modules.items():
        kind = type(module).__name__
        if kind in POOLS and getattr(module, "ceil_mode", False):
            yield prefix, f"{kind}(ceil_mode=True)", "pad the image at its end, so that the last window fits"
        if kind in POOLS and any(each > 1 for each in pair_of(getattr(module, "dilation", 1), POOLS[kind])):
            yield prefix, f"{kind}(dilation={module.dilation})", "fnn's windows have no gaps"
        if getattr(module, "count_include_pad", False) and any(pair_of(module.padding, POOLS.get(kind, 1))):
            words = "AvgPool divides by the elements inside the image: put Pad in front of AvgPool without padding"
            yield prefix, f"{kind}(count_include_pad=True)", words
        if kind.startswith("AvgPool") and getattr(module, "divisor_override", None):
            yield prefix, f"{kind}(divisor_override={module.divisor_override})", "multiply by a constant in a Lambda"
        if kind == "Softplus" and (module.beta != 1 or module.threshold < 20):
            yield prefix, f"Softplus(beta={module.beta}, threshold={module.threshold})", "Softplus is log(1 + eˣ) here"
        if kind == "Hardtanh" and (module.min_val, module.max_val) != (-1, 1):
            low, high = module.min_val, module.max_val
            words = f"write Lambda(functools.partial(jax.numpy.clip, min={low}, max={high}))"
            yield prefix, f"Hardtanh({low}, {high})", words
        if kind == "Upsample" and getattr(module, "align_corners", False):
            yield prefix, "Upsample(align_corners=True)", "UpSample computes align_corners=False"
        if kind.startswith(("ReflectionPad", "ReplicationPad", "CircularPad")):
            yield prefix, kind, "Pad pads with a constant: write Lambda with jax.numpy.pad of that mode"
