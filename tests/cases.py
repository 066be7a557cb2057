"""The one table of every public layer, combinator, loss and penalty, with the options that change what each computes.

A row is checked by ``tests/test_cases.py`` against the whole contract; a public class without a row fails there.
Inputs are drawn from the row's name, so that a row keeps its numbers when others are added.
"""

import dataclasses
import zlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from fnn import initializers
from fnn.layer import Cache, Layer, Params, State
from fnn.losses import Loss
from fnn.penalties import Penalty

Draw = Callable[[np.random.Generator], Any]


# ---- inputs


def normal(*shape: int) -> Draw:
    return lambda draw: draw.standard_normal(shape)


def off_zero(*shape: int) -> Draw:
    """Numbers of either sign at least 0.1 from 0, where most activations have their kink."""

    def make(draw: np.random.Generator) -> np.ndarray:
        numbers = draw.standard_normal(shape)
        return numbers + 0.1 * np.sign(numbers)

    return make


def distinct(*shape: int) -> Draw:
    """Numbers at least 0.01 from each other: no ties, and no maximum that a small step moves."""
    size = int(np.prod(shape))
    return lambda draw: (0.01 * draw.permutation(size) - 0.005 * size).reshape(shape)


def indices(high: int, *shape: int, dtype: Any = np.int32) -> Draw:
    return lambda draw: draw.integers(0, high, shape).astype(dtype)


def both(*draws: Draw) -> Draw:
    return lambda draw: tuple(each(draw) for each in draws)


def boolean(*shape: int) -> Draw:
    return lambda draw: draw.random(shape) < 0.5


# ---- layers of users


@dataclasses.dataclass(frozen=True)
class Scaled(Layer):
    """A user's layer with ``apply`` alone, parameters, a state that counts and a second member that is not floating."""

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        return {"scale": jnp.ones(x[0].shape[-1:], x[0].dtype)}, {"steps": jnp.zeros((), jnp.int32)}

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        values, keep = x
        y = jnp.where(keep, jnp.sin(values) * params["scale"][None], 0)
        return (y, keep), {"steps": state["steps"] + int(train)}


@dataclasses.dataclass(frozen=True)
class Gated(Layer):
    """A user's layer of two arrays that gives the first of them changed and the second as it is."""

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        values, gate = x
        return (values * gate, gate), state, {"values": values, "gate": gate}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        dvalues, dgate = dy
        return {}, (dvalues * cache["gate"], dvalues * cache["values"] + dgate)


# ---- rows


@dataclasses.dataclass(frozen=True)
class LayerCase:
    """A layer, its input and what ``check_layer`` is told about it."""

    name: str
    layer: Layer
    draw: Draw
    per_example: bool = True
    forward_mode: bool = True

    def input(self) -> Any:
        return self.draw(np.random.default_rng(zlib.crc32(self.name.encode())))


@dataclasses.dataclass(frozen=True)
class LossCase:
    """A loss with its prediction, target and, if not one an example, weights."""

    name: str
    loss: Loss
    draw: Draw
    additive: bool = True

    def batch(self) -> tuple:
        return self.draw(np.random.default_rng(zlib.crc32(self.name.encode())))


@dataclasses.dataclass(frozen=True)
class PenaltyCase:
    """A penalty; the parameters are those of ``params``."""

    name: str
    penalty: Penalty

    def params(self) -> dict[str, Any]:
        draw = np.random.default_rng(zlib.crc32(self.name.encode()))
        dense = {"kernel": off_zero(3, 2)(draw), "bias": off_zero(2)(draw)}
        return {"dense_0": dense, "lstm_0": {"recurrent_kernel": off_zero(2, 3)(draw)}, "scale": off_zero(2)(draw)}


IMAGE = normal(2, 5, 6, 4)
SERIES = normal(3, 7, 2)

