"""One step for gradients of any size: finite, and in the direction that it has at an ordinary one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.magnitudes import divisor, norm, root_mean_square, squarable

SIZES = np.array([1e-45, 1e-38, 1e-34, 1e-30, 1e-20, 1e-12, 1.0, 1e5, 1e12, 1e19, 1e30, 1e37, 1e38], np.float32)

FAR = np.float32(1e12)

PARAMS = {"bias": np.full(4, 0.5, np.float32), "kernel": np.full((3, 4), 2.0, np.float32)}


def patterns():
    draws = np.random.default_rng(0)
    signs = np.sign(draws.normal(size=(3, 4)))
    mixed = {"bias": draws.uniform(0.5, 1, 4), "kernel": draws.uniform(0.5, 1, (3, 4)) * signs}
    row = {"bias": np.zeros(4), "kernel": np.zeros((3, 4))}
    row["kernel"][1] = [1.0, -1.0, 0.5, 1.0]
    found = [mixed, jax.tree.map(np.ones_like, mixed), row]
    return jax.tree.map(lambda *leaves: np.stack(leaves).astype(np.float32), *found)


# All in one program: with gradients of patterns × sizes along two leading axes.
PATTERNS = patterns()
GRADS = jax.tree.map(lambda g: g[:, None] * SIZES.reshape(-1, *[1] * (g.ndim - 1)), PATTERNS)

# What the step is compared with:
#   any            that for gradients of size 1, at any size
#   large          that for the size 1e12, at any above; where gradients are small eps or a start counts: the sign
#   proportional   that for the size 1, times the size
#   … of params    so it is where it is no smaller than the rounding of the parameters, which the state keeps
#   … of a sum     so it is where the sum of the singular values is finite

RANGES = {
    "proportional of params": (0.5, 2e38),
    "large of params": (0.5, 2e38),
    "proportional of a sum": (1e-35, 5e37),
}
"""The sizes that a kind speaks of; others from 1e-35: XLA takes what is below 1.2e-38 for 0, so a hundredth above."""

NO_EPS: dict[str, Any] = {"eps": 0.0}

CASES = {
    "sgd": (optim.sgd(0.1), "proportional"),
    "momentum": (optim.momentum(0.1), "proportional"),
    "nesterov": (optim.nesterov(0.1), "proportional"),
    "ema_momentum": (optim.ema_momentum(0.1), "proportional"),
    "adagrad": (optim.adagrad(0.1), "large"),
    "adagrad, eps outside": (optim.adagrad(0.1, 0.0, 0.0, eps_in_sqrt=False), "large"),
    "adadelta": (optim.adadelta(1.0), "large"),
    "adadelta without eps": (optim.adadelta(1.0, **NO_EPS), "any"),
    "rmsprop": (optim.rmsprop(0.1), "large"),
    "rmsprop, eps outside": (optim.rmsprop(0.1, **NO_EPS, eps_in_sqrt=False, momentum=0.9), "large"),
    "rmsprop, centred": (optim.rmsprop(0.1, centered=True, momentum=0.9, nesterov=True), "large"),
    "rmsprop, corrected": (optim.rmsprop(0.1, centered=True, bias_correction=True), "finite"),
    "adam": (optim.adam(0.1), "large"),
    "adam without eps": (optim.adam(0.1, **NO_EPS), "large"),
    "adam, eps inside": (optim.adam(0.1, eps=0.0, eps_root=1e-8), "large"),
    "adamw": (optim.adamw(0.1, weight_decay=0.0), "large"),
    "amsgrad": (optim.amsgrad(0.1), "large"),
    "nadam": (optim.nadam(0.1), "large"),
    "adamax": (optim.adamax(0.1), "large"),
    "adamax without eps": (optim.adamax(0.1, **NO_EPS), "any"),
    "radam": (optim.radam(0.1), "proportional"),
    "lion": (optim.lion(0.1), "any"),
    "lamb": (optim.lamb(0.1, paths="*"), "large"),
    "scale_by_trust_ratio": (optim.scale_by_trust_ratio(), "any"),
    "adafactor": (optim.adafactor(0.1), "large"),
    "adafactor, factored": (optim.adafactor(0.1, 2), "large"),
    "adafactor, bare": (
        optim.adafactor(0.1, 2, clipping_threshold=None, multiply_by_parameter_scale=False, momentum=0.9, eps=0.0),
        "large",
    ),
    "adafactor, offset": (optim.adafactor(0.1, 2, decay_offset=1), "large"),
    "muon": (optim.chain(optim.muon(0.1), optim.freeze("bias")), "any"),
    "muon, the rest": (optim.muon(0.1), "large"),
    "muon, heavy ball": (optim.chain(optim.muon(0.1, nesterov=False, consistent_rms=0.2), optim.freeze("bias")), "any"),
    "muon, adaptive": (
        optim.chain(optim.muon(1e-3, adaptive=True), optim.freeze("bias")),
        "proportional of a sum",
    ),
    "schedule_free": (optim.schedule_free(0.1), "proportional of params"),
    "schedule_free_sgd": (optim.schedule_free_sgd(0.1), "proportional of params"),
    "schedule_free_adamw": (optim.schedule_free_adamw(0.1), "large of params"),
    "lbfgs": (optim.lbfgs(0.1), "large"),
    "clip_by_value": (optim.clip_by_value(0.1), "large"),
    "clip_by_norm": (optim.clip_by_norm(0.1), "large"),
    "clip_by_global_norm": (optim.clip_by_global_norm(0.1), "large"),
    "clip and adam": (optim.chain(optim.clip_by_global_norm(1.0), optim.adam(0.1)), "large"),
    "ema": (optim.chain(optim.sgd(0.1), optim.ema(0.9)), "proportional"),
    "lookahead": (optim.lookahead(optim.sgd(0.1), 1), "proportional"),
    "skip_nonfinite": (optim.skip_nonfinite(optim.sgd(0.1)), "proportional"),
    "accumulate": (optim.accumulate(optim.sgd(0.1), 1), "proportional"),
    "plateau": (optim.chain(optim.sgd(0.1), optim.reduce_on_plateau()), "proportional"),
    "groups": (optim.groups({"bias": optim.sgd(0.1), "*": optim.momentum(0.1)}, show=False), "proportional"),
}


def first_steps(optimizer):
    def first(grads):
        return optimizer.update(grads, optimizer.init(PARAMS), PARAMS, value=jnp.ones(()), weight=jnp.full((), 32.0))[0]

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(jax.vmap(first)))(GRADS))


QUICK = ("adagrad", "adam", "radam", "lamb", "adafactor, bare", "muon", "clip_by_global_norm", "accumulate")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.full) for n in CASES])
def test_a_first_step_is_finite_and_has_its_direction_whatever_the_size_of_the_gradient(name):
    optimizer, kind = CASES[name]
    (smallest, largest), size = RANGES.get(kind, (1e-35, 2e38)), SIZES
    sizes = (size > smallest) & (size < largest)
    steps = first_steps(optimizer)
    for path in PARAMS:
        assert np.isfinite(steps[path][:, size < largest]).all()
        got, one = np.moveaxis(steps[path], 1, 0), steps[path][:, size == 1.0].squeeze(1)
        if kind == "any":
            same(got[sizes], one)
        elif kind.startswith("large"):
            same(got[size > 5e11], got[size == FAR][0])
            assert (np.sign(got[sizes & (size > 5e-21)]) == np.sign(one)).all()
        elif kind.startswith("proportional"):
            same([step / factor for step, factor in zip(got[sizes], size[sizes], strict=True)], one)
        else:
            assert kind == "finite"


def same(got, expected):
    for each in got:
        np.testing.assert_allclose(each, expected, rtol=2e-5, atol=1e-5 * np.abs(expected).max())


def test_a_spike_beyond_all_squares_counts_as_one_at_their_bound():
    # Adam's second step after 1, from float64, which holds all of it; 1e30 and 5e18 count alike.
    optimizer, w = optim.adam(0.1), jnp.zeros(2)
    opt_state = optimizer.init(w)
    _, opt_state = optimizer.update(jnp.array([1.0, 1.0]), opt_state, w)
    updates, opt_state = optimizer.update(jnp.array([1e30, -5e18]), opt_state, w)
    step = 0.1 * (0.1 / 0.19) / np.sqrt(0.001 / 0.001999)
    np.testing.assert_allclose(updates, [-step, step], rtol=1e-5)


@pytest.mark.full
def test_a_spike_in_rectified_adam_is_one_at_the_bound_too():
    optimizer, w = optim.radam(1.0, b1=0.5, b2=0.75, eps=0.0, threshold=4.0), jnp.zeros(2)

    def seventh(spike):
        opt_state = optimizer.init(w)
        for _ in range(6):
            _, opt_state = optimizer.update(jnp.ones(2), opt_state, w)
        return optimizer.update(spike, opt_state, w)[0]

    ordinary, huge = jax.jit(jax.vmap(seventh))(jnp.array([[1e9, -1e9], [1e30, -1e38]]))
    np.testing.assert_allclose(huge, ordinary, rtol=1e-5)


def test_an_infinity_or_a_nan_stays_one_that_skip_nonfinite_sees():
    grads = {"bias": np.ones((2, 4), np.float32), "kernel": np.ones((2, 3, 4), np.float32)}
    grads["kernel"][:, 1, 2] = np.inf, np.nan
    chosen = ("adam", "adagrad", "adadelta", "radam", "adafactor, factored", "lamb", "muon", "clip_by_norm")
    optimizers = {name: CASES[name][0] for name in chosen}

    def first(grads):
        return {name: each.update(grads, each.init(PARAMS), PARAMS)[0] for name, each in optimizers.items()}

    for name, updates in jax.jit(jax.vmap(first))(grads).items():
        assert not np.isfinite(updates["kernel"][:, 1, 2]).any(), name


@pytest.mark.usefixtures("users_compilation")
def test_zeros_that_xla_knows_at_compile_time_have_the_norm_0():
    # XLA of JAX 0.9.2 made (1/s)² · 0 of them, with a scale s so small that the square overflowed: clipping gave NaN.
    clip = optim.clip_by_global_norm(1.0)
    assert jax.jit(lambda: norm(jnp.zeros((4, 3))))() == 0
    updates = jax.jit(lambda: clip.update({"a": jnp.zeros(3)}, clip.init({"a": jnp.zeros(3)}))[0])()
    assert (updates["a"] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.full)])
def test_scales_change_no_bit_at_ordinary_sizes_and_keep_norms_at_others(random, dtype):
    with jax.enable_x64(dtype == "float64"):
        x = jnp.asarray(random(5, 7), dtype)
        assert (squarable(x) == x).all()
        assert norm(x) == jnp.sqrt(jnp.sum(x * x))
        assert root_mean_square(x) == jnp.sqrt(jnp.mean(x * x))
        most = float(jnp.finfo(x.dtype).max)
        for size in (most**0.9, most**-0.9):
            np.testing.assert_allclose(norm(x * size) / size, norm(x), rtol=1e-6)
        assert jnp.isfinite(squarable(jnp.array(most, dtype)) ** 2)
        summed = squarable(jnp.array(most, dtype), summed=True) ** 2
        assert summed + most == most  # a sum of any number of them is absorbed before it overflows
        assert divisor(jnp.zeros((), dtype)) > 0
