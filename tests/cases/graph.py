"""Graphs, and the layers in which several values meet."""

import fnn
from tests.cases.draws import boolean, both, indices, lengths, named, normal
from tests.cases.rows import LayerCase
from tests.cases.users import Scaled

TWO_BY_TWO = fnn.Graph(
    {
        "risk": (fnn.Dense(1), "joined"),  # before what it reads: the order given does not matter
        "seen": (fnn.Serial(fnn.Dense(3), fnn.Tanh()), "image"),
        "joined": (fnn.Concatenate(), ("seen", "age", "image")),
        "kind": (fnn.Dense(2), "seen"),
    },
    outputs=("risk", "kind"),
)
STEP = fnn.Graph(
    {"moved": (fnn.Dense(3), "x"), "x'": (fnn.Multiply(), ("moved", "z")), "z'": (fnn.Add(), ("moved", "x'", "x"))},
    outputs={"x": "x'", "z": "z'"},
)
MASKED = fnn.Graph({"y": (fnn.Dense(4), "x"), "same": (fnn.Identity(), "mask")}, outputs={"x": "y", "mask": "same"})

LAYERS = (
    LayerCase("graph of two inputs and two outputs", TWO_BY_TWO, named(image=normal(3, 4), age=normal(3, 2))),
    LayerCase(
        "graph of one input",
        fnn.Graph({"a": (fnn.Dense(4), "x"), "b": (fnn.Tanh(), "a"), "y": (fnn.Add(), ("a", "b", "x"))}, outputs="y"),
        normal(3, 4),
    ),
    LayerCase(
        "graph with state and noise",
        fnn.Graph(
            {
                "kept": (fnn.Dropout(0.3), "x"),
                "normal": (fnn.BatchNorm(), "kept"),
                "y": (fnn.Add(), ("normal", "kept")),
            },
            outputs="y",
        ),
        normal(4, 3),
    ),
    LayerCase("repeat of remat of a graph", fnn.Repeat(fnn.Remat(STEP), 2), named(x=normal(2, 3), z=normal(2, 3))),
    LayerCase("residual of a graph", fnn.Residual(MASKED), named(x=normal(2, 4), mask=boolean(2, 4))),
    LayerCase(
        "graph in a graph",
        fnn.Graph(
            {
                "inner": (TWO_BY_TWO, {"image": "x", "age": "shared"}),
                "shared": (fnn.Dense(2), "x"),
            },
            outputs={"inner": "inner", "again": "shared", "x": "x"},
        ),
        named(x=normal(3, 4)),
    ),
    LayerCase(
        "graph of indices",
        fnn.Graph(
            {"words": (fnn.Embedding(5, 4), "ids"), "y": (fnn.Multiply(), ("words", "words"))}, outputs=("y", "ids")
        ),
        indices(5, 2, 3),
    ),
    LayerCase(
        "graph with a mask that is passed on",
        fnn.Graph({"scaled": (Scaled(), ("x", "mask"))}, outputs=("scaled", "mask")),
        named(x=normal(3, 4), mask=boolean(3, 4)),
    ),
    LayerCase(
        "graph of sequences",
        fnn.Graph(
            {
                "run": (fnn.SimpleRNN(2), ("x", "lengths")),
                "each": (fnn.Dense(2), ("x", "lengths")),
                "tags": (fnn.Concatenate(), ("run", "each")),
                "whole": (fnn.GlobalAvgPool(), "tags"),
            },
            outputs=("tags", "whole"),
        ),
        named(x=normal(3, 4, 2), lengths=lengths(4, 1, 2)),
    ),
    LayerCase(
        "graph of sequences, step by step",
        fnn.Graph({"a": (fnn.Dense(2), "x"), "y": (fnn.Multiply(), ("a", "x"))}, outputs=("a", "y")),
        both(normal(3, 4, 2), lengths(4, 0, 2)),
    ),
    LayerCase("add", fnn.Add(), both(normal(3, 4), normal(3, 4), normal(3, 4))),
    LayerCase("multiply", fnn.Multiply(), both(normal(3, 4), normal(3, 4), normal(3, 4))),
    LayerCase("multiply of integers", fnn.Multiply(), both(indices(5, 2, 3), indices(5, 2, 3)), quick=True),
    LayerCase(
        "multiply of sequences, some with lengths",
        fnn.Multiply(),
        both(both(normal(3, 4, 2), lengths(4, 0, 2)), normal(3, 4, 2), both(normal(3, 4, 2), lengths(1, 4, 3))),
        quick=True,
    ),
    LayerCase("concatenate", fnn.Concatenate(), both(normal(3, 4), normal(3, 2), normal(3, 1))),
    LayerCase("concatenate, another axis", fnn.Concatenate(1), both(normal(2, 3, 4), normal(2, 1, 4))),
    LayerCase(
        "concatenate of sequences", fnn.Concatenate(), both(both(normal(3, 4, 2), lengths(4, 0, 2)), normal(3, 4, 1))
    ),
)
