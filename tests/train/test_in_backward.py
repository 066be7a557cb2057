"""The optimiser's update inside the backward pass: the same bits, less memory, and what it refuses."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.errors import is_floating
from fnn.optim.by_leaf import ByLeaf
from fnn.optim.transform import apply_updates, is_elementwise
from fnn.paths import named_leaves
from fnn.train.step import Learned, Training
from tests.comparing import close, same

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (6, 4))
Y = jax.random.randint(jax.random.key(2), (6,), 0, 4)


def block(width: int = 4) -> fnn.Serial:
    return fnn.Serial(fnn.LayerNorm(), fnn.Dense(width), fnn.Dropout(0.2), fnn.Tanh())


DEEP = fnn.Serial(fnn.Dense(4), fnn.Repeat(fnn.Residual(block()), 3), head=fnn.Dense(4))


@jax.enable_x64(True)
def after(
    model: fnn.Layer, optimizer: Any, batch: Any = (X, Y), *, loss: Any = None, steps: int = 3, **options: Any
) -> list[Any]:
    """What was learned after some steps in float64, in the usual order and within the backward pass."""
    penalties = options.pop("penalties", ())
    batch = jax.tree.map(lambda leaf: leaf.astype(float) if is_floating(leaf) else leaf, batch)
    objective = fnn.Objective(model, loss or fnn.CrossEntropy(), penalties)
    found = []
    for within in (False, True):
        training = Training(objective, optimizer, update_in_backward=within, **options)

        @jax.jit
        def run(learned: Learned, batch: Any, training: Training = training) -> Any:
            totals = None
            for number in range(steps):
                learned, totals = training.step(learned, batch, jax.random.fold_in(KEY, number))
            return learned, totals

        found.append(run(training.start(KEY, batch[0]), batch))
    return found


alike = partial(close, rtol=1e-9, atol=1e-12)
"""Compiled, XLA may round a product and a sum at once in one program, and not in the other."""


@dataclasses.dataclass(frozen=True)
class Scaled(fnn.Layer):
    """A user's layer with ``apply`` alone."""

    def init(self, key: jax.Array, x: Any) -> Any:
        return {"scale": jnp.ones(x.shape[-1:], x.dtype)}, {"steps": jnp.zeros((), jnp.int32)}

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return jnp.sin(x) * params["scale"], {"steps": state["steps"] + 1}


MODELS = {
    "deep": DEEP,
    "one layer, repeated": fnn.Repeat(fnn.Dense(4), 3),
    "repeat in repeat": fnn.Repeat(fnn.Serial(fnn.Repeat(fnn.Serial(fnn.Dense(4), fnn.Relu()), 2), fnn.Dense(4)), 3),
    "remat": fnn.Repeat(fnn.Remat(block()), 3),
    "reversible": fnn.Serial(fnn.Repeat(fnn.Reversible(block(2), fnn.Dense(2)), 3), fnn.Dense(4)),
    "pack": fnn.Pack(fnn.Repeat(fnn.Serial(fnn.Dense(4), fnn.LeakyRelu(), fnn.BatchNorm()), 3)),
    "tied": fnn.Tied(
        fnn.Serial(a=fnn.Repeat(fnn.Dense(4), 2), b=fnn.Repeat(fnn.Dense(4), 2)), {"b/kernel": "a/kernel"}
    ),
    "tied beside others": fnn.Serial(
        fnn.Repeat(block(), 2), tied=fnn.Tied(fnn.Serial(a=fnn.Dense(4), b=fnn.Dense(4)), {"b/kernel": "a/kernel"})
    ),
    "other parameters": fnn.Repeat(
        fnn.Serial(
            fnn.WeightNorm(fnn.Dense(4)),
            fnn.Dense(4),
            fnn.Cast(fnn.Dense(4), "float64"),
            fnn.DropConnect(fnn.Dense(4), 0.2),
        ),
        2,
    ),
    "frozen": fnn.Repeat(fnn.Serial(fnn.Dense(4), still=fnn.Frozen(fnn.Dense(4)), out=fnn.Dense(4)), 2),
    "frozen around": fnn.Serial(fnn.Frozen(fnn.Repeat(fnn.Dense(4), 2)), fnn.Repeat(fnn.Dense(4), 2)),
    "branches": fnn.Repeat(fnn.Parallel(fnn.Dense(4), fnn.Tanh(), other=fnn.PRelu()), 2),
    "a user's layer": fnn.Repeat(fnn.Serial(fnn.Dense(4), Scaled()), 2),
    "no repeat": fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(4)),
    "feed forward": fnn.Repeat(fnn.Residual(fnn.FeedForward(8)), 2),
}
QUICK = ("one layer, repeated", "frozen")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in MODELS]
)
def test_the_same_comes_out(name: str):
    penalties = [fnn.L2(1e-2), fnn.L1(1e-3, "*")]
    alike(*after(MODELS[name], optim.adamw(optim.cosine(1e-2, 5)), penalties=penalties))


