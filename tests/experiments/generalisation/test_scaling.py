"""A quick run on the amount of training data: what falls with it, and that each rule can say no."""

import numpy as np
import pytest

import fnn
from experiments import data
from experiments.generalisation.scaling_claims import LINEAR, LOGISTIC, NETWORK, RADIAL, bootstrap, residuals, slope
from experiments.generalisation.scaling_models import (
    BATCH,
    batches,
    logistic_objective,
    machines,
    minimum,
    splits,
    wrong,
)
from experiments.generalisation.scaling_plots import STYLES
from tests.experiments.studying import Finished

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_every_error_falls_and_the_logistic_regression_has_converged(run):
    assert list(run.figures["errors"]) == [NETWORK, LOGISTIC, LINEAR, RADIAL] == list(STYLES)
    for found in run.figures["errors"].values():
        assert np.shape(found) == (len(run.study.amounts), run.study.seeds)
        means = np.mean(found, 1)
        assert 0.3 > means[0] > means[-1] > 0.02
    # Few digits are learned by heart.
    assert np.max(run.figures["seen"]) == 0
    assert run.verdict("has converged") == "holds"
    assert np.min(run.figures["above"]) > -1e-5


def power_laws(run: Finished, **exponents: float) -> dict:
    """Errors that are powers of the amount, in every split: N^−½, but for those that are given."""
    seeds, amounts = np.shape(run.figures["errors"][NETWORK])[1], np.array((40, 80, 160))
    shares = np.linspace(0.9, 1.1, seeds)
    powers = {name: exponents.get(name.split()[0], -0.5) for name in STYLES}
    return {name: ((amounts / 10.0) ** power)[:, None] * shares * 0.5 for name, power in powers.items()}


def listed(errors: dict) -> dict:
    """The errors as the figures hold them."""
    return {"errors": {name: np.asarray(found).tolist() for name, found in errors.items()}}


def test_the_rules_on_one_model_can_say_the_opposite(run):
    assert run.verdict("has converged", gradients=[1e-2]) == "does not hold"
    assert run.verdict("has converged", above=[1e-2]) == "does not hold"
    assert run.verdict("has converged", above=[-1e-2]) == "does not hold"
    laws = power_laws(run)
    for name in STYLES:
        assert run.verdict(f"less error: {name}", **listed(laws)) == "holds"
        late = laws | {name: laws[name][[0, 1, 1]]}
        early = laws | {name: laws[name][[0, 0, 2]]}
        assert run.verdict(f"less error: {name}", **listed(late)) == "holds only when there are at most 80 digits"
        assert run.verdict(f"less error: {name}", **listed(early)) == "does not hold"
    assert run.verdict("a power", **listed(laws)) == "holds"
    bent = {name: found * np.array([[1.0], [2.0], [1.0]]) for name, found in laws.items()}
    assert run.verdict("a power", **listed(bent)) == "does not hold"
    straight = bent | {NETWORK: laws[NETWORK], LINEAR: laws[LINEAR]}
    assert run.verdict("a power", **listed(straight)) == "holds only when the model is the network or the linear SVM"


def test_the_rules_between_models_can_say_the_opposite(run):
    steep = power_laws(run, network=-0.8)
    assert run.verdict("falls faster", **listed(steep)) == "holds"
    assert run.verdict("falls faster", **listed(power_laws(run, network=-0.8, linear=-1.0))) == (
        "holds only when the linear model is the logistic regression"
    )
    assert run.verdict("falls faster", **listed(power_laws(run, network=-0.3))) == "does not hold"
    crossing = steep | {NETWORK: 2 * steep[NETWORK]}
    for name in (LOGISTIC, LINEAR, RADIAL):
        assert run.verdict(f"more data than the {name}", **listed(crossing)) == "holds"
        # Better at every amount, and worse at every amount.
        assert run.verdict(f"more data than the {name}", **listed(steep)) == "does not hold"
        flat = power_laws(run, network=-0.3)
        assert run.verdict(f"more data than the {name}", **listed(flat)) == "does not hold"
    assert run.verdict("is the best", **listed(steep)) == "holds"
    assert run.verdict("is the best", **listed(power_laws(run, network=-0.8, radial=-1.0))) == "does not hold"


