"""What ``Repeat`` stacks is updated layer by layer: every optimiser, as on the layers alone."""

import copy
import functools
import json
import pickle
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import optim
from fnn.canonical.text import canonical
from fnn.paths import named_leaves
from fnn.stacked import Stacked, layer_shapes, map_layers, stack, unstack
from tests.comparing import close

KEY = jax.random.key(0)
N, WIDTH = 3, 8
MODEL = fnn.Repeat(fnn.Dense(WIDTH), N)
X = jnp.ones((2, WIDTH))

DECAYS: dict[str, Any] = {"weight_decay": 0.1}

# By name: an optimiser or a transformation that looks at a leaf, an entry or the path, nothing at the whole gradient.
EACH = {
    "sgd": optim.sgd(0.1, momentum=0.9, nesterov=True),
    "ema_momentum": optim.ema_momentum(0.1),
    "adagrad": optim.adagrad(0.1),
    "adadelta": optim.adadelta(1.0),
    "rmsprop": optim.rmsprop(0.1, centered=True, momentum=0.9),
    "adam": optim.adam(0.1),
    "adamw": optim.adamw(0.1, **DECAYS),
    "amsgrad": optim.amsgrad(0.1),
    "nadam": optim.nadam(0.1),
    "adamax": optim.adamax(0.1),
    "radam": optim.radam(0.1),
    "lion": optim.lion(0.1, **DECAYS),
    "lamb": optim.lamb(0.1, **DECAYS),
    "adafactor": optim.adafactor(0.1, 2, weight_decay_rate=0.1, momentum=0.9),
    "adafactor, not factored": optim.adafactor(0.1),
    "muon": optim.muon(0.1, **DECAYS),
    "muon, adaptive": optim.muon(0.1, adaptive=True, nesterov=False, consistent_rms=0.2),
    "muon, matrices by path": optim.muon(0.1, matrices="*/kernel"),
    "schedule_free": optim.schedule_free_adamw(0.1, **DECAYS),
    "clip_by_norm": optim.clip_by_norm(0.5),
    "clip_by_value": optim.clip_by_value(0.1),
    "scale_by_trust_ratio": optim.scale_by_trust_ratio(),
    "accumulate": optim.accumulate(optim.lamb(0.1), 2),
    "lookahead": optim.lookahead(optim.muon(0.1), 2),
    "skip_nonfinite": optim.skip_nonfinite(optim.adafactor(0.1, 2)),
    "groups": optim.groups({"*/bias": optim.lamb(0.2, paths="*"), "*": optim.muon(0.1)}, show=False),
    "chain": optim.chain(optim.clip_by_norm(0.5), optim.muon(0.1), optim.freeze("*/bias"), optim.ema(0.9)),
}


# By name: what looks at the whole gradient, which is the same whether its layers are stacked or not.
WHOLE = {
    "clip_by_global_norm": optim.clip_by_global_norm(0.5),
    "lbfgs": optim.lbfgs(0.1),
    "skip_nonfinite": optim.skip_nonfinite(optim.sgd(0.1)),
}


QUICK = ("lamb", "adafactor", "chain")
"""Those that look at more than an entry; the chain has muon and clip_by_norm in it."""


@pytest.fixture(scope="module")
def drawn():
    """Parameters as ``init`` returns them, with biases that are not zero, and a gradient for each of two steps."""
    draws = np.random.default_rng(0)
    params, _ = jax.eval_shape(lambda: MODEL.init(KEY, X))
    return [jax.tree.map(lambda w: draws.standard_normal(w.shape), params) for _ in range(3)]


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.full) for name in [*EACH, *WHOLE]]
)
def test_every_layer_of_a_repeat_is_updated_as_it_would_be_alone(drawn, name):
    optimizer = {**EACH, **WHOLE}[name]
    together = run(optimizer, drawn)
    assert jax.tree.structure(together) == jax.tree.structure(drawn[0])
    apart = run(optimizer, [[one_layer(tree, i) for i in range(N)] for tree in drawn])
    close([one_layer(together, i) for i in range(N)], apart, rtol=1e-12, atol=1e-14)


