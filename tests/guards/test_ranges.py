"""Ranges: a Python number out of range raises, and a traced one makes everything computed from it NaN."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import augment, optim
from fnn.guards.ranges import ABOVE_ZERO, FRACTION, Range, in_range, keep_in_range, nan_where_any, or_nan
from fnn.optim.declared import rules_of
from fnn.optim.transform import update
from fnn.testing.of_gradients import OfGradients
from tests.comparing import same

KEY = jax.random.key(0)
X, TARGETS = (jax.random.normal(jax.random.key(seed), (6, 4), jnp.float32) for seed in range(2))
LABELS = jnp.arange(6) % 4

# ---- one number


@pytest.mark.parametrize("value", [0, 0.5, np.float32(0.25), np.int64(0)])
def test_a_number_in_range_is_kept_as_it_is(value):
    assert in_range("rate", value, FRACTION) is value


@pytest.mark.parametrize("value", [1, 1.0, -0.1, float("nan"), np.float32(2), float("inf")])
def test_a_number_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match=r"rate is a number in \[0, 1\), got"):
        in_range("rate", value, FRACTION)


@pytest.mark.parametrize("value", ["a", None, True, [0.5]])
def test_a_value_that_is_not_a_number_is_refused(value):
    with pytest.raises(TypeError, match="rate is a number, got"):
        in_range("rate", value, FRACTION)


def test_a_range_may_have_a_verb():
    with pytest.raises(ValueError, match=r"^rate lies in \[0, 1\), got 2$"):
        in_range("rate", 2, Range("in [0, 1)", FRACTION.holds, verb="lies"))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.int32])
@pytest.mark.usefixtures("strict_numerics")
def test_entries_of_an_array_out_of_range_become_nan_and_the_others_stay(dtype):
    found = jax.jit(lambda value: or_nan(value, ABOVE_ZERO))(jnp.array([1, 0, -3, 2], dtype))
    np.testing.assert_array_equal(np.asarray(found, float), [1, np.nan, np.nan, 2])
    assert found.dtype == (dtype if dtype != jnp.int32 else jnp.zeros(()).dtype)


def test_in_range_a_derivative_passes_and_is_1():
    assert jax.grad(lambda value: or_nan(value, ABOVE_ZERO))(2.0) == 1


def test_a_dataclass_holds_the_checked_number():
    @dataclasses.dataclass(frozen=True)
    class Half:
        rate: float

        def __post_init__(self):
            keep_in_range(self, rate=FRACTION)

    assert (Half(0.5), hash(Half(0.5))) == (Half(0.5), hash(Half(0.5)))
    assert jnp.isnan(jax.jit(lambda rate: Half(rate).rate)(1.5))


def test_strengths_that_are_numbers_cost_nothing():
    tree = {"kernel": X}
    assert nan_where_any([0.5, 1], tree) is tree
    same(nan_where_any([jnp.array(0.5), 1], tree), tree)
    assert jnp.isnan(nan_where_any([jnp.array(jnp.nan), 1], tree)["kernel"]).all()


# ---- everything that has a range: made of a traced number in range, and of one that is not


def by_layer(make, x=X):
    """The sum of a layer's outputs in training, and of its gradients by hand and by JAX."""

    def run(value):
        layer = make(value)
        params, state = make(0.5).init(KEY, x)
        y, state, cache = layer.forward(params, state, x, train=True, key=KEY)
        dparams, dx = layer.backward(cache, jnp.ones_like(y))
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves((y, state, dparams, dx)) if leaf.dtype == y.dtype)

    return run


def by_loss(make, target: Any = TARGETS, x=X):
    return lambda value: make(value)(x, target)


def by_penalty(make):
    return lambda value: make(value)({"kernel": X})


def by_schedule(make):
    return lambda value: make(value)(jnp.array(7))


