"""Right models pass, and the numbers of a report are what they say."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.gradients.compare import METHODS, compare_gradients
from tests.gradients.reports import good, labels, normal, report_of

TWO = ("manual", "reverse")
by_two_and_by_all = pytest.mark.parametrize(
    "methods", [TWO, pytest.param(METHODS, marks=pytest.mark.full)], ids=["two", "all"]
)


def test_numbers_worked_by_hand():
    # y = 2 · 3 = 6 and 2 · (−1) = −2 against 0 and 0: loss = (36 + 4)/2 = 20, dy = 2y/2 = (6, −2), dw = 6·3 + 2 = 20.
    report = report_of(
        fnn.Dense(1, use_bias=False),
        np.array([[3.0], [-1.0]], np.float32),
        np.zeros((2, 1), np.float32),
        loss=fnn.MeanSquaredError(),
        change=lambda params: {"kernel": jnp.array([[2.0]])},
    )
    kernel, delta = report.rows
    assert (kernel.path, kernel.norm, kernel["manual"].value, kernel["manual"].expected) == ("kernel", 20, 20, 20)
    assert (delta.path, delta.name, delta.shape) == ("", "(model)", (2, 1))
    assert delta.norm == pytest.approx(np.sqrt(40))
    assert report.max_error == 0.0
    assert report["kernel"]["finite"].value == pytest.approx(20, rel=1e-11)


@pytest.mark.full
def test_a_residual_net_with_repeat_and_remat_has_a_delta_for_every_round():
    block = fnn.Residual(fnn.Serial(fnn.LayerNorm(), fnn.Dense(6), fnn.Gelu(), fnn.Dense(4)))
    model = fnn.Serial(fnn.Dense(4), blocks=fnn.Repeat(fnn.Remat(block), 3), head=fnn.Dense(2))
    report = report_of(model, normal(3, 5), labels(3, 2))
    assert report.ok
    assert report["blocks/dense_0"].shape == (3, 3, 6)
    assert report["blocks/dense_0/kernel"].shape == (3, 4, 6)
    assert report.error_of(kind="delta") > 0


def test_branches_and_a_shortcut_pass():
    model = fnn.Serial(
        fnn.Parallel(fnn.Dense(3), fnn.Serial(fnn.Dense(3), fnn.Tanh()), merge="multiply"),
        fnn.Residual(fnn.Dense(2), fnn.Dense(2)),
    )
    report = report_of(model, normal(3, 4), labels(3, 2), methods=TWO)
    assert report.ok
    assert "residual_0/shortcut" in [row.path for row in report.rows]


@pytest.mark.full
@by_two_and_by_all
def test_integer_inputs_have_no_delta_and_weights_count(methods):
    model = fnn.Serial(fnn.Reshape((4,)), fnn.Embedding(6, 3), fnn.Flatten(), fnn.Dense(2))
    report = report_of(model, labels((3, 2, 2), 6), labels(3, 2), np.array([1, 0, 2], np.float32), methods=methods)
    assert report.ok
    assert [row.path for row in report.rows if row.kind == "delta"] == ["embedding_0", "flatten_0", "dense_0"]
    assert report["dense_0/kernel"].norm > 0


@pytest.mark.full
@pytest.mark.parametrize("methods", [TWO, METHODS], ids=["two", "all"])
def test_weights_of_zero_make_every_leaf_zero_and_pass(methods):
    report = report_of(fnn.Dense(2), normal(3, 4), labels(3, 2), np.zeros(3, np.float32), methods=methods)
    assert report.ok
    assert all(row.zero for row in report.rows)
    assert report.max_error == 0.0


@pytest.mark.full
def test_penalties_are_part_of_the_parameter_rows():
    def norm(*penalties):
        return report_of(fnn.Dense(2), normal(3, 4), labels(3, 2), penalties=penalties, methods=TWO)

    plain, penalised = norm(), norm(fnn.L2(10.0))
    assert penalised.ok
    assert penalised["kernel"].norm > 2 * plain["kernel"].norm
    assert penalised["bias"].norm == plain["bias"].norm


LOSSES_ON_KINKS = {
    "loss: 2 of 4 predictions equal the target": (fnn.MeanAbsoluteError(), (4, 1), np.array([[0.0], [0], [1], [2]])),
    "loss: 4 of 4 margins are exactly 0": (fnn.PerceptronLoss(), (4, 1), np.array([[1], [1], [-1], [1]])),
    "loss: 4 of 4 margins are exactly 1, or those of several rivals": (fnn.MultiClassHinge(), (4, 3), np.zeros(4, int)),
    "loss: 4 of 4 triplets are exactly on the margin, or have points that coincide": (
        fnn.Triplet(1.0),
        (4, 3, 2),
        None,
    ),
}


@by_two_and_by_all
@pytest.mark.parametrize("note", LOSSES_ON_KINKS)
def test_the_kinks_of_losses_are_found(note: str, methods):
    loss, shape, target = LOSSES_ON_KINKS[note]
    zero = lambda params: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
    report = report_of(fnn.Dense(shape[-1]), normal(*shape), target, loss=loss, change=zero, methods=methods)
    assert report.ok, str(report)
    assert [str(kink) for kink in report.kinks] == [note]


def test_zeros_under_an_l1_penalty_are_kinks():
    zero_row = lambda params: {**params, "kernel": params["kernel"].at[0].set(0)}  # noqa: E731
    report = report_of(fnn.Dense(2), normal(3, 4), labels(3, 2), penalties=(fnn.L1(0.1),), change=zero_row)
    assert "L1(strength=0.1, paths='*/kernel'): 2 of 8 parameters are exactly 0" in [str(kink) for kink in report.kinks]
    assert report["kernel"]["finite"].skipped == 2
    assert report["kernel"]["finite"].status == "ok"


def test_inference_differs_from_training():
    model = fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5), fnn.Dense(2))
    training = report_of(model, normal(3, 4), labels(3, 2), methods=TWO)
    inference = report_of(model, normal(3, 4), labels(3, 2), methods=TWO, train=False, key=None)
    assert training.ok
    assert inference.ok
    assert training["dense_0/kernel"].norm != inference["dense_0/kernel"].norm


def test_a_layer_without_a_hand_rule_is_called_auto():
    @dataclasses.dataclass(frozen=True)
    class Cube(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x**3, state

    report = report_of(fnn.Serial(fnn.Dense(3), Cube()), normal(3, 4), labels(3, 3), methods=TWO)
    assert report.ok
    assert {row.path: row.rule for row in report.rows}["cube_0"] == "auto"
    assert report["dense_0/kernel"].rule == "hand"


@by_two_and_by_all
def test_layers_that_give_a_tuple_have_a_delta_for_every_floating_member(methods):
    @dataclasses.dataclass(frozen=True)
    class Split(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return (x[:, :2], x > 0, x[:, 2:]), state

    @dataclasses.dataclass(frozen=True)
    class Join(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x[0] * x[2] + x[1][:, :2], state

    report = report_of(fnn.Serial(fnn.Dense(4), Split(), Join()), normal(3, 4), labels(3, 2), methods=methods)
    assert report.ok
    assert [row.path for row in report.rows if row.kind == "delta"] == ["dense_0", "split_0/0", "split_0/2", "join_0"]


@pytest.mark.full
def test_float32_is_held_against_float64():
    report = report_of(fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2)), normal(3, 4), labels(3, 2), dtype="float32")
    assert report.ok
    assert report.compared == ("manual", "reverse", "forward", "finite")
    assert 1e-9 < report.max_error < 1e-5
    assert report.error_of("finite") < 1e-9


@by_two_and_by_all
def test_the_result_does_not_depend_on_the_callers_x64_nor_change_it(methods):
    model = fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5), fnn.BatchNorm(), fnn.Dense(2))
    inputs, targets = normal(4, 5), labels(4, 2)
    objective = fnn.Objective(model, fnn.CrossEntropy())
    with jax.enable_x64(False):
        params, state = objective.init(jax.random.key(0), inputs)
    reports = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            reports.append(
                compare_gradients(
                    objective, params, state, (inputs, targets), key=jax.random.key(1), cost=False, methods=methods
                )
            )
            assert jax.config.read("jax_enable_x64") is x64
    assert reports[0] == reports[1]


def test_a_repeated_call_gives_the_same_report_and_another_seed_other_directions():
    run = lambda **more: report_of(fnn.Dense(3), normal(4, 5), labels(4, 3), entrywise=4, **more)  # noqa: E731
    one, same, other = run(), run(), run(seed=1)
    assert one == same
    assert one["kernel"]["finite"].absolute != other["kernel"]["finite"].absolute
    assert one["kernel"]["finite"].directional
    assert one["kernel"]["finite"].worst is None
    assert other.ok


def test_a_value_that_is_not_finite_fails_and_json_stays_strict():
    # A label out of range makes the value NaN, while both gradients leave that sample out and agree.
    report = report_of(fnn.Dense(2), normal(3, 4), np.array([0, 1, 7]), entrywise=4)
    assert not report.ok
    assert report["kernel"]["manual"].ok
    assert report["kernel"]["finite"].note == "not finite"
    assert report.verdict.startswith("the value is nan: is a label")
    assert json.loads(report.to_json())["value"] is None
    assert "not finite" in str(report)
    assert "not finite" in report.to_markdown()


def test_comparing_again_on_another_batch_compiles_nothing(caplog):
    objective, params, state, (inputs, targets) = good()
    compare_gradients(objective, params, state, (inputs, targets), cost=False)
    equal = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        compare_gradients(equal, params, state, (inputs + 1, targets), cost=False)
    assert not [record.message for record in caplog.records if "Compiling" in record.message]


def test_what_only_rounding_lets_pass_is_marked():
    # A value of a million has a rounding error of 1e-10, and the gradient of the small term drowns in it.
    targets = np.array([[1e6], [0.0]], np.float32)
    shrink = lambda params: {"kernel": params["kernel"].at[0].set(1e-6)}  # noqa: E731
    report = report_of(
        fnn.Dense(1, use_bias=False),
        np.array([[0.0], [1e-6]], np.float32),
        targets,
        loss=fnn.MeanSquaredError(),
        change=shrink,
    )
    found = report["kernel"]["finite"]
    assert report.ok
    assert found.within_rounding
    assert not report["kernel"]["manual"].within_rounding
    assert f"{found.relative:.1e}"[:3] in str(report)
    assert "finite = reverse as far as rounding lets it tell, over 2 leaves" in report.verdict
    assert "~: no further off than rounding" in str(report)