@functools.partial(jax.jit, static_argnums=0)
def run(optimizer, trees):
    params, *gradients = trees
    opt_state = optimizer.init(params)
    for grads in gradients:
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = optim.apply_updates(params, updates)
    return params


def one_layer(tree, i):
    return dict(jax.tree.map(lambda leaf: leaf[i], tree))


def ones():
    """Parameters as ``init`` returns them, of ones."""
    params, _ = jax.eval_shape(lambda: MODEL.init(KEY, X))
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), params)


def test_muon_takes_the_kernels_of_a_repeat_for_matrices_and_its_biases_not():
    params = ones()
    opt_state = optim.muon(0.1).init(params)
    assert jax.tree.map(jnp.shape, opt_state.mu) == {"bias": None, "kernel": (N, WIDTH, WIDTH)}
    assert jax.tree.map(jnp.shape, opt_state.rest.mu) == {"bias": (N, WIDTH), "kernel": None}
    # The same arrays in a plain dict are those of one layer: the biases are a matrix, the kernels none.
    opt_state = optim.muon(0.1).init(dict(params))
    assert opt_state.mu["kernel"] is None


def test_repeats_inside_repeats_are_updated_layer_by_layer():
    model = fnn.Repeat(fnn.Serial(a=fnn.Repeat(fnn.Repeat(fnn.Dense(4), 2), 2), b=fnn.Dense(4)), 3)
    params, _ = jax.eval_shape(lambda: model.init(KEY, jnp.ones((1, 4))))
    params = jax.tree.map(lambda leaf: np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), params)
    shapes = layer_shapes(params)
    assert shapes == {"a/bias": (4,), "a/kernel": (4, 4), "b/bias": (4,), "b/kernel": (4, 4)}
    norms = map_layers(lambda path, w: jnp.sum(w * w), params)
    close(norms["a"]["kernel"], np.sum(params["a"]["kernel"] ** 2, (-1, -2)), rtol=1e-6)
    assert norms["b"]["kernel"].shape == (3,)


def test_a_leading_axis_that_is_not_n_is_refused():
    params = ones()
    one = jax.tree.map(lambda leaf: leaf[0], params)
    for optimizer in (optim.muon(0.1), optim.adafactor(0.1)):
        with pytest.raises(ValueError, match=r"at 'bias' belongs to layers stacked on leading axes of length \(3,\)"):
            optimizer.init(one)
    optim.muon(0.1).init(dict(one))


# ---- the container


def test_a_stacked_dict_is_a_dict_in_all_that_programs_do_with_one():
    params = ones()
    assert isinstance(params, dict)
    assert isinstance(params, Stacked)
    assert params.sizes == (N,)
    assert list(params) == ["bias", "kernel"]
    shapes = jax.tree.map(lambda leaf: list(leaf.shape), params)
    assert json.loads(json.dumps(jax.tree.map(jnp.ndim, params))) == {"bias": 2, "kernel": 3}
    assert repr(jax.tree.map(jnp.ndim, params)) == "{'bias': 2, 'kernel': 3}"
    assert shapes.sizes == (N,)
    assert list(named_leaves({"body": params})) == ["body/bias", "body/kernel"]
    for made in (copy.copy(params), copy.deepcopy(params), pickle.loads(pickle.dumps(params)), params | {}):
        assert jax.tree.structure(made) == jax.tree.structure(params)
    assert jax.tree.structure(dict(params)) == jax.tree.structure({"bias": 0, "kernel": 0})
    with pytest.raises(ValueError, match="Stacked"):
        jax.tree.map(jnp.add, params, dict(params))
    assert jax.tree.structure(Stacked(dict(params), (N,))) == jax.tree.structure(params)


def test_the_canonical_text_of_a_stacked_dict_knows_its_sizes_and_no_order():
    one = Stacked({"a": np.zeros(3), "b": np.ones((3, 2))}, (3,))
    assert canonical(one) == canonical(Stacked(reversed(one.items()), (3,)))
    assert canonical(one) != canonical(dict(one))
    assert canonical(one) != canonical(Stacked(one, (3, 2)))


