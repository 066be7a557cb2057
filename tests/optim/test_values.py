"""Optimisers and schedules are values: they print as their call, compare, hash and unpack."""

import copy
import dataclasses
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim

CALLS = [
    "adadelta(0.1)",
    "adafactor(learning_rate=0.1)",
    "adagrad(0.1)",
    "adam(0.001, b1=0.8)",
    "adamax(0.1)",
    "adamw(0.001, weight_decay=0.1, paths='*')",
    "amsgrad(0.1)",
    "accumulate(sgd(0.1), 4)",
    "accumulate_velocity(0.9, nesterov=True)",
    "chain(clip_by_global_norm(1.0), sgd(0.1, momentum=0.9))",
    "clip_by_norm(1.0)",
    "clip_by_value(1.0)",
    "decay_weights(0.1, paths=('*/kernel', 'head/*'))",
    "ema(0.9)",
    "ema_momentum(0.1)",
    "freeze('encoder*')",
    "groups({'encoder/*': None, '*': adam(0.1)}, show=False)",
    "kfac(0.1, damping=0.01, fisher='empirical')",
    "lamb(0.1)",
    "lbfgs()",
    "lion(0.1)",
    "lookahead(sgd(0.1), sync_period=3)",
    "momentum(0.1)",
    "muon(0.1)",
    "nadam(0.1)",
    "nesterov(0.1)",
    "radam(0.1)",
    "reduce_on_plateau(patience=3)",
    "rmsprop(0.1, momentum=0.5)",
    "scale_by_adam(b2=0.99)",
    "scale_by_learning_rate(0.1)",
    "scale_by_trust_ratio()",
    "schedule_free(0.1, direction=scale_by_adam(b1=0.0))",
    "schedule_free_adamw(learning_rate=0.1)",
    "schedule_free_sgd(learning_rate=0.1)",
    "sgd(0.1)",
    "skip_nonfinite(adam(cosine(0.001, 100)))",
    "constant(0.1)",
    "cosine(0.001, 1000, final=0.0001)",
    "exponential(0.1, 0.5, 10)",
    "inverse_sqrt(0.1, 10)",
    "join((constant(0.1), cosine(0.1, 10)), (5,))",
    "one_cycle(0.1, 100)",
    "piecewise((0.1, 0.01), (10,))",
    "polynomial(0.1, 10, power=2.0)",
    "step_decay(0.1, 0.5, 10)",
    "warm_restarts(0.1, 10, factor=2)",
    "warmup_cosine(0.1, 10, 100)",
    "warmup_stable_decay(0.1, 10, 20, 100)",
]


def made(call: str) -> Any:
    return eval(call, dict(vars(optim)))


def test_every_constructor_is_here():
    kinds = {name for name in optim.__all__ if isinstance(getattr(optim, name), type)} - {"Optimizer"}
    assert kinds - {call.split("(")[0] for text in CALLS for call in text.replace("(", "( ").split()} == set()


@pytest.mark.parametrize("call", CALLS)
def test_it_prints_as_its_call_compares_and_hashes(call):
    value, again = made(call), made(call)
    assert repr(value) == call
    assert pickle.loads(pickle.dumps(value)) == value
    assert value == again
    assert hash(value) == hash(again)
    assert copy.copy(value) == value
    assert dataclasses.is_dataclass(value)
    name = dataclasses.fields(value)[-1].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)


def test_no_two_of_them_are_equal():
    assert len({made(call) for call in CALLS}) == len(CALLS)


OTHERS = [
    ("adam(0.1)", "adam(0.2)"),
    ("adam(0.1)", "adamax(0.1)"),
    ("momentum(0.1)", "nesterov(0.1)"),
    ("adam(cosine(0.1, 1000))", "adam(cosine(0.1, 2000))"),
    ("adamw(0.1, paths='*')", "adamw(0.1)"),
    ("accumulate(adam(0.1), 2)", "accumulate(adam(0.1), 4)"),
    ("lookahead(sgd(0.1), 6)", "lookahead(sgd(0.1), 3)"),
    ("chain(sgd(0.1), ema(0.9))", "chain(ema(0.9), sgd(0.1))"),
    ("groups({'*/bias': None, '*': sgd(0.1)})", "groups({'*/bias': sgd(0.1), '*': None})"),
    ("groups({'a*': sgd(0.1), '*': sgd(0.1)})", "groups({'*': sgd(0.1), 'a*': sgd(0.1)})"),
]


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_another_argument_is_another_value(one, other):
    assert made(one) != made(other)


@pytest.mark.parametrize(
    "make", [optim.adam, optim.constant, lambda rate: optim.chain(optim.sgd(rate), optim.ema(0.9))]
)
@pytest.mark.parametrize("number", [jnp.asarray, np.asarray], ids=["jax", "numpy"])
def test_with_an_array_it_is_equal_to_itself_alone_and_hashes(make, number):
    one, other = make(number(0.1)), make(number(0.1))
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_with_a_traced_value_too():
    seen = []

    @jax.jit
    def run(rate):
        one, other = optim.adam(optim.cosine(rate, 10)), optim.adam(optim.cosine(rate, 10))
        seen.append((one == one, one == other, len({one, other})))
        return rate

    run(0.1)
    assert seen == [(True, False, 2)]


