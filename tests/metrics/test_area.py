"""The area under the ROC curve in float32, in batches: within 2e-3 of the exact one at any offset and scale."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

import fnn
from fnn.metrics.cells import cells_of, joined, key_of
from fnn.metrics.sums import whole
from fnn.train.scoring import zeros
from tests.comparing import same
from tests.drawing import generator

N = 8192


@pytest.fixture(autouse=True)
def float32():
    with jax.enable_x64(False):
        yield


@functools.partial(jax.jit, static_argnums=(0, 1))
def streamed(metric: fnn.AUC, batch: int, *data: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The area over batches of that size, and its uncertainty."""
    parts = [leaf.reshape(-1, batch) for leaf in data]
    nothing = zeros(jax.eval_shape(metric.update, *(part[0] for part in parts)))
    total = jax.lax.scan(lambda sums, part: (metric.merge(sums, metric.update(*part)), None), nothing, tuple(parts))[0]
    return metric.value(total), metric.uncertainty(total)


DRAW = generator("areas")
LABELS = DRAW.integers(0, 2, N)
RARE = (DRAW.random(N) < 0.002).astype(int)
NORMAL, CAUCHY = DRAW.standard_normal(N) + 1.08 * LABELS, DRAW.standard_cauchy(N) + LABELS
HALF = DRAW.random(N) < 0.5
ONE, HEAVY = np.ones(N), DRAW.exponential(size=N) ** 3
SORTED = np.argsort(NORMAL)

CASES: dict[str, tuple[Any, Any, Any]] = {
    "near −10": (NORMAL - 10, LABELS, ONE),
    "near −1000": (NORMAL - 1000, LABELS, ONE),
    "1000 ± 0.01": (1000 + 0.01 * NORMAL, LABELS, ONE),
    "25 ± 1e-3": (25 + 1e-3 * NORMAL, LABELS, ONE),
    "scale 1e-30": (1e-30 * NORMAL, LABELS, ONE),
    "scale 1e-6": (1e-6 * NORMAL, LABELS, ONE),
    "scale 1e6": (1e6 * NORMAL, LABELS, ONE),
    "scale 1e30": (1e30 * NORMAL, LABELS, ONE),
    "heavy tails": (CAUCHY, LABELS, ONE),
    "exponentials": (np.exp(4 * NORMAL), LABELS, ONE),
    "probabilities": (1 / (1 + np.exp(-NORMAL)), LABELS, ONE),
    "two heaps": (NORMAL + 1000 * HALF, LABELS, ONE),
    "a rare label": (DRAW.standard_normal(N) + 2 * RARE, RARE, ONE),
    "a rare label near 1000": (1000 + 0.1 * (DRAW.standard_normal(N) + 2 * RARE), RARE, ONE),
    "weights": (NORMAL, LABELS, HEAVY),
    "weights of 0": (NORMAL, LABELS, HALF * HEAVY),
    "7 different": (np.round(2 * NORMAL), LABELS, HEAVY),
    "300 different": (np.round(40 * NORMAL), LABELS, ONE),
    "2000 different": (np.round(400 * NORMAL), LABELS, ONE),
    "half of them 1": (np.where(HALF, 1, NORMAL), LABELS, ONE),
    "infinite ones": (np.where(HALF, np.sign(NORMAL) * np.inf, NORMAL), LABELS, ONE),
    "apart": (NORMAL + 100 * LABELS, LABELS, ONE),
    "one label after the other": (NORMAL[np.argsort(LABELS)], np.sort(LABELS), ONE),
    "rising": (NORMAL[SORTED], LABELS[SORTED], ONE),
    "falling": (NORMAL[SORTED[::-1]], LABELS[SORTED[::-1]], ONE),
}
FEW = ("7 different", "300 different", "apart")
BATCHES = [256, pytest.param(64, marks=pytest.mark.full), pytest.param(N, marks=pytest.mark.full)]


@pytest.mark.full
@pytest.mark.parametrize("batch", BATCHES)
def test_the_area_is_right_at_any_offset_and_scale(batch: int):
    for name, (z, labels, weights) in CASES.items():
        z, labels, weights = z.astype(np.float32), labels.astype(np.int32), weights.astype(np.float32)
        got, uncertainty = (float(each) for each in streamed(fnn.AUC(), batch, z, labels, weights))
        ordered = np.clip(z.astype(float), -1e39, 1e39)
        exact = sklearn.metrics.roc_auc_score(labels, ordered, sample_weight=weights.astype(float))
        assert abs(got - exact) <= min(uncertainty + 1e-6, 2e-3), (name, got, exact, uncertainty)
        assert uncertainty <= (0 if name in FEW else 3e-3), (name, uncertainty)