def test_stacking_and_its_inverse():
    assert stack({}, 2) == {}
    assert type(stack({}, 2)) is dict
    assert stack(stack({"a": 1}, 2), 3).sizes == (3, 2)
    assert unstack(stack(stack({"a": 1}, 2), 3)).sizes == (2,)
    assert type(unstack(stack({"a": 1}, 2))) is dict


def test_a_checkpoint_of_a_repeat_loads_into_either_kind_of_dict(tmp_path):
    params = ones()
    path = fnn.save(tmp_path / "model.safetensors", dict(params))
    for like in (params, dict(params)):
        loaded = fnn.load(path, like=like)
        assert jax.tree.structure(loaded) == jax.tree.structure(like)
        close(dict(loaded), dict(params))


# ---- gradients have the structure of the parameters

PARTS = {
    "repeat": MODEL,
    "repeat in repeat": fnn.Repeat(fnn.Repeat(fnn.Dense(WIDTH), 2), 2),
    "tied": fnn.Tied(
        fnn.Serial(a=fnn.Repeat(fnn.Dense(WIDTH), 2), b=fnn.Repeat(fnn.Dense(WIDTH), 2)), {"b/kernel": "a/kernel"}
    ),
    "tied whole": fnn.Tied(
        fnn.Serial(a=fnn.Repeat(fnn.Dense(WIDTH), 2), b=fnn.Repeat(fnn.Dense(WIDTH), 2)), {"b": "a"}
    ),
    "drop connect": fnn.DropConnect(MODEL, 0.5),
    "cast and remat": fnn.Cast(fnn.Remat(MODEL)),
    "frozen": fnn.Frozen(MODEL),
    "manual vjp": fnn.with_manual_vjp(MODEL),
    "nothing inside": fnn.Repeat(fnn.Relu(), 2),
}


@pytest.mark.parametrize("name", PARTS)
def test_the_gradient_of_a_repeat_has_the_structure_of_its_parameters(name):
    model = PARTS[name]

    def gradients(params, state):
        _, _, cache = model.forward(params, state, X, train=True, key=KEY)
        return model.backward(cache, X)[0], jax.grad(lambda p: model.apply(p, state, X, train=True, key=KEY)[0].sum())(
            params
        )

    params, state = jax.eval_shape(lambda: model.init(KEY, X))
    for given in (params, plain(params)):
        for got in jax.eval_shape(gradients, given, state):
            assert jax.tree.structure(got) == jax.tree.structure(given)


def plain(tree):
    return {name: plain(part) for name, part in tree.items()} if isinstance(tree, dict) else tree


@pytest.mark.full
def test_a_run_takes_the_stacked_parameters_of_its_init_and_a_plain_dict():
    objective = fnn.Objective(fnn.Serial(body=MODEL, head=fnn.Dense(1)), fnn.MeanSquaredError(), (fnn.L2(1e-3),))
    data = np.ones((4, WIDTH), np.float32), np.zeros((4, 1), np.float32)
    options = {"epochs": 1, "batch_size": 4, "key": KEY, "progress": False}
    params, state = objective.init(KEY, data[0])
    runs = [
        fnn.fit(objective, optim.sgd(0.1), data, params=given, state=state, **options)
        for given in (params, plain(params))
    ]
    assert jax.tree.structure(runs[0].params) == jax.tree.structure(params)
    assert jax.tree.structure(runs[1].params) == jax.tree.structure(plain(params))
    close(plain(runs[0].params), runs[1].params)


def test_a_report_of_another_structure_stays_a_plain_dict():
    model = fnn.Repeat(fnn.Serial(fnn.Dense(4), fnn.Tanh()), 3)
    params, state = model.init(KEY, jnp.ones((2, 4)))
    _, _, cache = model.forward(params, state, jnp.ones((2, 4)))
    deltas, _ = fnn.backprop(
        model, cache, jnp.ones((2, 4)), lambda path, layer, cache, dy: (dy, layer.backward(cache, dy)[1])
    )
    assert type(deltas) is dict
    assert deltas["dense_0"].shape == (3, 2, 4)
