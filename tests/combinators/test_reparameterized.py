"""Layers that run at parameters made from others: drop connect, weight norm, spectral norm."""

# Arguments are wrong on purpose.
# pyright: reportArgumentType=false

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn import Conv, Dense, DropConnect, Dropout, Remat, Repeat, Serial, SpectralNorm, Tanh, WeightNorm
from fnn.layer import Layer
from fnn.paths import matches, named_leaves
from fnn.testing import check_layer

pytestmark = pytest.mark.usefixtures("strict_numerics")

DRAW = np.random.default_rng(29)
KEY = jax.random.key(0)


def random(*shape: int) -> jax.Array:
    return jnp.asarray(DRAW.standard_normal(shape))


def close(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-13)


def shape_of(*shape: int, dtype: Any = np.float64) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def two() -> Serial:
    return Serial(Dense(4), Tanh(), head=Dense(2))


MAKERS: dict[str, Callable[[Layer], Layer]] = {
    "drop connect": lambda inner: DropConnect(inner, 0.5),
    "weight norm": WeightNorm,
    "spectral norm": SpectralNorm,
}


# ---- what all have in common


@pytest.mark.parametrize("name", MAKERS)
def test_the_paths_of_the_parameters(name: str):
    params, _ = MAKERS[name](two()).init(KEY, shape_of(3, 5))
    place = "inner/" if name == "spectral norm" else ""
    expected = [f"{place}{each}" for each in ("dense_0/bias", "dense_0/kernel", "head/bias", "head/kernel")]
    if name == "weight norm":
        expected += [f"{path}_scale" for path in expected if path.endswith("kernel")]
    assert sorted(named_leaves(params)) == sorted(expected)


@dataclasses.dataclass(frozen=True)
class TwoKernels(Dense, name="two_kernels"):
    """x (W + R) + b."""

    def init(self, key: Any, x: Any) -> Any:
        params, state = super().init(key, x)
        return {**params, "recurrent_kernel": params["kernel"] + 1}, state

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        joined = {"kernel": params["kernel"] + params["recurrent_kernel"], "bias": params["bias"]}
        return super().forward(joined, state, x, train=train, key=key)

    def backward(self, cache: Any, dy: Any) -> Any:
        dparams, dx = super().backward(cache, dy)
        return {**dparams, "recurrent_kernel": dparams["kernel"]}, dx


@pytest.mark.parametrize("name", MAKERS)
def test_kernels_are_those_of_the_glob(name: str):
    """``scale`` and ``bias`` of the norm stay as they are, and a kernel that is not called ``kernel`` is one."""
    inner = Serial(TwoKernels(3), fnn.LayerNorm())
    layer = MAKERS[name](inner)
    params, state = layer.init(KEY, shape_of(3, 3))
    _, _, cache = layer.forward(params, state, random(3, 3), train=True, key=KEY)
    kernels = {"two_kernels_0/kernel", "two_kernels_0/recurrent_kernel"}
    assert set(cache["transform"]) == kernels
    assert all(matches("*/kernel", path) for path in kernels)


