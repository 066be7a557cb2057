"""K-FAC: its update by dense algebra, its place in training and in wrappers, and what it refuses."""

import functools
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.optim.declared import rules_of
from fnn.optim.kronecker import blocks_of, damped_inverses, preconditioned
from fnn.paths import named_leaves
from fnn.rules.reports import with_reports
from fnn.rules.whole import Whole
from fnn.testing.of_gradients import OfGradients
from tests.comparing import close

KEY = jax.random.key(0)
X, LABELS = np.random.default_rng(0).standard_normal((24, 3)).astype(np.float32), np.arange(24) % 3
MODEL = fnn.Serial(fnn.Dense(5), fnn.LayerNorm(), fnn.Tanh(), fnn.Dense(3))
OBJECTIVE = fnn.Objective(MODEL, fnn.CrossEntropy(), (fnn.L2(1e-3),))


class Given:
    """A report of these factors and squares."""

    def __init__(self, factors: Any, squares: Any) -> None:
        self.known = factors, squares

    def factors(self, block: Any) -> Any:
        return self.known[0][block.kernel]

    def squares(self, path: str, like: Any) -> Any:
        return self.known[1][path]


def positive(seed: int, size: int) -> jax.Array:
    x = jax.random.normal(jax.random.key(seed), (size + 2, size))
    return x.T @ x / size


@pytest.mark.usefixtures("strict_numerics")
def test_two_updates_by_dense_algebra():
    damping, rho, mu, eta, c = 0.03, 0.8, 0.5, 0.3, 1e-4
    optimizer = optim.kfac(eta, damping=damping, decay=rho, update_every=1, momentum=mu, norm_constraint=c)
    params = {"d": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "scale": jnp.ones(4)}
    state, velocity, sums, weight = optimizer.init(params), jnp.zeros(13), [0, 0, 0], 0.0
    for step in range(2):
        draw = [jax.random.normal(jax.random.key(step + i), shape) for i, shape in enumerate([(3, 3), (4,)])]
        new = [positive(step, 3), positive(step + 5, 3), draw[1] ** 2 + 0.1]
        grads = {"d": {"kernel": draw[0][:2], "bias": draw[0][2]}, "scale": draw[1]}
        report = Given({"d/kernel": (new[0], new[1])}, {"scale": new[2]})
        updates, state = optimizer.update(grads, state, params, reports={optimizer.rule: report})
        sums, weight = [rho * s + (1 - rho) * n for s, n in zip(sums, new, strict=True)], rho * weight + 1 - rho
        a, g, d = (s / weight for s in sums)
        pi, root = jnp.sqrt(jnp.trace(a) / jnp.trace(g)), np.sqrt(damping)
        fisher = jnp.kron(a + pi * root * jnp.eye(3), g + root / pi * jnp.eye(3))
        p = jnp.concatenate([jnp.linalg.solve(fisher, draw[0].reshape(-1)), draw[1] / (d + damping)])
        flat = jnp.concatenate([draw[0].reshape(-1), draw[1]])
        share = jnp.minimum(1, jnp.sqrt(c / (eta**2 * flat @ p)))
        assert share < 1
        velocity = mu * velocity + share * p
        got = jnp.concatenate([updates["d"]["kernel"].reshape(-1), updates["d"]["bias"], updates["scale"]])
        close(got, -eta * velocity, rtol=1e-10, atol=1e-14)


@pytest.mark.usefixtures("strict_numerics")
def test_inverses_are_as_old_as_the_last_step_that_computed_them():
    optimizer = optim.kfac(0.1, update_every=3)
    params = {"kernel": jnp.ones((2, 2))}
    state, seen = optimizer.init(params), []
    for step in range(5):
        report = Given({"kernel": (positive(step, 2), positive(step + 9, 2))}, {})
        _, state = optimizer.update(params, state, params, reports={optimizer.rule: report})
        seen.append(np.asarray(state.inverses["kernel"][0]))
    assert (seen[0] == seen[1]).all()
    assert (seen[1] == seen[2]).all()
    assert (seen[2] != seen[3]).all()
    assert (seen[3] == seen[4]).all()


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize("size", [3, 60])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_factor_without_full_rank_has_an_inverse_however_small_the_damping(size, dtype):
    x = jax.random.normal(KEY, (1, size)).astype(dtype)
    left, right = damped_inverses((1e10 * x.T @ x, x.T @ x), jnp.array(1e-30, dtype))
    assert jnp.isfinite(left).all()
    assert jnp.isfinite(right).all()


@pytest.mark.usefixtures("strict_numerics")
def test_diagonal_sides_are_diagonals_of_the_dense_ones():
    full = damped_inverses((jnp.diag(jnp.arange(1.0, 4)), jnp.diag(jnp.arange(2.0, 4))), jnp.array(0.1))
    thin = damped_inverses((jnp.arange(1.0, 4), jnp.arange(2.0, 4)), jnp.array(0.1))
    v = jax.random.normal(KEY, (3, 2))
    close(preconditioned(thin, v), preconditioned(full, v), rtol=1e-12)


