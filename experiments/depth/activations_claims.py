"""The claims of the experiment on activations, from its figures."""

from typing import Any

import numpy as np

from experiments.claims import Claim, judge
from experiments.depth.activations_shapes import NONE, STEP, X
from experiments.study import Figures


def judged(figures: Figures, rates: tuple[float, ...]) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures; ``rates`` are learning rates."""
    outcomes, shapes, crossing = figures["outcomes"], figures["curves"], figures["crossing"]
    errors = {name: each["error"] for name, each in shapes.items() if each["error"] is not None}
    worst, fast = max(errors, key=errors.__getitem__), len(rates) - 1
    x, tanh, sigmoid = (np.array(each) for each in (X, shapes["tanh"]["slope"], shapes["sigmoid"]["slope"]))
    larger, between = tanh >= sigmoid, abs(x) < crossing
    at_best = {name: np.array(each["accuracy"])[best_rate(each)] for name, each in outcomes.items()}
    beaten = [name for name in at_best if name != NONE and not (at_best[name] > at_best[NONE]).all()]
    above = [name for name in at_best if name not in (NONE, *beaten)]
    least = min(above, key=lambda name: at_best[name].min(), default=NONE)
    relu, leaky = outcomes["ReLU"], outcomes["leaky ReLU"]
    loss = at_best["leaky ReLU"] - np.array(leaky["accuracy"][fast])
    rate = f"at a learning rate of {rates[fast]:g}"
    return [
        judge(
            "The slopes by hand are those of the curves",
            rule="they differ from central differences by less than 1e-8 (float64, between the corners); the"
            " straight-through slope stands aside",
            figure=f"{errors[worst]:.0e} at most, for {worst}; {len(errors)} activations",
            holds=errors[worst] < 1e-8,
        ),
        judge(
            "The slope of tanh is larger than that of the sigmoid",
            rule="it is at least as large at every x; the condition is checked at every x that meets it",
            figure=f"at x = 5: {tanh[-1]:.1e} against {sigmoid[-1]:.1e}; they cross at x = ±{crossing:.4f}",
            holds=larger.all(),
            only_when=f"x is between −{crossing:.3f} and {crossing:.3f}",
            there=larger[between].all() and not larger[~between].any(),
        ),
        judge(
            "A sigmoid shrinks every delta at least fourfold",
            rule="its slope is at most ¼ at every x",
            figure=f"{sigmoid.max():.4f} at most, at x = {x[sigmoid.argmax()]:g}; tanh: {tanh.max():.4f}",
            holds=sigmoid.max() <= 0.25,
        ),
        judge(
            f"ReLUs die {rate}",
            rule="the slope of at least a tenth of the units is 0 for every sample, in every seed",
            figure=f"{shares(relu['dead'][fast])} are dead; at {rates[0]:g}: {shares(relu['dead'][0])}",
            holds=min(relu["dead"][fast]) >= 0.1,
        ),
        judge(
            f"Leaky ReLUs do not die {rate}",
            rule="no unit has the slope 0 for every sample, in any seed",
            figure=f"{shares(leaky['dead'][fast])} are dead",
            holds=max(leaky["dead"][fast]) == 0,
        ),
        judge(
            f"Leaky ReLUs therefore learn as well {rate} as at their best one",
            rule="they lose less than 5 points of accuracy in every seed",
            figure=f"{100 * loss.min():.0f} to {100 * loss.max():.0f} points lost; accuracy"
            f" {shares(leaky['accuracy'][fast])}, ReLU: {shares(relu['accuracy'][fast])}",
            holds=loss.max() < 0.05,
        ),
        judge(
            "Every activation learns more than none",
            rule="with each at its best rate, the validation accuracy is higher in every seed",
            figure=f"none: {shares(at_best[NONE])}; lowest above it: {least}, {shares(at_best[least])}; not above"
            f" it: {', '.join(beaten) or 'no one'}",
            holds=not beaten,
            only_when="the activation has a slope",
            there=beaten == [STEP],
        ),
    ]


def best_rate(outcome: dict[str, Any]) -> int:
    """The number of the rate with the least mean training loss."""
    return int(np.mean(outcome["loss"], 1).argmin())


def shares(values: Any) -> str:
    """The lowest and the highest, as text."""
    low, high = min(values), max(values)
    return f"{low:.0%}" if round(low, 2) == round(high, 2) else f"{low:.0%} to {high:.0%}"
