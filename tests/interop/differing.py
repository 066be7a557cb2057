"""Models and modules that differ in one setting, and what is said of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fnn
from tests.interop.modules import spec

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

ROW, STEPS, IMAGE, SYMBOLS = spec(1, 4), spec(1, 5, 4), spec(1, 9, 9, 4), spec(1, 5, dtype=np.int32)


def conv(padding: Any = 1, **options: Any) -> fnn.Conv:
    return fnn.Conv(4, (3, 3), padding=padding, **options)


def around(*modules: Any) -> Any:
    """Modules behind a convolution, so that something is matched."""
    return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), *modules)


def encoder(**options: Any) -> Any:
    return nn.TransformerEncoderLayer(4, 2, 6, batch_first=True, **{"dropout": 0.0, "norm_first": True} | options)


POST_NORM = fnn.Serial(
    *(fnn.Residual(fnn.MultiHeadAttention(2)), fnn.LayerNorm()),
    *(fnn.Residual(fnn.FeedForward(6, activation=fnn.Relu())), fnn.LayerNorm()),
)
RELU_BLOCK = fnn.TransformerBlock(2, 6, activation=fnn.Relu())
FLOAT32 = float(np.finfo(np.float32).eps)


class Conv1D(nn.Module):
    """What transformers calls so: x @ weight + bias."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))