@pytest.mark.full
def test_the_same_comes_out_of_sequences():
    x = jax.random.normal(KEY, (3, 5, 4))
    lengths = jnp.array([5, 1, 3])
    model = fnn.Serial(
        fnn.Repeat(fnn.Serial(fnn.Bidirectional(fnn.GRU(2)), fnn.TransformerBlock(2, 8, dropout=0.1)), 2),
        fnn.GlobalAvgPool(),
        fnn.Dense(4),
    )
    alike(*after(model, optim.momentum(0.1), ((x, lengths), Y[:3])))
    tokens = jax.random.randint(KEY, (3, 5), 0, 7)
    model = fnn.Serial(fnn.Embedding(7, 4), fnn.Repeat(fnn.TransformerBlock(2, 8, causal=True), 2))
    alike(*after(model, optim.momentum(0.1), (tokens, tokens), loss=fnn.LinearCrossEntropy(7)))


OPTIMIZERS = {
    "sgd": optim.sgd(0.1),
    "momentum": optim.sgd(optim.cosine(0.1, 5), momentum=0.9),
    "nesterov": optim.nesterov(0.1),
    "ema_momentum": optim.ema_momentum(0.1),
    "adagrad": optim.adagrad(0.1),
    "adadelta": optim.adadelta(0.1),
    "rmsprop": optim.rmsprop(0.1),
    "adam": optim.adam(0.1),
    "adamw": optim.adamw(0.1, weight_decay=0.1),
    "amsgrad": optim.amsgrad(0.1),
    "nadam": optim.nadam(0.1),
    "adamax": optim.adamax(0.1),
    "radam": optim.radam(0.1),
    "lion": optim.lion(0.1),
    "schedule_free": optim.schedule_free_adamw(0.1),
    "chain": optim.chain(optim.clip_by_value(0.01), optim.decay_weights(0.1, "*/bias"), optim.sgd(0.1)),
    "ema": optim.chain(optim.adam(0.1), optim.ema(0.9)),
    "lookahead": optim.lookahead(optim.sgd(0.1), sync_period=2),
    "plateau": optim.chain(optim.sgd(0.1), optim.reduce_on_plateau(0.5, patience=1)),
    "groups": optim.groups({"*/bias": None, "head/*": optim.sgd(0.1), "*": optim.adam(0.1)}, show=False),
    "freeze": optim.chain(optim.adam(0.1), optim.freeze("*/dense_0/*")),
}


@pytest.mark.full
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_elementwise_optimiser_gives_the_same(name: str):
    assert is_elementwise(OPTIMIZERS[name])
    alike(*after(DEEP, OPTIMIZERS[name]))


@pytest.mark.full
def test_operation_by_operation_the_bits_are_the_same():
    model = fnn.Repeat(fnn.Serial(fnn.Dense(4), fnn.Tanh()), 2)
    with jax.disable_jit():
        same(*after(model, optim.adamw(optim.cosine(1e-2, 5)), penalties=[fnn.L2(1e-2)], steps=2))


def test_parts_updated_one_by_one_are_the_whole_updated_at_once(random: Any):
    params = {"a": {"bias": random(3), "kernel": random(4, 3)}, "bias": random(2), "0": {"a": {"bias": random()}}}
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    grads = jax.tree.map(jnp.cos, params)
    for name in ("adamw", "ema", "lookahead", "schedule_free"):
        optimizer = OPTIMIZERS[name]
        state = optimizer.init(params)
        updates, whole = optimizer.update(grads, state, params, value=jnp.ones(()))
        by_leaf, named = ByLeaf(optimizer, params, state), named_leaves(grads)
        rows: dict[str, Any] = {}
        for path in by_leaf.params:
            rows |= by_leaf.updated({path: by_leaf.row(path)}, {path: named[path]}, value=jnp.ones(()))[0]
        shared = by_leaf.updated({}, {}, value=jnp.ones(()))[1]
        same(by_leaf.joined(rows, shared), (apply_updates(params, updates), whole))


# ---- clipping


