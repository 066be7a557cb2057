"""The table of a sweep against numbers worked by hand, in all its forms, and the picture."""

import csv
import dataclasses
import io
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import fnn
from fnn.sweep.footprint import footprint
from fnn.sweep.placement import Layout
from fnn.sweep.plot import logarithmic
from fnn.sweep.result import SweepResult
from fnn.sweep.table import SweepTable
from fnn.train.history import History

NAN, INF = math.nan, math.inf

# Two rates, two decays, two seeds; three epochs. The second rate diverges, for one seed or for both.
LOSSES = [
    [4.0, 2.0, 3.0], [4.0, 2.0, 1.0],  # rate 0.1, decay 0
    [4.0, 1.5, NAN], [4.0, 3.0, 1.5],  # rate 0.1, decay 1: the first stopped after two epochs
    [4.0, NAN, NAN], [4.0, 1.0, 0.5],  # rate 1, decay 0: the first diverged
    [INF, NAN, NAN], [9.0, 8.0, NAN],  # rate 1, decay 1
]  # fmt: skip


@pytest.fixture
def result():
    history = {
        "loss": jnp.array(LOSSES),
        "accuracy": jnp.array(np.nan_to_num(1 / np.array(LOSSES), nan=0.0)),
        "confusion": jnp.zeros((8, 3, 2, 2)),
    }
    kernel = jnp.arange(8.0)[:, None, None] * jnp.ones((8, 2, 3))
    history = History(history, higher=["accuracy"])
    results = fnn.TrainResult({"kernel": kernel}, {}, (), history, jnp.array([3, 3, 2, 3, 3, 3, 3, 3]))
    hyperparams = {"learning_rate": np.repeat([0.1, 1.0], 4), "decay": np.tile(np.repeat([0, 1], 2), 2)}
    seeds = np.tile([0, 7], 4)
    return SweepResult(results, hyperparams, seeds, jax.random.split(jax.random.key(0), 8), Layout(8, (), 1, 8))


def test_a_row_a_run(result):
    rows = result.table("loss").rows
    assert rows[0] == {
        "learning_rate": 0.1, "decay": 0, "seed": 0, "loss": 3.0, "best_loss": 2.0, "best_epoch": 2, "epochs_run": 3,
        "diverged": False, "reason": None,
    }  # fmt: skip
    assert [row["seed"] for row in rows] == [0, 7] * 4
    assert [row["diverged"] for row in rows] == [False] * 4 + [True, False, True, True]
    reasons = [f"loss is not finite in epoch {epoch}" for epoch in (2, 1, 3)]
    assert [row["reason"] for row in rows] == [None] * 4 + [reasons[0], None, *reasons[1:]]
    assert rows[2] == rows[2] | {"loss": 1.5, "best_loss": 1.5, "best_epoch": 2, "epochs_run": 2}
    assert rows[4]["best_epoch"] == 1
    assert rows[6]["best_epoch"] is None
    assert math.isnan(rows[6]["best_loss"])


def test_combinations_are_ranked_by_their_mean_and_those_that_diverge_come_last(result):
    first, second, third, last = result.table("loss").combinations
    assert first.hyperparams == {"learning_rate": 0.1, "decay": 1}
    assert (first.mean, first.std, first.low, first.high, first.without) == (1.5, 0.0, 1.5, 1.5, 0)
    assert second[1:6] == (2.0, pytest.approx(math.sqrt(2)), 1.0, 3.0, 0)
    assert third.hyperparams == {"learning_rate": 1.0, "decay": 0}  # 0.5, but of one seed
    assert (third.mean, third.low, third.high, third.without, third.runs) == (0.5, 0.5, 0.5, 1, (4, 5))
    assert math.isnan(third.std)
    assert math.isnan(last.mean)
    assert last.without == 2