def tap(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
    return dy, layer.backward(cache, dy)[1]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("inner", [Dense(4), two(), Remat(two())], ids=["one", "two", "remat"])
def test_a_foreign_report_passes_unchanged(name: str, inner: Layer):
    layer, x = MAKERS[name](inner), random(3, 5)
    params, state = layer.init(KEY, x)
    y, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    dy = random(*y.shape)
    dparams, dx = layer.backward(cache, dy)
    reports, tapped_dx = fnn.backprop(layer, cache, dy, tap)
    reports = reports["inner"] if name == "spectral norm" else reports
    assert (tapped_dx == dx).all()
    assert jax.tree.structure(dparams) == jax.tree.structure(params)
    if isinstance(inner, Dense):
        assert reports is dy
        return
    assert list(reports) == ["dense_0", "tanh_0", "head"]
    assert reports["head"] is dy or (reports["head"] == dy).all()  # through the barrier of remat


@pytest.mark.parametrize("name", MAKERS)
def test_a_foreign_report_of_repeat_is_stacked(name: str):
    layer, x = Repeat(MAKERS[name](Dense(4)), 3), random(2, 4)
    params, state = layer.init(KEY, x)
    _, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    reports, _ = fnn.backprop(layer, cache, random(2, 4), tap)
    (report,) = jax.tree.leaves(reports)
    assert report.shape == (3, 2, 4)


@pytest.mark.parametrize("name", MAKERS)
def test_a_frozen_part_inside_leaves_the_rest_of_the_report(name: str):
    layer, x = Serial(MAKERS[name](two()), Dense(2)), random(3, 5)
    params, state = layer.init(KEY, x)
    _, _, cache = layer.forward(params, state, x, train=True, key=KEY)

    def frozen(path: str, layer: Layer, cache: Any, dy: Any) -> Any:
        dparams, dx = layer.backward(cache, dy)
        return (None if path.endswith("head") else dparams), dx

    reports, dx = fnn.backprop(layer, cache, random(3, 2), frozen)
    paths = list(named_leaves(reports))
    assert not [path for path in paths if "head" in path]
    assert [path for path in paths if path.endswith("dense_0/kernel")]
    assert dx.shape == x.shape


@pytest.mark.parametrize("name", MAKERS)
def test_with_children_keeps_the_options_and_the_record_compares(name: str):
    layer = MAKERS[name](Dense(4))
    (segment,) = layer.children()
    other = layer.with_children({segment: Dense(5)})
    assert type(other) is type(layer)
    assert other == MAKERS[name](Dense(5)) != layer
    assert hash(layer) == hash(MAKERS[name](Dense(4)))


@pytest.mark.parametrize("name", MAKERS)
def test_the_manual_gradient_of_a_model_is_the_automatic_one(name: str):
    model = Serial(MAKERS[name](Serial(Conv(2, 3), fnn.Relu())), fnn.Flatten(), MAKERS[name](Dense(3)))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    x, labels = random(4, 4, 4, 2), jnp.asarray([0, 2, 1, 1], jnp.int32)
    params, state = objective.init(KEY, x)
    grads = {}
    for method in ("manual", "auto"):
        (_, aux), grads[method] = objective.value_and_grad(
            params, state, (x, labels), key=KEY, train=True, method=method
        )
        assert jax.tree.structure(aux.state) == jax.tree.structure(state)
    jax.tree.map(lambda one, other: close(one, other, 1e-10), grads["manual"], grads["auto"])


# ---- drop connect


def test_drop_connect_drops_entries_of_the_kernel_and_scales_the_others():
    layer, x = DropConnect(Dense(40), 0.25), random(3, 50)
    params, state = layer.init(KEY, x)
    same, _ = Dense(40).init(KEY, x)
    jax.tree.map(lambda one, other: close(one, other), params, same)
    y, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    mask = np.asarray(cache["transform"]["kernel"]["mask"])
    assert mask.dtype == bool
    close(y, np.asarray(x) @ (mask * np.asarray(params["kernel"]) / 0.75))
    # 2000 draws: the standard deviation of the fraction is 0.01.
    assert abs(mask.mean() - 0.75) < 0.04
    dy = random(3, 40)
    dparams, dx = layer.backward(cache, dy)
    close(dparams["kernel"], mask * (np.asarray(x).T @ np.asarray(dy)) / 0.75)
    close(dparams["bias"], np.asarray(dy).sum(0))
    close(dx, np.asarray(dy) @ (mask * np.asarray(params["kernel"]) / 0.75).T)


def test_drop_connect_in_inference_is_the_inner_layer_and_keeps_nothing():
    layer, x = DropConnect(two(), 0.5), random(3, 5)
    params, state = layer.init(KEY, x)
    y, _, cache = layer.forward(params, state, x)
    close(y, two().apply(params, state, x)[0])
    assert cache["transform"] == {}


def test_masks_differ_between_kernels_and_from_the_noise_inside():
    inner = Serial(Dense(20), Dense(20), Dropout(0.5))
    layer, x = DropConnect(inner, 0.5), random(20, 20)
    params, state = layer.init(KEY, x)
    _, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    masks = [np.asarray(each["mask"]) for each in cache["transform"].values()]
    masks.append(np.asarray(cache["inner"]["dropout_0"]["mask"]))
    for i in range(3):
        for j in range(i):
            # 400 pairs of coins: the standard deviation of the fraction that agrees is 0.025.
            assert abs((masks[i] == masks[j]).mean() - 0.5) < 0.1


def test_one_drop_connect_in_another_draws_other_masks():
    layer, x = DropConnect(DropConnect(Dense(20), 0.5), 0.5), random(3, 20)
    params, state = layer.init(KEY, x)
    _, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    outer, inner = cache["transform"]["kernel"]["mask"], cache["inner"]["transform"]["kernel"]["mask"]
    assert abs(float((outer == inner).mean()) - 0.5) < 0.1


def test_the_masks_of_a_repeat_differ():
    layer, x = Repeat(DropConnect(Dense(20), 0.5), 2), random(3, 20)
    params, state = layer.init(KEY, x)
    _, _, cache = layer.forward(params, state, x, train=True, key=KEY)
    one, other = cache["inner"]["transform"]["kernel"]["mask"]
    assert abs(float((one == other).mean()) - 0.5) < 0.1


def test_the_masks_of_drop_connect_are_the_same_in_every_precision():
    def mask(dtype: Any) -> np.ndarray:
        layer, x = DropConnect(Dense(20), 0.3), jnp.ones((2, 20), dtype)
        params, state = layer.init(KEY, x)
        return np.asarray(layer.forward(params, state, x, train=True, key=KEY)[2]["transform"]["kernel"]["mask"])

    assert (mask(np.float32) == mask(np.float64)).all()
    assert (mask(np.float32) == mask(jnp.bfloat16)).all()


# ---- weight norm


def test_weight_norm_worked_by_hand():
    layer, x = WeightNorm(Dense(2, use_bias=False)), jnp.array([[1.0, 2.0]])
    params = {"kernel": jnp.array([[3.0, 0.0], [4.0, 2.0]]), "kernel_scale": jnp.array([10.0, -1.0])}
    y, _, cache = layer.forward(params, {}, x)
    # The columns of W: 10 · (3, 4)/5 and −(0, 1).
    close(y, [[6 + 16, -2.0]])
    dparams, dx = layer.backward(cache, jnp.array([[1.0, 1.0]]))
    # dW has the columns (1, 2): dg = (1·0.6 + 2·0.8, 2), and dv = 10/5 ((1, 2) − 2.2 (0.6, 0.8)), −½ ((1, 2) − (0, 2)).
    close(dparams["kernel_scale"], [2.2, 2.0])
    close(dparams["kernel"], [[2 * (1 - 1.32), -0.5], [2 * (2 - 1.76), 0.0]])
    close(dx, [[6.0, 8.0 - 1.0]])


@pytest.mark.parametrize("inner", [Dense(4), Conv(4, 3), two()], ids=["dense", "convolution", "two"])
def test_weight_norm_starts_as_the_inner_layer(inner: Layer):
    x = random(2, 5, 3)
    params, state = WeightNorm(inner).init(KEY, x)
    plain, _ = inner.init(KEY, x)
    close(WeightNorm(inner).apply(params, state, x)[0], inner.apply(plain, state, x)[0])
    for path, leaf in named_leaves(plain).items():
        if path.endswith("kernel"):
            lengths = np.sqrt((np.asarray(leaf).reshape(-1, leaf.shape[-1]) ** 2).sum(0))
            close(named_leaves(params)[f"{path}_scale"], lengths)


def test_a_column_of_zeros_gives_zeros_and_no_nan():
    layer, x = WeightNorm(Dense(2, use_bias=False)), random(3, 2)
    params = {"kernel": jnp.array([[0.0, 3.0], [0.0, 4.0]]), "kernel_scale": jnp.array([5.0, 5.0])}
    y, _, cache = layer.forward(params, {}, x)
    assert (y[:, 0] == 0).all()
    dy = random(3, 2)
    dparams, dx = layer.backward(cache, dy)
    automatic = jax.grad(lambda params, x: jnp.vdot(layer.apply(params, {}, x)[0], dy), (0, 1))(params, x)
    jax.tree.map(close, (dparams, dx), automatic)
    assert (dparams["kernel"][:, 0] == 0).all()
    assert dparams["kernel_scale"][0] == 0
    assert jnp.isfinite(dparams["kernel"]).all()


# ---- spectral norm


def singular_values(kernel: Any) -> np.ndarray:
    return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)


