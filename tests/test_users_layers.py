"""A layer of a user's own that returns too little, or another thing: the error names it, its place and what it owes."""

# A row is a line.
# ruff: noqa: E501

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.testing import check_layer

KEY, X = jax.random.key(0), np.ones((2, 3))


def layer_that_returns(**returns: Any) -> fnn.Layer:
    """A layer whose methods return so; x + 1 where nothing else is said."""
    body = {
        "init": lambda self, key, x: ({}, {}),
        "apply": lambda self, params, state, x, *, train=False, key=None: (x + 1, state),
        "forward": lambda self, params, state, x, *, train=False, key=None: (x + 1, state, {}),
        "backward": lambda self, cache, dy: ({}, dy),
    } | {name: (lambda self, *_, _value=value, **__: _value) for name, value in returns.items()}
    body["__qualname__"], body["__module__"] = "Mine", __name__
    return dataclasses.dataclass(frozen=True)(type("Mine", (fnn.Layer,), body))()


PAIR = np.ones(2)
BAD = [
    ("init", {"kernel": PAIR, "bias": PAIR}, r"Mine\.init returns \(params, state\), got {kernel: float64\[2\], bias: float6"),
    ("init", None, r"Mine\.init returns \(params, state\), got None"),
    ("init", ({}, {}, {}), r"Mine\.init returns \(params, state\), got \({}, {}, {}\)"),
    ("init", (PAIR, {}), r"Mine\.init returns \(params, state\), nested dicts .*, but its params are float64\[2\]"),
    ("apply", PAIR, r"Mine\.apply returns \(y, state\), got float64\[2\]"),
    ("apply", (PAIR, {}, {}), r"Mine\.apply returns \(y, state\), got \(float64\[2\], {}, {}\)"),
    ("apply", (PAIR, PAIR), r"Mine\.apply returns the state second, a nested dict and {} for none, got \(float64\[2\], f"),
    ("forward", (PAIR, {}), r"Mine\.forward returns \(y, state, cache\), got \(float64\[2\], {}\)"),
    ("forward", PAIR, r"Mine\.forward returns \(y, state, cache\), got float64\[2\]"),
    ("forward", (PAIR, PAIR, {}), r"Mine\.forward returns the state second"),
]  # fmt: skip
WRAPS = {
    "Serial": lambda inner: fnn.Serial(body=fnn.Serial(faulty=inner)),
    "Repeat": lambda inner: fnn.Serial(body=fnn.Serial(faulty=fnn.Repeat(inner, 2))),
    "Remat": lambda inner: fnn.Serial(body=fnn.Serial(faulty=fnn.Remat(inner))),
    "Frozen": lambda inner: fnn.Serial(body=fnn.Serial(faulty=fnn.Frozen(inner))),
    "with_manual_vjp": lambda inner: fnn.Serial(body=fnn.Serial(faulty=fnn.with_manual_vjp(inner))),
}


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(("name", "value", "match"), BAD, ids=[f"{row[0]}: {row[2][:40]}" for row in BAD])
def test_what_is_missing_is_named_with_its_place(name: str, value: Any, match: str, wrap: str):
    model = WRAPS[wrap](layer_that_returns(**{name: value}))
    calls = {
        "init": lambda: model.init(KEY, X),
        "apply": lambda: model.apply({}, {}, X),
        "forward": lambda: model.forward({}, {}, X),
    }
    with pytest.raises(TypeError, match=match) as raised:
        calls[name]()
    notes = [note for note in raised.value.__notes__ if note.startswith("in body/faulty: ")]
    assert "Mine()" in notes[0]