def test_the_best_epoch_may_count_and_more_may_be_better(result):
    table = result.table("loss", at="best")
    assert [each.mean for each in table.combinations[:3]] == [1.5, 1.5, 0.5]
    by_accuracy = result.table("accuracy")
    assert by_accuracy.higher_is_better
    assert by_accuracy.rows[0]["best_accuracy"] == pytest.approx(0.5)
    assert by_accuracy.combinations[0].mean == pytest.approx((1 / 3 + 1) / 2)
    turned = result.table("accuracy", higher_is_better=False)
    assert turned.combinations[0].mean == pytest.approx(1 / 1.5)
    assert not result.table("loss").higher_is_better


def test_the_best_is_the_best_seed_of_the_best_combination(result):
    best = result.best("loss")
    assert (best.run, best.hyperparams, best.seed, best.score) == (2, {"learning_rate": 0.1, "decay": 1}, 0, 1.5)
    assert (best.result.params["kernel"] == 2).all()
    best = result.best("loss", higher_is_better=True)
    assert (best.run, best.score) == (0, 3.0)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
@pytest.mark.parametrize("at", ["final", "best"])
@pytest.mark.parametrize("higher", [False, True])
def test_a_score_that_is_not_finite_is_never_the_best(result, bad, at, higher):
    accuracy = jnp.full((8, 3), bad).at[5].set(0.5)
    history = History({"loss": jnp.ones((8, 3)), "accuracy": accuracy})
    changed = dataclasses.replace(result, results=result.results._replace(history=history))
    table = changed.table("accuracy", at=at, higher_is_better=higher)
    assert (table.best_run(), table.combinations[0].without) == (5, 1)
    assert [each.without for each in table.combinations[1:]] == [2, 2, 2]
    assert [row["best_epoch"] for row in table.rows] == [None] * 5 + [1, None, None]


def test_a_plain_dict_says_nothing_of_directions(result):
    plain = dataclasses.replace(result, results=result.results._replace(history=dict(result.results.history)))
    assert not plain.table("loss").higher_is_better
    with pytest.raises(ValueError, match=r"whether a higher 'accuracy' is better: .* give higher_is_better="):
        plain.best("accuracy")
    assert plain.best("accuracy", higher_is_better=True).run == result.best("accuracy").run


def test_a_run_whose_parameters_are_not_finite_diverged_too(result):
    params = {"kernel": result.results.params["kernel"].at[1, 0, 0].set(jnp.inf)}
    changed = SweepResult(
        result.results._replace(params=params), result.hyperparams, result.seeds, result.keys, result.layout
    )
    assert [row["diverged"] for row in changed.table().rows[:3]] == [False, True, False]
    assert changed.table().rows[1]["reason"] == "parameters or state are not finite"


def test_what_is_wrong_with_hyperparameters_stands_in_the_table(result, tmp_path):
    refused = dataclasses.replace(result, refusals=(None,) * 6 + ("decay is at least 0, got -1",) * 2)
    reason, other = refused.table("loss").rows[6:]
    assert reason["reason"] == other["reason"] == refused.table("loss").combinations[-1].reason
    line = next(line for line in str(refused).splitlines() if "at least 0" in line)
    assert line.split()[-10:] == ["2", "of", "2", "decay", "is", "at", "least", "0,", "got", "-1"]
    assert refused.to_markdown().splitlines()[-1].endswith("| 2 of 2 | decay is at least 0, got -1 |")
    assert refused.to_markdown().splitlines()[-2].endswith("| 1 of 2 | – |")
    assert [row["reason"] for row in json.loads(refused.to_json("loss"))][5:7] == [None, "decay is at least 0, got -1"]
    refused.to_csv(tmp_path / "sweep.csv")
    assert "decay is at least 0, got -1" in (tmp_path / "sweep.csv").read_text()