def test_a_split_holds_every_digit_once():
    split, everything = splits((3, 4), 1293), data.load_digits()
    assert [part[1].shape for part in split] == [(2, 1293), (2, data.VALIDATION), (2, data.TEST)]
    rows = np.concatenate([part.images for part in everything]).reshape(-1, 64)
    for i in range(2):
        found = np.concatenate([part[0][i] for part in split])
        np.testing.assert_array_equal(found[np.lexsort(found.T)], rows[np.lexsort(rows.T)])
    assert not np.array_equal(split.test[1][0], split.test[1][1])
    np.testing.assert_array_equal(splits((4,), 20).train[0][0], split.train[0][1][:20])


def test_batches_go_through_the_digits_again_and_again():
    rows = batches(0, (BATCH // 2, 2 * BATCH), steps=4)
    assert rows.shape == (2, 4, BATCH)
    np.testing.assert_array_equal(np.bincount(rows[0, 0]), [2] * (BATCH // 2))
    np.testing.assert_array_equal(np.bincount(rows[1, :2].ravel()), [1] * (2 * BATCH))


def test_the_minimum_worked_by_hand():
    # Three classes, each with an input of its own. By symmetry W = v (1 − ⅓), so that ‖W‖² = 2 v² and the own logit is
    # v above the others: log(1 + 2 e⁻ᵛ) + 2 v² / (2 C N) is least.
    x, labels, cost, v = np.eye(3), np.arange(3), 2.0, np.linspace(0, 5, 500_001)
    values = np.log1p(2 * np.exp(-v)) + v**2 / (cost * 3)
    np.testing.assert_allclose(minimum(x, labels, cost), values.min(), rtol=1e-9)
    # The other seven of the ten classes of the neurons never occur: their logits are far below.
    kernel, bias = np.zeros((3, 10)), np.full(10, -50.0)
    kernel[:, :3], bias[:3] = v[values.argmin()] * (np.eye(3) - 1 / 3), 0
    value, _ = logistic_objective(cost * 3)({"kernel": kernel, "bias": bias}, {}, (x, labels))
    np.testing.assert_allclose(value, values.min(), rtol=1e-6)


def test_the_share_of_wrong_digits_worked_by_hand():
    params = {"kernel": np.eye(2, dtype=np.float32), "bias": np.zeros(2, np.float32)}
    x, labels = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32), np.array([0, 0, 0, 1])
    assert float(wrong(fnn.Dense(2), params, (x, labels))) == 0.25
    assert float(wrong(fnn.Dense(2), params, (x, labels, np.array([1, 1, 0, 0], np.float32)))) == 0.5


def test_machines_learn_their_own_digits():
    split = splits((0,), 40)
    own = split._replace(test=split.train)
    errors = machines(own, (10, 40), "linear")
    assert errors.shape == (3, 2, 1, 2)
    assert errors[..., 1, 0, 1].max() == 0 < errors[..., 0, 0, 1].min()


def test_slopes_worked_by_hand():
    amounts, errors = (10, 100, 1000), np.array([[0.3, 0.5], [0.03, 0.05], [0.003, 0.005]])
    np.testing.assert_allclose(slope(amounts, errors), [-1, -1])
    assert bootstrap(amounts, errors) == pytest.approx((-1, -1))
    assert bootstrap(amounts, errors, np.sqrt(errors)) == pytest.approx((-0.5, -0.5))
    np.testing.assert_allclose(residuals(amounts, errors), 0, atol=1e-12)
    # In units of log 2, (0, 1, 0) is ⅓ above its middle line: 2^⅔ − 1 off in the middle, 2^−⅓ − 1 at the ends.
    bent = np.array([[1.0], [2.0], [1.0]])
    np.testing.assert_allclose(residuals(amounts, bent), [2 ** (-1 / 3) - 1, 2 ** (2 / 3) - 1, 2 ** (-1 / 3) - 1])