CASES: dict[str, tuple[fnn.Layer, Callable[[], Any], Any, str]] = {
    "ε of a batch norm": (
        fnn.Serial(fnn.BatchNorm(), fnn.BatchNorm()),
        lambda: nn.Sequential(nn.BatchNorm1d(4, eps=1e-3), nn.BatchNorm1d(4, eps=1e-3)),
        ROW,
        "(batch_norm_0, batch_norm_1), but PyTorch has eps=0.001 (0, 1): write BatchNorm(…, epsilon=0.001)",
    ),
    "momentum": (
        fnn.BatchNorm(),
        lambda: nn.BatchNorm1d(4, momentum=0.3),
        ROW,
        "decay=0.9 (the model), but PyTorch has momentum=0.3 (the module itself): write BatchNorm(decay=0.7)",
    ),
    "no momentum": (
        fnn.BatchNorm(),
        lambda: nn.BatchNorm1d(4, momentum=None),
        ROW,
        "has momentum=None, a mean over all batches (the module itself): updates in training differ; evaluation does",
    ),
    "ε of a layer norm": (fnn.LayerNorm(), lambda: nn.LayerNorm(4, 1e-6), ROW, "write LayerNorm(…, epsilon=1e-06)"),
    "ε of an instance norm": (
        fnn.InstanceNorm(),
        lambda: nn.InstanceNorm1d(4, 1e-6, affine=True),
        STEPS,
        "write InstanceNorm(…, epsilon=1e-06)",
    ),
    "groups of a norm": (fnn.GroupNorm(2), lambda: nn.GroupNorm(4, 4), STEPS, "write GroupNorm(…, groups=4)"),
    "RMSNorm without an ε": (fnn.RMSNorm(), lambda: nn.RMSNorm(4), ROW, f"write RMSNorm(…, epsilon={FLOAT32})"),
    "RMSNorm of bfloat16": (
        fnn.RMSNorm(),
        lambda: nn.RMSNorm(4).bfloat16(),
        spec(1, 4, dtype="bfloat16"),
        f"write RMSNorm(…, epsilon={FLOAT32})",
    ),
    "RMSNorm of float64": (
        fnn.RMSNorm(),
        lambda: nn.RMSNorm(4).double(),
        ROW,
        f"write RMSNorm(…, epsilon={np.finfo(np.float64).eps})",
    ),
    "strides": (conv(), lambda: nn.Conv2d(4, 4, 3, 2, 1), IMAGE, "write Conv(…, strides=(2, 2))"),
    "dilation": (
        conv(padding=2),
        lambda: nn.Conv2d(4, 4, 3, dilation=2, padding=2),
        IMAGE,
        "Conv has dilation=1 (the model), but PyTorch has dilation=(2, 2) (the module itself): write Conv(…, dilation",
    ),
    "padding": (
        conv(),
        lambda: nn.Conv2d(4, 4, 3),
        IMAGE,
        "Conv has padding=1 (the model), but PyTorch has padding=(0, 0) (the module itself): write Conv(…, padding=0)",
    ),
    "SAME with strides": (
        conv(padding="SAME", strides=2),
        lambda: nn.Conv2d(4, 4, 3, 2, (1, 2)),
        IMAGE,
        "has padding='SAME' (the model), but PyTorch has padding=(1, 2) (the module itself): write Conv(…, padding=(1,",
    ),
    "padding by reflection": (
        conv(),
        lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        IMAGE,
        "Conv pads with zeros (the model), but PyTorch has padding_mode='reflect' (the module itself): put Lambda(pad)"
        " in front, with jax.numpy.pad of that mode, and write Conv(…, padding='VALID')",
    ),
    "output_padding": (
        fnn.ConvTranspose(4, (3, 3), strides=2, padding=1),
        lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1),
        IMAGE,
        "and output_padding=(1, 1) (the module itself): write ConvTranspose(…, padding=((1, 0), (1, 0)))",
    ),
    "heads": (
        fnn.MultiHeadAttention(1),
        lambda: nn.MultiheadAttention(4, 2, batch_first=True),
        STEPS,
        "num_heads=1 (the model), but PyTorch has num_heads=2 (the module itself): write MultiHeadAttention(…, num_h",
    ),
    "dropout of attention": (
        fnn.MultiHeadAttention(2),
        lambda: nn.MultiheadAttention(4, 2, dropout=0.1, batch_first=True),
        STEPS,
        "write MultiHeadAttention(…, dropout=0.1)",
    ),
    "a key of zeros": (
        fnn.MultiHeadAttention(2),
        lambda: nn.MultiheadAttention(4, 2, add_zero_attn=True, batch_first=True),
        STEPS,
        "add_zero_attn=True (the module itself): a key of zeros has no counterpart in fnn",
    ),
    "a symbol of padding": (
        fnn.Embedding(7, 4),
        lambda: nn.Embedding(7, 4, padding_idx=0),
        SYMBOLS,
        "padding_idx=0 (the module itself): its row gets gradients here; evaluation agrees",
    ),
    "rows of bounded length": (
        fnn.Embedding(7, 4),
        lambda: nn.Embedding(7, 4, max_norm=1.0),
        SYMBOLS,
        "max_norm=1.0 (the module itself): shorten the longer rows of the table once, after loading",
    ),
    "gradients by frequency": (
        fnn.Embedding(7, 4),
        lambda: nn.Embedding(7, 4, scale_grad_by_freq=True),
        SYMBOLS,
        "scale_grad_by_freq=True (the module itself): training differs",
    ),
    "a recurrence of relu": (
        fnn.SimpleRNN(3),
        lambda: nn.RNN(4, 3, nonlinearity="relu", batch_first=True),
        STEPS,
        "SimpleRNN is tanh (the model), but PyTorch has nonlinearity='relu' (l0): fnn has no such recurrent layer",
    ),
    "dropout between layers": (
        fnn.Serial(fnn.GRU(3), fnn.GRU(3)),
        lambda: nn.GRU(4, 3, 2, dropout=0.1, batch_first=True),
        STEPS,
        "dropout=0.1 (l0, l1): write Dropout(0.1) between them, if it is not there; evaluation agrees",
    ),
    "the form of gelu": (
        fnn.Serial(conv(), fnn.Gelu(), fnn.Relu()),
        lambda: around(nn.GELU(approximate="tanh"), nn.ReLU()),
        IMAGE,
        "Gelu() (gelu_0), but PyTorch has Gelu(approximate=True) (1): write Gelu(approximate=True)",
    ),
    "a slope": (
        fnn.Serial(conv(), fnn.LeakyRelu(), fnn.LeakyRelu()),
        lambda: nn.ModuleDict({"conv": nn.Conv2d(4, 4, 3, padding=1), "slope": nn.LeakyReLU(0.2)}),
        IMAGE,
        "LeakyRelu() (leaky_relu_0), but PyTorch has LeakyRelu(slope=0.2) (slope): write LeakyRelu(slope=0.2)",
    ),
    "the activation of a transformer": (
        fnn.TransformerBlock(2, 6),
        encoder,
        STEPS,
        "Gelu() (mlp/activation), but PyTorch has Relu() (activation): write Relu()",
    ),
    "norms that come last": (
        RELU_BLOCK,
        lambda: encoder(norm_first=False),
        STEPS,
        "norms come first (attention/norm), but PyTorch has norm_first=False (the model): write Residual(attention)",
    ),
    "norms that come first": (POST_NORM, encoder, STEPS, "has norm_first=True (the model): write TransformerBlock(…)"),
    "dropout in a transformer": (
        RELU_BLOCK,
        lambda: nn.Sequential(encoder(), nn.Dropout(0.1)),
        STEPS,
        "nothing is dropped (the model), but PyTorch has Dropout(rate=0.1) (1): evaluation agrees; write Dropout(rate",
    ),
    "another dropout": (
        fnn.Serial(conv(), fnn.Dropout(0.5)),
        lambda: around(nn.Dropout(0.1)),
        IMAGE,
        "Dropout(rate=0.5) (dropout_0), but PyTorch has Dropout(rate=0.1) (1): write Dropout(rate=0.1)",
    ),
    "the window of a pool": (
        fnn.Serial(conv(), fnn.MaxPool(2)),
        lambda: around(nn.MaxPool2d(3, 2, 1)),
        IMAGE,
        "write MaxPool(window=(3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))",
    ),
    "a pool that rounds up": (
        fnn.Serial(conv(), fnn.MaxPool(2)),
        lambda: around(nn.MaxPool2d(2, ceil_mode=True)),
        IMAGE,
        "PyTorch has MaxPool2d(ceil_mode=True) (1): pad the image at its end, so that the last window fits",
    ),
    "a pool with gaps": (
        fnn.Serial(conv(), fnn.MaxPool(2)),
        lambda: around(nn.MaxPool2d(2, dilation=2)),
        IMAGE,
        "PyTorch has MaxPool2d(dilation=2) (1): fnn's windows have no gaps",
    ),
    "an average that counts padding": (
        fnn.Serial(conv(), fnn.AvgPool(2, padding=1)),
        lambda: around(nn.AvgPool2d(2, padding=1)),
        IMAGE,
        "PyTorch has AvgPool2d(count_include_pad=True) (1): AvgPool divides by the elements inside the image: put Pad",
    ),
    "an average with a divisor": (
        fnn.Serial(conv(), fnn.AvgPool(2)),
        lambda: around(nn.AvgPool2d(2, divisor_override=3)),
        IMAGE,
        "PyTorch has AvgPool2d(divisor_override=3) (1): multiply by a constant in a Lambda",
    ),
    "another softplus": (
        fnn.Serial(conv(), fnn.Softplus()),
        lambda: around(nn.Softplus(beta=2.0)),
        IMAGE,
        "PyTorch has Softplus(beta=2.0, threshold=20.0) (1): Softplus is log(1 + eˣ) here",
    ),
    "other bounds": (
        fnn.Serial(conv(), fnn.HardTanh()),
        lambda: around(nn.Hardtanh(0, 2)),
        IMAGE,
        "PyTorch has Hardtanh(0, 2) (1): write Lambda(functools.partial(jax.numpy.clip, min=0, max=2))",
    ),
    "corners that are aligned": (
        fnn.Serial(conv(), fnn.UpSample(2, method="linear")),
        lambda: around(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
        IMAGE,
        "PyTorch has Upsample(align_corners=True) (1): UpSample computes align_corners=False",
    ),
    "a square weight of a class of its own": (
        fnn.Dense(4),
        Conv1D,
        ROW,
        "as that of a Linear (the model), but PyTorch has a Conv1D (the module itself): where that computes x @ weight",
    ),
    "a pad by reflection": (
        fnn.Serial(conv(), fnn.Pad(1)),
        lambda: around(nn.ReflectionPad2d(1)),
        IMAGE,
        "PyTorch has ReflectionPad2d (1): Pad pads with a constant: write Lambda with jax.numpy.pad of that mode",
    ),
}
