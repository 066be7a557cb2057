"""What a report holds, how it is shown, and what is refused."""

import dataclasses
import io
import json

import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import fnn
from fnn.gradients.compare import compare_gradients
from tests.gradients.reports import good, labels, normal, report_of

pytestmark = pytest.mark.full


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


@pytest.mark.full
def test_a_loop_costs_the_operations_of_every_round():
    """XLA counts its body once."""

    def flops(rounds: int) -> float:
        report = report_of(
            fnn.Repeat(fnn.Dense(4), rounds), normal(2, 4), normal(2, 4), loss=fnn.MeanSquaredError(), cost=True,
            methods=("manual", "reverse"),
        )  # fmt: skip
        return report.cost[0].flops or 0

    row = fnn.summary(fnn.Dense(4), normal(2, 4)).rows[0]
    assert flops(5) - flops(2) == 3 * (row.forward_flops + row.backward_flops)


@pytest.mark.full
def test_a_model_without_parameters_costs_no_evaluation_entry_by_entry():
    report = report_of(fnn.Tanh(), normal(2, 4), normal(2, 4), loss=fnn.MeanSquaredError(), cost=True)
    assert [each.evaluations for each in report.cost] == [1, 1, 0, 0]
    assert [each.flops for each in report.cost][2:] == [0, 0]
    assert report.ok


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
    stream = io.StringIO()
    Console(file=stream, width=120).print(cnn)
    assert "manual = reverse" in stream.getvalue()


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
