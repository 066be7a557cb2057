"""A quick run of the notes' printed algorithms: which fail, and that each rule can say the opposite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.optimisation import literal_listings as printed
from experiments.optimisation import literal_right as right
from experiments.optimisation.literal_claims import SAME
from experiments.optimisation.literal_decay import decays, penalty_slopes

pytestmark = pytest.mark.full  # of the experiments, the quick proof runs that on digits


def test_ascent_diverges_and_descent_converges(run):
    for found in run.figures["signs"].values():
        assert min(found["printed"]["last"]) > 100
        assert max(found["δ"]["last"]) < 0.5
        assert max(found["fnn"]["last"]) < 0.5
        assert all(len(found["fnn"][word]) == run.study.updates for word in ("low", "median", "high"))
    assert run.verdict("descends") == "holds only when δ = target − output stands for the gradient"


def test_the_direction_is_further_off_at_a_larger_rate(run):
    order = {name: np.array(each) for name, each in run.figures["order"].items()}
    assert (np.diff(np.median(order["off"], 1)) > 0).all()
    assert order["off"].min() > SAME
    assert order["cosine"].max() < 1
    assert (order["losses"] > 0).all()
    assert run.verdict("before the error passes back") == "does not hold"


def test_formulas_fail_where_those_of_fnn_do_not(run):
    reach = run.figures["reach"]
    assert reach["softmax"]["printed"] == {"right up to": 88.5, "finite up to": 88.5}  # log(float32's largest) = 88.72
    assert reach["binary cross-entropy"]["printed"]["right up to"] < 17
    assert all(each["fnn"]["right up to"] == 1e6 for each in reach.values())
    assert run.figures["adagrad"]["printed"]["infinite"] == 10_000
    assert run.figures["adagrad"]["fnn"]["largest"] == pytest.approx(1)
    assert run.verdict("computed by their formulas") == "holds only when no logit exceeds ±16.5"
    assert run.verdict("AdaGrad") == run.verdict("mini-batch loop") == run.verdict("sum over 0") == "does not hold"
    assert run.verdict("gradient of λ‖w‖²") == "holds only when ½ stands before it"
    assert run.verdict("equals a penalty") == "holds only when d is the gradient itself"
    assert run.verdict("decoupled decay") == "holds"


def test_every_rule_can_say_the_opposite(run):
    signs, order, reach = run.figures["signs"], run.figures["order"], run.figures["reach"]
    batch, adagrad = signs["batch"], run.figures["adagrad"]
    swapped = {kind: each | {"printed": each["fnn"]} for kind, each in signs.items()}
    assert run.verdict("descends", signs=swapped) == "holds"
    grown = signs | {"batch": batch | {"printed": batch["fnn"], "δ": batch["printed"]}}
    assert run.verdict("descends", signs=grown) == "does not hold"
    small = {k: {n: v | {"last": run.figures["least"]} for n, v in each.items()} for k, each in signs.items()}
    assert run.verdict("w ← w − α ∂L/∂w does", signs=small) == "holds"
    assert run.verdict("w ← w − α ∂L/∂w does", signs=grown | {"batch": batch | {"fnn": batch["printed"]}}) != "holds"
    exact = (np.array(order["off"]) * 0).tolist()
    assert run.verdict("before the error passes back", order=order | {"off": exact}) == "holds"
    lower = (np.ones_like(order["losses"]) * [1.0, 0.5]).tolist()
    assert run.verdict("costs loss", order=order | {"losses": lower}) == "holds"
    assert run.verdict("costs loss", order=order | {"losses": np.flip(lower, -1).tolist()}) == "does not hold"
    assert run.verdict("AdaGrad", adagrad=adagrad | {"printed": adagrad["fnn"]}) == "holds"
    short = {"infinite": 0, "largest": 1.0}
    assert run.verdict("AdaGrad", adagrad=adagrad | {"ε": short}) == "holds only when ε stands under the root"
    ours = {name: each | {"printed": each["fnn"]} for name, each in reach.items()}
    assert run.verdict("computed by their formulas", reach=ours) == "holds"
    theirs = {name: each | {"fnn": each["printed"]} for name, each in reach.items()}
    assert run.verdict("Those of fnn", reach=reach) == "holds"
    assert run.verdict("Those of fnn", reach=theirs) == "does not hold"
    assert run.verdict("mini-batch loop", minibatches={"printed": [32, 32, 32, 4], "fnn": 4}) == "holds"
    assert run.verdict("sum over 0", softmax={"printed": [1.0, 1.0], "fnn": [1.0, 1.0]}) == "holds"
    assert run.verdict("gradient of λ‖w‖²", slopes={"‖w‖²": 1.0, "L2": 1.0}) == "holds"
    assert run.verdict("gradient of λ‖w‖²", slopes={"‖w‖²": 2.0, "L2": 2.0}) == "does not hold"
    assert run.verdict("equals a penalty", decay={"descent": [0.0, 0.0], "Adam": [0.0, 0.0]}) == "holds"
    assert run.verdict("equals a penalty", decay={"descent": [0.1, 0.0], "Adam": [0.1, 0.0]}) == "does not hold"
    assert run.verdict("decoupled decay", decay={"descent": [0.0, 0.0], "Adam": [0.0, 0.1]}) == "does not hold"


def test_one_update_of_each_listing_worked_by_hand():
    x, y, rows = np.array([[1.0], [2.0]]), np.array([1.0, 4.0]), np.array([[0, 1]])
    # ∂L/∂w at 0 is 2 (1·(−1) + 2·(−4)) / 2 = −9, and the mean of δ x is 4.5.
    assert printed.gradient(x, y, np.zeros(1)) == [-9]
    # At w = −0.9 the errors are 1.9 and 5.8, at 0.45 they are 0.55 and 3.1.
    assert printed.listing(x, y, rows, 0.1, printed.gradient) == pytest.approx([(1.9**2 + 5.8**2) / 2])
    assert printed.listing(x, y, rows, 0.1, printed.delta_rule) == pytest.approx([(0.55**2 + 3.1**2) / 2])
    # fnn goes to 0.9, where they are 0.1 and 2.2.
    losses = right.descent(jnp.asarray(x), jnp.asarray(y)[:, None], jnp.asarray(rows), 0.1)
    np.testing.assert_allclose(losses, [(0.1**2 + 2.2**2) / 2], rtol=1e-6)


def test_the_order_of_updates_worked_by_hand():
    # W₁ = 0 and W₂ = 1/8: every A₁ is ½, both Z₂ are ½, and δ₂ = 2 (A₂ − 0) / 2 ⊙ A₂ (1 − A₂).
    params = {"dense_0": {"kernel": jnp.zeros((4, 8)), "bias": jnp.zeros(8)}}
    params |= {"dense_1": {"kernel": jnp.full((8, 2), 0.125), "bias": jnp.zeros(2)}}
    batch = jnp.array([[3.0, 0.0, 0.0, 0.0]]), jnp.zeros((1, 2))
    output = 1 / (1 + np.exp(-0.5))
    delta = output * output * (1 - output)
    moved = printed.updated_first(params, *batch, jnp.asarray(2.0))
    second = 0.125 - 2 * 0.5 * delta
    np.testing.assert_allclose(moved["dense_1"]["kernel"], np.full((8, 2), second), rtol=1e-6)
    # Both outputs pass δ₂ W₂ back, with the new W₂, times A₁ (1 − A₁) = ¼.
    np.testing.assert_allclose(moved["dense_0"]["kernel"][0], np.full(8, -2 * 3 * 2 * delta * second / 4), rtol=1e-5)
    np.testing.assert_allclose(moved["dense_0"]["bias"], np.full(8, -2 * 2 * delta * second / 4), rtol=1e-5)
    # All weights change alike: the direction is that of the gradient, up to its length and here its sign.
    found = right.both_orders(params, batch, jnp.asarray(2.0), 1)
    np.testing.assert_allclose(found["off"], 1 - second / 0.125, rtol=1e-5)
    np.testing.assert_allclose(found["cosine"], np.sign(second), rtol=1e-6)


def test_sums_and_loops_worked_by_hand():
    assert printed.minibatches(4, 2) == [2, 2, 0]
    assert right.updates_of_fnn(4, 2) == 2
    np.testing.assert_allclose(printed.softmax_sum(np.zeros((1, 3))), [0.75])
    assert right.softmax_sums(np.zeros((1, 3)))["fnn"] == pytest.approx([1, 1])
    np.testing.assert_allclose(printed.adagrad_first_step(np.array([3.0]), 4.0), [1.5])
    steps = right.adagrad_steps(np.array([[3e-4, -2.0]]))
    assert steps["printed"] == {"infinite": 2, "largest": 0}
    assert steps["ε"] == {"infinite": 0, "largest": pytest.approx(2e4)}
    rows = right.shuffled(0, 4, 2, 3)
    assert rows.shape == (3, 2)
    assert sorted(rows[:2].ravel()) == [0, 1, 2, 3]


def test_the_reach_of_a_formula_worked_by_hand():
    # Wrong from 100 on with one of the signs, infinite from 150 on.
    def formula(z):
        return np.where(z >= 150, np.inf, np.where(z >= 100, 0, z))

    assert right.reach(formula, lambda z: z) == {"right up to": 99.75, "finite up to": 149.75}
    assert right.reach(lambda z: z, lambda z: z) == {"right up to": 1e6, "finite up to": 1e6}
    assert right.rounded(np.array([1.23456])) == [1.235]


def test_decay_worked_by_hand():
    slopes = penalty_slopes(np.array([1.0, -2.0]), 0.5)
    assert slopes == {"‖w‖²": pytest.approx(2), "L2": pytest.approx(1)}
    # Without data to fit, descent only shrinks: (1 − λ)² w after two steps, as with a penalty of λ/η.
    nothing = np.zeros((2, 1)), np.zeros(2)
    found = decays(*nothing, rate=0.1, strength=0.25, steps=2)
    np.testing.assert_allclose(printed.decoupled(jnp.zeros_like, jnp.ones(2), 0.1, 0.25, 2), 0.75**2)
    assert max(found["descent"]) < 1e-14
    # Adam steps by the rate if the penalty is all of the gradient: 1 − 0.1 after one step, against 1 − 0.25.
    assert decays(*nothing, rate=0.1, strength=0.25, steps=1)["Adam"] == pytest.approx([(0.9 - 0.75) / 0.75, 0])


def test_adam_with_decay_worked_by_hand():
    # Its first step is the sign of the gradient.
    with jax.enable_x64(True):
        found = printed.adam_decoupled(lambda w: 3 * jnp.ones_like(w), jnp.array([2.0]), 0.1, 0.25, 1)
    np.testing.assert_allclose(found, [2 - 0.1 - 0.5], rtol=1e-7)
