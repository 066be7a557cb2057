"""What every loss gives where squares, exponentials and logarithms leave the range of numbers, worked by hand.

A row is (prediction, target, value, gradient). ``big`` and ``tiny`` stand for numbers whose squares are ∞ and 0 in the
dtype of the prediction. What nobody can know is NaN; it never is 0, nor another number that looks like a result.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import fnn
from fnn.losses import Loss
from tests.cases.loss import squared

Extreme = tuple[Any, Any, float, Any]
Rows = Callable[[float, float], list[Extreme]]

INF, NAN = float("inf"), float("nan")
LN2 = np.log(2.0)
HALF = 0.5**0.5


def differences(size: Callable[[float], float], slope: Callable[[float], float]) -> Rows:
    """Of two differences of equal size, what the cost and the slope of each are."""

    def rows(big: float, tiny: float) -> list[Extreme]:
        errors = (0.0, 1.0, tiny, -tiny, big, -big, INF, -INF)
        pairs = [([e, -e], [0.0, 0.0], size(e), [slope(e) / 2, -slope(e) / 2]) for e in errors]
        return [*pairs, ([NAN, 0.0], [0.0, 0.0], NAN, [NAN, 0.0])]

    return rows


def root_mean_square(big: float, tiny: float) -> list[Extreme]:
    sizes = [([e, -e], [0.0, 0.0], e, [0.5, -0.5]) for e in (1.0, tiny, big, 3 * big)]
    one = [([e, 0.0], [0.0, 0.0], HALF * e, [HALF, 0.0]) for e in (1.0, tiny, big)]
    return [
        *sizes,
        *one,
        ([big, tiny], [0.0, 0.0], HALF * big, [HALF, 0.0]),
        ([0.0, 0.0], [0.0, 0.0], 0.0, [0.0, 0.0]),
        ([INF, 1.0], [0.0, 0.0], INF, [NAN, 0.0]),
        ([NAN, 1.0], [0.0, 0.0], NAN, [NAN, NAN]),
    ]


def binary(big: float, tiny: float) -> list[Extreme]:
    sides = [
        row
        for z in (1e4, big, INF)
        for row in (
            ([z], [1.0], 0.0, [0.0]),
            ([-z], [0.0], 0.0, [0.0]),
            ([z], [0.0], z, [1.0]),
            ([-z], [1.0], z, [-1.0]),
            ([z], [0.25], 0.75 * z, [0.75]),
            ([-z], [0.25], 0.25 * z, [-0.25]),
        )
    ]
    return [*sides, ([NAN], [1.0], NAN, [NAN]), ([0.0], [1.0], LN2, [-0.5]), ([0.0], [0.0], LN2, [0.5])]


def label(target: Callable[[int], Any], focused: Callable[[float], tuple[float, float]] | None = None) -> Rows:
    """Of three logits and a label, by cross-entropy or what ``focused`` makes of log 2 and its slope there."""
    half, slope = (LN2, 1.0) if focused is None else focused(LN2)

    def rows(big: float, tiny: float) -> list[Extreme]:
        found = [
            ([0.0, -INF, 0.0], 0, half, [-slope / 2, 0.0, slope / 2]),  # a class that is masked out
            ([0.0, 0.0, -INF], 1, half, [slope / 2, -slope / 2, 0.0]),
            ([-INF, 0.0, 0.0], 0, INF, [-1.0, 0.5, 0.5]),
            ([-INF, -INF, 0.0], 2, 0.0, [0.0, 0.0, 0.0]),
            ([INF, INF, 0.0], 0, NAN, [NAN, NAN, NAN]),
            ([-INF, -INF, -INF], 0, NAN, [NAN, NAN, NAN]),
            ([NAN, 0.0, 0.0], 1, NAN, [NAN, NAN, NAN]),
        ]
        for z in (1e4, big, INF):
            found.append(([0.0, 0.0, z], 2, 0.0, [0.0, 0.0, 0.0]))
            found.append(([z, 0.0, 0.0], 2, z, [1.0, 0.0, -1.0]))
        for z in (1e4, big):
            found.append(([z, -z, 0.0], 0, 0.0, [0.0, 0.0, 0.0]))
            found.append(([z, -z, 0.0], 1, 2 * z, [1.0, -1.0, 0.0]))
        return [([z], [target(c)], value, [dz]) for z, c, value, dz in found]

    return rows


def smoothed(big: float, tiny: float) -> list[Extreme]:
    """With s = 0.3 every class has a share of 0.1, and the label 0.8."""
    return [
        ([[big, 0.0, 0.0]], [0], 0.2 * big, [[0.2, -0.1, -0.1]]),
        ([[0.0, -INF, 0.0]], [0], INF, [[-0.3, -0.1, 0.4]]),  # a share of what cannot be
        ([[0.0, INF, 0.0]], [1], INF, [[-0.1, 0.2, -0.1]]),
    ]


def projected(big: float, tiny: float) -> list[Extreme]:
    """A hidden vector of one entry and a kernel (1, 3)."""
    kernel = [[1.0, -1.0, 0.0]]
    return [
        (([[0.0]], kernel), [0], np.log(3.0), ([[-1.0]], [[0.0, 0.0, 0.0]])),
        (([[big]], kernel), [0], 0.0, ([[0.0]], [[0.0, 0.0, 0.0]])),
        (([[big]], kernel), [1], 2 * big, ([[2.0]], [[big, -big, 0.0]])),
        (([[-big]], kernel), [2], big, ([[-1.0]], [[0.0, -big, big]])),
        (([[1.0]], [[0.0, -INF, 0.0]]), [0], LN2, ([[NAN]], [[-0.5, 0.0, 0.5]])),  # dh holds 0 · ∞
        (([[NAN]], kernel), [1], NAN, ([[NAN]], [[NAN, NAN, NAN]])),
    ]


def spelled(big: float, tiny: float) -> list[Extreme]:
    """Two frames of three classes, the first the blank, and the label 1: 1 1, 1 blank or blank 1."""

    def row(z: list[float], value: float, dz: list[float]) -> Extreme:
        return [[z, z]], [[1, -1]], value, [[dz, dz]]

    none = [0.0, 0.0, 0.0]
    return [
        row([0.0, 1e4, 0.0], 0.0, none),
        row([0.0, big, 0.0], 0.0, none),
        row([0.0, INF, 0.0], 0.0, none),
        row([-INF, 0.0, 0.0], 2 * LN2, [0.0, -0.5, 0.5]),
        row([0.0, -1e4, 0.0], 1e4 + LN2, [0.0, -0.5, 0.5]),
        row([0.0, 0.0, INF], INF, none),
        row([0.0, -INF, 0.0], INF, none),
        row([INF, INF, 0.0], NAN, [NAN] * 3),
        row([-INF, -INF, -INF], NAN, [NAN] * 3),
        row([NAN, 0.0, 0.0], NAN, [NAN] * 3),
    ]


def counts(big: float, tiny: float) -> list[Extreme]:
    return [
        ([-INF], [0.0], 0.0, [0.0]),
        ([-big], [0.0], 0.0, [0.0]),
        ([-INF], [3.0], INF, [-3.0]),
        ([-1e4], [3.0], 3e4, [-3.0]),
        ([-big], [3.0], 3 * big, [-3.0]),
        ([1e4], [3.0], INF, [INF]),
        ([big], [0.0], INF, [INF]),
        ([INF], [0.0], INF, [INF]),
        ([INF], [3.0], INF, [INF]),
        ([NAN], [0.0], NAN, [NAN]),
    ]


def normal(big: float, tiny: float) -> list[Extreme]:
    certain = np.log(big)  # of the precision, e⁻ˢ = big
    return [
        ([[5.0, -100.0]], [[5.0]], -50.0, [[0.0, 0.5]]),
        ([[5.0, -1e3]], [[5.0]], -500.0, [[0.0, 0.5]]),
        ([[5.0, -1e4]], [[5.0]], -5e3, [[0.0, 0.5]]),
        ([[7.0, -1e4]], [[5.0]], INF, [[INF, -INF]]),
        ([[7.0, 1e3]], [[5.0]], 500.0, [[0.0, 0.5]]),
        ([[tiny, -certain]], [[0.0]], 0.5 * (tiny - certain), [[1.0, 0.5]]),
        ([[big, 2 * certain]], [[0.0]], certain + 0.5, [[tiny, 0.0]]),
        ([[0.0, INF]], [[1.0]], INF, [[0.0, 0.5]]),
        ([[0.0, -INF]], [[0.0]], -INF, [[0.0, 0.5]]),
        ([[INF, 0.0]], [[0.0]], INF, [[INF, -INF]]),
        ([[0.0, NAN]], [[0.0]], NAN, [[NAN, NAN]]),
    ]


def margin(least: float) -> Rows:
    def rows(big: float, tiny: float) -> list[Extreme]:
        sides = [
            row
            for z in (1e4, big, INF)
            for row in (
                ([z], [1.0], 0.0, [0.0]),
                ([-z], [-1.0], 0.0, [0.0]),
                ([z], [-1.0], least + z, [1.0]),
                ([-z], [1.0], least + z, [-1.0]),
            )
        ]
        return [*sides, ([NAN], [1.0], NAN, [NAN])]

    return rows


def rivals(big: float, tiny: float) -> list[Extreme]:
    return [
        ([[big, big, 0.0]], [0], 1.0, [[-1.0, 1.0, 0.0]]),
        ([[-big, big, 0.0]], [0], 2 * big, [[-1.0, 1.0, 0.0]]),
        ([[big, -big, 0.0]], [0], 0.0, [[0.0, 0.0, 0.0]]),
        ([[INF, 0.0, 0.0]], [0], 0.0, [[0.0, 0.0, 0.0]]),
        ([[0.0, INF, 0.0]], [0], INF, [[-1.0, 1.0, 0.0]]),
        ([[-INF, 0.0, 0.0]], [0], INF, [[-1.0, 1.0, 0.0]]),
        ([[0.0, -INF, -INF]], [0], 0.0, [[0.0, 0.0, 0.0]]),  # no rival at all, in the first place and in the last
        ([[-INF, -INF, 0.0]], [2], 0.0, [[0.0, 0.0, 0.0]]),
        ([[INF, INF, 0.0]], [0], NAN, [[NAN, NAN, 0.0]]),
        ([[NAN, 0.0, 0.0]], [0], NAN, [[NAN, NAN, 0.0]]),
    ]


def cosines(big: float, tiny: float) -> list[Extreme]:
    # Between (3, 4) and (4, 3) the cosine is 24/25, and −(ŷ − cos p̂)/|p| = (−0.224, 0.168)/|p|, |p| = 5.
    found = [([3 * a, 4 * a], [4 * b, 3 * b], 0.04, [-0.0448 / a, 0.0336 / a]) for a, b in
             ((big, 1.0), (tiny, 1.0), (1.0, big), (1.0, tiny), (big, big), (tiny, tiny), (big, tiny))]  # fmt: skip
    found += [
        ([0.0, 0.0], [1.0, 0.0], 1.0, [0.0, 0.0]),
        ([big, 0.0], [0.0, 0.0], 1.0, [0.0, 0.0]),
        ([INF, 0.0], [1.0, 0.0], NAN, [NAN, NAN]),
        ([1.0, 0.0], [INF, 0.0], NAN, [NAN, NAN]),
        ([NAN, 0.0], [1.0, 0.0], NAN, [NAN, NAN]),
    ]
    return [([p], [y], value, [dp]) for p, y, value, dp in found]


def triplets(big: float, tiny: float) -> list[Extreme]:
    zero, none = [0.0, 0.0], [[0.0, 0.0]] * 3
    pulled = [[-0.6, -0.8], [0.6, 0.8], [0.0, 0.0]]
    found = [
        ([zero, [3 * big, 4 * big], zero], 5 * big, pulled),
        ([zero, [3 * tiny, 4 * tiny], zero], 1.0, pulled),
        ([zero, zero, zero], 1.0, none),
        ([zero, zero, [3 * big, 4 * big]], 0.0, none),
        ([zero, [1.0, 0.0], [INF, 0.0]], 0.0, none),
        ([zero, [INF, 0.0], zero], INF, [[NAN, 0.0], [NAN, 0.0], [0.0, 0.0]]),
        ([zero, [INF, 0.0], [INF, 0.0]], NAN, [[NAN, 0.0]] * 3),
    ]
    return [([x], None, value, [dx]) for x, value, dx in found]


def several(big: float, tiny: float) -> list[Extreme]:
    """0.5 |p|, the cross-entropy of a yes or no, and a loss that counts nothing, whatever it is."""

    def row(size: float, yes: float, target: float, value: float, dsize: float, dyes: float) -> Extreme:
        prediction = {"size": [size], "yes": [yes], "none": [yes]}
        targets = {"size": [0.0], "yes": [target], "none": [0.0]}
        return prediction, targets, value, {"size": [dsize], "yes": [dyes], "none": [0.0]}

    return [
        row(1.0, 0.0, 1.0, 0.5 + LN2, 0.5, -0.5),
        row(-big, big, 0.0, 1.5 * big, -0.5, 1.0),
        row(tiny, 1e4, 1.0, 0.5 * tiny, 0.5, 0.0),
        row(INF, 0.0, 1.0, INF, 0.5, -0.5),
        row(1.0, INF, 0.0, INF, 0.5, 1.0),
        row(1.0, INF, 1.0, 0.5, 0.5, 0.0),
        row(NAN, 0.0, 0.0, NAN, NAN, 0.5),
        row(1.0, NAN, 0.0, NAN, 0.5, NAN),
    ]


EXTREMES: dict[str, tuple[Loss, Rows]] = {
    "a user's function": (fnn.LossOf(squared), differences(lambda e: e * e, lambda e: 2 * e)),
    "mean squared error": (fnn.MeanSquaredError(), differences(lambda e: e * e, lambda e: 2 * e)),
    "root mean squared error": (fnn.RootMeanSquaredError(), root_mean_square),
    "mean absolute error": (fnn.MeanAbsoluteError(), differences(abs, np.sign)),
    "Huber": (
        fnn.Huber(),
        differences(lambda e: e * e / 2 if abs(e) <= 1 else abs(e) - 0.5, lambda e: np.clip(e, -1, 1)),
    ),
    "log-cosh": (
        fnn.LogCosh(),
        differences(lambda e: np.logaddexp(e, -e) - LN2 if abs(e) > 1e-9 else e * e / 2, np.tanh),
    ),
    "hinge": (fnn.Hinge(), margin(1.0)),
    "perceptron": (fnn.PerceptronLoss(), margin(0.0)),
    "multi-class hinge": (fnn.MultiClassHinge(), rivals),
    "cross-entropy": (fnn.CrossEntropy(), label(lambda c: c)),
    "cross-entropy, one-hot": (fnn.CrossEntropy(), label(lambda c: np.eye(3)[c])),
    "cross-entropy, smoothed": (fnn.CrossEntropy(label_smoothing=0.3), smoothed),
    "binary cross-entropy": (fnn.BinaryCrossEntropy(), binary),
    # Of u = 1 − p = ½ and c = log 2:  u² c,  and u² (1 + 2 p c/u) in the place of 1.
    "focal": (fnn.Focal(), label(lambda c: c, lambda c: (c / 4, (1 + 2 * c) / 4))),
    "focal, gamma 0": (fnn.Focal(0.0), label(lambda c: c)),
    "KL divergence": (fnn.KLDivergence(), label(lambda c: np.eye(3)[c])),
    "Poisson": (fnn.Poisson(), counts),
    "Gaussian": (fnn.GaussianNLL(), normal),
    "cosine": (fnn.CosineSimilarity(), cosines),
    "triplet": (fnn.Triplet(1.0), triplets),
    "ctc": (fnn.CTC(), spelled),
    "linear cross-entropy": (fnn.LinearCrossEntropy(3), projected),
    "several": (
        fnn.MultiLoss(
            {"size": fnn.MeanAbsoluteError(), "yes": fnn.BinaryCrossEntropy(), "none": fnn.MeanSquaredError()},
            weights={"size": 0.5, "none": 0.0},
        ),
        several,
    ),
}
"""Every loss with its rows, all of one structure and shape."""