@pytest.mark.parametrize(("name", "value", "match"), BAD, ids=[f"{row[0]}: {row[2][:40]}" for row in BAD])
def test_an_objective_and_the_checker_name_it_too(name: str, value: Any, match: str):
    layer = layer_that_returns(**{name: value})
    objective, batch = fnn.Objective(layer, fnn.MeanSquaredError()), (X, X)
    calls = {
        "init": lambda: objective.init(KEY, X),
        "apply": lambda: objective({}, {}, batch),
        "forward": lambda: objective.value_and_grad({}, {}, batch),
    }
    with pytest.raises(TypeError, match=match):
        calls[name]()
    with pytest.raises(AssertionError, match=match):
        check_layer(layer, X, finite=False, forward_mode=False, dtypes=(), seeds=1)


def test_a_layer_with_apply_alone_is_named_when_it_runs_forward():
    @dataclasses.dataclass(frozen=True)
    class OnlyApply(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x

    with pytest.raises(TypeError, match=r"OnlyApply\.apply returns \(y, state\), got float64\[2,3\]"):
        OnlyApply().forward({}, {}, X)


SIGNATURES = [
    ("init", lambda self, key: ({}, {}), r"Mine\.init is called with \(key, x\), but takes \(key\)"),
    (
        "apply",
        lambda self, params, x: x,
        r"Mine\.apply is called with \(params, state, x, \*, train=…, key=…\), but takes \(p",
    ),
    (
        "forward",
        lambda self, params, state, x: 0,
        r"Mine\.forward is called with \(params, state, x, \*, train=…, key=…\), but",
    ),
    ("backward", lambda self, dy: dy, r"Mine\.backward is called with \(cache, dy\), but takes \(dy\)"),
    ("backward", lambda self, cache, dy: dy, r"Mine\.backward returns \(dparams, dx\), got float64\[2,3\]"),
]


@pytest.mark.parametrize("wrap", ["Serial", "Repeat", "Remat"])
@pytest.mark.parametrize(("name", "function", "match"), SIGNATURES, ids=[row[2][:40] for row in SIGNATURES])
def test_a_method_that_takes_other_arguments_is_told_which(name: str, function: Any, match: str, wrap: str):
    layer = type(layer_that_returns())
    layer = dataclasses.dataclass(frozen=True)(type("Mine", (layer,), {name: function}))()
    model = WRAPS[wrap](layer)
    calls = {
        "init": lambda: model.init(KEY, X),
        "apply": lambda: model.apply({}, {}, X),
        "forward": lambda: model.forward({}, {}, X),
        "backward": lambda: model.backward(model.forward({}, {}, X)[2], X),
    }
    with pytest.raises(TypeError, match=match):
        calls[name]()


def test_a_type_error_inside_a_method_stays_what_it_is():
    @dataclasses.dataclass(frozen=True)
    class Adds(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return x + "1", state

    with pytest.raises(TypeError) as raised:
        fnn.Serial(Adds()).apply({}, {}, X)
    assert "is called with" not in str(raised.value)


def test_a_rule_returns_a_report_and_dx():
    model = fnn.Serial(fnn.Tanh())
    _, _, cache = model.forward({}, {}, X)
    with pytest.raises(TypeError, match=r"a rule returns \(report, dx\), got float64\[2,3\]"):
        fnn.backprop(model, cache, X, rule=lambda path, layer, cache, dy: dy)


def test_losses_and_penalties_and_optimizers_are_named_too():
    @dataclasses.dataclass(frozen=True)
    class OnlyTerms(fnn.Loss):
        def terms(self, prediction, target):
            return jnp.square(prediction - target)

    with pytest.raises(TypeError, match=r"OnlyTerms\.terms returns \(terms, cache\), got float64\[2,3\]"):
        OnlyTerms()(X, X)

    @dataclasses.dataclass(frozen=True)
    class OnlyValue(fnn.L2):
        def forward(self, params):
            return self(params)

    objective = fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError(), (OnlyValue(0.1),))
    params, state = objective.init(KEY, X)
    with pytest.raises(TypeError, match=r"OnlyValue\.forward returns \(value, cache\), got float64\[\]"):
        objective.value_and_grad(params, state, (X, X))

    optimizer = fnn.optim.Optimizer(lambda params: {}, lambda grads, opt_state, params=None: grads)
    train = fnn.make_train(fnn.Objective(fnn.Dense(3), fnn.MeanSquaredError()), optimizer, epochs=1, batch_size=2)
    with pytest.raises(
        TypeError, match=r"Optimizer\.update returns \(updates, opt_state\), got {kernel: float64\[3,3\]"
    ):
        jax.eval_shape(train, KEY, (X, X))


# ---- train, traced

ONE = {"train": jnp.array(True)}
READ_TRAIN = [
    fnn.Dropout(0.5),
    fnn.GaussianNoise(0.1),
    fnn.BatchNorm(),
    fnn.DropConnect(fnn.Dense(3), 0.5),
    fnn.SpectralNorm(fnn.Dense(3)),
    fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5)),
    fnn.Repeat(fnn.Serial(fnn.Dense(3), fnn.Dropout(0.5)), 2),
    fnn.Remat(fnn.BatchNorm()),
    fnn.LSTM(3, recurrent_dropout=0.5),
    fnn.MultiHeadAttention(1, dropout=0.5),
]


