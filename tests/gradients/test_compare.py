"""Right models pass, and the numbers of a report are what they say."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.gradients.compare import compare_gradients
from fnn.gradients.makers import delta_rules
from fnn.gradients.methods import METHODS
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


@pytest.mark.full
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


@pytest.mark.full
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


@pytest.mark.full
def test_inference_differs_from_training():
    model = fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5), fnn.Dense(2))
    training = report_of(model, normal(3, 4), labels(3, 2), methods=TWO)
    inference = report_of(model, normal(3, 4), labels(3, 2), methods=TWO, train=False, key=None)
    assert training.ok
    assert inference.ok
    assert training["dense_0/kernel"].norm != inference["dense_0/kernel"].norm


@dataclasses.dataclass(frozen=True)
class Cube(fnn.Layer):
    def apply(self, params, state, x, *, train=False, key=None):
        return x**3, state


def test_a_layer_without_a_hand_rule_is_called_auto_and_confirmed_by_other_methods_alone():
    """Manual is jax.vjp there, as reverse is: that they agree was once taken for a confirmation."""
    model, batch = fnn.Serial(fnn.Dense(3), Cube()), (normal(3, 4), labels(3, 3))
    report = report_of(model, *batch, methods=TWO)
    assert {row.path: row.rule for row in report.rows}["cube_0"] == "auto"
    assert report["dense_0/kernel"].rule == "hand"
    # The delta behind the cube is made by the loss; that in front of it by jax.vjp of the cube.
    assert [row.name for row in report.unconfirmed] == ["dense_0"]
    assert report["dense_0"]["manual"].status == "auto"
    assert report["cube_0"]["manual"].status == "ok"
    assert not report.ok
    assert not report.failures
    assert "not confirmed, since nothing was judged there: dense_0; compare 'forward' or 'finite' too" in report.verdict
    assert "(1 automatic, not judged)" in report.verdict
    assert "auto: made by a rule that is jax.vjp itself" in str(report)
    assert repr(report).endswith("unconfirmed=['dense_0'])")
    assert json.loads(report.to_json())["rows"][2]["confirmed"] is False
    assert report_of(model, *batch, methods=(*TWO, "forward")).ok


RULES = {
    "serial": (fnn.Serial(fnn.Dense(3), fnn.Serial(), Cube(), fnn.Dense(3)), ["dense_0"]),
    "the last": (fnn.Serial(fnn.Serial(fnn.Dense(3), fnn.Tanh()), fnn.Serial(Cube())), ["serial_0/tanh_0"]),
    "a branch may be behind its neighbour": (fnn.Serial(fnn.Parallel(fnn.Tanh(), Cube())), ["parallel_0/tanh_0"]),
    "behind branches": (
        fnn.Serial(fnn.Parallel(fnn.Tanh(), fnn.Relu()), Cube()),
        ["parallel_0/tanh_0", "parallel_0/relu_0"],
    ),
    "a round behind a round": (fnn.Repeat(fnn.Serial(Cube(), fnn.Tanh()), 2), ["tanh_0"]),
    "past a shortcut": (fnn.Serial(fnn.Tanh(), fnn.Residual(fnn.Relu()), Cube()), ["tanh_0", "residual_0"]),
}


@pytest.mark.parametrize("name", RULES)
def test_the_rule_that_makes_a_delta_is_that_of_what_runs_next(name: str):
    model, automatic = RULES[name]
    assert [path for path, rule in delta_rules(model) if rule == "auto"] == automatic


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
    assert [row.path for row in report.rows if row.kind == "delta"] == ["dense_0", "split_0/0", "split_0/2", "join_0"]
    assert [row.path for row in report.unconfirmed] == ([] if report.ok else ["dense_0", "split_0/0", "split_0/2"])
    assert report.ok == (methods == METHODS)


def straight_through(*after):
    return fnn.Serial(fnn.Dense(3), fnn.Step(straight_through=True), *after, fnn.Dense(2))


@pytest.mark.full
@by_two_and_by_all
def test_differences_do_not_judge_what_goes_through_a_straight_through_slope(methods):
    """They see a step, whose derivative is 0, and were once reported as failing."""
    report = report_of(straight_through(), normal(3, 4), labels(3, 2), methods=(*methods, "finite"))
    assert report.ok, str(report)
    status = {row.path: row["finite"].status for row in report.rows}
    through = ["dense_0/bias", "dense_0/kernel", "dense_0"]
    assert [path for path in status if status[path] == "surrogate"] == through
    assert {status[path] for path in status if path not in through} == {"ok"}
    assert report["dense_0/kernel"]["manual"].status == "ok"
    assert "(3 through a straight-through slope, not judged)" in report.verdict
    assert "surrogate: the gradient goes through a straight-through slope" in str(report)


@pytest.mark.full
def test_without_another_method_a_straight_through_slope_is_not_confirmed():
    report = report_of(straight_through(), normal(3, 4), labels(3, 2), methods=("manual", "finite"))
    assert [row.name for row in report.unconfirmed] == ["dense_0/bias", "dense_0/kernel", "dense_0"]
    assert not report.failures
    assert not report.ok


@pytest.mark.full
def test_a_straight_through_activation_inside_a_recurrent_layer_is_found():
    layer = fnn.FeedbackRNN(3, 2, return_sequences=False, activation=fnn.Step(straight_through=True))
    report = report_of(fnn.Serial(fnn.Dense(3), layer), normal(3, 2, 4), labels(3, 2))
    assert report.ok, str(report)
    assert report["dense_0/kernel"]["finite"].status == "surrogate"
    assert report["feedback_rnn_0/recurrent_kernel"]["finite"].status == "surrogate"
    assert report["feedback_rnn_0"]["finite"].status == "ok"


@pytest.mark.full
def test_a_fault_behind_a_straight_through_slope_is_still_caught():
    @dataclasses.dataclass(frozen=True)
    class Doubled(fnn.Tanh, name="tanh"):
        def backward(self, cache, dy):
            return {}, 2 * super().backward(cache, dy)[1]

    report = report_of(straight_through(fnn.Dense(3), Doubled()), normal(3, 4), labels(3, 2))
    assert "dense_1" in [row.path for row in report.failures]
    assert report["dense_1"]["manual"].note == "manual is 2 × the reference"


def test_a_model_without_anything_to_compare_is_not_ok():
    @dataclasses.dataclass(frozen=True)
    class Rounded(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x.astype(int), state

    @dataclasses.dataclass(frozen=True)
    class Constant(fnn.MeanSquaredError):
        def forward(self, prediction, target, weights=None):
            return jnp.zeros(()), {}

    report = report_of(Rounded(), normal(3, 4), normal(3, 4), loss=Constant(), methods=("reverse", "forward"))
    assert (report.rows, report.ok) == ((), False)
    assert np.isnan(report.max_error)
    assert report.verdict.startswith("nothing was compared")
    assert json.loads(report.to_json())["max_error"] is None
    assert "nothing was compared" in str(report)
    assert "nothing was compared" in report.to_markdown()


@by_two_and_by_all
def test_a_leaf_without_entries_is_said_to_be_empty(methods):
    @dataclasses.dataclass(frozen=True)
    class Rows(fnn.Layer):
        def init(self, key, x):
            return {"rows": jnp.zeros((0, x.shape[-1]), x.dtype)}, {}

        def forward(self, params, state, x, *, train=False, key=None):
            return x + params["rows"].sum(0), state, {"rows": params["rows"]}

        def backward(self, cache, dy):
            return {"rows": jnp.zeros_like(cache["rows"])}, dy

    report = report_of(Rows(), normal(3, 4), np.zeros((3, 4)), loss=fnn.MeanSquaredError(), methods=methods)
    assert report.ok, str(report)
    assert {each.status for each in report["rows"].comparisons} == {"empty"}
    assert "(1 without entries" in report.verdict


@pytest.mark.full
def test_float32_is_held_against_float64():
    report = report_of(fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2)), normal(3, 4), labels(3, 2), dtype="float32")
    assert report.ok
    assert report.compared == ("manual", "reverse", "forward", "finite")
    assert 1e-9 < report.max_error < 1e-5
    assert report.error_of("finite") < 1e-9


@pytest.mark.full
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