LAYERS = (
    LayerCase("dense", fnn.Dense(3), normal(4, 5)),
    LayerCase("dense, square", fnn.Dense(4), normal(3, 4)),
    LayerCase("dense without bias", fnn.Dense(3, use_bias=False), normal(4, 5)),
    LayerCase("dense on sequences", fnn.Dense(3), normal(2, 4, 5)),
    LayerCase(
        "dense, other initialisers",
        fnn.Dense(4, kernel_init=initializers.Orthogonal(2.0), bias_init=initializers.Constant(0.5)),
        normal(3, 4),
    ),
    # Convolutions, 1-D.
    LayerCase("conv 1-D", fnn.Conv(3, 3), SERIES),
    LayerCase("conv 1-D, strides 2", fnn.Conv(3, 4, strides=2), SERIES),
    LayerCase("conv 1-D, strides beyond the kernel", fnn.Conv(3, 2, strides=3, padding="VALID"), SERIES),
    LayerCase("conv 1-D, causal, dilation 2", fnn.Conv(3, 3, dilation=2, padding="CAUSAL"), SERIES),
    LayerCase("conv 1-D, causal, strides 2", fnn.Conv(3, 3, strides=2, padding="CAUSAL"), SERIES),
    LayerCase("conv 1-D, valid, strides 2 with a rest", fnn.Conv(3, 4, strides=2, padding="VALID"), SERIES),
    LayerCase("conv 1-D, pairs", fnn.Conv(3, (3,), padding=((1, 2),)), SERIES),
    LayerCase("conv 1-D, padding beyond the kernel", fnn.Conv(2, 2, strides=2, padding=((4, 3),)), SERIES),
    # 2-D.
    LayerCase("conv 2-D", fnn.Conv(4, (3, 3)), IMAGE),
    LayerCase("conv 2-D, 1×1", fnn.Conv(3, (1, 1)), IMAGE),
    LayerCase("conv 2-D, 1×1, strides 2", fnn.Conv(3, 1, strides=2), IMAGE),
    LayerCase("conv 2-D, even kernel, strides (2, 1)", fnn.Conv(3, (2, 4), strides=(2, 1)), IMAGE),
    LayerCase("conv 2-D, valid, dilation (2, 1)", fnn.Conv(3, (2, 3), dilation=(2, 1), padding="VALID"), IMAGE),
    LayerCase("conv 2-D, dilation 2, strides 2", fnn.Conv(2, 3, dilation=2, strides=2), IMAGE),
    LayerCase("conv 2-D, 2 groups", fnn.Conv(6, 3, groups=2), IMAGE),
    LayerCase("conv 2-D, 2 groups, strides 2, dilation 2", fnn.Conv(4, 2, groups=2, strides=2, dilation=2), IMAGE),
    LayerCase("conv 2-D, a group a channel", fnn.Conv(8, (3, 2), groups=4, padding="VALID"), IMAGE),
    LayerCase("conv 2-D, padding 1 without bias", fnn.Conv(3, 3, padding=1, use_bias=False), IMAGE),
    LayerCase("conv 2-D, pairs", fnn.Conv(2, 3, strides=2, padding=((0, 2), (1, 0))), IMAGE),
    # 3-D.
    LayerCase("conv 3-D", fnn.Conv(2, 2), normal(2, 3, 2, 3, 2)),
    LayerCase("conv 3-D, 2 groups", fnn.Conv(2, (2, 1, 2), strides=(1, 2, 1), groups=2), normal(2, 3, 2, 3, 2)),
    # Pools.
    LayerCase("max pool", fnn.MaxPool(2), distinct(2, 4, 6, 2)),
    LayerCase("max pool with a rest", fnn.MaxPool((2, 3)), distinct(2, 5, 5, 2)),
    LayerCase("max pool, overlapping, same", fnn.MaxPool(3, strides=2, padding="SAME"), distinct(2, 5, 4, 2)),
    LayerCase("max pool, pairs", fnn.MaxPool(3, strides=(1, 2), padding=((1, 0), (2, 1))), distinct(2, 4, 5, 2)),
    LayerCase("max pool, strides beyond the window", fnn.MaxPool(2, strides=3), distinct(2, 7, 2)),
    LayerCase("max pool 3-D", fnn.MaxPool(2, strides=1), distinct(2, 3, 2, 3, 1)),
    LayerCase("max pool, causal", fnn.MaxPool(3, strides=1, padding="CAUSAL"), distinct(2, 5, 2)),
    LayerCase("avg pool", fnn.AvgPool(2), normal(2, 4, 6, 2)),
    LayerCase("avg pool with a rest", fnn.AvgPool((2, 3)), normal(2, 5, 5, 2)),
    LayerCase("avg pool, overlapping, same", fnn.AvgPool(3, strides=2, padding="SAME"), normal(2, 5, 4, 2)),
    LayerCase("avg pool, pairs", fnn.AvgPool(3, strides=(1, 2), padding=((1, 0), (2, 1))), normal(2, 4, 5, 2)),
    LayerCase("avg pool, strides beyond the window", fnn.AvgPool(2, strides=3), normal(2, 7, 2)),
    LayerCase("avg pool 3-D", fnn.AvgPool(2, strides=1), normal(2, 3, 2, 3, 1)),
    LayerCase("global avg pool", fnn.GlobalAvgPool(), normal(2, 3, 4, 2)),
    LayerCase("global avg pool of a series", fnn.GlobalAvgPool(), SERIES),
    # Normalisation and noise.
    LayerCase("batch norm", fnn.BatchNorm(), normal(6, 3)),
    LayerCase("batch norm of images", fnn.BatchNorm(decay=0.5, epsilon=1e-3), normal(3, 2, 3, 2)),
    LayerCase("batch norm without scale", fnn.BatchNorm(use_scale=False), normal(6, 3)),
    LayerCase("batch norm without bias", fnn.BatchNorm(use_bias=False), normal(6, 3)),
    LayerCase("batch norm without either", fnn.BatchNorm(use_scale=False, use_bias=False), normal(6, 3)),
    LayerCase("layer norm", fnn.LayerNorm(), normal(4, 5)),
    LayerCase("layer norm of sequences", fnn.LayerNorm(epsilon=1e-2), normal(2, 3, 4)),
    LayerCase("dropout", fnn.Dropout(0.3), normal(4, 5)),
    LayerCase("dropout of nothing", fnn.Dropout(0.0), normal(4, 5)),
    # Shapes and indices.
    LayerCase("flatten", fnn.Flatten(), normal(2, 3, 2)),
    LayerCase("flatten of samples that are scalars", fnn.Flatten(), normal(3)),
    LayerCase("flatten of indices", fnn.Flatten(), indices(5, 2, 3, 2)),
    LayerCase("reshape", fnn.Reshape((2, 3)), normal(4, 6)),
    LayerCase("reshape, one size worked out", fnn.Reshape((3, -1, 1)), normal(2, 6)),
    LayerCase("embedding", fnn.Embedding(6, 3), indices(6, 3, 4)),
    LayerCase("embedding of 8-bit indices", fnn.Embedding(5, 2), indices(5, 7, dtype=np.int8)),
    # Activations.
    LayerCase("relu", fnn.Relu(), off_zero(3, 5)),
    LayerCase("leaky relu", fnn.LeakyRelu(), off_zero(3, 5)),
    LayerCase("leaky relu, negative slope", fnn.LeakyRelu(-0.3), off_zero(3, 5)),
    LayerCase("sigmoid", fnn.Sigmoid(), normal(3, 5)),
    LayerCase("tanh", fnn.Tanh(), normal(3, 5)),
    LayerCase("gelu", fnn.Gelu(), normal(3, 5)),
    LayerCase("gelu, approximate", fnn.Gelu(approximate=True), normal(3, 5)),
    LayerCase("swish", fnn.Swish(), normal(3, 5)),
    LayerCase("swish, steep", fnn.Swish(beta=2.5), normal(3, 5)),
    LayerCase("silu", fnn.Silu(), normal(3, 5)),
    LayerCase("softmax", fnn.Softmax(), normal(3, 5)),
    LayerCase("softmax along the middle", fnn.Softmax(axis=1), normal(2, 4, 3)),
    # Combinators.
    LayerCase("serial of nothing", fnn.Serial(), normal(2, 3)),
    LayerCase("serial", fnn.Serial(fnn.Dense(4), fnn.Tanh(), head=fnn.Dense(2)), normal(3, 5)),
    LayerCase(
        "serial, a convolutional network",
        fnn.Serial(
            fnn.Conv(3, 3, use_bias=False),
            fnn.BatchNorm(),
            fnn.Relu(),
            fnn.MaxPool(2),
            fnn.Flatten(),
            fnn.Dropout(0.2),
            fnn.Dense(2),
        ),
        normal(3, 4, 4, 2),
    ),
    LayerCase(
        "serial, from indices", fnn.Serial(fnn.Flatten(), fnn.Embedding(5, 3), fnn.GlobalAvgPool()), indices(5, 2, 2, 2)
    ),
    LayerCase("serial in serial", fnn.Serial(fnn.Serial(fnn.Dense(3)), body=fnn.Serial(fnn.Gelu())), normal(2, 4)),
    LayerCase("residual", fnn.Residual(fnn.Serial(fnn.Dense(4), fnn.Tanh())), normal(3, 4)),
    LayerCase("residual with a shortcut", fnn.Residual(fnn.Serial(fnn.Dense(3)), fnn.Dense(3)), normal(3, 4)),
    LayerCase("residual of a tuple", fnn.Residual(Gated()), both(normal(3, 4), normal(3, 4))),
    LayerCase("residual of a tuple with a mask", fnn.Residual(Scaled()), both(normal(3, 4), boolean(3, 4))),
    LayerCase("parallel, summed", fnn.Parallel(fnn.Dense(3), fnn.Dense(3, use_bias=False)), normal(3, 4)),
    LayerCase("parallel, joined", fnn.Parallel(fnn.Dense(3), left=fnn.Tanh(), merge="concatenate"), normal(2, 3, 4)),
    LayerCase(
        "parallel, multiplied",
        fnn.Parallel(fnn.Dense(4), fnn.Sigmoid(), fnn.Dense(4), merge="multiply"),
        normal(3, 4),
    ),
    LayerCase("parallel of one", fnn.Parallel(fnn.Dense(2), merge="multiply"), normal(3, 4)),
    LayerCase("repeat", fnn.Repeat(fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.Dense(4))), 3), normal(3, 4)),
    LayerCase(
        "repeat with state and noise", fnn.Repeat(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3)), 2), normal(5, 3)
    ),
    LayerCase("repeat of a tuple", fnn.Repeat(Gated(), 2), both(normal(2, 3), normal(2, 3))),
    LayerCase("repeat of a user's layer", fnn.Repeat(Scaled(), 2), both(normal(2, 3), boolean(2, 3))),
    LayerCase("remat", fnn.Remat(fnn.Serial(fnn.Dense(4), fnn.Tanh())), normal(3, 4)),
    LayerCase("remat with state and noise", fnn.Remat(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3))), normal(5, 3)),
    LayerCase("repeat of remat", fnn.Repeat(fnn.Remat(fnn.Serial(fnn.Dense(3), fnn.Gelu())), 2), normal(2, 3)),
    # Its apply carries the hand rule, which has no forward mode; differences are the oracle.
    LayerCase(
        "with_manual_vjp",
        fnn.with_manual_vjp(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Tanh())),
        normal(4, 3),
        forward_mode=False,
    ),
    # Layers of users.
    LayerCase("a user's layer with apply alone", Scaled(), both(normal(3, 4), boolean(3, 4))),
    LayerCase("a user's layer of two arrays", Gated(), both(normal(3, 4), normal(3, 4))),
    LayerCase(
        "a user's layer inside a model",
        fnn.Serial(Gated(), mask=Scaled()),
        both(normal(3, 4), lambda draw: np.ones((3, 4))),
    ),
)