def test_where_everything_diverged_there_is_no_best(result):
    history = {"loss": jnp.full((8, 3), jnp.nan)}
    lost = SweepResult(
        result.results._replace(history=history), result.hyperparams, result.seeds, result.keys, result.layout
    )
    with pytest.raises(ValueError, match="none of the 8 runs has a finite loss"):
        lost.best()
    assert "2 of 2" in str(lost)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"score": "validation_loss"}, "'validation_loss' is not in the history; a score is one of loss, accuracy"),
        ({"score": "confusion"}, "'confusion' is an array in each epoch"),
        ({"at": "last"}, "at is 'final' or 'best', got 'last'"),
    ],
)
def test_a_score_is_a_number_of_the_history(result, options, words):
    with pytest.raises(ValueError, match=words):
        result.table(**options)


def test_which_way_a_score_is_better_is_no_word(result):
    with pytest.raises(TypeError, match="higher_is_better is True or False, got 'no'"):
        result.best("loss", higher_is_better="no")


def test_print_shows_the_combinations_best_first(result):
    lines = [line.split() for line in str(result).splitlines() if "·" not in line]
    assert str(result).startswith("loss in the last epoch over 2 seeds, best first")
    assert ["learning_rate", "decay", "mean", "std", "lowest", "highest", "diverged"] in lines
    at = lines.index(["0.1", "1", "1.5", "0", "1.5", "1.5", "–"])
    assert lines[at + 1 : at + 4] == [
        ["0.1", "0", "2", "1.414", "1", "3", "–"],
        ["1", "0", "0.5", "–", "0.5", "0.5", "1", "of", "2"],
        ["1", "1", "–", "–", "–", "–", "2", "of", "2"],
    ]
    assert str(result).endswith("8 runs side by side.")
    assert repr(result) == "SweepResult(runs=8, hyperparams=['learning_rate', 'decay'], seeds=2)"
    page = io.StringIO()
    Console(file=page, width=100).print(result)
    assert "1 of 2" in page.getvalue()