def test_blocks_by_the_names_and_shapes_of_parameters():
    model = fnn.Serial(
        fnn.Embedding(7, 4),
        fnn.MultiHeadAttention(2),
        fnn.MultiHeadAttention(2, use_bias=False),
        fnn.LSTM(3),
        fnn.LSTM(3, layer_norm=True),
        fnn.GRU(2),
        fnn.Repeat(fnn.Dense(2), 3),
    )
    params, _ = jax.eval_shape(model.init, KEY, jnp.zeros((1, 5), int))
    params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), params)
    blocks, rest = blocks_of(params, 9)
    found = {block.kernel: (block.bias is not None, block.inputs, block.outputs, block.full) for block in blocks}
    both, none = (True, True), (False, False)
    assert found["embedding_0/embedding"] == (False, 7, 4, (False, True))
    assert found["multi_head_attention_0/query/kernel"] == (True, 5, 4, both)
    assert found["multi_head_attention_0/out/kernel"] == (True, 5, 4, both)
    assert found["multi_head_attention_1/query/kernel"] == (False, 4, 4, both)
    assert found["multi_head_attention_1/out/kernel"] == (False, 4, 4, both)
    assert found["lstm_0/kernel"] == (True, 5, 12, (True, False))
    assert found["lstm_0/recurrent_kernel"] == (False, 3, 12, (True, False))
    assert found["lstm_1/kernel"] == (False, 3, 12, (True, False))  # the bias is added after the scale
    assert found["gru_0/recurrent_kernel"] == (True, 3, 6, both)
    assert found["repeat_0/kernel"] == (True, 3, 2, both)
    assert none not in [each[3] for each in found.values()]
    assert next(block for block in blocks if block.kernel == "repeat_0/kernel").sizes == (3,)
    assert sorted(rest) == ["lstm_1/bias", "lstm_1/input_scale", "lstm_1/recurrent_scale"]


@functools.cache
def result(name: str) -> Any:
    """Twelve steps on the labels."""
    optimizers = {
        "alone": optim.kfac(0.3),
        "in a chain": optim.chain(optim.clip_by_global_norm(1e6), optim.kfac(0.3)),
        "guarded": optim.skip_nonfinite(optim.kfac(0.3)),
        "in groups": optim.groups({"*/bias": optim.sgd(0.1), "*": optim.kfac(0.3)}, show=False),
        "of two": optim.groups({"dense_0*": optim.kfac(0.3), "*": optim.kfac(0.1, momentum=0.0)}, show=False),
        "accumulated": optim.accumulate(optim.kfac(0.3), 2),
        "accumulated, with a rest": optim.accumulate(optim.kfac(0.3), 5),
        "averaged": optim.chain(optim.kfac(0.3), optim.ema(0.5)),
        "empirical": optim.kfac(0.3, fisher="empirical"),
    }
    train = fnn.make_train(OBJECTIVE, optimizers[name], epochs=6, batch_size=12)
    return jax.jit(train)(KEY, (X, LABELS))


@pytest.mark.full
@pytest.mark.parametrize(
    "name", ["in groups", "of two", "accumulated", "accumulated, with a rest", "averaged", "empirical"]
)
def test_it_learns_in_every_wrapper(name):
    losses = result(name).history["loss"]
    assert losses[-1] < 0.97 * losses[0]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(result(name).params))


@pytest.mark.full
@pytest.mark.parametrize("name", ["in a chain", "guarded"])
def test_wrappers_that_change_nothing_change_nothing(name):
    close(result(name).params, result("alone").params, rtol=1e-5, atol=1e-6)