LAYERS = {
    "Dropout": (fnn.Dropout, 0.5, [1.0, 1.5, -1.0]),
    "DropConnect": (lambda rate: fnn.DropConnect(fnn.Dense(3), rate), 0.5, [1.5, -1.0]),
    "GaussianNoise": (fnn.GaussianNoise, 0.5, [-1.0]),
    "BatchNorm.decay": (lambda decay: fnn.BatchNorm(decay=decay), 0.5, [1.5, -0.5]),
    "BatchNorm.epsilon": (lambda epsilon: fnn.BatchNorm(epsilon=epsilon), 0.5, [-0.5]),
    "LayerNorm": (lambda epsilon: fnn.LayerNorm(epsilon=epsilon), 0.5, [-0.01]),
    "RMSNorm": (lambda epsilon: fnn.RMSNorm(epsilon=epsilon), 0.5, [-0.01]),
    "GroupNorm": (lambda epsilon: fnn.GroupNorm(2, epsilon=epsilon), 0.5, [-0.01]),
    "SpectralNorm": (lambda epsilon: fnn.SpectralNorm(fnn.Dense(3), epsilon=epsilon), 0.5, [-0.01]),
    "LeakyRelu": (fnn.LeakyRelu, 0.5, [np.inf]),
    "Elu": (fnn.Elu, 0.5, [-1.0, np.inf]),
    "Celu": (fnn.Celu, 0.5, [0.0, np.inf]),
    "Swish": (fnn.Swish, 0.5, [np.inf]),
}
SEQUENCES = {
    "MultiHeadAttention": (lambda rate: fnn.MultiHeadAttention(2, dropout=rate), 0.5, [1.5, -1.0]),
    "TransformerBlock": (lambda rate: fnn.TransformerBlock(2, 8, dropout=rate), 0.5, [1.5, -1.0]),
    "GRU": (lambda rate: fnn.GRU(3, recurrent_dropout=rate), 0.5, [1.5, -1.0]),
    "LSTM": (lambda rate: fnn.LSTM(3, recurrent_dropout=rate), 0.5, [1.5, -1.0]),
}
LOSSES = {
    "smoothing": (by_loss(lambda s: fnn.CrossEntropy(label_smoothing=s), LABELS), 0.5, [1.0, -0.1]),
    "z_loss": (by_loss(lambda s: fnn.CrossEntropy(z_loss=s), LABELS), 0.5, [-0.1, np.inf]),
    "gamma": (by_loss(fnn.Focal, LABELS, 40 * X), 0.5, [-1.0]),
    "delta": (by_loss(fnn.Huber), 0.5, [0.0, -1.0]),
    "margin": (by_loss(fnn.Triplet, None, X.reshape(2, 3, 4)), 0.5, [0.0, -1.0]),
}
PENALTIES = {
    "L1": (by_penalty(fnn.L1), 0.5, [-1.0]),
    "L2": (by_penalty(fnn.L2), 0.5, [-1.0]),
    "l1": (by_penalty(lambda strength: fnn.ElasticNet(strength, 0.5)), 0.5, [-1.0]),
    "l2": (by_penalty(lambda strength: fnn.ElasticNet(0.5, strength)), 0.5, [-1.0]),
}
SCHEDULES = {
    "constant": optim.constant,
    "cosine": lambda value: optim.cosine(value, 10),
    "cosine.final": lambda value: optim.cosine(1.0, 10, final=value),
    "step_decay": lambda value: optim.step_decay(value, 0.5, 3),
    "exponential": lambda value: optim.exponential(1.0, value, 3),
    "polynomial": lambda value: optim.polynomial(1.0, 10, power=value),
    "piecewise": lambda value: optim.piecewise((value, value), (3,)),
    "warmup_cosine": lambda value: optim.warmup_cosine(value, 3, 10),
    "inverse_sqrt": lambda value: optim.inverse_sqrt(value, 3),
    "warmup_stable_decay": lambda value: optim.warmup_stable_decay(value, 3, 3, 10),
    "warm_restarts": lambda value: optim.warm_restarts(value, 4),
    "one_cycle": lambda value: optim.one_cycle(value, 10),
    "one_cycle.final_divisor": lambda value: optim.one_cycle(1.0, 10, final_divisor=value),
}
ROWS = {
    **{name: (by_layer(make), good, bad) for name, (make, good, bad) in LAYERS.items()},
    **{name: (by_layer(make, X.reshape(2, 3, 4)), good, bad) for name, (make, good, bad) in SEQUENCES.items()},
    **LOSSES,
    **PENALTIES,
    **{name: (by_schedule(make), 0.5, [-1.0]) for name, make in SCHEDULES.items()},
}
QUICK = {"Dropout", "GaussianNoise", "GRU", "smoothing", "gamma", "delta", "L2", "cosine"}
each_row = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in ROWS]
)


@pytest.mark.full
@each_row
def test_results_of_a_traced_number_out_of_range_are_nan(name):
    run, good, bad = ROWS[name]
    found, untraced = jax.jit(lambda values: (jax.vmap(run)(values), run(good)))(np.array([good, *bad], X.dtype))
    assert np.isfinite(found).tolist() == [True] + [False] * len(bad), found
    np.testing.assert_allclose(found[0], untraced, rtol=1e-5)


@each_row
def test_the_constructor_raises_for_the_same_number_untraced(name):
    run, _, bad = ROWS[name]
    for value in bad:
        with pytest.raises(ValueError, match=r"(is|lies|divides and is) .*, got "):
            jax.eval_shape(lambda value=value: run(value))