@pytest.mark.full
@pytest.mark.parametrize("method", ["apply", "forward"])
@pytest.mark.parametrize(
    "layer",
    [pytest.param(layer, marks=[pytest.mark.full] * isinstance(layer, fnn.LSTM | fnn.Repeat)) for layer in READ_TRAIN],
    ids=repr,
)
def test_a_traced_train_says_how_to_make_it_static(layer: fnn.Layer, method: str):
    x = jnp.ones((2, 3, 3)) if isinstance(layer, fnn.LSTM | fnn.MultiHeadAttention) else jnp.ones((2, 3))
    params, state = layer.init(KEY, x)
    with pytest.raises(TypeError, match=r"make it static: jax.jit\(model.apply, static_argnames='train'\)"):
        jax.jit(getattr(layer, method))(params, state, x, train=True, key=KEY)


def test_a_condition_of_a_users_layer_on_a_traced_train_says_so_too():
    @dataclasses.dataclass(frozen=True)
    class Doubles(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return (2 * x if train else x), state

    for wrap in [wrap for name, wrap in WRAPS.items() if name != "Frozen"]:  # which is always in inference
        with pytest.raises(TypeError, match="train must be a Python bool"):
            jax.jit(wrap(Doubles()).apply)({}, {}, X, train=True)


def test_a_condition_on_the_input_is_still_the_layers_own_fault():
    @dataclasses.dataclass(frozen=True)
    class Branches(fnn.Layer):
        def apply(self, params, state, x, *, train=False, key=None):
            return (x if x.sum() > 0 else -x), state

    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda x: fnn.Serial(Branches()).apply({}, {}, x, train=True))(X)


def test_a_layer_that_does_not_read_train_takes_a_traced_one():
    layers = fnn.Serial(fnn.Dense(3), fnn.Dropout(0.0), fnn.Tanh())
    params, state = layers.init(KEY, X)
    y, _ = jax.jit(layers.apply)(params, state, X, train=True)
    assert y.shape == (2, 3)


def test_train_is_no_word():
    with pytest.raises(TypeError, match="train is True or False, got 'no'"):
        fnn.Dropout(0.5).apply({}, {}, X, train="no")  # type: ignore[arg-type]


def test_a_state_that_a_step_changes_is_named():
    @dataclasses.dataclass(frozen=True)
    class Counts(fnn.Layer):
        def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
            return x, {"seen": jnp.ones(())}

    objective = fnn.Objective(fnn.Serial(Counts(), fnn.Dense(2)), fnn.MeanSquaredError())
    with pytest.raises(ValueError, match="a step changed them at 'counts_0/seen'"):
        fnn.fit(
            objective,
            fnn.optim.sgd(0.1),
            (jnp.ones((4, 3)), jnp.ones((4, 2))),
            epochs=1,
            batch_size=2,
            key=jax.random.key(0),
            progress=False,
        )
