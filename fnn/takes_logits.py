"""A model that ends in a sigmoid or a softmax, in front of a loss that applies one itself.

The loss then squashes twice: probabilities between 0 and 1 are logits of classes that are all alike, and training stays
near where it started without a word. Whoever makes such an objective is told.
"""

import warnings
from typing import Any

import numpy as np

from fnn.combinators.composed import Composed
from fnn.combinators.graph import Graph
from fnn.combinators.serial import Serial
from fnn.combinators.wrapper import Wrapper
from fnn.layer import Layer
from fnn.layers.activation.sigmoids import HardSigmoid, LogSigmoid, Sigmoid
from fnn.layers.activation.softmax import LogSoftmax, Softmax
from fnn.layers.shape.reshape import Flatten, Identity, Reshape, Transpose
from fnn.losses.loss import Loss
from fnn.losses.multi import MultiLoss
from fnn.metrics.metric import Metric
from fnn.metrics.of import Of, measure_of
from fnn.paths import join

SIGMOIDS = (Sigmoid, HardSigmoid, LogSigmoid)
TWICE = {"sigmoid": (*SIGMOIDS, Softmax, LogSoftmax), "softmax": (*SIGMOIDS, Softmax)}
"""The layers that do not belong in front of a loss that applies one of these. Logarithms of probabilities are logits of
a softmax, which leaves them as they are."""

PASSING = (Flatten, Identity, Reshape, Transpose)
"""Layers that change no entry."""


def warn_of_probabilities(model: Layer, loss: Loss, stacklevel: int = 2) -> None:
    """Warns if the loss takes logits and the model's last layer makes probabilities of them; for a ``MultiLoss``, for
    each output."""
    if isinstance(loss, MultiLoss):
        for name, each in loss.losses.items():
            _warn_of_output(model, name, each, stacklevel + 1)
    else:
        _warn_of_output(model, None, loss, stacklevel + 1)


def _warn_of_output(model: Layer, output: str | None, loss: Loss, stacklevel: int) -> None:
    path, last = last_layer(model, output)
    if loss.applies is None or not isinstance(last, TWICE[loss.applies]):
        return
    ends = "ends" if output is None else f"has the output {output!r}, which ends"
    place = f"{ends} in {path}: {last!r}" if path else f"is {last!r}"
    warnings.warn(
        f"{type(loss).__name__} takes logits, it applies the {loss.applies} itself, and the model {place};"
        f" leave that layer out of the model, and where you want probabilities apply it to the outputs:"
        f" fnn.{last!r}(outputs)",
        stacklevel=stacklevel + 1,
    )


def warn_of_a_cut(model: Layer, metric: Metric, outputs: Any, targets: Any) -> None:
    """Warns if a metric that takes an answer above 0 for a yes is given a model that answers above 0 whatever it sees.

    Outputs and targets are arrays or shapes; single answers are those of one shape.
    """
    output = metric.output if isinstance(metric, Of) else None
    if isinstance(metric, Of):
        outputs, targets = (tree.get(output) if isinstance(tree, dict) else None for tree in (outputs, targets))
    path, last = last_layer(model, output)
    single = getattr(outputs, "shape", None) == np.shape(targets)
    if single and metric.cuts_at_zero and isinstance(last, Sigmoid | HardSigmoid):
        warnings.warn(
            f"{type(measure_of(metric)).__name__} takes logits, above 0 for a yes, and the model ends in"
            f" {path or 'the top'}: {last!r}, which is always above; leave that layer out of the model, and train with"
            f" BinaryCrossEntropy()",
            stacklevel=2,
        )


def last_layer(model: Layer, output: str | None = None) -> tuple[str, Layer]:
    """The layer whose entries are the outputs, as far as it is one, and its path; or those of one ``output`` of many.

    >>> from fnn import Dense, Flatten, Remat, Relu
    >>> last_layer(Serial(body=Remat(Serial(Dense(3), Relu())), flat=Flatten()))
    ('body/relu_0', Relu())
    """
    # Not by ``walk``: it is one way down, past layers that change no entry.
    children = model.children()
    if isinstance(model, Graph):
        name = model.source(output)
        while name in children and isinstance(children[name], PASSING) and isinstance(model.nodes[name][1], str):
            name = model.nodes[name][1]
    elif isinstance(model, Serial | Composed | Wrapper):
        passed = PASSING if output is None else ()  # outputs by name come from the last layer, whatever it is
        name = next((name for name in reversed(children) if not isinstance(children[name], passed)), None)
    else:
        return "", model
    if name not in children:
        return "", model
    chosen = isinstance(model, Graph) and not isinstance(model.outputs, str)
    path, last = last_layer(children[name], None if chosen else output)
    return join(name, path), last