@pytest.mark.parametrize("inner", [Dense(4), Conv(4, (2, 3))], ids=["dense", "convolution"])
def test_the_largest_singular_value_becomes_1(inner: Layer):
    layer, x = SpectralNorm(inner, iterations=500), random(2, 5, 5, 3)
    params, state = layer.init(KEY, x)
    _, state, cache = layer.forward(params, state, x, train=True)
    (kept,) = cache["transform"].values()
    close(kept["sigma"], singular_values(params["inner"]["kernel"])[0])
    close(singular_values(kept["kernel"])[0], 1.0)
    y, _ = inner.apply({**params["inner"], "kernel": kept["kernel"]}, {}, x)
    close(layer.apply(params, state, x)[0], y)


def test_spectral_norm_worked_by_hand():
    layer, x = SpectralNorm(Dense(2, use_bias=False)), jnp.array([[1.0, 1.0]])
    params = {"inner": {"kernel": jnp.array([[3.0, 0.0], [0.0, 1.0]])}}
    state = {"u": {"kernel": jnp.array([1.0, 1.0]) / jnp.sqrt(2.0)}}
    y, after, cache = layer.forward(params, state, x, train=True)
    # W u ∝ (3, 1), Wᵀ of which ∝ (9, 1): u = (9, 1)/√82 and σ = ‖(27, 1)‖/√82.
    u, sigma = np.array([9.0, 1.0]) / 82**0.5, (730 / 82) ** 0.5
    close(after["u"]["kernel"], u)
    close(y, [[3 / sigma, 1 / sigma]])
    dparams, _ = layer.backward(cache, jnp.array([[1.0, 0.0]]))
    # dW' = [[1, 0], [1, 0]], so Σ dW' ⊙ W' = 3/σ; v = (27, 1)/√730.
    expected = (np.array([[1.0, 0.0], [1.0, 0.0]]) - 3 / sigma * np.outer([27, 1], u) / 730**0.5) / sigma
    close(dparams["inner"]["kernel"], expected)


