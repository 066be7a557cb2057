"""Backpropagation with other rules: what a rule sees, what it may return, and what can be built from that."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Combinator, Dense, Relu, Remat, Repeat, Residual, Serial, Tanh, backprop
from fnn.backprop import own_backward
from fnn.layer import Layer
from fnn.paths import join, named_leaves
from tests import compiled
from tests.comparing import close, same
from tests.compiled import shape_of

KEY = jax.random.key(0)


def forward(model: Layer, params: Any, x: Any) -> tuple[Any, Any]:
    y, _, cache = model.forward(params, {}, x)
    return y, cache


def random_like(random: Any, model: Layer, shape: tuple) -> Any:
    """Random ``(x, dy)`` and parameters."""
    params = compiled.drawn_params(random, model, shape_of(*shape), scale=0.5)
    y, _ = jax.eval_shape(model.apply, params, {}, shape_of(*shape))
    return (random(*shape), random(*y.shape)), params


def tap(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
    return dy, layer.backward(cache, dy)[1]


# ---- taps


@dataclasses.dataclass(frozen=True)
class Nudged(Layer):
    """A layer with a parameter added to its output: the gradient of that parameter, at zero, is the layer's delta."""

    inner: Layer

    def init(self, key: jax.Array, x: Any) -> Any:
        params, state = self.inner.init(key, x)
        y, _ = jax.eval_shape(lambda params, state, x: self.inner.apply(params, state, x), params, state, x)
        return {"inner": params, "nudge": jnp.zeros(y.shape, y.dtype)}, state

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        y, state = self.inner.apply(params["inner"], state, x, train=train, key=key)
        return y + params["nudge"], state


def nudged(layer: Layer) -> Layer:
    return fnn.rewrite(layer, {"*": lambda each: each if isinstance(each, fnn.Combinator) else Nudged(each)})


def automatic_deltas(model: Layer, params: Any, x: Any, dy: Any) -> dict[str, Any]:
    """The delta of every layer by ``jax.grad``, by path."""
    probe = nudged(model)
    shapes, state = jax.eval_shape(probe.init, KEY, x)

    def filled(path: tuple, leaf: Any) -> Any:
        names = [key.key for key in path]
        if names[-1] == "nudge":
            return jnp.zeros(leaf.shape, leaf.dtype)
        names.remove("inner")
        return named_leaves(params)["/".join(names)]

    point = jax.tree_util.tree_map_with_path(filled, shapes)
    gradient = jax.grad(lambda params: jnp.vdot(dy, probe.apply(params, state, x)[0]))(point)
    return {
        path.removesuffix("/nudge").removesuffix("nudge"): leaf
        for path, leaf in named_leaves(gradient).items()
        if path.endswith("nudge")
    }


@pytest.mark.parametrize(
    "model",
    [
        Serial(Dense(5), Tanh(), Dense(4)),
        Serial(Dense(4), body=Serial(Tanh(), Residual(Serial(Dense(4), fnn.LayerNorm()))), head=Dense(2)),
        Serial(Residual(Dense(4), Dense(4)), fnn.Parallel(Dense(3), Serial(Dense(3), Relu()), merge="multiply")),
        Serial(Repeat(Residual(Serial(Dense(4), Tanh())), 3), Dense(2)),
    ],
    ids=["a chain", "a nested model", "branches", "repeated"],
)
def test_a_tap_of_every_layer_gives_the_automatic_deltas(model: Layer, random: Any):
    @jax.jit
    def all_ways(params: Any, x: Any, dy: Any) -> Any:
        _, cache = forward(model, params, x)
        by_hand = backprop(model, cache, dy, tap)
        return by_hand, automatic_deltas(model, params, x, dy), model.backward(cache, dy)[1]

    (x, dy), params = random_like(random, model, (3, 4))
    (taps, dx), deltas, expected = all_ways(params, x, dy)
    close((named_leaves(taps), dx), (deltas, expected))


