"""The claims of the experiment on ridge regression, from its figures."""

import numpy as np

from experiments.claims import Claim, judge
from experiments.linear.ridge_regression import DEGREES
from experiments.study import Figures

LAMBDA = 1.0
"""λ of ridge regression, on the sum of squares."""

SAME = 1e-6
"""Up to this relative difference, weights are the same."""

MOST = 0.95
"""The share of the seeds that a claim about errors asks for."""


def judged(figures: Figures) -> list[Claim]:
    """What is claimed, with the verdicts that follow from these figures."""
    training, (plain, penalised) = np.array(figures["training"]), np.array(figures["test"])
    medians = np.median(plain, axis=0)
    best, steps = int(medians.argmin()), np.diff(training, axis=1)
    risen, lower = (plain[:, -1] > plain[:, best]).mean(), (penalised < plain).mean(0)
    zero, random, adam = (figures["many"][way] for way in ("zero", "random", "Adam"))
    met = max(max(each["missed"]) for each in (zero, random, adam)) <= SAME
    return [
        judge(
            "Trained by gradients, the neuron finds least squares in closed form, and with L2 of λ/N ridge",
            rule=f"the weights are within {SAME:g}, relatively, at every degree, in every seed",
            figure=f"{figures['apart'][0]:.1e} apart at most without L2, {figures['apart with λ/N']:.1e} with λ/N,"
            f" {figures['apart'][1]:.1e} with 2λ/N",
            holds=max(figures["apart"][0], figures["apart with λ/N"]) <= SAME,
            only_when="the strength is 2λ/N",
            there=max(figures["apart"]) <= SAME,
        ),
        judge(
            "With more basis functions the training error falls, and the test error rises again",
            rule="the training error rises nowhere, beyond rounding, in any seed; the test error is least, in the"
            f" median, at a degree before the last, and higher at the last in at least {MOST:.0%} of the seeds",
            figure=f"training {np.median(training[:, 0]):.2g} to {np.median(training[:, -1]):.2g}; test"
            f" {medians[best]:.2g} at degree {best} to {medians[-1]:.2g}, higher in {risen:.0%}",
            holds=steps.max() <= 1e-4 * training.max() and best < DEGREES and risen >= MOST,
        ),
        judge(
            "Ridge lowers the test error",
            rule=f"it is lower with λ = {LAMBDA:g} in at least {MOST:.0%} of the seeds, at every degree",
            figure=f"lower in {lower.min():.0%} at the worst degree, {lower[best]:.0%} at degree {best},"
            f" {lower[-1]:.0%} at {DEGREES}: {np.median(penalised[:, -1]):.2g} against {medians[-1]:.2g}",
            holds=lower.min() >= MOST,
            only_when="the neuron over-fits, at the highest degree",
            there=lower[-1] >= MOST,
        ),
        judge(
            "Squares are a Gaussian likelihood, and ridge is its maximum a posteriori",
            rule=f"the weights of either are within {SAME:g}, relatively, of the closed form in every seed",
            figure=f"{figures['likelihood apart'][0]:.1e} and {figures['likelihood apart'][1]:.1e} apart at most",
            holds=max(figures["likelihood apart"]) <= SAME,
        ),
        judge(
            "Gradient descent from zero picks the least-norm solution among many",
            rule=f"it ends within {SAME:g} of it, relatively, in every seed, and from random weights further off",
            figure=f"{max(zero['apart']):.1e} off at most from 0, {min(random['apart']):.2g} at least from N(0, 1)",
            holds=met and max(zero["apart"]) <= SAME < min(random["apart"]),
        ),
        judge(
            "Adam from zero picks it, too",
            rule=f"it ends within {SAME:g} of it, relatively, in every seed",
            figure=f"{min(adam['apart']):.2g} to {max(adam['apart']):.2g} off",
            holds=met and max(adam["apart"]) <= SAME,
        ),
    ]