@pytest.mark.full
@pytest.mark.parametrize("max_norm", [0.05, 1e6])
def test_the_global_norm_is_found_in_a_first_pass(max_norm: float):
    model = fnn.Serial(MODELS["other parameters"], fnn.Repeat(block(), 2))
    usual, within = after(
        model, optim.chain(optim.clip_by_global_norm(max_norm), optim.sgd(0.5)), penalties=[fnn.L2(0.1)], steps=2
    )
    alike(within, usual)
    (free, _) = after(model, optim.sgd(0.5), penalties=[fnn.L2(0.1)], steps=2)
    moved = [
        np.allclose(a, b, rtol=1e-5)
        for a, b in zip(*map(jax.tree.leaves, (free[0].params, usual[0].params)), strict=True)
    ]
    assert all(moved) == (max_norm > 1)


@pytest.mark.full
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_gradient_that_is_not_finite_makes_all_of_it_nan_as_clipping_does(bad: float):
    batch = (X.at[0, 0].set(bad), Y)
    usual, within = after(DEEP, optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.5)), batch, steps=1)
    for one, other in zip(*map(jax.tree.leaves, (within[0].params, usual[0].params)), strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))


@pytest.mark.full
def test_a_gradient_of_zero_stays_zero():
    batch = (X, Y, jnp.zeros(6))
    usual, within = after(DEEP, optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.5)), batch, steps=1)
    alike(within, usual)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(within[0].params))


# ---- memory


def temporary(model: fnn.Layer, optimizer: Any, within: bool, penalties: Any = ()) -> int:
    """Bytes that a step needs, compiled, when it overwrites what was learned, as in ``fit``."""
    training = Training(fnn.Objective(model, fnn.CrossEntropy(), penalties), optimizer, update_in_backward=within)
    batch = jax.ShapeDtypeStruct((64, 256), jnp.float32), jax.ShapeDtypeStruct((64,), jnp.int32)
    learned = jax.eval_shape(lambda: training.start(KEY, batch[0]))
    lowered = jax.jit(training.step, donate_argnums=0).lower(learned, batch, KEY)
    analysis: Any = lowered.compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
@pytest.mark.parametrize(
    ("optimizer", "penalties"),
    [
        (optim.adam(1e-3), ()),
        (optim.adamw(1e-3), (fnn.L2(1e-4),)),
        (optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.1, momentum=0.9)), ()),
    ],
    ids=["adam", "with a penalty", "with clipping"],
)
def test_a_deep_perceptron_needs_at_most_three_fifths_of_the_memory(optimizer: Any, penalties: Any):
    deep = fnn.Serial(fnn.Repeat(fnn.Serial(fnn.Dense(256), fnn.Tanh()), 16), fnn.Dense(10))
    usual, within = (temporary(deep, optimizer, within, penalties) for within in (False, True))
    assert within <= 0.6 * usual


# ---- runs

RUN: dict[str, Any] = {"epochs": 2, "batch_size": 4}


@pytest.mark.full
def test_fit_and_make_train_take_it_and_runs_are_the_same():
    objective = fnn.Objective(DEEP, fnn.CrossEntropy())
    fitted = [
        fnn.fit(objective, optim.adam(0.1), (X, Y), key=KEY, progress=False, update_in_backward=within, **RUN)
        for within in (False, True)
    ]
    close(fitted[1].params, fitted[0].params, rtol=1e-4, atol=1e-6)
    close(dict(fitted[1].history), dict(fitted[0].history), rtol=1e-4)

    def all_seeds(within: bool) -> Any:
        train = fnn.make_train(objective, optim.adam, update_in_backward=within, metrics=[fnn.Accuracy()], **RUN)
        return jax.jit(jax.vmap(lambda key, rate: train(key, (X, Y), rate)))(
            jax.random.split(KEY, 2), jnp.array([0.1, 0.01])
        )

    close(*(jax.tree.leaves(all_seeds(within)) for within in (True, False)), rtol=1e-4, atol=1e-6)


@pytest.mark.full
def test_a_run_is_resumed_in_the_same_order_alone(tmp_path: Any):
    run = partial(
        fnn.fit, fnn.Objective(DEEP, fnn.CrossEntropy()), optim.adam(0.1), (X, Y), key=KEY, progress=False, batch_size=4
    )
    run(epochs=1, update_in_backward=True, checkpoint=tmp_path)
    resumed = run(epochs=2, update_in_backward=True, checkpoint=tmp_path, resume=True)
    same(resumed.params, run(epochs=2, update_in_backward=True).params)
    with pytest.raises(ValueError, match="update_in_backward: True, now nothing"):
        run(epochs=3, checkpoint=tmp_path, resume=True)


# ---- refusals


