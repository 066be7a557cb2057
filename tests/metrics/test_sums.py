"""Sums over many batches keep their digits in float32, and so do those within one batch."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

import fnn
from fnn.metrics.sums import Sum, running, summed, summed_products, two_sum, whole
from fnn.train.data import Batches
from fnn.train.scoring import Scoring, loss_of, zeros
from tests.comparing import close

MILLION, FEWER = 1_000_000, 60_000  # of which usual sums lose as much as 1e-5


@pytest.fixture(autouse=True)
def float32():
    with jax.enable_x64(False):
        yield


# ---- the pair


def test_the_error_of_a_sum_is_exact():
    a, b = np.float32(1e8), np.float32(3.3)
    s, e = jax.jit(two_sum)(a, b)
    assert float(s) + float(e) == float(a) + float(b)
    assert float(e) != 0


def test_whole_numbers_are_exact_beyond_2_to_the_24():
    steps = jnp.arange(1000, dtype=jnp.float32)
    total = jax.jit(lambda start: jax.lax.scan(lambda sum, n: (sum.plus(Sum.of(n)), None), start, steps)[0])
    got = total(Sum.of(jnp.float32(2**40 + 2**20)))
    assert int(got.high) + int(got.low) == 2**40 + 2**20 + 999 * 500


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stays_what_it_is(value: float):
    total = Sum.of(jnp.float32(1)).plus(Sum.of(jnp.float32(value))).plus(Sum.of(jnp.float32(2)))
    np.testing.assert_equal(float(total.high), value)
    assert total.low == 0


def test_nothing_changes_a_sum_and_gradients_go_through_it():
    def total(x: jax.Array) -> jax.Array:
        sums = jax.lax.scan(lambda sum, each: (sum.plus(Sum.of(each)), None), Sum.of(jnp.zeros(())), x)[0]
        return whole(sums)

    x = jnp.array([1e8, 3.0, -7.5, 1e-3])
    close(jax.grad(total)(x), np.ones(4, np.float32), rtol=0, atol=1e-6)
    close(jax.jvp(total, (x,), (jnp.arange(4.0),))[1], np.float32(6), rtol=1e-6)
    sums = {"a": Sum(jnp.float32(2**25), jnp.float32(1))}
    close(fnn.Metric().merge(sums, jax.tree.map(jnp.zeros_like, sums)), sums, rtol=0, atol=0)


def test_sums_of_one_batch_keep_their_digits():
    terms = jnp.tile(jnp.array([0.1, 0.7]), (100_007, 1))
    close(whole(summed(terms)), np.asarray(terms, float).sum(0).astype(np.float32), rtol=1e-6)
    a, b = (np.random.default_rng(seed).uniform(0, 1, (2500, 3)).astype(np.float32) for seed in (0, 1))
    close(whole(summed_products(jnp.asarray(a), jnp.asarray(b))), (a.astype(float).T @ b).astype(np.float32), rtol=1e-6)
    assert jax.eval_shape(running, {"count": jnp.int32(3), "x": 1.0})["count"].dtype == jnp.int32


@pytest.mark.full
def test_a_batch_of_more_than_2_to_the_24_is_counted():
    count = 2**24 + 2**20 + 1
    ones = jnp.ones(count, jnp.int32)
    assert int(whole(summed(jnp.ones(count))) - 2**24) == 2**20  # the nearest float32
    matrix = jax.jit(fnn.ConfusionMatrix(2))(jnp.ones(count), ones)
    np.testing.assert_array_equal(matrix, np.array([[0, 0], [0, count]], np.float32))


# ---- many batches


@dataclasses.dataclass(frozen=True)
class Mean(fnn.Metric):
    """A metric as a user writes it, with a whole number among its sums."""

    name = "mean"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        return {"sum": outputs.sum(), "count": jnp.int32(outputs.size)}

    def value(self, sums: Any) -> jax.Array:
        return sums["sum"] / sums["count"].astype(jnp.float32)


IDENTITY = fnn.Objective(fnn.Identity(), fnn.MeanAbsoluteError())
SCORING = Scoring(IDENTITY, (Mean(), fnn.Accuracy(), fnn.F1("macro"), fnn.ConfusionMatrix(2), fnn.R2()))


@functools.cache
def many(count: int) -> tuple[Any, dict[str, jax.Array]]:
    """The totals and values of so many batches of one sample, with outputs of 0.1 and −0.1 and targets of 0."""
    x = jnp.tile(jnp.array([0.1, 0.1, 0.1, -0.1], jnp.float32), count // 4)[:, None]
    data = (x, jnp.zeros_like(x))

    @jax.jit
    def run(data: Any) -> Any:
        nothing = SCORING.none({}, {}, data)
        totals = SCORING.scores(nothing, {}, {}, Batches(data, None, 0, 1), 0, count)
        return totals, SCORING.values(totals)

    return run(data)


@pytest.mark.parametrize("count", [FEWER, pytest.param(MILLION, marks=pytest.mark.full)])
def test_the_mean_of_a_million_losses_is_right(count: int):
    totals, values = many(count)
    np.testing.assert_allclose(float(values["loss"]), 0.1, rtol=1e-7)
    np.testing.assert_allclose(float(loss_of(totals)["weight"]), count)
    np.testing.assert_allclose(float(values["mean"]), 0.05, rtol=1e-7)
    assert int(totals["mean"]["count"]) == count
    np.testing.assert_allclose(float(values["accuracy"]), 0.25, rtol=1e-7)


@pytest.mark.full
def test_a_cell_at_2_to_the_24_goes_on_counting():
    totals, values = many(FEWER)
    full = jax.tree.map(lambda leaf: leaf, totals)
    full["confusion_matrix"] = {"matrix": Sum.of(jnp.full((2, 2), 2.0**24))}
    merged = jax.jit(SCORING.merged)
    one = jax.eval_shape(SCORING.judged, {}, {}, (jnp.zeros((1, 1)), jnp.zeros((1, 1))))
    batch = zeros(one) | {"confusion_matrix": {"matrix": Sum.of(jnp.ones((2, 2)))}}
    for _ in range(4):
        full = merged(full, batch)
    np.testing.assert_array_equal(SCORING.values(full)["confusion_matrix"], np.full((2, 2), 2.0**24 + 4))
    np.testing.assert_array_equal(values["confusion_matrix"], [[FEWER / 4, 3 * FEWER / 4], [0, 0]])


@dataclasses.dataclass(frozen=True)
class Largest(fnn.Metric):
    """A metric whose sums are not added."""

    name = "largest"

    def update(self, outputs: Any, targets: Any, weights: Any = None) -> Any:
        return outputs.max()

    def merge(self, one: Any, other: Any) -> Any:
        return jnp.maximum(one, other)

    def value(self, sums: Any) -> jax.Array:
        return sums


def test_a_metric_of_a_users_own_says_how_its_sums_are_put_together():
    x = jnp.array([0.5, 3.0, 2.0, 1.0])[:, None]
    values = fnn.evaluate(IDENTITY, {}, {}, (x, x), batch_size=2, metrics=[Largest(), Mean()])
    assert (values["largest"], values["mean"]) == (3.0, 1.625)


def test_totals_of_nothing_are_neutral():
    totals, values = many(FEWER)
    for merged in (SCORING.merged(totals, zeros(totals)), SCORING.merged(zeros(totals), totals)):
        close(SCORING.values(merged), values, rtol=0, atol=0)


def test_runs_of_a_sweep_keep_their_digits_each():
    terms = jnp.array([0.1, 0.7], jnp.float32)

    def total(term: jax.Array) -> jax.Array:
        body = lambda _, sums: Mean().merge(sums, {"sum": Sum.of(term)})  # noqa: E731
        return whole(jax.lax.fori_loop(0, MILLION, body, {"sum": Sum.of(jnp.zeros(()))})["sum"])

    np.testing.assert_allclose(
        jax.jit(jax.vmap(total))(terms), MILLION * np.array([0.1, 0.7], np.float32).astype(float), rtol=1e-7
    )


# ---- R²


def streamed(metric: fnn.Metric, batch: int) -> Callable[..., jax.Array]:
    """A metric over batches of that size, in one program."""

    @jax.jit
    def run(*data: jax.Array) -> jax.Array:
        parts = [leaf.reshape(-1, batch, *leaf.shape[1:]) for leaf in data]
        nothing = zeros(jax.eval_shape(metric.update, *(part[0] for part in parts)))
        step = lambda sums, part: (metric.merge(sums, metric.update(*part)), None)  # noqa: E731
        return metric.value(jax.lax.scan(step, nothing, tuple(parts))[0])

    return run


R2_IN_BATCHES = streamed(fnn.R2(), 32)


@pytest.mark.parametrize(
    ("mean", "scale"), [(3000, 1), (0, 1), (1e4, 0.01), (1e7, 30), (-3e-6, 1e-9), (0, 1e-14), (1e12, 1e8)]
)
def test_r2_in_batches_keeps_its_digits_far_from_zero(mean: float, scale: float, draw: np.random.Generator):
    y = (mean + scale * draw.standard_normal(3200)).astype(np.float32)
    p = (y + 0.1 * scale * draw.standard_normal(3200)).astype(np.float32)
    w = draw.exponential(size=3200).astype(np.float32)
    expected = sklearn.metrics.r2_score(y.astype(float), p.astype(float), sample_weight=w.astype(float))
    np.testing.assert_allclose(R2_IN_BATCHES(p, y, w), expected, atol=1e-6)
    in_order = np.argsort(y)  # batches whose means lie far apart
    np.testing.assert_allclose(R2_IN_BATCHES(p[in_order], y[in_order], w[in_order]), expected, atol=1e-6)


def test_r2_of_squares_without_digits_is_not_a_number(draw: np.random.Generator):
    y, w = draw.standard_normal(320).astype(np.float32), np.ones(320, np.float32)
    for scale in (1e-30, 1e-25, 1e-21, 1e20, 1e30):
        assert np.isnan(R2_IN_BATCHES(np.float32(0.9 * scale) * y, np.float32(scale) * y, w)), scale
    assert np.isnan(R2_IN_BATCHES(np.where(y > 2, np.inf, y), y, w))
    assert np.isnan(R2_IN_BATCHES(y, np.where(y > 2, np.nan, y), w))


@pytest.mark.parametrize("value", [0.1, 3000.1, -1e-30, 0.0])
def test_a_constant_target_is_constant_over_batches(value: float):
    y, w = np.full(320, value, np.float32), np.linspace(0, 2, 320, dtype=np.float32)
    assert R2_IN_BATCHES(y, y, w) == 1
    assert R2_IN_BATCHES(y + np.float32(1e-20 + value / 2), y, w) == 0


# ---- in a run


X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
DATA = (X, (np.sin(9 * X) > 0.2).astype(np.float32))
METRICS = (fnn.Accuracy(), fnn.F1(), fnn.AUC(9), fnn.R2())
OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.BinaryCrossEntropy())


def history(rate: Any, metrics: Any = METRICS) -> dict[str, jax.Array]:
    options: dict[str, Any] = {"steps": 8, "batch_size": 10, "checkpoint_steps": 3}
    train = fnn.make_train(OBJECTIVE, fnn.optim.sgd, metrics=metrics, **options)
    return train(jax.random.key(0), DATA, rate, validation=DATA).history


@functools.partial(jax.jit, static_argnums=(1, 2))
def slopes(rate: Any, names: tuple[str, ...], metrics: Any = METRICS) -> Any:
    """How the last entries of these names change with the rate, in reverse mode; and the whole history."""

    def last(rate: Any) -> Any:
        values = history(rate, metrics)
        return jnp.stack([values[name][-1] for name in names]), values

    return jax.jacrev(last, has_aux=True)(rate)


NAMES = ("loss", "validation_r2")


@pytest.mark.full
def test_a_run_with_metrics_has_a_gradient():
    (of_loss, of_r2), _ = slopes(0.5, NAMES)
    np.testing.assert_allclose(of_loss, slopes(0.5, ("loss",), ())[0][0], rtol=1e-6)
    lower, upper = (slopes(rate, NAMES)[1]["validation_r2"][-1] for rate in (0.49, 0.51))
    np.testing.assert_allclose(of_r2, (upper - lower) / 0.02, rtol=1e-2)


@pytest.mark.full
def test_runs_of_a_sweep_have_the_metrics_of_the_same_runs_alone():
    rates = jnp.array([0.1, 1.0])
    swept = jax.jit(jax.vmap(history))(rates)
    for place, rate in enumerate(rates):
        _, alone = slopes(rate, NAMES)
        close({name: values[place] for name, values in swept.items()}, dict(alone), rtol=1e-5, atol=1e-6)
