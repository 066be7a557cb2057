"""What an optimiser leaves as it is, and which statistics move beside it."""

import importlib
import re
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.optim.transform import update
from fnn.optim.unmoved import frozen_paths, moving_statistics, warn_of_moving_statistics
from fnn.paths import join, named_leaves

optax: Any = importlib.import_module("optax")

PARAMS = {
    "a": {"bias": np.ones(1, np.float32), "kernel": np.ones((2, 1), np.float32)},
    "b": {"kernel": np.ones((1, 1), np.float32)},
}
A, KERNELS = {"a/bias", "a/kernel"}, {"a/kernel", "b/kernel"}
GROUPED = optim.groups({"a/*": None, "*": optim.adam(0.1)}, show=False)


def split(**parts: Any) -> Any:
    return optim.groups({f"{name}/*": part for name, part in parts.items()}, show=False)


FROZEN = [
    (optim.adam(0.1), set()),
    (GROUPED, A),
    (optim.groups({"*/bias": optim.sgd(0.1), "a/*": None, "*": optim.adam(0.1)}, show=False), {"a/kernel"}),
    (
        split(a=optim.groups({"*": None}, show=False), b=optim.chain(optim.sgd(0.1), optim.freeze("*/kernel"))),
        {*A, "b/kernel"},
    ),
    (optim.freeze("*/kernel"), KERNELS),
    (optim.chain(optim.adamw(0.1), optim.freeze(["a/*"])), A),
    (optim.chain(optim.freeze("a/*"), optim.clip_by_global_norm(1.0), optim.adam(0.1), optim.ema(0.9)), A),
    (optim.chain(GROUPED, optim.decay_weights(0.1)), {"a/bias"}),
    (optim.chain(optim.freeze("a/*"), optim.adamw(0.1)), {"a/bias"}),
    (optim.chain(optim.freeze("a/*"), optim.adafactor(0.1, weight_decay_rate=0.1)), {"a/bias"}),
    (optim.chain(optim.freeze("a/*"), split(a=optim.adamw(0.1), b=optim.sgd(0.1))), {"a/bias"}),
    (optim.chain(optim.freeze("a/*"), split(a=None, b=optim.adamw(0.1))), A),
    (optim.chain(optim.freeze("a/*"), optim.accumulate(optim.adamw(0.1, paths="a/bias"), 2)), {"a/kernel"}),
    (optim.chain(optim.freeze("a/*"), optim.chain(optim.adamw(0.1), optim.freeze("*/kernel"))), {*A, "b/kernel"}),
    (optim.chain(optim.freeze("a/*"), optax.sgd(0.1)), set()),
    (optim.chain(optax.sgd(0.1), optim.freeze("a/*")), A),
    (optim.skip_nonfinite(optim.accumulate(optim.lookahead(GROUPED), 2)), A),
    (optim.schedule_free(0.1, GROUPED), A),
    (optim.Optimizer(*GROUPED), set()),
    (optax.chain(GROUPED, optax.sgd(0.1)), set()),
]


@pytest.mark.parametrize(("optimizer", "expected"), FROZEN, ids=[repr(row[0])[:60] for row in FROZEN])
def test_the_paths_that_stay(optimizer: Any, expected: set[str]):
    assert frozen_paths(optimizer, PARAMS) == expected


@pytest.mark.parametrize("optimizer", [row[0] for row in FROZEN if row[1]], ids=lambda each: repr(each)[:60])
def test_what_is_said_to_stay_does_and_nothing_else(optimizer: Any):
    @jax.jit
    def run(params: Any) -> Any:
        opt_state = optimizer.init(params)
        for step in range(4):
            grads = jax.tree.map(lambda leaf, step=step: jnp.full_like(leaf, 1.0 + step), params)
            updates, opt_state = update(optimizer, grads, opt_state, params)
            params = optim.apply_updates(params, updates)
        return params

    moved = named_leaves(jax.tree.map(lambda new, old: (new != old).any(), run(PARAMS), PARAMS))
    assert {path for path, has_moved in moved.items() if not has_moved} == frozen_paths(optimizer, PARAMS)


# ---- statistics

ENCODER = fnn.Serial(fnn.Dense(3), fnn.BatchNorm(), fnn.Relu())
BARE = fnn.BatchNorm(use_scale=False, use_bias=False)
NORM = ("count", "mean", "var")


def model_of(encoder: fnn.Layer = ENCODER) -> fnn.Layer:
    return fnn.Serial(encoder=encoder, neck=ENCODER, head=fnn.Dense(2))


def flat(norm: fnn.Layer) -> fnn.Layer:
    return fnn.Serial(fnn.Dense(3), norm, fnn.Dense(2))


def made(model: fnn.Layer) -> tuple[Any, Any]:
    return jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((4, 2), "float32"))


def freezing(*globs: str) -> Any:
    return optim.chain(optim.adam(0.1), optim.freeze(globs))