def soft(*shape: int) -> Draw:
    return lambda draw: draw.dirichlet(np.ones(shape[-1]), shape[:-1])


def one_hot(high: int, *shape: int, dtype: Any = np.float64) -> Draw:
    return lambda draw: np.eye(high, dtype=dtype)[draw.integers(0, high, shape)]


def positive(*shape: int) -> Draw:
    return lambda draw: draw.uniform(0.5, 2.0, shape)


def partly_ignored(high: int, ignored: int, *shape: int) -> Draw:
    return lambda draw: np.where(
        np.arange(np.prod(shape)).reshape(shape) % 3 == 1, ignored, draw.integers(0, high, shape)
    )


LOSSES = (
    LossCase("cross-entropy of labels", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6))),
    LossCase("cross-entropy of 8-bit labels", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6, dtype=np.uint8))),
    LossCase("cross-entropy, one-hot", fnn.CrossEntropy(), both(normal(6, 4), one_hot(4, 6))),
    LossCase(
        "cross-entropy, one-hot of integers", fnn.CrossEntropy(), both(normal(6, 4), one_hot(4, 6, dtype=np.int32))
    ),
    LossCase("cross-entropy, soft", fnn.CrossEntropy(), both(normal(6, 4), soft(6, 4))),
    LossCase("cross-entropy, soft without sum 1", fnn.CrossEntropy(), both(normal(6, 4), positive(6, 4))),
    LossCase("cross-entropy, smoothed", fnn.CrossEntropy(label_smoothing=0.1), both(normal(6, 4), indices(4, 6))),
    LossCase(
        "cross-entropy, soft, smoothed", fnn.CrossEntropy(label_smoothing=0.3), both(normal(6, 4), positive(6, 4))
    ),
    LossCase("cross-entropy, weighted", fnn.CrossEntropy(), both(normal(6, 4), indices(4, 6), positive(6))),
    LossCase("cross-entropy of sequences", fnn.CrossEntropy(), both(normal(4, 3, 5), indices(5, 4, 3))),
    LossCase(
        "cross-entropy of sequences, a weight a place",
        fnn.CrossEntropy(),
        both(normal(4, 3, 5), indices(5, 4, 3), positive(4, 3)),
    ),
    LossCase(
        "cross-entropy, some ignored", fnn.CrossEntropy(ignore_index=-1), both(normal(6, 4), partly_ignored(4, -1, 6))
    ),
    LossCase(
        "cross-entropy of sequences, some ignored, smoothed, weighted",
        fnn.CrossEntropy(ignore_index=0, label_smoothing=0.2),
        both(normal(4, 3, 5), partly_ignored(5, 0, 4, 3), positive(4, 3)),
    ),
    LossCase("binary cross-entropy", fnn.BinaryCrossEntropy(), both(normal(6), indices(2, 6))),
    LossCase("binary cross-entropy, boolean", fnn.BinaryCrossEntropy(), both(normal(5, 3), boolean(5, 3))),
    LossCase("binary cross-entropy, soft", fnn.BinaryCrossEntropy(), both(normal(5, 3), soft(5, 3), positive(5))),
    LossCase("mean squared error", fnn.MeanSquaredError(), both(normal(6), normal(6))),
    LossCase("mean squared error, weighted", fnn.MeanSquaredError(), both(normal(5, 3), normal(5, 3), positive(5))),
    LossCase(
        "mean squared error, a weight an entry", fnn.MeanSquaredError(), both(*[normal(5, 3)] * 2, positive(5, 3))
    ),
)

PENALTIES = (
    PenaltyCase("L1", fnn.L1(0.3)),
    PenaltyCase("L1 of all", fnn.L1(0.3, paths="*")),
    PenaltyCase("L2", fnn.L2(0.3)),
    PenaltyCase("L2 of two globs", fnn.L2(0.3, paths=("*/bias", "scale"))),
)