@pytest.mark.full
def test_the_area_is_within_its_uncertainty_when_the_outputs_move_meanwhile():
    moving = (NORMAL + np.arange(N) / 256).astype(np.float32)
    got, uncertainty = streamed(fnn.AUC(), 256, moving, LABELS.astype(np.int32), np.ones(N, np.float32))
    assert abs(float(got) - sklearn.metrics.roc_auc_score(LABELS, moving)) <= uncertainty
    assert uncertainty < 0.02


def test_logits_of_20_and_25_are_told_apart():
    area = jax.jit(fnn.AUC())
    assert area(jnp.array([20.0, 25.0]), jnp.array([0, 1])) == 1
    assert area(jnp.array([25.0, 20.0]), jnp.array([0, 1])) == 0
    assert area(jnp.array([-jnp.inf, jnp.inf]), jnp.array([0, 1])) == 1
    assert area(jnp.array([-0.0, 0.0]), jnp.array([0, 1])) == 0.5


# ---- cells


def test_keys_are_in_the_order_of_the_numbers():
    numbers = np.array(
        [-np.inf, -1e30, -1, -1e-30, 0, 1e-30, 1, np.nextafter(np.float32(1), 2), 3, 1e38, np.inf], np.float32
    )
    keys = np.asarray(key_of(jnp.asarray(numbers))).astype(np.int64)
    assert (np.diff(keys) > 0).all()
    same(key_of(jnp.float32([-0.0])), key_of(jnp.float32([0.0])))


def drawn_cells(name: str, capacity: int = 8) -> Any:
    draw = generator(name)
    numbers, weights = (draw.standard_normal(50) ** 3).astype(np.float32), draw.integers(0, 3, 50).astype(np.float32)
    positive = draw.random(50) < 0.3
    cells = jax.jit(cells_of, static_argnums=3)(numbers, positive, weights, capacity)
    return cells, numbers, positive, weights


def stretches(cells: Any) -> np.ndarray:
    """The first and the last key of every cell that is one."""
    cells = jax.tree.map(np.asarray, cells)
    there = cells.negative.high + cells.positive.high > 0
    return np.stack([cells.first, cells.last], -1).astype(np.uint64)[there]


@pytest.mark.full
def test_cells_are_stretches_that_lie_apart_and_hold_what_lies_in_them():
    (one, *_), (other, *_) = drawn_cells("one"), drawn_cells("other")
    both = jax.jit(joined)(one, other)
    everything = [np.concatenate(pair) for pair in zip(drawn_cells("one")[1:], drawn_cells("other")[1:], strict=True)]
    numbers, positive, weights = everything
    found = stretches(both)
    assert 2 <= len(found) <= 8
    assert (found[1:, 0] > found[:-1, 1]).all()
    keys = np.asarray(key_of(jnp.asarray(numbers))).astype(np.uint64)
    for label, sums in ((False, both.negative), (True, both.positive)):
        held = [weights[(keys >= first) & (keys <= last) & (positive == label)].sum() for first, last in found]
        np.testing.assert_array_equal(np.asarray(whole(sums))[: len(found)], held)


def test_cells_of_nothing_change_nothing():
    cells = drawn_cells("one")[0]
    nothing = jax.tree.map(jnp.zeros_like, cells)
    for both in (joined(cells, nothing), joined(nothing, cells)):
        np.testing.assert_array_equal(stretches(both), stretches(cells))
        same((both.negative, both.positive), (cells.negative, cells.positive))


@pytest.mark.full
def test_cells_count_on_beyond_2_to_the_24():
    one = cells_of(jnp.array([1.0, 2.0]), jnp.array([True, False]), jnp.array([2.0**24, 2.0**30]), 4)
    more = cells_of(jnp.array([1.0, 2.0]), jnp.array([True, False]), jnp.array([1.0, 3.0]), 4)
    total = functools.reduce(joined, [more] * 5, one)
    counts = [
        {int(high) + int(low) for high, low in zip(sum.high, sum.low, strict=True)} - {0}
        for sum in (total.positive, total.negative)
    ]
    assert counts == [{2**24 + 5}, {2**30 + 15}]


@pytest.mark.full
def test_cells_map_and_have_gradients_of_weights():
    z, labels = jnp.float32(NORMAL[:40]), jnp.int32(LABELS[:40])
    area: Callable[..., Any] = fnn.AUC(8)
    stacked = jax.vmap(area)(jnp.stack([z, -z]), jnp.stack([labels, labels]))
    same(stacked, jnp.stack([area(z, labels), area(-z, labels)]))
    exact = fnn.AUC(64)
    slope = jax.grad(lambda w: exact(z, labels, w))(jnp.ones(40))
    # Of a weight w of a positive example: what share of the negatives lies below it, less the area, over all positives.
    above, negative = np.asarray(z[:, None] > z[None], float), np.asarray(labels == 0, float)
    expected = (above @ negative / negative.sum() - float(exact(z, labels))) / (1 - negative).sum()
    np.testing.assert_allclose(np.asarray(slope)[negative == 0], expected[negative == 0], atol=1e-6)