@dataclasses.dataclass(frozen=True)
class Total(fnn.L2):
    """A user's penalty."""


FOREIGN = optim.Optimizer(lambda params: (), lambda grads, state, params=None: (grads, state))


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        (
            optim.lbfgs(),
            r"lbfgs\(\) is not element-wise; if it is, write fnn.optim.Optimizer\(init, update, elementwise",
        ),
        (optim.lamb(0.1), r"scale_by_trust_ratio\(\) is not element-wise|lamb\(0.1\) is not element-wise"),
        (optim.muon(0.1), r"muon\(0.1\) is not element-wise"),
        (optim.adafactor(0.1), r"adafactor\(learning_rate=0.1\) is not element-wise"),
        (optim.accumulate(optim.sgd(0.1), 2), r"accumulate\(sgd\(0.1\), 2\) is not element-wise"),
        (optim.skip_nonfinite(optim.sgd(0.1)), r"skip_nonfinite\(sgd\(0.1\)\) is not element-wise"),
        (optim.lookahead(optim.lbfgs()), r"lookahead\(lbfgs\(\)\) is not element-wise"),
        (optim.chain(optim.sgd(0.1), optim.clip_by_norm(1.0)), r"clip_by_norm\(1.0\) is not element-wise"),
        (
            optim.chain(optim.sgd(0.1), optim.clip_by_global_norm(1.0)),
            r"clip_by_global_norm\(1.0\) is not element-wise; put it first in the chain, where the norm is found in a",
        ),
        (
            optim.groups({"*/bias": None, "*": optim.muon(0.1)}, show=False),
            r"each layer before the gradients of those in front of it are known, but muon\(0.1\) is not element-wise",
        ),
        (FOREIGN, "is not element-wise; if it is, write"),
    ],
)
def test_an_optimiser_that_needs_more_than_its_entry_is_refused_by_name(optimizer: Any, words: str):
    with pytest.raises(ValueError, match=words):
        Training(fnn.Objective(DEEP, fnn.CrossEntropy()), optimizer, update_in_backward=True)


@pytest.mark.full
def test_an_optimiser_from_elsewhere_that_says_so_is_taken():
    own = optim.Optimizer(FOREIGN.init, lambda grads, state, params=None: (jax.tree.map(lambda g: -g, grads), ()))
    alike(*after(DEEP, dataclasses.replace(own, elementwise=True)))


def test_what_cannot_be_combined_is_refused():
    objective = fnn.Objective(DEEP, fnn.CrossEntropy())
    with pytest.raises(ValueError, match="updates in the backward pass by hand, got method='auto'"):
        Training(objective, optim.sgd(0.1), method="auto", update_in_backward=True)
    with pytest.raises(ValueError, match=r"known of L1, L2 and ElasticNet alone, got Total\(strength=0.1"):
        Training(fnn.Objective(DEEP, fnn.CrossEntropy(), [Total(0.1)]), optim.sgd(0.1), update_in_backward=True)
    with pytest.raises(ValueError, match="a run that is differentiated keeps what update_in_backward=True overwrites"):
        fnn.make_train(objective, optim.sgd(0.1), checkpoint_steps=2, update_in_backward=True, **RUN)
    for run in (fnn.make_train, partial(fnn.fit, data=(X, Y), key=KEY)):
        with pytest.raises(TypeError, match="update_in_backward is True or False, got 'yes'"):
            run(objective, optim.sgd(0.1), **{**RUN, "update_in_backward": "yes"})


def test_other_ways_to_a_gradient_are_refused():
    ruled = fnn.Objective(DEEP, fnn.CrossEntropy(), rules={"head": fnn.SignSymmetry()})
    with pytest.raises(
        ValueError, match=r"own gradient: it does not follow {'head': SignSymmetry.*leave out one of the two"
    ):
        fnn.make_train(ruled, optim.sgd(0.1), steps=1, batch_size=6, update_in_backward=True)(KEY, (X, Y))
    plain, private = fnn.Objective(DEEP, fnn.CrossEntropy()), fnn.Privacy(1.0, 1.0, 1e-3)
    train = fnn.make_train(plain, optim.sgd(0.1), steps=1, batch_size=6, update_in_backward=True, privacy=private)
    with pytest.raises(
        ValueError, match="privacy clips the gradients of all layers together; leave out one of the two"
    ):
        train(KEY, (X, Y))
    with pytest.raises(ValueError, match=r"but kfac\(.*\) is not element-wise"):
        fnn.make_train(plain, optim.kfac(0.1), steps=1, batch_size=6, update_in_backward=True)(KEY, (X, Y))
