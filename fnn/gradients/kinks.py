"""Where the input of a model stands on a kink or a tie: points at which the slope is a convention, not a limit.

There the hand rule and ``jax.grad`` must still agree, on the documented value (ReLU'(0) = 0, a tie goes to the first
element), but no difference quotient can: it sees both sides.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from fnn.gradients.deltas import placed_layers
from fnn.gradients.problem import Operands, Records
from fnn.layer import Layer
from fnn.layers.conv._windows import windows
from fnn.losses import Hinge, Loss, MeanAbsoluteError, MultiClassHinge, PerceptronLoss, Triplet
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


Count = tuple[int, int, str]


def corners(*places: float) -> Callable[[Layer, np.ndarray], Count]:
    """Counts the inputs of an elementwise layer that equal one of its corners."""
    names = " or ".join(f"{place:g}" for place in places)
    return lambda layer, x: (int(np.isin(x, places).sum()), x.size, f"inputs are exactly {names}")


def elu_corner(layer: Layer, x: np.ndarray) -> Count:
    """As ``corners(0)``, but for ELU with α = 1, whose slope is continuous."""
    return corners(0)(layer, x) if getattr(layer, "alpha", 1) != 1 else (0, x.size, "")


def window_ties(layer: Any, x: np.ndarray) -> Count:
    """Counts the windows of a max pool in which the maximum stands more than once."""
    strides = layer.window if layer.strides is None else layer.strides
    w = windows(x.shape[1:-1], layer.window, strides, 1, layer.padding)
    padded = np.pad(x, ((0, 0), *w.pads, (0, 0)), constant_values=-np.inf)
    axes = tuple(range(1, x.ndim - 1))
    views = np.lib.stride_tricks.sliding_window_view(padded, w.window, axes)
    views = views[(slice(None), *(slice(None, None, stride) for stride in w.strides))]
    return _ties(views, tuple(range(x.ndim, views.ndim)), "windows have a tie for the maximum")


def global_ties(layer: Layer, x: np.ndarray) -> Count:
    """Counts the channels of a global max pool in which the maximum stands more than once."""
    return _ties(x, tuple(range(1, x.ndim - 1)), "channels have a tie for the maximum")


def piece_ties(layer: Any, x: np.ndarray) -> Count:
    """Counts the outputs of a maxout layer whose maximum stands more than once."""
    return _ties(x.reshape(*x.shape[:-1], -1, layer.pieces), (-1,), "groups of channels have a tie for the maximum")


def _ties(x: np.ndarray, axes: tuple[int, ...], what: str) -> Count:
    winners = (x == x.max(axes, keepdims=True)).sum(axes)
    return int((winners > 1).sum()), winners.size, what


KINKED: dict[str, Callable[[Any, np.ndarray], Count]] = {
    "relu": corners(0),
    "leaky_relu": corners(0),
    "p_relu": corners(0),
    "selu": corners(0),
    "elu": elu_corner,
    "step": corners(0),
    "relu6": corners(0, 6),
    "hard_tanh": corners(-1, 1),
    "hard_sigmoid": corners(-3, 3),
    "hard_swish": corners(-3, 3),
    "max_pool": window_ties,
    "maxout": piece_ties,
    "global_max_pool": global_ties,
}
"""Layers with kinks by their snake-case name; a subclass counts as its base."""


def absolute_corners(loss: Loss, prediction: np.ndarray, target: np.ndarray) -> Count:
    """Counts the predictions that are met exactly."""
    return int((prediction == target).sum()), prediction.size, "predictions equal the target"


def margin_corners(loss: Any, prediction: np.ndarray, target: np.ndarray) -> Count:
    """Counts the margins that are exactly wide enough."""
    return int((prediction * target == loss.least).sum()), prediction.size, f"margins are exactly {loss.least:g}"


def rival_ties(loss: Loss, prediction: np.ndarray, target: np.ndarray) -> Count:
    """Counts the examples with a margin of exactly 1, or with several strongest rivals to the label."""
    own = np.take_along_axis(prediction, target[..., None].astype(int), -1)
    others = np.where(np.arange(prediction.shape[-1]) == target[..., None], -np.inf, prediction)
    short = 1 + others.max(-1) - own[..., 0]
    tied = (others == others.max(-1, keepdims=True)).sum(-1) > 1
    count = ((short == 0) | (tied & (short > 0))).sum()
    return int(count), target.size, "margins are exactly 1, or those of several rivals"


def triplet_corners(loss: Any, prediction: np.ndarray, target: None) -> Count:
    """Counts the triplets that meet the margin exactly, or fall short of it with points that coincide."""
    near, far = (np.linalg.norm(prediction[..., 0, :] - prediction[..., i, :], axis=-1) for i in (1, 2))
    short = near - far + loss.margin
    count = ((short == 0) | ((short > 0) & ((near == 0) | (far == 0)))).sum()
    return int(count), near.size, "triplets are exactly on the margin, or have points that coincide"


KINKED_LOSSES: dict[type, Callable[[Any, Any, Any], Count]] = {
    MeanAbsoluteError: absolute_corners,
    Hinge: margin_corners,
    PerceptronLoss: margin_corners,
    MultiClassHinge: rival_ties,
    Triplet: triplet_corners,
}
"""Losses with kinks; a subclass counts as its base."""


def find_kinks(objective: Objective, records: Records, operands: Operands) -> tuple[Kink, ...]:
    """The kinks and ties that the inputs of the layers, the prediction that the loss is given and the parameters under
    an L1 penalty stand on."""
    found, inputs, params = [], records.inputs, operands.params
    for path, layer, repeats in placed_layers(objective.model):
        names = (getattr(base, "snake_name", None) for base in type(layer).__mro__)
        count_of = next((KINKED[name] for name in names if name in KINKED), None)
        x = inputs.get(path)
        if count_of is not None and isinstance(x, np.ndarray):
            # The inputs inside Repeat are stacked: its axes join the batch.
            joined = x.reshape(-1, *x.shape[len(repeats) + 1 :])
            found.append(Kink(path, *count_of(layer, joined)))
    for kind, count_of in KINKED_LOSSES.items():
        if isinstance(objective.loss, kind):
            seen = jax.tree.map(np.asarray, (records.prediction, operands.batch[1]))
            found.append(Kink("loss", *count_of(objective.loss, *seen)))
    found += [_zeros(penalty, params) for penalty in objective.penalties if _has_corner(penalty)]
    return tuple(kink for kink in found if kink.count)


def _has_corner(penalty: Penalty) -> bool:
    return any(base.__name__ in ("L1", "ElasticNet") for base in type(penalty).__mro__)


def _zeros(penalty: Penalty, params: Any) -> Kink:
    leaves = named_leaves(params)
    chosen = [np.asarray(leaves[path]) for path in select(penalty.paths, leaves)]
    zeros, total = sum(int((leaf == 0).sum()) for leaf in chosen), sum(leaf.size for leaf in chosen)
    return Kink(repr(penalty), zeros, total, "parameters are exactly 0")
