"""Updates over flat buffers are those of the leaves, to the bit where XLA lets them, and only where they can be."""

import functools
import importlib
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from tests.comparing import close, same
from tests.drawing import drawn

pytestmark = pytest.mark.full

optax: Any = importlib.import_module("optax")

OPTIMIZERS = {
    "sgd": optim.sgd,
    "momentum": optim.momentum,
    "nesterov": optim.nesterov,
    "ema momentum": optim.ema_momentum,
    "adagrad": optim.adagrad,
    "adadelta": optim.adadelta,
    "rmsprop": functools.partial(optim.rmsprop, centered=True, momentum=0.9),
    "adam": optim.adam,
    "amsgrad": optim.amsgrad,
    "nadam": optim.nadam,
    "adamax": optim.adamax,
    "radam": optim.radam,
    "adamw of everything": functools.partial(optim.adamw, paths="*"),
    "lion of everything": functools.partial(optim.lion, paths="*"),
    "clipped": lambda rate: optim.chain(optim.clip_by_value(0.5), optim.adam(rate)),
}


def tree(seed, dtypes=("float32",)):
    """Six layers, of sizes that no vector register divides; with three dtypes, two layers of each."""
    widths = [5, 17, 8, 33, 7, 11, 1]
    layers = {}
    for index, (narrow, wide) in enumerate(itertools.pairwise(widths)):
        dtype, name = dtypes[index % len(dtypes)], f"layer {index} of tree {seed}"
        values = {"bias": drawn(f"bias of {name}", wide), "kernel": drawn(f"kernel of {name}", narrow, wide)}
        layers[f"dense_{index}"] = {name: jnp.asarray(value, dtype) for name, value in values.items()}
    return {**layers, "nothing": {}, "none": None}


def run(optimizer, params, gradients):
    @jax.jit
    def step(params, opt_state, grads):
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return optim.apply_updates(params, updates), opt_state

    opt_state = optimizer.init(params)
    for grads in gradients:
        params, opt_state = step(params, opt_state, grads)
    return params, opt_state


def same_where_xla_lets_them(one, other):
    """The same bits; from jaxlib 0.10 on XLA rounds small kernels in its own way, whatever is off."""
    if jax.__version_info__ < (0, 10):
        same(one, other)
    else:
        low = [jax.tree.map(lambda leaf: None if leaf.dtype == np.float32 else leaf, tree) for tree in (one, other)]
        same(*low)
        close(one, other, rtol=1e-6, atol=1e-7)


DTYPES = {"one dtype": ("float32",), "three": ("float32", "bfloat16", "float16")}
# The quick proof: a state of moments and the counts with it, and a chain; in one buffer, and in three.
QUICK = [("one dtype", "rmsprop"), ("three", "adam"), ("three", "clipped")]
EVERY = [
    pytest.param(
        OPTIMIZERS[name],
        DTYPES[dtypes],
        marks=() if (dtypes, name) in QUICK else pytest.mark.full,
        id=f"{dtypes}-{name}",
    )
    for dtypes in DTYPES
    for name in OPTIMIZERS
]


@pytest.mark.parametrize(("make", "dtypes"), EVERY)
def test_flat_updates_are_those_of_the_leaves_to_the_bit(make, dtypes):
    optimizer, gradients = make(0.1), [tree(seed, dtypes) for seed in range(1, 4)]
    leafwise, _ = run(optimizer, tree(0, dtypes), gradients)
    flat, opt_state = run(optim.flat(optimizer), tree(0, dtypes), gradients)
    assert opt_state.count == 3
    if make is optim.adagrad:  # its reciprocal root is one of the processor, another one at the odd end of a vector
        close(flat, leafwise, rtol=1e-6, atol=0.0)
    else:
        same_where_xla_lets_them(flat, leafwise)


@pytest.mark.full
@pytest.mark.usefixtures("users_compilation")
@pytest.mark.parametrize("name", ["adam", "rmsprop", "lion of everything"])
def test_with_all_passes_of_the_compiler_they_are_the_same_up_to_rounding(name):
    optimizer, gradients = OPTIMIZERS[name](0.1), [tree(seed) for seed in range(1, 4)]
    leafwise, _ = run(optimizer, tree(0), gradients)
    flat, _ = run(optim.flat(optimizer), tree(0), gradients)
    close(flat, leafwise, rtol=1e-6, atol=1e-6)