def test_the_arguments_are_fields_to_read_and_replace():
    optimizer: Any = optim.adamw(0.1, weight_decay=0.2)
    assert (optimizer.learning_rate, optimizer.b1, optimizer.weight_decay) == (0.1, 0.9, 0.2)
    assert dataclasses.replace(optimizer, learning_rate=0.3) == optim.adamw(0.3, weight_decay=0.2)
    assert isinstance(optimizer, optim.Optimizer)
    assert type(optimizer) is optim.adamw


def test_what_is_wrong_in_a_replaced_field_is_said():
    with pytest.raises(ValueError, match="learning_rate is a finite number of at least 0"):
        dataclasses.replace(optim.adam(0.1), learning_rate=-1.0)


def test_it_unpacks_into_its_two_functions():
    optimizer = optim.sgd(0.5)
    init, update = optimizer
    assert update(jnp.ones(2), init(jnp.ones(2)))[0].tolist() == [-0.5, -0.5]


def test_two_functions_make_one_too():
    init, update = optim.sgd(0.5)
    assert optim.Optimizer(init, update) == optim.Optimizer(init, update)
    assert optim.Optimizer(init, update) != optim.Optimizer(update, init)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: made("adam()"), "adam: missing a required argument: 'learning_rate'"),
        (lambda: made("sgd(0.1, beta=0.9)"), "sgd: got an unexpected keyword argument 'beta'"),
        (lambda: made("sgd(0.1, 0.9)"), "sgd: too many positional arguments"),
    ],
)
def test_a_call_that_does_not_fit_names_the_optimiser(make, message):
    with pytest.raises(TypeError) as raised:
        make()
    assert str(raised.value) == message


@pytest.mark.parametrize("paths", [["a/*", "b/*"], ("a/*", "b/*"), iter(["a/*", "b/*"])], ids=["list", "tuple", "once"])
def test_globs_are_held_as_a_tuple(paths):
    assert optim.freeze(paths) == optim.freeze(("a/*", "b/*"))


def test_a_list_that_changes_later_changes_nothing():
    globs, parts = ["a/*"], {"a/*": None, "*": optim.sgd(0.1)}
    frozen, grouped = optim.freeze(globs), made("groups")(parts, show=False)
    globs.append("b/*")
    parts["*"] = None
    assert frozen == optim.freeze(("a/*",))
    assert grouped.optimizers == (("a/*", None), ("*", optim.sgd(0.1)))


def test_it_is_a_static_argument_of_jit_and_compiles_once():
    traced = []

    def step(grads, optimizer):
        traced.append(optimizer)
        return optimizer.update(grads, optimizer.init(grads), grads)[0]

    compiled = jax.jit(step, static_argnames="optimizer")
    for rate in (0.1, 0.1, 0.2):
        compiled(jnp.ones(2), optimizer=optim.sgd(rate))
    assert traced == [optim.sgd(0.1), optim.sgd(0.2)]


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: optim.adafactor(0.1, paths="*"),
            ValueError,
            r"paths='\*' would have no effect: it chooses",
        ),
        (lambda: optim.schedule_free_sgd(paths="*"), ValueError, "there is no weight_decay$"),
        (lambda: optim.adafactor(0.1, 2, factored=False), ValueError, "min_dim_size_to_factor=2 would have no effect"),
        (lambda: optim.lbfgs(0.1, slope_rtol=0.1), ValueError, "slope_rtol=0.1 would have no effect: it belongs"),
        (lambda: optim.lbfgs(0.1, max_linesearch_steps=5), ValueError, "which is not used with a learning_rate"),
        (lambda: optim.muon(0.1, [(2.0, -1.0, 0.0)] * 3, ns_steps=4), ValueError, "ns_coeffs already give 3 steps"),
        (lambda: optim.muon(0.1, (2.0, float("nan"), 0.0)), ValueError, "ns_coeffs are three numbers"),
        (lambda: optim.radam(0.1, threshold=3.0), ValueError, r"threshold is at least 4, or r is the root .* got 3.0"),
        (
            lambda: optim.radam(0.1, threshold="5"),  # pyright: ignore[reportArgumentType]
            TypeError,
            "threshold is a number, got '5'; it is part of the program",
        ),
        (
            lambda: optim.kfac(0.1, fisher="exact"),  # pyright: ignore[reportArgumentType]
            ValueError,
            "fisher is 'sampled' or 'empirical', got 'exact'",
        ),
        (lambda: optim.sgd(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (lambda: optim.rmsprop(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (
            lambda: optim.adam(0.1, weight_decay=0.1),  # pyright: ignore[reportCallIssue]
            TypeError,
            "adam: got an unexpected keyword argument 'weight_decay'",
        ),
    ],
)
def test_arguments_that_nothing_would_read_are_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_arguments_that_are_read_or_at_their_defaults_are_taken():
    assert optim.muon(0.1, [(2.0, -1.0, 0.0)] * 3, ns_steps=3)
    assert optim.muon(0.1, [(2.0, -1.0, 0.0)] * 3)
    assert optim.lbfgs(slope_rtol=0.1, max_linesearch_steps=5)
    assert optim.adafactor(0.1, 2, weight_decay_rate=0.1, paths="*")