@pytest.mark.full
def test_fit_takes_the_steps_of_make_train():
    options: dict[str, Any] = {"epochs": 6, "batch_size": 12}
    fitted = fnn.fit(OBJECTIVE, optim.kfac(0.3), (X, LABELS), key=KEY, progress=False, **options)
    assert result("alone").history["loss"][-1] < 0.9 * result("alone").history["loss"][0]
    close(fitted.params, result("alone").params, rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_a_resumed_run_ends_with_the_same_bits(tmp_path):
    options: dict[str, Any] = {"batch_size": 12, "key": KEY, "progress": False}
    whole = fnn.fit(OBJECTIVE, optim.kfac(0.3), (X, LABELS), epochs=3, **options)
    fnn.fit(OBJECTIVE, optim.kfac(0.3), (X, LABELS), epochs=2, checkpoint=tmp_path, **options)
    again = fnn.fit(OBJECTIVE, optim.kfac(0.3), (X, LABELS), epochs=3, checkpoint=tmp_path, resume=True, **options)
    for path, leaf in named_leaves(again.opt_state).items():
        np.testing.assert_array_equal(leaf, named_leaves(whole.opt_state)[path])


@pytest.mark.full
def test_gradients_by_jax_take_the_same_steps():
    train = fnn.make_train(OBJECTIVE, optim.kfac(0.3), epochs=6, batch_size=12, method="auto")
    close(jax.jit(train)(KEY, (X, LABELS)).params, result("alone").params, rtol=1e-3, atol=1e-4)


@pytest.mark.full
def test_seeds_side_by_side_end_where_each_ends_alone():
    train = fnn.make_train(OBJECTIVE, optim.kfac(0.3), epochs=6, batch_size=12)
    both = jax.jit(jax.vmap(train, (0, None)))(jnp.stack([KEY, jax.random.key(1)]), (X, LABELS))
    close(jax.tree.map(lambda leaf: leaf[0], both.params), result("alone").params, rtol=1e-3, atol=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_mixed_network_trains(dtype):
    model = fnn.Serial(
        fnn.Embedding(5, 4),
        fnn.Repeat(fnn.Remat(fnn.TransformerBlock(2, 8, dropout=0.1)), 2),
        fnn.Bidirectional(fnn.LSTM(3)),
        fnn.WeightNorm(fnn.Dense(6)),
        fnn.Relu(),
        fnn.GlobalAvgPool(),
        fnn.BatchNorm(),
        fnn.Dense(3),
    )
    objective = fnn.Objective(model if dtype == "float32" else fnn.Cast(model, dtype), fnn.CrossEntropy())
    indices = np.random.default_rng(0).integers(0, 5, (24, 4))
    train = fnn.make_train(objective, optim.kfac(0.1), epochs=4, batch_size=8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no layer is called one whose gradients are formed for every example
        found = jax.jit(train)(KEY, (indices, indices[:, 0] % 3))
    assert found.history["loss"][-1] < found.history["loss"][0]
    assert {leaf.dtype for leaf in jax.tree.leaves(found.opt_state.known)} == {np.dtype("float32")}


def test_a_report_that_is_not_finite_makes_the_update_nan_at_once():
    optimizer, params = optim.skip_nonfinite(optim.kfac(0.1, update_every=10)), {"kernel": jnp.ones((2, 2))}
    (rule,) = rules_of(optimizer)
    good, bad = (
        {rule: OfGradients(jax.tree.map(lambda w, c=c: c * w, params)).fisher(sampled=True)} for c in (1, jnp.nan)
    )
    _, state = optimizer.update(params, optimizer.init(params), params, reports=good)
    updates, after = optimizer.update(params, state, params, reports=bad)
    assert not optim.accepted(after)
    assert (updates["kernel"] == 0).all()
    np.testing.assert_array_equal(after.inner.known.factors["kernel"][0], state.inner.known.factors["kernel"][0])


def test_without_a_report_it_says_where_to_get_one():
    optimizer, params = optim.kfac(0.1), {"kernel": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=r"train with fit or make_train, or .* fnn.rules.reports.with_reports"):
        optimizer.update(params, optimizer.init(params), params)


def test_a_loop_of_ones_own():
    optimizer, state = optim.kfac(0.3), {}
    params, _ = OBJECTIVE.init(KEY, X)
    (_, _), expected = OBJECTIVE.value_and_grad(params, state, (X, LABELS))
    (_, aux), grads, reports = with_reports(
        OBJECTIVE, rules_of(optimizer), params, state, (X, LABELS), key=KEY, report_key=KEY
    )
    close(grads, expected, rtol=1e-5, atol=1e-7)
    updates, _ = optimizer.update(grads, optimizer.init(params), params, reports=reports)
    assert aux.outputs.shape == (24, 3)
    assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_a_rule_of_ones_own_reads_what_a_fold_reports():
    def largest_delta(backward):
        deltas = backward.fold(lambda path, layer, cache, dy: ({"delta": dy}, layer.backward(cache, dy)[1]))
        return jnp.max(jnp.abs(deltas["dense_1"]["delta"]))

    seen = []

    def update(grads, opt_state, params=None, **extra):
        seen.append(extra["reports"])
        return jax.tree.map(lambda g: -0.1 * g, grads), opt_state

    optimizer: Any = optim.chain(optim.Optimizer(lambda params: (), update, largest_delta), optim.kfac(0.1))
    assert rules_of(optimizer) == (largest_delta, optimizer.transforms[1].rule)
    jax.eval_shape(fnn.make_train(OBJECTIVE, optimizer, steps=1, batch_size=12), KEY, (X, LABELS))
    assert seen[0][largest_delta].shape == ()


def test_two_optimisers_with_one_rule_share_its_report():
    optimizer = optim.groups({"a": optim.kfac(0.1), "b": optim.kfac(0.2), "c": optim.kfac(0.1, fisher="empirical")})
    assert [rule.targets for rule in rules_of(optimizer)] == ["sampled", "empirical"]


def test_a_parameter_that_only_a_penalty_reaches_is_divided_by_the_damping():
    params = {"kernel": jnp.ones((2, 2)), "scale": jnp.ones(2), "other_kernel": jnp.ones((2, 2))}
    optimizer = optim.kfac(1.0, damping=0.5, norm_constraint=None)
    report = OfGradients({"kernel": params["kernel"]}).fisher(sampled=True)
    assert isinstance(report.contributions["kernel"], Whole)
    updates, _ = optimizer.update(params, optimizer.init(params), params, reports={optimizer.rule: report})
    close((updates["scale"], updates["other_kernel"]), (-2 * jnp.ones(2), -2 * jnp.ones((2, 2))), rtol=1e-6)
