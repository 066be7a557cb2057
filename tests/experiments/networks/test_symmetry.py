"""A quick run of the symmetries: what changes and what does not, that each rule can say no, and matching by hand."""

import jax
import numpy as np
import pytest

import fnn
from experiments.networks.symmetry import Symmetry, one
from experiments.networks.symmetry_claims import span
from experiments.networks.symmetry_units import barrier, changes, matched, most, transformed

pytestmark = pytest.mark.full


def test_the_symmetries_and_the_barriers(run):
    assert run.verdict("Permuting hidden units") == "holds"
    assert run.verdict("changing all signs") == "holds only when the activation is tanh"
    assert run.verdict("Scaling a unit") == "holds only when the activation is ReLU"
    assert run.verdict("Where it leaves the loss") == "holds"
    for kinds in run.figures["lines"].values():
        before, after = ([barrier(line) for line in kinds[kind]] for kind in ("before", "after"))
        assert len(before) == run.study.pairs
        assert max(after) < 0.5 * min(before)
        # The ends are the same networks.
        np.testing.assert_allclose(
            np.array(kinds["before"])[:, [0, -1]], np.array(kinds["after"])[:, [0, -1]], rtol=1e-4
        )


def test_every_rule_can_say_the_opposite(run):
    small, trained, lines = run.figures["small"], run.figures["trained"], run.figures["lines"]

    def with_change(activation: str, kind: str, **values) -> dict:
        return small | {activation: small[activation] | {kind: small[activation][kind] | values}}

    rounding, large = [0.0, 1e-16, 2e-16], [0.0, 0.1, 0.2]
    broken = {name: {"permuted": each["permuted"] | {"gradient": large}} for name, each in trained.items()}
    assert run.verdict("Permuting hidden units", trained=broken) == "does not hold"
    assert run.verdict("Permuting hidden units", small=with_change("tanh", "permuted", loss=large)) == "does not hold"
    even = with_change("ReLU", "signs changed", loss=rounding, gradient=rounding)
    assert run.verdict("changing all signs", small=even) == "holds"
    neither = with_change("tanh", "signs changed", loss=large)
    assert run.verdict("changing all signs", small=neither) == "does not hold"
    assert run.verdict("Scaling a unit", small=with_change("tanh", "scaled", loss=rounding)) == "holds"
    assert run.verdict("Scaling a unit", small=with_change("ReLU", "scaled", loss=large)) == "does not hold"
    assert (
        run.verdict("Where it leaves the loss", small=with_change("ReLU", "scaled", gradient=rounding))
        == "does not hold"
    )
    assert run.verdict("Where it leaves the loss", small=with_change("ReLU", "scaled", loss=large)) == "does not hold"
    flat = {name: each | {"before": each["after"]} for name, each in lines.items()}
    assert run.verdict("has a high barrier", lines=flat) == "does not hold"
    assert run.verdict("lowers it much", lines=flat) == "does not hold"
    assert run.verdict("lowers it much") == "holds"


def test_the_moves_are_all_permutations_and_all_changes_of_sign():
    moves = Symmetry(units=3, draws=2).moves(np.random.default_rng(0))
    assert {tuple(order) for order, _ in moves["permuted"]} == {(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}
    assert len({tuple(factors) for _, factors in moves["signs changed"]}) == 7
    assert all((np.abs(factors) == 1).all() and factors.min() == -1 for _, factors in moves["signs changed"])
    assert [(factors > 0).all() for _, factors in moves["scaled"]] == [True, True]


def two_units() -> dict:
    return {
        "dense_0": {"kernel": np.array([[1.0, 2], [3, 4]]), "bias": np.array([5.0, 6])},
        "dense_1": {"kernel": np.array([[7.0, -7], [8, 9]]), "bias": np.array([0.5, 0])},
    }


def test_a_transformed_network_by_hand():
    moved = transformed(two_units(), np.array([1, 0]), np.array([-1.0, 2]))
    np.testing.assert_array_equal(moved["dense_0"]["kernel"], [[4, -1], [8, -3]])
    np.testing.assert_array_equal(moved["dense_0"]["bias"], [12, -5])
    np.testing.assert_array_equal(moved["dense_1"]["kernel"], [[4, 4.5], [-7, 7]])
    np.testing.assert_array_equal(moved["dense_1"]["bias"], [0.5, 0])


@pytest.mark.parametrize("signs", [True, False])
def test_matching_undoes_a_permutation_and_changes_of_sign(signs):
    random = np.random.default_rng(1)
    params = {
        "dense_0": {"kernel": random.normal(size=(6, 5)), "bias": random.normal(size=5)},
        "dense_1": {"kernel": random.normal(size=(5, 3)), "bias": random.normal(size=3)},
    }
    factor = np.array([1.0, -1, -1, 1, -1]) if signs else np.ones(5)
    found = matched(params, transformed(params, np.array([3, 0, 4, 1, 2]), factor), signs=signs)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_relative_changes_of_a_model_worked_by_hand():
    # One unit x w = 1 · 1, output v = 1, mean squared error against 3: the loss is (1 − 3)² = 4, and its derivatives
    # by w, b, v and c are all −4: norm 8. With w and b doubled and v halved the loss stays, those of w and b halve,
    # that of v doubles: √(2² + 2² + 8² + 4²) = √88.
    model = fnn.Serial(fnn.Dense(1), fnn.Relu(), fnn.Dense(1))
    params = {"dense_0": {"kernel": np.ones((1, 1)), "bias": np.zeros(1)}} | {
        "dense_1": {"kernel": np.ones((1, 1)), "bias": np.zeros(1)}
    }
    batch, order = (np.ones((1, 1)), np.full((1, 1), 3.0)), np.array([0])
    kinds = {"same": [(order, np.ones(1))], "scaled": [(order, np.full(1, 2.0)), (order, np.ones(1))]}
    found = changes(fnn.Objective(model, fnn.MeanSquaredError()), params, batch, kinds)
    assert found["same"] == {"loss": [0, 0, 0], "gradient": [0, 0, 0]}
    assert found["scaled"]["loss"] == [0, 0, 0]
    change = np.sqrt(88) / 8 - 1
    np.testing.assert_allclose(found["scaled"]["gradient"], [0, change / 2, change], atol=1e-15)
    assert most(found["scaled"]) == pytest.approx(change)


def test_barriers_and_words():
    assert barrier([1.0, 2.0, 3.0]) == 0
    assert barrier([1.0, 5.0, 3.0]) == 3
    assert one({"a": np.array([[1, 2], [3, 4]])}, 1)["a"].tolist() == [3, 4]
    assert span([0.25, 0.125]) == "0.125 to 0.250"
