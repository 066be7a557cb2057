"""A quick run on initial weights: what vanishes and explodes, and that each rule can say no."""

import copy

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from experiments.depth.initialisation_claims import VARIANCES
from experiments.depth.initialisation_sizes import change, ends, report_sizes, root_mean_square, rounded, with_kernels
from experiments.depth.one_of import OneOf

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits

TINY, LARGE = VARIANCES[0], VARIANCES[-1]


def test_what_vanishes_and_explodes_and_what_keeps_its_size(run):
    relu, tanh, sigmoid = (run.figures["plain"][name] for name in ("ReLU", "tanh", "sigmoid"))
    for found in (relu, tanh):
        assert ends(found[TINY], "activations").max() < 1e-10
    for kind in ("activations", "deltas"):
        assert ends(relu[TINY], kind).max() < 1e-10 < 1e10 < ends(relu[LARGE], kind).min()
        assert change(relu["He"][kind]) < 5 < change(relu["Glorot"][kind])
        assert change(tanh["Glorot"][kind]) < 10
    np.testing.assert_allclose(ends(tanh[LARGE], "activations"), 1, atol=0.01)
    np.testing.assert_allclose(sigmoid[TINY]["activations"], 0.5, atol=0.01)
    assert min(tanh[LARGE]["lost"]) == 1
    assert max(tanh["Glorot"]["lost"]) == 0
    # Without batch norm, the gradient of a bias is nothing like a rounding error.
    assert min(tanh["Glorot"]["bias"]) > 0.1 > 1e-13 > max(run.figures["batch norm"]["tanh"]["Glorot"]["bias"])


def test_weights_of_another_variance_are_the_same_but_for_their_size(run):
    small, large = (np.array(run.figures["plain"]["ReLU"][name]["activations"])[:, 0] for name in ("1e-2", "1e2"))
    np.testing.assert_allclose(large, 100 * small, rtol=0.01)


def test_every_rule_can_say_the_opposite(run):
    plain, normed = run.figures["plain"], run.figures["batch norm"]
    relus = dict.fromkeys(plain, plain["ReLU"])
    for kind in ("activations vanish", "deltas vanish"):
        assert run.verdict(f"makes {kind}") == "holds only when the activation is ReLU"
        assert run.verdict(f"makes {kind}", plain=relus) == "holds"
        assert run.verdict(f"makes {kind}", plain=dict.fromkeys(plain, plain["tanh"])) == "does not hold"
    saturated = copy.deepcopy(plain)
    for name in VARIANCES:
        saturated["tanh"][name]["lost"] = [float(float(name) >= 1)] * run.study.seeds
    assert run.verdict("saturates tanh", plain=saturated) == "holds"
    saturated["tanh"]["1e0"]["lost"] = [1.0, 0.5]
    assert run.verdict("saturates tanh", plain=saturated) == "holds only when σ² is at least 1e1"
    saturated["tanh"][LARGE]["lost"] = [1.0, 0.9]
    assert run.verdict("saturates tanh", plain=saturated) == "does not hold"
    assert run.verdict("sigmoids at ½", plain=plain | {"sigmoid": plain["tanh"]}) == "does not hold"
    for weights in ("He", "Glorot"):
        assert run.verdict(f"{weights} weights keep", plain=dict.fromkeys(plain, plain["sigmoid"])) == "does not hold"
        kept = {name: found | {weights: normed["sigmoid"][weights]} for name, found in plain.items()}
        assert run.verdict(f"{weights} weights keep", plain=kept) == "holds"
    grown = {name: found | {"He": plain["sigmoid"]["He"]} for name, found in normed.items()}
    assert run.verdict("Batch norm keeps", **{"batch norm": grown}) == "does not hold"
    assert run.verdict("do not depend on σ²", **{"batch norm": plain}) == "does not hold"
    assert run.verdict("do not depend on σ²", **{"batch norm": same_for_all(normed)}) == "holds"
    for bias, verdict in ((0.0, "holds"), (1e-14, "holds only when rounding is set aside"), (0.1, "does not hold")):
        changed = {name: {each: found | {"bias": [bias]} for each, found in normed[name].items()} for name in normed}
        assert run.verdict("bias before a batch norm", **{"batch norm": changed}) == verdict
    units = {"differ": [0.0, 0.0], "learned": [0.3, 0.2], "loss": [2.0, 2.0]}
    assert run.verdict("stay identical", units=units) == "holds"
    rounding = units | {"differ": [0.0, 1e-9]}
    assert run.verdict("stay identical", units=rounding) == "holds only when rounding is set aside"
    assert run.verdict("stay identical", units=units | {"differ": [0.0, 1e-3]}) == "does not hold"
    assert run.verdict("stay identical", units=units | {"learned": [0.3, 0.0]}) == "does not hold"


