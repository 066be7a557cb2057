"""Where the input of a model stands on a kink or a tie: points at which the slope is a convention, not a limit.

There the hand rule and ``jax.grad`` must still agree, on the documented value (ReLU'(0) = 0, a tie goes to the first
element), but no difference quotient can: it sees both sides. Layers, losses and penalties count theirs themselves, by
``kinks_at``; here the counts are gathered.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from fnn.corners import Kinks
from fnn.errors import describe
from fnn.gradients.deltas import placed_layers
from fnn.gradients.problem import Operands, Records
from fnn.losses import Loss
from fnn.losses.steps import within_lengths
from fnn.objective import Objective
from fnn.paths import named_leaves, select
from fnn.penalties import Penalty


@dataclasses.dataclass(frozen=True)
class Kink:
    """``count`` of ``total`` entries that one layer, loss or penalty sees stand on a kink or a tie."""

    path: str
    count: int
    total: int
    what: str

    def __str__(self) -> str:
        return f"{self.path or '(model)'}: {self.count} of {self.total} {self.what}"


def find_kinks(objective: Objective, records: Records, operands: Operands) -> tuple[Kink, ...]:
    """The kinks and ties that the inputs of the layers, the prediction that the loss is given and the parameters under
    a penalty stand on."""
    found: list[tuple[str, Kinks | None]] = []
    for path, layer, repeats in placed_layers(objective.model):
        x = records.inputs.get(path)
        if isinstance(x, np.ndarray):
            # The inputs inside Repeat are stacked: its axes join the batch.
            found.append((path, _counted(layer, layer.kinks_at(x.reshape(-1, *x.shape[len(repeats) + 1 :])))))
    loss, leaves = objective.loss, named_leaves(operands.params)
    found.append(("loss", _counted(loss, loss.kinks_at(*_judged(loss, records, operands)))))
    found += [(repr(penalty), _of_penalty(penalty, leaves)) for penalty in objective.penalties]
    return tuple(Kink(path, *kinks) for path, kinks in found if kinks is not None and kinks.count)


def _counted(owner: Any, kinks: Any) -> Kinks | None:
    if kinks is None:
        return None
    if not isinstance(kinks, tuple) or len(kinks) != 3:
        raise TypeError(f"{type(owner).__name__}.kinks_at returns (count, total, words) or None, got {describe(kinks)}")
    return Kinks(*kinks)


def _judged(loss: Loss, records: Records, operands: Operands) -> tuple[Any, Any]:
    """Prediction and target, of sequences with lengths beside them the steps within the lengths alone."""
    given, target = jax.tree.map(np.asarray, (records.prediction, operands.batch[1]))
    return (given, target) if loss.takes_lengths else within_lengths(given, target)


def _of_penalty(penalty: Penalty, leaves: dict[str, Any]) -> Kinks | None:
    found = [_counted(penalty, penalty.kinks_at(np.asarray(leaves[path]))) for path in select(penalty.paths, leaves)]
    counted = [kinks for kinks in found if kinks is not None]
    if not counted:
        return None
    return Kinks(sum(kinks.count for kinks in counted), sum(kinks.total for kinks in counted), counted[0].what)