def test_taps_inside_repeat_come_out_stacked_and_the_rule_is_traced_once():
    model, calls = Repeat(Serial(Dense(4), Tanh()), 5), []

    def counted(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        calls.append(path)
        return tap(path, layer, cache, dy)

    def taps(x: Any) -> Any:
        y, cache = forward(model, model.init(KEY, x)[0], x)
        return backprop(model, cache, y, counted)[0]

    assert jax.tree.map(jnp.shape, jax.eval_shape(taps, shape_of(3, 4))) == {
        "dense_0": (5, 3, 4),
        "tanh_0": (5, 3, 4),
    }
    assert calls == ["tanh_0", "dense_0"]


# ---- per-example gradient norms


def squared_norms(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
    """‖∂/∂θ of example n‖² for dense layers: that of the kernel is ‖x_n‖²‖dy_n‖², or in sequences Σ (x xᵀ)(dy dyᵀ)."""
    dx = layer.backward(cache, dy)[1]
    if not isinstance(layer, Dense):
        return None, dx
    x, dy = (leaf.reshape(leaf.shape[0], -1, leaf.shape[-1]) for leaf in (cache["x"], dy))
    kernel = jnp.einsum("nsd,ntd,nsf,ntf->n", x, x, dy, dy)
    return kernel + jnp.square(dy.sum(1)).sum(1) * int(layer.use_bias), dx


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 4)], ids=["rows", "sequences"])
def test_exact_per_example_gradient_norms_of_a_dense_model(shape: tuple, random: Any):
    model = Serial(Dense(5), Tanh(), Dense(4, use_bias=False), fnn.Gelu(), Dense(2))

    @jax.jit
    def both_ways(params: Any, x: Any, dy: Any) -> Any:
        def alone(x: Any, dy: Any) -> Any:
            return jax.grad(lambda params: jnp.vdot(dy, model.apply(params, {}, x[None])[0][0]))(params)

        _, cache = forward(model, params, x)
        rules = (backprop(model, cache, dy, rule)[0] for rule in (squared_norms, tap))
        return *rules, jax.vmap(alone)(x, dy)

    (x, dy), params = random_like(random, model, shape)
    norms, taps, gradients = both_ways(params, x, dy)
    expected = {
        name: sum(np.square(leaf).sum(tuple(range(1, leaf.ndim))) for leaf in layer.values())
        for name, layer in gradients.items()
    }
    close(norms, expected)
    if len(shape) == 2:
        first = np.square(x).sum(1) + 1
        close(norms["dense_0"], first * np.square(taps["dense_0"]).sum(1))


# ---- guided backpropagation


def guided(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
    dparams, dx = layer.backward(cache, dy)
    return dparams, jnp.maximum(dx, 0) if isinstance(layer, Relu) else dx


def test_a_guided_relu_worked_by_hand():
    x, dy = jnp.array([[-1.0, 2.0, 3.0]]), jnp.array([[5.0, -1.0, 4.0]])
    _, cache = forward(Relu(), {}, x)
    assert backprop(Relu(), cache, dy, guided)[1].tolist() == [[0.0, 0.0, 4.0]]


def test_guided_backpropagation_changes_relus_alone(random: Any):
    def relu(x: Any) -> Any:
        return jnp.where(x <= 0, 0, x)

    def backward(y: Any, dy: Any) -> Any:
        return (jnp.where((y > 0) & (dy > 0), dy, 0),)

    modified = jax.custom_vjp(relu)
    modified.defvjp(lambda x: (relu(x), relu(x)), backward)
    model = Serial(Dense(6), Relu(), Dense(6), Relu(), Dense(2))
    (x, dy), params = random_like(random, model, (3, 4))

    def reference(params: Any, x: Any) -> Any:
        for name in ("dense_0", "dense_1", "dense_2"):
            x = x @ params[name]["kernel"] + params[name]["bias"][None]
            x = x if name == "dense_2" else modified(x)
        return jnp.vdot(dy, x)

    @jax.jit
    def by_rule(params: Any, x: Any) -> Any:
        return backprop(model, forward(model, params, x)[1], dy, guided)

    close(by_rule(params, x), jax.jit(jax.grad(reference, (0, 1)))(params, x))


# ---- what a rule sees and returns


def paths_of(model: Layer, *shape: int) -> list[str]:
    seen = []

    def rule(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        seen.append(path)
        return None, layer.backward(cache, dy)[1]

    reports = reports_of(model, shape_of(*shape), rule)
    assert reports in (None, {})
    return seen


def reports_of(model: Layer, x: Any, rule: Callable[..., Any]) -> Any:
    """Their shapes."""

    def run(x: Any) -> Any:
        params, state = model.init(KEY, x)
        y, _, cache = model.forward(params, state, x)
        return backprop(model, cache, jnp.ones_like(y), rule)[0]

    return jax.eval_shape(run, x)


def test_a_rule_is_asked_at_every_layer_that_is_not_a_combinator_last_to_first():
    model = Serial(Dense(4), Relu(), body=Serial(Dense(4), norm=fnn.LayerNorm()), head=Dense(2))
    expected = ["head", "body/norm", "body/dense_0", "relu_0", "dense_0"]
    assert paths_of(model, 2, 3) == expected


def test_a_report_inside_repeat_is_stacked_only_if_it_is_like_the_parameters():
    layer, x = Repeat(Dense(3), 2), jnp.ones((2, 3))
    params, _ = layer.init(KEY, x)
    y, _, cache = layer.forward(params, {}, x)
    gradients, _ = fnn.backprop(layer, cache, y)
    deltas, _ = fnn.backprop(layer, cache, y, lambda path, layer, cache, dy: ({"dy": dy}, layer.backward(cache, dy)[1]))
    assert isinstance(gradients, fnn.Stacked)
    assert type(deltas) is dict
    assert deltas["dy"].shape == (2, 2, 3)


def test_a_combinators_report_is_what_above_makes_of_that_of_its_layers():
    model = Serial(Dense(4), body=Serial(Relu(), Dense(4)))
    params, _ = model.init(KEY, jnp.ones((2, 3)))
    y, _, cache = model.forward(params, {}, jnp.ones((2, 3)))

    def counted(path: str, layer: Combinator, cache: Any, report: Any) -> Any:
        return {**report, "layers inside": [path, type(layer).__name__, len(report)]}

    report, dx = fnn.backprop(model, cache, y, above=counted)
    assert report["layers inside"] == ["", "Serial", 2]
    assert report["body"]["layers inside"] == ["body", "Serial", 1]
    close(dx, model.backward(cache, y)[1])


@pytest.mark.parametrize("layer", [fnn.FeedForward(3), fnn.MultiHeadAttention(2), fnn.SwiGLU(3)], ids=repr)
def test_a_layer_that_contains_layers_folds_over_them(layer: Any):
    folds_over_layers(layer)


def test_a_feed_forward_network_folds_over_its_layers():
    folds_over_layers(fnn.FeedForward(3))


def folds_over_layers(layer: Any) -> None:
    """Its fold with every layer's own backward is its backward."""
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)))
    params, _ = layer.init(KEY, x)
    y, _, cache = layer.forward(params, {}, x)
    close(layer.fold(cache, y, own_backward), layer.backward(cache, y))


