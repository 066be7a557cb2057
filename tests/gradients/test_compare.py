"""Right models pass, and the numbers of a report are what they say."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.gradients.compare import compare_gradients


def report_of(model, inputs, targets, *weights, loss=None, penalties=(), change=lambda params: params, **options):
    objective = fnn.Objective(model, loss or fnn.CrossEntropy(), penalties)
    params, state = objective.init(jax.random.key(0), inputs)
    options = {"key": jax.random.key(1), "cost": False, **options}
    return compare_gradients(objective, change(params), state, (inputs, targets, *weights), **options)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def labels(n, classes, seed=0):
    return np.random.default_rng(seed).integers(0, classes, n)


@pytest.fixture(scope="module")
def cnn():
    model = fnn.Serial(
        fnn.Conv(3, 3), fnn.BatchNorm(), fnn.Relu(), fnn.MaxPool(2), fnn.Dropout(0.25), fnn.Flatten(), fnn.Dense(3)
    )
    return report_of(model, normal(4, 4, 4, 1), labels(4, 3), penalties=(fnn.L2(1e-2),))


@pytest.fixture(scope="module")
def mlp():
    return report_of(fnn.Serial(fnn.Dense(3), fnn.Tanh(), head=fnn.Dense(3)), normal(4, 5), labels(4, 3), cost=True)


def test_a_convolutional_net_passes_by_every_method(cnn):
    assert cnn.ok
    assert cnn.methods == ("manual", "reverse", "forward", "finite")
    assert cnn.max_error < 1e-14
    assert cnn.error_of("forward") < 1e-13
    assert 1e-15 < cnn.error_of("finite") < 1e-8
    assert cnn.suspect == ""


def test_rows_follow_the_model_parameters_first(cnn):
    assert [row.path for row in cnn.rows if row.kind == "parameter"] == [
        "conv_0/bias", "conv_0/kernel", "batch_norm_0/bias", "batch_norm_0/scale", "dense_0/bias", "dense_0/kernel",
    ]  # fmt: skip
    assert [row.path for row in cnn.rows if row.kind == "delta"] == [
        "conv_0", "batch_norm_0", "relu_0", "max_pool_0", "dropout_0", "flatten_0", "dense_0",
    ]  # fmt: skip
    assert {row.rule for row in cnn.rows} == {"hand"}
    assert cnn["relu_0"].shape == (4, 4, 4, 3)


def test_a_bias_in_front_of_batch_norm_is_zero_by_every_method(cnn):
    row = cnn["conv_0/bias"]
    assert row.zero
    assert [each.status for each in row.comparisons] == ["zero"] * 3
    assert row["manual"].relative is None


def test_ties_of_the_pool_are_named_and_differences_across_them_are_not_judged(cnn):
    assert [kink.path for kink in cnn.kinks] == ["max_pool_0"]
    assert cnn["relu_0"]["finite"].status == "kink"
    assert cnn["relu_0"]["manual"].status == "ok"
    assert "1 on a kink, not judged" in cnn.verdict


def test_the_costs_are_those_of_the_whole_gradient(mlp):
    cost = {each.method: each for each in mlp.cost}
    entries = sum(np.prod(row.shape, dtype=int) for row in mlp.rows if row.kind == "parameter")
    assert [cost[method].evaluations for method in mlp.methods] == [1, 1, entries, 4 * entries]
    assert all(each.time > 0 for each in mlp.cost)
    assert cost["finite"].flops > cost["reverse"].flops
    assert mlp.cost_dtype == "float32"


def test_the_report_prints_within_120_columns_and_ends_with_the_verdict(cnn):
    text = str(cnn)
    assert max(map(len, text.splitlines())) <= 120
    assert "batch_norm_0/scale" in text
    assert "✓ manual = reverse to" in text
    assert repr(cnn).startswith("GradientReport(ok=True, leaves=13, max_error=")


def test_json_is_strict_and_holds_the_same_numbers(mlp):
    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    read = json.loads(mlp.to_json(), parse_constant=refuse)
    assert read["ok"] is True
    assert read["max_error"] == mlp.max_error
    assert [row["path"] for row in read["rows"]] == [row.path for row in mlp.rows]
    assert read["rows"][1]["comparisons"][0]["relative"] == mlp.rows[1]["manual"].relative
    assert read["cost"][0]["method"] == "manual"


def test_markdown_is_one_table_a_kind(cnn):
    markdown = cnn.to_markdown()
    assert markdown == cnn._repr_markdown_()
    lines = markdown.splitlines()
    headings = [line for line in lines if line.startswith("|  | path |")]
    assert len(headings) == 2
    assert len({line.count("|") for line in lines if line.startswith("| ok |")}) == 1


def test_the_plot_is_a_picture(mlp, tmp_path):
    mlp.plot(tmp_path / "report.png")
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_rich_prints_the_same(cnn):
    import io

    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=120).print(cnn)
    assert "manual = reverse" in stream.getvalue()


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
    report = report_of(model, normal(3, 4), labels(3, 2), methods=("manual", "reverse"))
    assert report.ok
    assert "residual_0/shortcut" in [row.path for row in report.rows]


def test_integer_inputs_have_no_delta_and_weights_count():
    model = fnn.Serial(fnn.Reshape((4,)), fnn.Embedding(6, 3), fnn.Flatten(), fnn.Dense(2))
    report = report_of(model, labels((3, 2, 2), 6), labels(3, 2), np.array([1, 0, 2], np.float32))
    assert report.ok
    assert [row.path for row in report.rows if row.kind == "delta"] == ["embedding_0", "flatten_0", "dense_0"]
    assert report["dense_0/kernel"].norm > 0


def test_weights_of_zero_make_every_leaf_zero_and_pass():
    report = report_of(fnn.Dense(2), normal(3, 4), labels(3, 2), np.zeros(3, np.float32))
    assert report.ok
    assert all(row.zero for row in report.rows)
    assert report.max_error == 0.0


def test_penalties_are_part_of_the_parameter_rows():
    def norm(*penalties):
        return report_of(fnn.Dense(2), normal(3, 4), labels(3, 2), penalties=penalties, methods=("manual", "reverse"))

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


@pytest.mark.parametrize("note", LOSSES_ON_KINKS)
def test_the_kinks_of_losses_are_found(note: str):
    loss, shape, target = LOSSES_ON_KINKS[note]
    zero = lambda params: jax.tree.map(jnp.zeros_like, params)  # noqa: E731
    report = report_of(fnn.Dense(shape[-1]), normal(*shape), target, loss=loss, change=zero)
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
    training = report_of(model, normal(3, 4), labels(3, 2), methods=("manual", "reverse"))
    inference = report_of(model, normal(3, 4), labels(3, 2), methods=("manual", "reverse"), train=False, key=None)
    assert training.ok
    assert inference.ok
    assert training["dense_0/kernel"].norm != inference["dense_0/kernel"].norm


def test_a_layer_without_a_hand_rule_is_called_auto():
    @dataclasses.dataclass(frozen=True)
    class Cube(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x**3, state

    report = report_of(fnn.Serial(fnn.Dense(3), Cube()), normal(3, 4), labels(3, 3), methods=("manual", "reverse"))
    assert report.ok
    assert {row.path: row.rule for row in report.rows}["cube_0"] == "auto"
    assert report["dense_0/kernel"].rule == "hand"


def test_layers_that_give_a_tuple_have_a_delta_for_every_floating_member():
    @dataclasses.dataclass(frozen=True)
    class Split(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return (x[:, :2], x > 0, x[:, 2:]), state

    @dataclasses.dataclass(frozen=True)
    class Join(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x[0] * x[2] + x[1][:, :2], state

    report = report_of(fnn.Serial(fnn.Dense(4), Split(), Join()), normal(3, 4), labels(3, 2))
    assert report.ok
    assert [row.path for row in report.rows if row.kind == "delta"] == ["dense_0", "split_0/0", "split_0/2", "join_0"]


def test_float32_is_held_against_float64():
    report = report_of(fnn.Serial(fnn.Dense(3), fnn.Tanh(), fnn.Dense(2)), normal(3, 4), labels(3, 2), dtype="float32")
    assert report.ok
    assert report.compared == ("manual", "reverse", "forward", "finite")
    assert 1e-9 < report.max_error < 1e-5
    assert report.error_of("finite") < 1e-9


def test_the_result_does_not_depend_on_the_callers_x64_nor_change_it():
    model = fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5), fnn.BatchNorm(), fnn.Dense(2))
    inputs, targets = normal(4, 5), labels(4, 2)
    objective = fnn.Objective(model, fnn.CrossEntropy())
    with jax.enable_x64(False):
        params, state = objective.init(jax.random.key(0), inputs)
    reports = []
    for x64 in (False, True):
        with jax.enable_x64(x64):
            reports.append(
                compare_gradients(objective, params, state, (inputs, targets), key=jax.random.key(1), cost=False)
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


def good():
    objective = fnn.Objective(fnn.Dense(2), fnn.CrossEntropy())
    inputs = normal(3, 4)
    return (objective, *objective.init(jax.random.key(0), inputs), (inputs, labels(3, 2)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ("manual", "backward")}, r"unknown methods \['backward'\]"),
        ({"methods": ("manual",)}, "needs two methods"),
        ({"dtype": "bfloat16"}, "dtype is 'float64' or 'float32'"),
        ({"directions": 0}, "directions is at least 1"),
        ({"entrywise": -1}, "entrywise is a number of entries"),
        ({"tolerances": {"finite": 1.0}, "methods": ("manual", "reverse")}, r"tolerances for \['finite'\]"),
    ],
)
def test_options_that_make_no_sense_raise(options, message):
    with pytest.raises(ValueError, match=message):
        compare_gradients(*good(), **options)


def test_arguments_of_the_wrong_type_raise():
    objective, params, state, batch = good()
    with pytest.raises(TypeError, match="expected an Objective"):
        compare_gradients(objective.model, params, state, batch)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="a batch is"):
        compare_gradients(objective, params, state, batch[0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"did you mean \('manual',\)"):
        compare_gradients(objective, params, state, batch, methods="manual")


def test_a_missing_key_and_a_value_that_is_no_scalar_raise():
    with pytest.raises(ValueError, match="needs a key"):
        report_of(fnn.Serial(fnn.Dropout(0.5), fnn.Dense(2)), normal(3, 4), labels(3, 2), key=None)

    @dataclasses.dataclass(frozen=True)
    class Unreduced(fnn.MeanSquaredError):
        def forward(self, prediction, target, weights=None):
            return jnp.square(prediction - target), {}

    with pytest.raises(ValueError, match="is a scalar, got the shape"):
        report_of(fnn.Dense(2), normal(3, 4), normal(3, 2), loss=Unreduced())


def test_an_unknown_row_raises(cnn):
    with pytest.raises(KeyError, match="no row 'dense_7'"):
        cnn["dense_7"]
    with pytest.raises(KeyError, match="'reverse' was not compared"):
        cnn["conv_0/kernel"]["reverse"]


def test_a_plot_without_matplotlib_names_the_extra(cnn, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"fnn\[experiments\]"):
        cnn.plot(tmp_path / "report.png")