def same_for_all(figures: dict) -> dict:
    """The figures with those of σ² = 1 for every σ²."""
    return {name: found | dict.fromkeys(VARIANCES, found["1e0"]) for name, found in figures.items()}


def test_the_sizes_that_a_rule_reports_worked_by_hand():
    model = fnn.Serial(fnn.Dense(2), activation=OneOf((fnn.Tanh(), fnn.Relu()), 1))
    params = {"dense_0": {"kernel": jnp.array([[1.0, -1.0]]), "bias": jnp.zeros(2)}}
    # Inputs 3 and −4 give (3, 0) and (0, 4): of the gradients of ones, those of the positive inputs remain.
    _, _, cache = model.forward(params, {}, jnp.array([[3.0], [-4.0]]))
    found = fnn.backprop(model, cache, jnp.array([[1.0, 1.0], [1.0, 2.0]]), report_sizes)[0]
    np.testing.assert_allclose(found["activation"]["activations"], np.sqrt((9 + 16) / 4))
    np.testing.assert_allclose(found["activation"]["deltas"], np.sqrt((1 + 4) / 4))
    assert found["activation"]["lost"] == 0
    assert found["dense_0"]["bias"] == 1
    # A second sample without any gradient is lost, and gradients 3 and −1 of one bias leave 2 of 4.
    found = fnn.backprop(model, cache, jnp.array([[1.0, 1.0], [1.0, 0.0]]), report_sizes)[0]
    assert found["activation"]["lost"] == 0.5
    dense = fnn.Dense(1)
    _, _, cache = dense.forward({"kernel": jnp.ones((1, 1)), "bias": jnp.zeros(1)}, {}, jnp.ones((2, 1)))
    assert fnn.backprop(dense, cache, jnp.array([[3.0], [-1.0]]), report_sizes)[0]["bias"] == 0.5


def test_helpers_worked_by_hand():
    np.testing.assert_allclose(root_mean_square(jnp.array([3.0, 0.0, 4.0, 0.0])), 2.5)
    np.testing.assert_allclose(root_mean_square(jnp.array([3e-30, 4e-30])), np.sqrt(12.5) * 1e-30, rtol=1e-6)
    assert root_mean_square(jnp.zeros(3)) == 0
    assert change([[1.0, 2.0], [6.0, 2.0]]) == 3
    assert change([[1.0, 0.0]]) == change([[0.0, 0.0]]) == np.inf
    found = {"activations": [[1, 2, 3], [4, 5, 6]], "deltas": [[1, 2, 3], [4, 5, 6]]}
    assert ends(found, "activations").tolist() == [3, 6]
    assert ends(found, "deltas").tolist() == [1, 4]
    assert rounded(np.array([[1.23456e-30], [98765.0]])) == [[1.23e-30], [98800.0]]
    model = fnn.Repeat(fnn.Serial(fnn.Dense(1), activation=fnn.Tanh()), 2)
    params, state = with_kernels(model, jnp.array([[[2.0]], [[3.0]]]), jnp.ones((1, 1)))
    np.testing.assert_allclose(model.apply(params, state, jnp.ones((1, 1)))[0], np.tanh(3 * np.tanh(2.0)), rtol=1e-6)