@pytest.mark.parametrize("rate", [1.5, -1.0, np.nan])
def test_dropout_that_drops_everything_is_nan_everywhere(rate):
    layer_of = jax.jit(lambda rate: fnn.Dropout(rate).forward({}, {}, X, train=True, key=KEY)[::2])
    y, cache = layer_of(rate)
    assert jnp.isnan(y).all()
    assert jnp.isnan(jax.jit(lambda rate, cache: fnn.Dropout(rate).backward(cache, X)[1])(rate, cache)).all()


# ---- optimisers: every hyper-parameter that an optimiser's state can hold

PARAMS = {"bias": jnp.array([0.5, -0.3]), "kernel": jnp.arange(6.0).reshape(3, 2) / 7 + 0.1}
SCALED = optim.sgd(0.1)
OPTIMIZERS = {
    "sgd": (optim.sgd, {"learning_rate": -1.0}),
    "momentum": (lambda momentum: optim.sgd(0.1, momentum=momentum), {"momentum": 1.0}),
    "ema_momentum": (optim.ema_momentum, {"learning_rate": -1.0, "beta": 1.0}),
    "adagrad": (optim.adagrad, {"learning_rate": -1.0, "eps": -1.0}),
    "adadelta": (optim.adadelta, {"learning_rate": -1.0, "rho": 1.0, "eps": -1.0}),
    "rmsprop": (optim.rmsprop, {"learning_rate": -1.0, "decay": 1.0, "eps": -1.0, "momentum": -0.5}),
    "adam": (optim.adam, {"learning_rate": -1.0, "b1": 1.0, "b2": -0.5, "eps": -1.0, "eps_root": -1.0}),
    "adamw": (optim.adamw, {"weight_decay": -1.0}),
    "amsgrad": (optim.amsgrad, {"b1": 1.5, "b2": 1.0}),
    "nadam": (optim.nadam, {"b1": 1.0, "b2": 1.0}),
    "adamax": (optim.adamax, {"b1": 1.0, "b2": 1.0, "eps": -1.0}),
    "radam": (optim.radam, {"b1": 1.0, "b2": 1.0}),
    "lion": (optim.lion, {"b1": 1.0, "b2": 1.0}),
    "lamb": (optim.lamb, {"learning_rate": -1.0, "b1": 1.0, "weight_decay": -1.0}),
    "adafactor": (optim.adafactor, {"learning_rate": -1.0, "decay_rate": 0.0, "clipping_threshold": 0.0}),
    "muon": (optim.muon, {"learning_rate": -1.0, "beta": 1.0, "eps": -1.0}),
    "kfac": (
        optim.kfac,
        {"learning_rate": -1.0, "damping": 0.0, "decay": 1.0, "momentum": 1.0, "norm_constraint": 0.0},
    ),
    "schedule_free": (optim.schedule_free_sgd, {"learning_rate": -1.0, "b1": 0.0, "weight_lr_power": -1.0}),
    "schedule_free_adamw": (optim.schedule_free_adamw, {"b2": 1.0, "weight_decay": -1.0}),
    "lbfgs": (optim.lbfgs, {"slope_rtol": -0.1, "curv_rtol": 1.0}),
    "lbfgs at a rate": (optim.lbfgs, {"learning_rate": -1.0}),
    "clip_by_value": (optim.clip_by_value, {"max_value": 0.0}),
    "clip_by_norm": (optim.clip_by_norm, {"max_norm": 0.0}),
    "clip_by_global_norm": (optim.clip_by_global_norm, {"max_norm": -1.0}),
    "decay_weights": (optim.decay_weights, {"strength": -1.0}),
    "ema": (optim.ema, {"decay": 1.0}),
    "lookahead": (lambda **slow: optim.lookahead(SCALED, **slow), {"slow_step": -1.0}),
    "reduce_on_plateau": (optim.reduce_on_plateau, {"factor": 1.0, "rtol": 1.0, "atol": -1.0, "min_scale": -1.0}),
    "groups": (lambda learning_rate: optim.groups({"*": optim.sgd(learning_rate)}), {"learning_rate": -1.0}),
    "a schedule": (lambda init: optim.sgd(optim.cosine(init, 9)), {"init": -1.0}),
    "a warm-up": (lambda learning_rate: optim.schedule_free_sgd(learning_rate, 3), {"learning_rate": -1.0}),
    "what it starts with": (optim.adagrad, {"initial_accumulator_value": -1.0}),
    "where it starts": (optim.rmsprop, {"initial_scale": -1.0}),
}
POINTS = [(name, option) for name, (_, options) in OPTIMIZERS.items() for option in options]
QUICK_POINTS = {("sgd", "learning_rate"), ("ema", "decay"), ("clip_by_global_norm", "max_norm"), ("a schedule", "init")}


def value_fn(params):
    return sum(jnp.sum((leaf - 1) ** 2) for leaf in jax.tree.leaves(params))