def test_inference_right_after_a_training_step_gives_its_output():
    layer, x = SpectralNorm(two()), random(3, 5)
    params, state = layer.init(KEY, x)
    y, after = layer.apply(params, state, x, train=True)
    again, same = layer.apply(params, after, x)
    close(again, y)
    assert same["u"] is after["u"]
    assert not np.allclose(after["u"]["dense_0"]["kernel"], state["u"]["dense_0"]["kernel"], rtol=1e-12)


def test_the_state_of_spectral_norm_stands_beside_the_inner_one():
    layer = SpectralNorm(Serial(Dense(3), fnn.BatchNorm()))
    params, state = layer.init(KEY, shape_of(4, 2, dtype=jnp.bfloat16))
    expected = [f"inner/batch_norm_0/{each}" for each in ("count", "mean", "var")]
    assert sorted(named_leaves(state)) == [*expected, "u/dense_0/kernel"]
    assert state["u"]["dense_0"]["kernel"].dtype == np.float32
    assert "u" not in params
    _, after = layer.apply(params, state, jnp.ones((4, 2), jnp.bfloat16), train=True)
    assert after["inner"]["batch_norm_0"]["count"] == 1
    _, state = SpectralNorm(Dense(3)).init(KEY, shape_of(4, 2))
    assert sorted(state) == ["u"]


def test_the_estimate_comes_nearer_with_every_step():
    layer, x = SpectralNorm(Dense(6)), random(2, 8)
    params, state = layer.init(KEY, x)
    exact, sigmas = singular_values(params["inner"]["kernel"])[0], []
    state = {"u": {"kernel": jnp.ones(6) / jnp.sqrt(6.0)}}
    for _ in range(60):
        _, state, cache = layer.forward(params, state, x, train=True)
        sigmas.append(float(cache["transform"]["kernel"]["sigma"]))
    assert (np.diff(sigmas) > -1e-12).all()
    close(sigmas[-1], exact, 1e-6)


@pytest.mark.parametrize("inner", [Dense(3), two()], ids=["one", "two"])
def test_a_single_iteration_is_checked_too(inner: Layer):
    """Differences stand aside in training: they move the vectors."""
    check_layer(SpectralNorm(inner), np.asarray(random(3, 4)), train=True, finite=False)
    check_layer(SpectralNorm(inner), np.asarray(random(3, 4)), train=False)


def test_a_kernel_of_zeros_is_left_as_it_is_and_comes_back_to_life():
    layer, x, dy = SpectralNorm(Dense(2, use_bias=False)), random(3, 2), random(3, 2)
    _, state = layer.init(KEY, x)
    zero = {"inner": {"kernel": jnp.zeros((2, 2))}}
    y, after, cache = layer.forward(zero, state, x, train=True)
    assert (y == 0).all()
    assert (after["u"]["kernel"] == state["u"]["kernel"]).all()
    dparams, _ = layer.backward(cache, dy)
    close(dparams["inner"]["kernel"], np.asarray(x).T @ np.asarray(dy))
    automatic = jax.grad(lambda params: jnp.vdot(layer.apply(params, state, x, train=True)[0], dy))(zero)
    jax.tree.map(close, dparams, automatic)
    broken = {"inner": {"kernel": jnp.full((2, 2), jnp.nan)}}
    _, after = layer.apply(broken, state, x, train=True)
    assert jnp.isfinite(after["u"]["kernel"]).all()


# ---- errors