def test_markdown_csv_and_json_say_the_same(result, tmp_path):
    assert "| 0.1 | 1 | 1.5 | 0 | 1.5 | 1.5 | – |" in result.to_markdown()
    result.to_csv(tmp_path / "sweep.csv", "accuracy")
    with open(tmp_path / "sweep.csv", newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    rows = result.table("accuracy").rows
    assert len(written) == 8
    assert float(written[1]["accuracy"]) == rows[1]["accuracy"]
    assert written[4]["diverged"] == "True"
    read = json.loads(result.to_json("loss"))
    assert read[0] == result.table("loss").rows[0]
    assert read[6]["loss"] is None


def without_axis(result, chosen):
    """The sweep with only these hyper-parameters."""
    return SweepResult(
        result.results, {n: result.hyperparams[n] for n in chosen}, result.seeds, result.keys, result.layout
    )


@pytest.mark.parametrize(
    "options", [{}, {"x": "decay"}, {"score": "accuracy"}, {"at": "best"}, {"score": "loss", "higher_is_better": True}]
)
def test_the_picture_is_drawn(result, tmp_path, options):
    result.plot(tmp_path / "sweep.png", **options)
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_marks_every_run_that_diverged_and_joins_what_belongs_together(result, tmp_path):
    result.plot(tmp_path / "sweep.svg")
    # Matplotlib's SVG names each text in a comment.
    drawn = (tmp_path / "sweep.svg").read_text()
    assert drawn.count("<!-- × 1 -->") == 1
    assert drawn.count("<!-- × 2 -->") == 1
    assert "<!-- diverged -->" in drawn
    assert "<!-- decay -->" in drawn


def test_pictures_are_drawn_of_one_axis_of_pairs_and_of_nothing_finite(result, tmp_path):
    table = result.table("loss")
    one = SweepTable.of(
        "loss", np.array(LOSSES[:2]), {"clip": np.array([0.5, 2.0])}, np.zeros(2), np.array([3, 3]),
        [None, None], at="final", higher=False,
    )  # fmt: skip
    pairs = SweepTable.of(
        "loss", np.array(LOSSES[:2]), {"clip": np.array([0.5, 2.0]), "decay": np.array([1e-3, 1e-5])}, np.zeros(2),
        np.array([3, 3]), [None, 'lost'], at="final", higher=False,
    )  # fmt: skip
    none = SweepTable.of(
        "loss", np.full((2, 3), NAN), {"clip": np.array([0.0, 2.0])}, np.zeros(2), np.array([3, 3]),
        ['lost', 'lost'], at="final", higher=False,
    )  # fmt: skip
    from fnn.sweep.plot import save_plot

    for place, each in enumerate((one, pairs, none, table)):
        save_plot(each, tmp_path / f"{place}.png", None)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_picture_needs_an_axis_that_was_swept(result, tmp_path):
    with pytest.raises(ValueError, match="'clip' was not swept; x is one of learning_rate, decay"):
        result.plot(tmp_path / "sweep.png", x="clip")


def test_values_spaced_by_ratios_stand_on_a_logarithmic_axis():
    assert logarithmic(np.array([1e-4, 3e-4, 1e-3, 3e-3]))
    assert logarithmic(np.array([0.1, 1.0]))
    assert not logarithmic(np.array([0.1, 0.3, 0.5, 0.7]))
    assert not logarithmic(np.array([-1.0, 0.0, 1.0]))


# What a run needs, read off its jaxpr.


def test_only_what_depends_on_the_run_counts():
    def program(x, data):
        total = data * 2  # the same in all runs
        return (x[:, None] * total.sum()).sum() + total[0]

    jaxpr = jax.make_jaxpr(program)(jnp.ones(100), jnp.ones(1000)).jaxpr
    found = footprint(jaxpr, (True, False))
    assert found.outputs == (True,)
    assert 400 <= found.bytes <= 1300


def test_loops_pass_on_what_depends_on_the_run():
    def program(x, y, n):
        def body(carry):
            i, _, b, c = carry
            return i + 1, b, c, x.sum()

        one = jnp.ones(())
        looped = jax.lax.while_loop(lambda carry: carry[0] < n, body, (0, one, one, one))
        scanned = jax.lax.scan(lambda carry, each: (carry + each, carry * 2), y.sum(), x)
        chosen = jax.lax.cond(y[0] > 0, lambda: one, lambda: 2 * one)
        return *looped, *scanned, chosen

    jaxpr = jax.make_jaxpr(program)(jnp.ones(3), jnp.ones(3), 5).jaxpr
    assert footprint(jaxpr, (True, False, False)).outputs == (False, True, True, True, True, True, False)
    assert footprint(jaxpr, (False, True, False)).outputs == (False, False, False, False, True, True, True)
    assert footprint(jaxpr, (False, False, True)).outputs[:4] == (True,) * 4  # runs stop at different times
    assert footprint(jaxpr, (False, False, False)).outputs == (False,) * 7


@pytest.mark.full
def test_the_bytes_of_a_run_bound_what_the_compiler_needs():
    train = fnn.make_train(
        fnn.Objective(fnn.Serial(fnn.Dense(64), fnn.Relu(), fnn.Dense(4)), fnn.CrossEntropy()),
        fnn.optim.sgd(0.1),
        epochs=1,
        batch_size=32,
    )
    data = jnp.ones((64, 32)), jnp.zeros(64, int)
    keys = jax.random.split(jax.random.key(0), 8)
    needed = footprint(jax.make_jaxpr(lambda key: train(key, data))(keys[0]).jaxpr, (True,)).bytes
    compiled = jax.jit(jax.vmap(lambda key: train(key, data))).lower(keys).compile().memory_analysis()
    used = (compiled.temp_size_in_bytes + compiled.output_size_in_bytes) / 8  # pyright: ignore
    assert 0.5 * used < needed < 6 * used