def updated(name, option, value, steps=2):
    """The params after some steps; constructors that need a rate get one."""
    make = OPTIMIZERS[name][0]
    given = {option: value}
    if name in ("momentum",) or not hasattr(make, "__signature__"):
        optimizer = make(**given)
    else:
        needs = "learning_rate" in make.__signature__.parameters and name != "lbfgs" and option != "learning_rate"
        optimizer = make(**({"learning_rate": 0.1} if needs else {}), **given)
    params, opt_state = PARAMS, optimizer.init(PARAMS)
    for _ in range(steps):
        value, grads = jax.value_and_grad(value_fn)(params)
        extra = {"value": value, "grad": grads, "value_fn": value_fn}
        extra["reports"] = {rule: rule(OfGradients(grads)) for rule in rules_of(optimizer)}
        updates, opt_state = update(optimizer, grads, opt_state, params, **extra)
        params = optim.apply_updates(params, updates)
    return params


@pytest.mark.parametrize(
    ("name", "option"),
    [pytest.param(*point, marks=() if point in QUICK_POINTS else pytest.mark.full) for point in POINTS],
)
def test_an_optimizer_with_a_traced_number_out_of_range_makes_the_params_nan(name, option):
    bad = OPTIMIZERS[name][1][option]
    found = jax.jit(jax.vmap(lambda value: updated(name, option, value)))(jnp.array([0.5, bad]))
    finite = [np.isfinite(leaf).reshape(2, -1).all(1) for leaf in jax.tree.leaves(found)]
    assert np.all(finite, 0).tolist() == [True, False], found
    with pytest.raises(ValueError, match=f"{option} is .*, got"):
        updated(name, option, bad)


def test_a_state_shows_the_bad_number_and_can_be_corrected():
    optimizer = optim.sgd(jnp.array(-0.1))
    opt_state = optimizer.init(PARAMS)
    assert optim.hyperparams(opt_state)["learning_rate"] < 0
    assert jnp.isnan(optimizer.update(PARAMS, opt_state)[0]["kernel"]).all()
    good = optim.set_hyperparams(opt_state, learning_rate=0.1)
    assert jnp.isfinite(optimizer.update(PARAMS, good)[0]["kernel"]).all()
    bad = optim.set_hyperparams(good, learning_rate=jnp.array(-0.1))
    assert jnp.isnan(optimizer.update(PARAMS, bad)[0]["kernel"]).all()


def test_the_value_of_a_schedule_is_not_checked():
    optimizer = optim.sgd(lambda step: jnp.where(step < 1, 0.1, -0.1))
    updates, opt_state = optimizer.update(PARAMS, optimizer.init(PARAMS))
    again, _ = optimizer.update(PARAMS, opt_state)
    np.testing.assert_allclose(again["kernel"], -updates["kernel"])


# ---- augmentations

IMAGES = jax.random.normal(KEY, (4, 5, 5, 1))
AUGMENTATIONS = {
    "Rotate": (augment.Rotate, -1.0),
    "Translate": (augment.Translate, 1.5),
    "Zoom.low": (lambda low: augment.Zoom(low, 1.5), 0.0),
    "Zoom in order": (lambda low: augment.Zoom(low, 1.0), 1.5),
    "Shear": (augment.Shear, 90.0),
    "FlipHorizontal": (augment.FlipHorizontal, 1.5),
    "FlipVertical": (augment.FlipVertical, -0.5),
    "CutOut": (augment.CutOut, -1.0),
    "Noise": (augment.Noise, -1.0),
    "Brightness": (augment.Brightness, -1.0),
    "Contrast": (lambda high: augment.Contrast(0.0, high), -1.0),
    "Contrast in order": (lambda low: augment.Contrast(low, 1.0), 1.5),
    "Sometimes": (lambda share: augment.Sometimes(augment.Noise(0.5), share), 1.5),
    "Mixup": (augment.Mixup, -1.0),
    "CutMix": (augment.CutMix, -1.0),
    "CutMix.probability": (lambda share: augment.CutMix(1.0, probability=share), 1.5),
}


@pytest.mark.full
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_an_augmentation_with_a_traced_strength_out_of_range_makes_images_nan(name):
    make, bad = AUGMENTATIONS[name]

    def changed(value):
        augmentation = make(value)
        out = augmentation(KEY, (IMAGES, jnp.eye(4)) if augmentation.mixes else IMAGES)
        return out[0] if augmentation.mixes else out

    good, lost = jax.jit(jax.vmap(changed))(jnp.array([0.5, bad]))
    assert jnp.isfinite(good).all()
    assert jnp.isnan(lost).all()
    with pytest.raises(ValueError, match="got"):
        make(bad)