CONFIGURATIONS = [
    (lambda: DropConnect(Dense(2), 1.0), ValueError, "rate is the fraction dropped and lies in [0, 1), got 1.0"),
    (lambda: DropConnect(Dense(2), -0.1), ValueError, "rate is the fraction dropped and lies in [0, 1), got -0.1"),
    (lambda: DropConnect(Dense, 0.5), TypeError, "DropConnect is made of layers, got <class 'fnn.layers.dense.Dense'>"),
    (lambda: WeightNorm("dense"), TypeError, "WeightNorm is made of layers, got 'dense'"),
    (lambda: SpectralNorm(Dense(2), iterations=0), ValueError, "iterations is at least 1, got 0"),
    (lambda: SpectralNorm(Dense(2), iterations=1.5), TypeError, "iterations is an integer, got 1.5"),
    (lambda: SpectralNorm(Dense(2), epsilon=-1.0), ValueError, "epsilon is at least 0, got -1.0"),
]


@pytest.mark.parametrize(("make", "error", "message"), CONFIGURATIONS, ids=[row[2] for row in CONFIGURATIONS])
def test_a_wrong_configuration(make: Callable[[], Any], error: type, message: str):
    with pytest.raises(error, match=re.escape(message)):
        make()


@pytest.mark.parametrize("name", MAKERS)
def test_a_layer_without_kernels_is_refused_by_init(name: str):
    layer = MAKERS[name](fnn.LayerNorm())
    message = f"{type(layer).__name__} acts on parameters named kernel or *_kernel, but the layer inside has none"
    with pytest.raises(ValueError, match=re.escape(message)) as raised:
        Serial(Dense(4), Serial(norm=layer)).init(KEY, shape_of(3, 4))
    assert "only ['bias', 'scale']" in str(raised.value)
    (note,) = (each for each in raised.value.__notes__ if each.startswith("in "))
    assert note.startswith(f"in serial_0/norm: {type(layer).__name__}(")


def test_drop_connect_needs_a_key_in_training():
    layer, x = DropConnect(Dense(2), 0.5), random(3, 4)
    params, state = layer.init(KEY, x)
    message = "DropConnect(inner=Dense(features=2), rate=0.5) is random in training and needs a key"
    with pytest.raises(ValueError, match=re.escape(message)):
        layer.apply(params, state, x, train=True)


def test_weight_norm_refuses_a_layer_that_has_the_names_it_gives():
    with pytest.raises(ValueError, match=re.escape("has parameters ['kernel_scale'], the names that WeightNorm gives")):
        WeightNorm(WeightNorm(Dense(2))).init(KEY, shape_of(3, 4))


def test_weight_norm_misses_its_scale():
    params, state = Dense(2).init(KEY, shape_of(3, 4))
    with pytest.raises(ValueError, match=re.escape("expected a parameter 'kernel_scale', found ['bias', 'kernel']")):
        WeightNorm(Dense(2)).apply(params, state, random(3, 4))


def test_spectral_norm_misses_its_vectors():
    params, _ = SpectralNorm(Dense(2)).init(KEY, shape_of(3, 4))
    with pytest.raises(ValueError, match=re.escape("expected a state 'kernel', found []")):
        SpectralNorm(Dense(2)).apply(params, {}, random(3, 4))
    with pytest.raises(ValueError, match=re.escape("params hold ['kernel'], but the layers here are ['inner']")):
        SpectralNorm(Dense(2)).apply({"kernel": random(4, 2)}, {}, random(3, 4))


@pytest.mark.parametrize("name", MAKERS)
def test_a_wrong_input_names_the_inner_layer(name: str):
    layer = Serial(body=MAKERS[name](Serial(Dense(4))))
    params, state = layer.init(KEY, shape_of(3, 5))
    with pytest.raises(ValueError, match="where this input needs") as raised:
        layer.apply(params, state, random(3, 6), train=True, key=KEY)
    (note,) = (each for each in raised.value.__notes__ if each.startswith("in "))
    place = "body/inner/dense_0" if name == "spectral norm" else "body/dense_0"
    assert note.startswith(f"in {place}: Dense(features=4), applied to float64[3,6]")


@pytest.mark.parametrize("name", MAKERS)
def test_parameters_that_are_no_dict_are_refused(name: str):
    with pytest.raises(TypeError, match="params is a nested dict as init returns it"):
        MAKERS[name](Dense(4)).apply([1.0], {}, random(3, 4))
    params, _ = MAKERS[name](Dense(4)).init(KEY, shape_of(3, 4))
    with pytest.raises(TypeError, match="state is a nested dict as init returns it"):
        MAKERS[name](Dense(4)).apply(params, None, random(3, 4))