@pytest.mark.parametrize(
    ("wrap", "prefixes"),
    [
        (Residual, [""]),
        (Remat, [""]),
        (lambda inner: Repeat(inner, 2), [""]),
        (fnn.with_manual_vjp, [""]),
        (lambda inner: Repeat(Remat(Residual(inner)), 2), [""]),
        (lambda inner: Residual(inner, Dense(3)), ["inner"]),
        (lambda inner: Serial(body=Residual(inner)), ["body"]),
    ],
    ids=["residual", "remat", "repeat", "with_manual_vjp", "all of them", "residual with a shortcut", "inside serial"],
)
def test_which_combinators_add_a_segment(wrap: Callable[[Layer], Layer], prefixes: list[str]):
    model = wrap(Serial(Dense(3), Tanh()))
    expected = [join(prefix, name) for prefix in prefixes for name in ("tanh_0", "dense_0")]
    assert [path for path in paths_of(model, 2, 3) if path != "shortcut"] == expected
    params = named_leaves(jax.eval_shape(model.init, KEY, shape_of(2, 3))[0])
    assert {f"{path}/kernel" for path in expected if path.endswith("dense_0")} <= params.keys()


def test_the_paths_that_a_rule_sees_are_those_of_the_parameters():
    model = Serial(Dense(4), Repeat(Residual(Serial(fnn.LayerNorm(), Dense(4))), 2), head=Serial(Dense(2)))

    def rule(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return {f"{path}/{name}": leaf for name, leaf in dparams.items()}, dx

    reports = reports_of(model, shape_of(3, 4), rule)
    found = {key[-1].key for key, _ in jax.tree_util.tree_flatten_with_path(reports)[0]}
    assert found == named_leaves(jax.eval_shape(model.init, KEY, shape_of(3, 4))[0]).keys()


def test_reports_that_are_none_or_empty_are_left_out():
    model = Serial(Dense(3), Relu(), inner=Serial(Tanh()), head=Dense(2))

    def heads(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return (dparams if path == "head" else None), dx

    assert list(reports_of(model, shape_of(2, 4), heads)) == ["head"]

    def named(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        return ({} if path == "inner/tanh_0" else jnp.zeros(())), layer.backward(cache, dy)[1]

    def run(params: Any, x: Any) -> Any:  # jax.eval_shape sorts the names of what it returns
        y, cache = forward(model, params, x)
        names.extend(backprop(model, cache, y, named)[0])

    names = []
    jax.eval_shape(run, jax.eval_shape(model.init, KEY, shape_of(2, 4))[0], shape_of(2, 4))
    assert names == ["dense_0", "relu_0", "head"]


def test_no_rule_is_the_layers_own_backward(random: Any):
    model = Serial(Dense(3), fnn.Parallel(Dense(2), Dense(2)))
    (x, dy), params = random_like(random, model, (2, 4))

    @jax.jit
    def both(params: Any, x: Any, dy: Any) -> Any:
        _, cache = forward(model, params, x)
        return backprop(model, cache, dy), model.backward(cache, dy)

    one, other = both(params, x, dy)
    same(one, other)
    assert jax.tree.structure(one[0]) == jax.tree.structure(params)


def test_a_rule_at_a_single_layer_has_the_empty_path():
    assert paths_of(Dense(2), 2, 3) == [""]


def test_feedback_alignment_by_a_rule(random: Any):
    model, feedback = Serial(Dense(4), Tanh(), Dense(2)), random(4, 2)
    (x, dy), params = random_like(random, model, (3, 3))

    def rule(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return dparams, dy @ feedback.T if path == "dense_1" else dx

    dparams = jax.jit(lambda params: backprop(model, forward(model, params, x)[1], dy, rule)[0])(params)
    hidden = np.tanh(x @ params["dense_0"]["kernel"] + params["dense_0"]["bias"])
    close(dparams["dense_0"]["kernel"], x.T @ ((dy @ feedback.T) * (1 - hidden**2)))