def only(*globs: str) -> Any:
    return optim.groups({**{glob: optim.adam(0.1) for glob in globs}, "*": None}, show=False)


MOVING = {
    "nothing is frozen": (model_of(), optim.adam(0.1), []),
    "a part": (model_of(), freezing("encoder*"), ["encoder/batch_norm_0"]),
    "a part by groups": (
        model_of(),
        optim.groups({"encoder/*": None, "*": optim.adam(0.1)}, show=False),
        ["encoder/batch_norm_0"],
    ),
    "all but the head": (model_of(), only("head/*"), ["encoder/batch_norm_0", "neck/batch_norm_0"]),
    "one without parameters": (
        model_of(fnn.Serial(fnn.Dense(3), BARE)),
        freezing("encoder/dense_0/*"),
        ["encoder/batch_norm_0"],
    ),
    "by the names of all parameters": (
        model_of(),
        freezing("encoder/*/kernel", "encoder/*/bias", "encoder/*/scale"),
        ["encoder/batch_norm_0"],
    ),
    "in a flat model": (flat(fnn.BatchNorm()), only("dense_1/*"), ["batch_norm_0"]),
    "without parameters in a flat model": (flat(BARE), only("dense_1/*"), ["batch_norm_0"]),
    "the norm alone": (flat(fnn.BatchNorm()), freezing("*batch_norm_0/*"), ["batch_norm_0"]),
    "scales and biases, in a model that trains": (flat(fnn.BatchNorm()), freezing("*/scale", "*/bias"), []),
    "a dense layer beside a norm that trains": (model_of(), freezing("encoder/dense_0/*"), []),
    "a norm without parameters where the layer before it trains": (flat(BARE), freezing("dense_1/*"), []),
    "everything": (ENCODER, freezing("*"), ["batch_norm_0"]),
    "a model that is one layer": (fnn.BatchNorm(), freezing("scale", "bias"), [""]),
    "a model without parameters": (BARE, optim.adam(0.1), []),
    "frozen by a wrapper": (model_of(fnn.Frozen(ENCODER)), freezing("encoder*"), []),
    "frozen by a wrapper inside": (
        model_of(fnn.Repeat(fnn.Serial(body=fnn.Frozen(fnn.BatchNorm()), rest=fnn.BatchNorm()), 2)),
        freezing("encoder*"),
        ["encoder/rest"],
    ),
    "the vector of a spectral norm": (
        model_of(fnn.SpectralNorm(fnn.Dense(3))),
        freezing("encoder*"),
        ["encoder/u"],
    ),
}


@pytest.mark.parametrize("name", MOVING)
def test_the_statistics_that_move(name: str):
    model, optimizer, layers = MOVING[name]
    params, state = made(model)
    moving = moving_statistics(optimizer, params, state, model)
    assert list(dict.fromkeys(path.rpartition("/")[0] for path in moving)) == layers
    if "spectral" not in name:
        assert moving == [join(layer, each) for layer in layers for each in NORM]


def test_one_warning_names_them_and_says_what_to_write():
    model, optimizer = model_of(), only("head/*")
    message = (
        "the optimiser freezes the parameters of encoder, neck, but training still changes the state there, and the"
        " outputs with it: encoder/batch_norm_0/count, encoder/batch_norm_0/mean, encoder/batch_norm_0/var,"
        " neck/batch_norm_0/count, neck/batch_norm_0/mean, neck/batch_norm_0/var; wrap the frozen part in"
        " fnn.Frozen(…), under the same name"
    )
    with pytest.warns(UserWarning, match=re.escape(message)) as caught:
        warn_of_moving_statistics(optimizer, *made(model), model)
    assert len(caught) == 1


def test_a_long_list_is_cut_short():
    model = model_of(fnn.Serial(*[fnn.BatchNorm()] * 3))
    with pytest.warns(UserWarning, match=r"batch_norm_1/var and 3 more; wrap"):
        warn_of_moving_statistics(freezing("encoder*"), *made(model), model)


def test_everything_is_the_model():
    with pytest.warns(UserWarning, match="freezes the parameters of the model"):
        warn_of_moving_statistics(freezing("*"), *made(ENCODER), ENCODER)


def test_what_the_warning_says_to_write_silences_it():
    model = fnn.Serial(encoder=fnn.Frozen(ENCODER), neck=fnn.Frozen(ENCODER), head=fnn.Dense(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_moving_statistics(only("head/*"), *made(model), model)


def test_it_is_true_that_they_move_and_that_frozen_ones_do_not(random: Any):
    x = random(8, 2)
    for encoder, moves in ((ENCODER, True), (fnn.Frozen(ENCODER), False)):
        model = model_of(encoder)
        params, state = model.init(jax.random.key(0), x)
        state["encoder"]["batch_norm_0"]["count"] += 1
        _, new_state = jax.jit(lambda params, state, model=model: model.apply(params, state, x, train=True))(
            params, state
        )
        assert (new_state["encoder"]["batch_norm_0"]["mean"] != 0).any() == moves