def test_gradients_of_other_dtypes_and_no_params():
    optimizer, params = optim.adam(0.1), tree(0)
    grads = tree(1, ("float32", "bfloat16"))

    def updates(optimizer):
        def both():
            opt_state = optimizer.init(params)
            return optimizer.update(grads, opt_state, params)[0], optimizer.update(params, opt_state)[0]

        return jax.jit(both)()

    same_where_xla_lets_them(updates(optim.flat(optimizer)), updates(optimizer))


def test_there_is_one_buffer_for_every_dtype():
    opt_state = optim.flat(optim.adam(0.1)).init(tree(0, ("float32", "bfloat16")))
    leaves = jax.tree.leaves(tree(0, ("float32", "bfloat16")))
    sizes = {name: sum(leaf.size for leaf in leaves if leaf.dtype == name) for name in ("float32", "bfloat16")}
    assert jax.tree.map(jnp.size, opt_state.inner[0].mu) == sizes
    assert {leaf.dtype for leaf in jax.tree.leaves(opt_state.inner[0].mu)} == {jnp.dtype("float32")}


def test_hyperparameters_are_read_and_set_inside():
    optimizer = optim.flat(optim.adam(0.1))
    opt_state = optim.set_hyperparams(optimizer.init(tree(0)), learning_rate=0.5, b1=0.5)
    assert float(optim.hyperparams(opt_state)["learning_rate"]) == 0.5
    other = optim.adam(0.5, b1=0.5)
    expected, _ = jax.jit(other.update)(tree(1), other.init(tree(0)))
    same_where_xla_lets_them(jax.jit(optimizer.update)(tree(1), opt_state)[0], expected)


def test_it_maps_and_scans():
    grads = jax.tree.map(lambda *leaves: np.stack(leaves), *(tree(seed) for seed in range(3)))

    def trained(rate, make):
        optimizer = make(optim.adam(rate))

        def step(carry, grads):
            updates, opt_state = optimizer.update(grads, carry[1], carry[0])
            return (optim.apply_updates(carry[0], updates), opt_state), None

        return jax.lax.scan(step, (tree(0), optimizer.init(tree(0))), grads)[0][0]

    rates = jnp.array([0.1, 0.01])
    flat, leafwise = (
        jax.jit(jax.vmap(lambda rate, make=make: trained(rate, make)))(rates)
        for make in (optim.flat, lambda optimizer: optimizer)
    )
    close(flat, leafwise, rtol=1e-6, atol=1e-6)


def test_decay_by_path_in_groups():
    grouped = {"*/kernel": optim.adamw(0.1, paths="*"), "*": optim.adam(0.1)}
    flat = {glob: optim.flat(optimizer) for glob, optimizer in grouped.items()}
    same_where_xla_lets_them(
        run(optim.groups(flat, show=False), tree(0), [tree(1), tree(2)])[0],
        run(optim.adamw(0.1), tree(0), [tree(1), tree(2)])[0],
    )


REFUSED = {
    "adamw": optim.adamw(0.1),
    "lamb": optim.lamb(0.1),
    "muon": optim.muon(0.1),
    "adafactor": optim.adafactor(0.1),
    "l-bfgs": optim.lbfgs(),
    "schedule-free": optim.schedule_free_sgd(0.1),
    "clip by the norm of a leaf": optim.chain(optim.clip_by_norm(1.0), optim.sgd(0.1)),
    "clip by the global norm": optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.1)),
    "decay by path": optim.chain(optim.decay_weights(0.1), optim.sgd(0.1)),
    "freeze": optim.chain(optim.sgd(0.1), optim.freeze("*/bias")),
    "groups": optim.groups({"*": optim.sgd(0.1)}),
    "skip": optim.skip_nonfinite(optim.sgd(0.1)),
    "accumulate": optim.accumulate(optim.sgd(0.1), 2),
    "optax": optax.sgd(0.1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_mean_something_else_is_refused(name):
    with pytest.raises(ValueError, match="flat takes an optimiser that treats every entry by itself"):
        optim.flat(REFUSED[name])


def test_a_state_of_another_optimizer_or_model_is_refused():
    optimizer = optim.flat(optim.adam(0.1))
    with pytest.raises(TypeError, match="expected the FlatState that this optimiser's init"):
        optimizer.update(tree(1), optim.adam(0.1).init(tree(0)))
    with pytest.raises(ValueError, match="the gradients at 'float32' have shape"):
        optimizer.update({"kernel": jnp.ones(3)}, optimizer.init(tree(0)))
