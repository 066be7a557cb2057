"""Combinators, and layers of users."""

import numpy as np

import fnn
from tests.cases.draws import boolean, both, indices, lengths, normal
from tests.cases.rows import LayerCase
from tests.cases.users import Gated, Noisy, Scaled, Squared

LAYERS = (
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
    LayerCase(
        "residual with a shortcut, of sequences",
        fnn.Residual(fnn.Serial(fnn.Dense(3), fnn.Tanh()), fnn.Dense(3)),
        both(normal(3, 4, 2), lengths(4, 0, 2)),
        quick=True,
    ),
    LayerCase(
        "parallel of sequences, multiplied",
        fnn.Parallel(fnn.Dense(3), fnn.Dense(3), merge="multiply"),
        both(normal(3, 4, 2), lengths(4, 0, 2)),
        quick=True,
    ),
    LayerCase("residual of a tuple", fnn.Residual(Gated()), both(normal(3, 4), normal(3, 4))),
    LayerCase("residual of a tuple with a mask", fnn.Residual(Scaled()), both(normal(3, 4), boolean(3, 4))),
    LayerCase("parallel, summed", fnn.Parallel(fnn.Dense(3), fnn.Dense(3, use_bias=False)), normal(3, 4)),
    LayerCase("parallel, joined", fnn.Parallel(fnn.Dense(3), left=fnn.Tanh(), merge="concatenate"), normal(2, 3, 4)),
    LayerCase(
        "parallel, three joined",
        fnn.Parallel(*[fnn.Dense(f) for f in (1, 3, 2)], merge="concatenate"),
        normal(2, 3, 4),
        quick=True,
    ),
    LayerCase("parallel of indices", fnn.Parallel(fnn.Flatten(), fnn.Flatten()), indices(5, 2, 3), quick=True),
    LayerCase(
        "parallel, multiplied",
        fnn.Parallel(fnn.Dense(4), fnn.Sigmoid(), fnn.Dense(4), merge="multiply"),
        normal(3, 4),
        quick=True,
    ),
    LayerCase("parallel of one", fnn.Parallel(fnn.Dense(2), merge="multiply"), normal(3, 4), quick=True),
    LayerCase("repeat", fnn.Repeat(fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.Dense(4))), 3), normal(3, 4)),
    LayerCase(
        "repeat with state and noise", fnn.Repeat(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3)), 2), normal(5, 3)
    ),
    LayerCase("repeat of a tuple", fnn.Repeat(Gated(), 2), both(normal(2, 3), normal(2, 3))),
    LayerCase("repeat of a user's layer", fnn.Repeat(Scaled(), 2), both(normal(2, 3), boolean(2, 3))),
    LayerCase("remat", fnn.Remat(fnn.Serial(fnn.Dense(4), fnn.Tanh())), normal(3, 4)),
    LayerCase("remat with state and noise", fnn.Remat(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3))), normal(5, 3)),
    LayerCase("repeat of remat", fnn.Repeat(fnn.Remat(fnn.Serial(fnn.Dense(3), fnn.Gelu())), 2), normal(2, 3)),
    LayerCase(
        "pack",
        fnn.Pack(
            fnn.Serial(
                fnn.Conv(3, 3),
                fnn.BatchNorm(),
                fnn.Relu(),
                fnn.MaxPool(2),
                fnn.Flatten(),
                fnn.Dropout(0.2),
                fnn.Dense(6),
                fnn.Maxout(3),
            )
        ),
        normal(3, 4, 4, 2),
    ),
    LayerCase(
        "pack of activations",
        fnn.Pack(
            fnn.Parallel(
                fnn.Relu(),
                fnn.Relu6(),
                fnn.LeakyRelu(),
                fnn.HardTanh(),
                fnn.HardSigmoid(),
                fnn.Softshrink(),
                fnn.Softshrink(0.0),
            )
        ),
        normal(4, 6),
    ),
    LayerCase(
        "pack of repeat and remat",
        fnn.Pack(fnn.Repeat(fnn.Residual(fnn.Serial(fnn.Remat(fnn.Dense(3)), fnn.LeakyRelu(), fnn.Dropout(0.3))), 2)),
        normal(3, 3),
    ),
    LayerCase(
        "pack of sequences",
        fnn.Pack(fnn.Serial(fnn.GRU(3), fnn.Dropout(0.3), fnn.LeakyRelu(), fnn.MaxPool(2), fnn.Dense(2))),
        both(normal(3, 5, 2), lengths(5, 0, 3)),
    ),
    LayerCase("repeat of pack", fnn.Repeat(fnn.Pack(fnn.Serial(fnn.Dense(3), fnn.Relu())), 2), normal(2, 3)),
    LayerCase("pack of a user's layer", fnn.Pack(fnn.Pack(fnn.Serial(Scaled()))), both(normal(3, 4), boolean(3, 4))),
    LayerCase(
        "reversible",
        fnn.Reversible(fnn.Serial(fnn.Dense(2), fnn.Tanh()), fnn.Serial(fnn.Dense(2), fnn.Gelu())),
        normal(3, 4),
    ),
    LayerCase(
        "reversible with state and noise",
        fnn.Reversible(fnn.Serial(fnn.BatchNorm(), fnn.Dropout(0.3)), fnn.Serial(fnn.Dense(3), fnn.BatchNorm())),
        normal(5, 6),
    ),
    LayerCase("reversible of images", fnn.Reversible(fnn.Conv(2, 3), fnn.Tanh()), normal(2, 3, 3, 4)),
    LayerCase(
        "reversible of a tuple with a mask", fnn.Reversible(Scaled(), Scaled()), both(normal(3, 4), boolean(3, 2))
    ),
    LayerCase("reversible of a tuple", fnn.Reversible(Gated(), Gated()), both(normal(3, 4), normal(3, 2))),
    LayerCase(
        "reversible of sequences",
        fnn.Reversible(fnn.GRU(2), fnn.Serial(fnn.Dense(2), fnn.Tanh())),
        both(normal(3, 4, 4), lengths(4, 0, 2)),
    ),
    # Its apply carries the hand rule, which has no forward mode; differences are the oracle.
    LayerCase(
        "with_manual_vjp",
        fnn.with_manual_vjp(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Tanh())),
        normal(4, 3),
        forward_mode=False,
    ),
    LayerCase("a user's layer with apply alone", Scaled(), both(normal(3, 4), boolean(3, 4))),
    LayerCase("a user's layer with noise", Noisy(), normal(3, 4)),
    LayerCase("a user's layer at transformed parameters", Squared(fnn.Dense(3)), normal(3, 4)),
    LayerCase("a user's layer of two arrays", Gated(), both(normal(3, 4), normal(3, 4))),
    LayerCase(
        "a user's layer inside a model",
        fnn.Serial(Gated(), mask=Scaled()),
        both(normal(3, 4), lambda draw: np.ones((3, 4))),
    ),
)
