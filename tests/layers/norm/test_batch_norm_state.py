"""Batch norm where a batch is not finite: the state stays as it was, in every place that skips."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
NAN, INF = float("nan"), float("inf")


BAD = [NAN, INF, -INF]


def batch_norm_state(random: Any) -> dict:
    return {"mean": random(3), "var": 1 + random(3) ** 2, "count": np.int32(4)}


def with_one(bad: float, x: np.ndarray) -> np.ndarray:
    x[(0,) * x.ndim] = bad
    return x


@pytest.mark.full
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_a_bad_batch_leaves_the_state_of_batch_norm_bit_for_bit(bad: float, jit: bool, random: Any):
    layer, state = fnn.BatchNorm(use_scale=False, use_bias=False), batch_norm_state(random)
    step = lambda state, x: layer.apply({}, state, x, train=True)  # noqa: E731
    step = jax.jit(step) if jit else step
    y, after = step(state, with_one(bad, random(5, 3)))
    same(after, state)
    assert jnp.isfinite(y[:, 1:]).all()
    assert jnp.isnan(y[0, 0])
    good = random(5, 3)
    _, moved = step(after, good)
    assert moved["count"] == 5
    close(moved["mean"], 0.9 * state["mean"] + 0.1 * np.mean(good, 0))
    close(moved["var"], 0.9 * state["var"] + 0.1 * np.var(good, 0))


def test_a_batch_whose_variance_overflows_is_a_bad_one():
    state = {"mean": jnp.zeros(1, np.float32), "var": jnp.ones(1, np.float32), "count": jnp.zeros((), jnp.int32)}
    x = jnp.array([[-3e38], [3e38]], np.float32)
    _, after = compiled.apply(fnn.BatchNorm(use_scale=False, use_bias=False), {}, state, x, train=True)
    same(after, state)


def test_of_mapped_batches_the_bad_one_alone_is_skipped(random: Any):
    layer, state = fnn.BatchNorm(use_scale=False, use_bias=False), batch_norm_state(random)
    batches = np.stack([random(5, 3), with_one(NAN, random(5, 3)), random(5, 3)])
    _, after = jax.jit(jax.vmap(lambda x: layer.apply({}, state, x, train=True)))(batches)
    assert after["count"].tolist() == [5, 4, 5]
    same(jax.tree.map(lambda leaf: leaf[1], after), state)
    for place in (0, 2):
        _, alone = compiled.apply(layer, {}, state, batches[place], train=True)
        close(after["mean"][place], alone["mean"])


def test_inside_repeat_only_the_layer_that_met_the_bad_batch_is_skipped(random: Any):
    model = fnn.Repeat(fnn.Serial(fnn.BatchNorm(use_scale=False), fnn.LeakyRelu()), 2)
    params, state = compiled.init(model, KEY, shape_of(4, 3))
    _, state = compiled.apply(model, params, state, random(4, 3), train=True)
    # A bias of NaN before the second layer alone: the first sees a good batch.
    broken = jax.tree.map(lambda leaf: leaf.at[0, 0].set(NAN), params)
    _, after = jax.jit(lambda state, x: compiled.apply(model, broken, state, x, train=True))(state, random(4, 3))
    old, new = state["batch_norm_0"], after["batch_norm_0"]
    assert new["count"].tolist() == [2, 1]
    same(*({name: leaf[1] for name, leaf in each.items()} for each in (old, new)))
    assert (new["mean"][0] != old["mean"][0]).all()


def test_devices_agree_to_skip_a_batch_that_is_bad_on_one(random: Any):
    layer, state = fnn.BatchNorm(use_scale=False, use_bias=False, axis_name="data"), batch_norm_state(random)
    parts = np.stack([random(4, 3), with_one(NAN, random(4, 3))])
    _, after = jax.jit(jax.vmap(lambda x: layer.apply({}, state, x, train=True), axis_name="data"))(parts)
    assert after["count"].tolist() == [4, 4]
    for place in range(2):
        same(jax.tree.map(lambda leaf, place=place: leaf[place], after), state)


def test_devices_that_agree_move_to_the_statistics_of_the_whole_batch(random: Any):
    layer, state = fnn.BatchNorm(use_scale=False, use_bias=False, axis_name="data"), batch_norm_state(random)
    parts = random(2, 4, 3)
    _, after = jax.jit(jax.vmap(lambda x: layer.apply({}, state, x, train=True), axis_name="data"))(parts)
    whole = np.asarray(parts).reshape(8, 3)
    for place in range(2):
        close(after["mean"][place], 0.9 * state["mean"] + 0.1 * whole.mean(0))
        close(after["var"][place], 0.9 * state["var"] + 0.1 * whole.var(0))
