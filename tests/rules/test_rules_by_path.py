"""Rules of an objective: which layers follow them, what each passes back, and who refuses them."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.layer import named_key
from fnn.ruled import Replaced
from tests.comparing import close, same

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((6, 4))
LABELS = np.random.default_rng(1).integers(0, 3, 6)
BATCH = (X, LABELS)
MODEL = fnn.Serial(fnn.Dense(5), fnn.Tanh(), fnn.Dense(5), fnn.Tanh(), head=fnn.Dense(3))


def objective(rules: dict[str, Any], model: fnn.Layer = MODEL, penalties: tuple = ()) -> fnn.Objective:
    return fnn.Objective(model, fnn.CrossEntropy(), penalties, rules=rules)


def gradients(rules: dict[str, Any], model: fnn.Layer = MODEL, x: Any = X, key: Any = None) -> Any:
    ruled = objective(rules, model)
    params, state = ruled.init(KEY, x)
    return jax.jit(ruled.value_and_grad)(params, state, (x, LABELS), key=key)[1]


def of_layer(rule: Any, layer: fnn.Layer, x: Any, path: str = "here", **given: Any) -> tuple[Any, Any, Any, Any]:
    """The parameters, a delta, and what the rule makes of it at a layer."""
    params, state = layer.init(KEY, x)
    y, _, cache = layer.forward(params, state, x)
    dy = jax.random.normal(jax.random.key(7), y.shape, y.dtype)
    return params, dy, *rule.back(path, layer, cache, dy, **{"error": None, "key": None, **given})


# ---- which layers follow a rule


def test_a_function_is_a_rule_at_the_layers_that_match_and_only_there():
    seen = []

    def halved(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> Any:
        seen.append((path, type(layer)))
        dparams, dx = layer.backward(cache, dy)
        return dparams, dx / 2

    found, exact = gradients({"dense_1": halved}), gradients({})
    assert seen == [("dense_1", fnn.Dense)]
    close(found["head"], exact["head"])
    close(found["dense_1"], exact["dense_1"])
    close(found["dense_0"], jax.tree.map(lambda g: g / 2, exact["dense_0"]))


def test_without_rules_nothing_changes_and_penalties_are_added_either_way():
    penalties = (fnn.L2(0.1),)
    plain, ruled = objective({}, penalties=penalties), objective({"tanh_*": own}, penalties=penalties)
    params, state = plain.init(KEY, X)
    close(ruled.value_and_grad(params, state, BATCH), plain.value_and_grad(params, state, BATCH))
    close(ruled(params, state, BATCH), plain(params, state, BATCH))


def own(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> Any:
    return layer.backward(cache, dy)


def test_the_value_and_its_automatic_gradient_stay_what_they_are():
    ruled, plain = objective({"dense_*": fnn.SignSymmetry()}), objective({})
    params, state = plain.init(KEY, X)
    found = jax.grad(ruled, has_aux=True)(params, state, BATCH)[0]
    close(found, plain.value_and_grad(params, state, BATCH)[1])


def test_an_objective_with_rules_is_a_value():
    one, other = (objective({"dense_*": fnn.SignSymmetry(), "head": own}) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != objective({"dense_*": fnn.SignSymmetry()})
    assert dataclasses.replace(one, rules={}) == objective({})
    assert one.with_model(fnn.Dense(3)).rules == one.rules


@pytest.mark.parametrize(
    ("rules", "error", "message"),
    [
        ({"conv_*": own}, ValueError, "the glob 'conv_.' matches none of the paths .dense_0, tanh_0"),
        ({"dense_*": own, "*_1": own}, ValueError, "rules for 'dense_.' and '._1' both match the layer 'dense_1'"),
        ({"head": fnn.SignSymmetry}, TypeError, r"an instance: write SignSymmetry\(\)"),
        ({"head": fnn.Dense(3)}, TypeError, "a rule is a function .path, layer, cache, dy.* for 'head'"),
        ({"head": 3}, TypeError, "a rule is a function .path, layer, cache, dy.*, got 3 for 'head'"),
        ([("head", own)], TypeError, "rules are a dict {glob: rule}, got"),
    ],
)
def test_wrong_rules_are_refused(rules: Any, error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        objective(rules)


def test_what_needs_a_gradient_refuses_rules():
    ruled = objective({"head": own})
    params, state = ruled.init(KEY, X)
    with pytest.raises(ValueError, match="method='auto' differentiates the value, and the rules of the objective"):
        ruled.value_and_grad(params, state, BATCH, method="auto")
    with pytest.raises(
        ValueError, match=r"has no gradients of single examples; take them off with dataclasses.replace"
    ):
        fnn.per_example_norms(ruled, params, state, BATCH)
    for product in (fnn.hessian_vector, fnn.gauss_newton_vector):
        with pytest.raises(ValueError, match="has no second derivatives; take them off"):
            product(ruled, params, state, BATCH, params)


def test_taps_follow_the_rules():
    rules = {"dense_*": fnn.FeedbackAlignment(), "head": fnn.SignSymmetry()}
    ruled = objective(rules)
    params, state = ruled.init(KEY, X)
    found = fnn.tap(ruled, ("dense_*", "tanh_0"))(params, state, BATCH)
    close(found.grads, gradients(rules))
    exact = fnn.tap(objective({}), "head")(params, state, BATCH).deltas["head"]
    signs = jnp.sign(params["head"]["kernel"]) * jnp.abs(params["head"]["kernel"]).mean()
    close(found.deltas["dense_1"], (1 - last_tanh(params, X) ** 2) * (exact @ signs.T))


def last_tanh(params: Any, x: Any) -> Any:
    below = fnn.Serial(*[fnn.Dense(5), fnn.Tanh(), fnn.Dense(5), fnn.Tanh()])
    return below.apply({name: params[name] for name in ("dense_0", "dense_1")}, {}, x)[0]


def test_a_report_compares_what_the_rules_pass_back_with_the_gradient():
    plain = objective({})
    params, state = plain.init(KEY, X)
    settings: Any = {"methods": ("manual", "reverse"), "cost": False, "progress": False}
    report = fnn.compare_gradients(plain, params, state, BATCH, rules={"head": fnn.SignSymmetry()}, **settings)
    wrong = {row.path for row in report.rows if not row.ok}
    assert wrong == {f"dense_{i}{end}" for i in (0, 1) for end in ("", "/kernel", "/bias")} | {"tanh_0", "tanh_1"}
    ruled = objective({"head": fnn.SignSymmetry()})
    again = fnn.compare_gradients(ruled, params, state, BATCH, **settings)
    assert [row.comparisons[0].cosine for row in again.rows] == [row.comparisons[0].cosine for row in report.rows]
    assert fnn.compare_gradients(ruled, params, state, BATCH, rules={}, **settings).ok


def test_training_follows_the_rules():
    rules = {"tanh_*": fnn.StraightThrough()}
    train = fnn.make_train(objective(rules), fnn.optim.sgd(0.1), steps=1, batch_size=6)
    params, state = objective({}).init(KEY, X)
    after = train(KEY, BATCH, params=params, state=state).params
    close(after, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients(rules)))


# ---- what each of them passes back

KERNELS = [
    (fnn.Dense(3), X),
    (fnn.Conv(4, 3), np.random.default_rng(2).standard_normal((2, 6, 3))),
    (fnn.Conv(4, (3, 3), strides=2, groups=2, use_bias=False), np.random.default_rng(3).standard_normal((2, 6, 6, 4))),
    (fnn.ConvTranspose(4, 3, strides=2), np.random.default_rng(4).standard_normal((2, 5, 3))),
    (fnn.DepthwiseConv(3, multiplier=2), np.random.default_rng(5).standard_normal((2, 6, 3))),
]


@pytest.mark.parametrize(("layer", "x"), KERNELS, ids=lambda each: repr(each)[:30])
def test_a_kernel_passes_back_through_another_matrix_and_learns_as_ever(layer: fnn.Layer, x: Any):
    rule = fnn.FeedbackAlignment(seed=3)
    params, dy, dparams, dx = of_layer(rule, layer, x)
    kernel = params["kernel"]
    feedback = rule.feedback_init(named_key(jax.random.key(3), "feedback of here"), kernel.shape, kernel.dtype)
    signs = jnp.sign(kernel) * jnp.abs(kernel).mean()
    _, _, signed, dx_signed = of_layer(fnn.SignSymmetry(), layer, x)
    for matrix, found in ((feedback, dx), (signs, dx_signed)):
        close(found, jax.vjp(lambda x, w=matrix: layer.apply({**params, "kernel": w}, {}, x)[0], x)[1](dy)[0])
    exact = jax.vjp(lambda params: layer.apply(params, {}, x)[0], params)[1](dy)[0]
    close(dparams, exact)
    close(signed, exact)


def test_feedback_is_fixed_by_seed_and_path():
    x, rule = X, fnn.FeedbackAlignment()
    first = of_layer(rule, fnn.Dense(3), x)[3]
    same(first, of_layer(rule, fnn.Dense(3), x)[3])
    for other in (
        of_layer(rule, fnn.Dense(3), x, "there")[3],
        of_layer(fnn.FeedbackAlignment(seed=1), fnn.Dense(3), x)[3],
    ):
        assert not np.allclose(first, other)


def test_the_error_of_the_outputs_comes_directly():
    error = np.random.default_rng(6).standard_normal((6, 2, 2))
    params, dy, dparams, dx = of_layer(fnn.DirectFeedbackAlignment(seed=2), fnn.Dense(3), X, error=jnp.asarray(error))
    key = named_key(jax.random.key(2), "feedback of here")
    close(dx, error.reshape(6, 4) @ jax.random.normal(key, (4, 4), jnp.float64) / 2)
    close(dparams, jax.vjp(lambda p: fnn.Dense(3).apply(p, {}, X)[0], params)[1](dy)[0])


def test_direct_feedback_keeps_the_size_of_the_error():
    """B has the variance 1/E, E the numbers of an example's error, not those of the input."""
    for size in (20, 200):
        error = jnp.ones((2, size))
        dx = of_layer(fnn.DirectFeedbackAlignment(), fnn.Dense(3), np.zeros((2, 5000)), error=error)[-1]
        assert abs(float(dx.std()) - 1) < 0.1


def test_the_error_is_that_of_the_whole_model():
    rule = fnn.DirectFeedbackAlignment()
    ruled = objective({"head": rule})
    params, state = ruled.init(KEY, X)
    error = fnn.tap(objective({}), "head")(params, state, BATCH).deltas["head"]
    *_, dx = of_layer(rule, fnn.Dense(3), np.zeros((6, 5)), "head", error=error)
    close(fnn.tap(ruled, "tanh_1")(params, state, BATCH).deltas["tanh_1"], dx)


def test_a_delta_passes_straight_through():
    _, dy, dparams, dx = of_layer(fnn.StraightThrough(), fnn.Step(), X)
    same(dx, dy)
    assert dparams == {}
    layer = fnn.Dense(4)
    params, dy, dparams, dx = of_layer(fnn.StraightThrough(), layer, X)
    same(dx, dy)
    close(dparams, jax.vjp(lambda p: layer.apply(p, {}, X)[0], params)[1](dy)[0])


def test_deltas_are_rounded_to_bits_before_the_layer():
    dy = jnp.array([-3.0, 0.6, 1.4, 3.0])
    same(fnn.QuantizedDelta(3).changed(dy, None), jnp.array([-3.0, 1.0, 1.0, 3.0]))  # steps of 3 / 3
    same(fnn.QuantizedDelta(2).changed(dy, None), jnp.array([-3.0, 0.0, 0.0, 3.0]))
    same(fnn.QuantizedDelta(2).changed(jnp.zeros(2), None), jnp.zeros(2))
    close(fnn.QuantizedDelta(24).changed(dy, None), dy, atol=3 * 2.0**-24)
    many = jnp.full((20_000,), 0.6).at[0].set(1.0)
    drawn = fnn.QuantizedDelta(2, stochastic=True).changed(many, KEY)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    assert abs(float(drawn[1:].mean()) - 0.6) < 4 * np.sqrt(0.24 / 20_000)


def test_noise_is_relative_to_the_delta():
    dy = 3 * jax.random.normal(KEY, (40_000,))
    noise = fnn.NoisyDelta(0.5).changed(dy, KEY) - dy
    assert abs(float(noise.std()) / float(0.5 * jnp.sqrt(jnp.mean(dy**2))) - 1) < 0.02
    assert abs(float(jnp.vdot(noise, dy)) / float(jnp.linalg.norm(noise) * jnp.linalg.norm(dy))) < 0.02


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
@pytest.mark.parametrize("bits", [8, 12])
def test_stochastic_rounding_has_the_delta_as_its_mean_in_every_dtype(bits: int, dtype: Any):
    """In bfloat16 the sum of delta and random number was rounded, by several steps of 12 bits."""
    rule = fnn.QuantizedDelta(bits, stochastic=True)
    dy = jnp.linspace(-0.9, 1.0, 50).astype(dtype)
    draws = np.asarray(jax.vmap(lambda key: rule.changed(dy, key))(jax.random.split(KEY, 4000)), np.float64)
    step = 1 / (2 ** (bits - 1) - 1)
    rounding = float(jnp.finfo(dtype).eps)  # of what is returned, at a size of 1
    exact = np.asarray(dy, np.float64)
    assert np.abs(draws - exact).max() < step + rounding
    assert np.abs(draws.mean(0) - exact).max() < 5 * step / np.sqrt(4 * 4000) + rounding


def test_16_bit_deltas_are_squared_and_divided_in_32_bits():
    """In float16 the noise of large deltas was infinite, and that of small ones 0."""
    for size in (1e-5, 1e3):
        dy = jnp.full(1000, size, jnp.float16)
        noise = fnn.NoisyDelta(0.5).changed(dy, KEY).astype(jnp.float32) - dy.astype(jnp.float32)
        assert abs(float(noise.std()) / (0.5 * size) - 1) < 0.1
    small = jnp.array([1e-5, -1e-5], jnp.float16)
    same(fnn.QuantizedDelta(12).changed(small, None), small)


@pytest.mark.parametrize("rule", [fnn.NoisyDelta(0.3), fnn.QuantizedDelta(3, stochastic=True)])
def test_layers_of_a_repeat_draw_numbers_of_their_own(rule: Any):
    drawn: dict[str, Any] = {}

    def tell(key: Any, dy: Any) -> None:
        drawn[str(np.asarray(jax.random.key_data(key)))] = np.asarray(dy)

    class Telling(Replaced):
        def back(self, path: str, layer: fnn.Layer, cache: Any, dy: Any, *, error: Any, key: Any) -> Any:
            jax.debug.callback(tell, key, dy)
            return rule.back(path, layer, cache, dy, error=error, key=key)

    model = fnn.Serial(fnn.Repeat(fnn.Tanh(), 2), head=fnn.Dense(3))
    gradients({"repeat_0": Telling()}, model, key=KEY)
    jax.effects_barrier()
    assert len(drawn) == 2


class Passing(fnn.Layer):
    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x, state, {}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, dy


def test_two_arrays_of_a_delta_draw_numbers_of_their_own():
    dy = jnp.ones(500)
    one, other = fnn.NoisyDelta(1.0).back("", Passing(), {}, (dy, dy), error=None, key=KEY)[1]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.2


def test_the_numbers_of_a_layer_do_not_depend_on_its_delta():
    """A delta that rounds in another way, under jit say, drew other noise: fit and make_train could part."""
    rule: Any = objective({"tanh_1": fnn.NoisyDelta(0.3)}).rule(None, KEY)

    def noise(dy: Any) -> Any:
        return rule("tanh_1", Passing(), {}, dy)[1] - dy

    close(2 * noise(X), noise(2 * X))


def test_two_layers_draw_numbers_of_their_own():
    rule: Any = objective({"tanh_*": fnn.NoisyDelta(0.3)}).rule(None, KEY)
    one, other = (rule(path, Passing(), {}, X)[1] - X for path in ("tanh_0", "tanh_1"))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.8


@pytest.mark.parametrize("rule", [fnn.NoisyDelta(0.3), fnn.QuantizedDelta(3, stochastic=True)])
def test_rules_that_draw_need_a_key_and_follow_it(rule: Any):
    with pytest.raises(ValueError, match=r"(NoisyDelta|QuantizedDelta)\(.*draws random numbers: give key=") as raised:
        gradients({"tanh_1": rule})
    assert any("tanh_1" in note for note in getattr(raised.value, "__notes__", ()))
    one, again, other = (gradients({"tanh_1": rule}, key=jax.random.key(i)) for i in (1, 1, 2))
    same(one, again)
    assert not np.allclose(one["dense_0"]["kernel"], other["dense_0"]["kernel"])


@pytest.mark.parametrize(
    ("rule", "path", "message"),
    [
        (fnn.FeedbackAlignment(), "tanh_1", r"FeedbackAlignment replaces the kernel .* got Tanh\(\)"),
        (fnn.SignSymmetry(), "tanh_1", r"SignSymmetry replaces the kernel .* got Tanh\(\)"),
        (fnn.StraightThrough(), "head", r"StraightThrough passes on a delta as it is, but Dense\(features=3\) has"),
    ],
)
def test_a_layer_without_what_a_rule_needs_is_named(rule: Any, path: str, message: str):
    with pytest.raises(ValueError, match=message) as raised:
        gradients({path: rule})
    assert any(path in note for note in getattr(raised.value, "__notes__", ()))


def test_an_error_of_another_number_of_examples_is_refused():
    with pytest.raises(ValueError, match="DirectFeedbackAlignment leads the error of the outputs"):
        of_layer(fnn.DirectFeedbackAlignment(), fnn.Dense(3), X, error=jnp.ones((5, 2)))


def test_an_error_of_sequences_with_their_lengths_is_refused():
    steps = np.random.default_rng(1).standard_normal((2, 3, 4)), np.array([3, 1])
    ruled = objective({"head": fnn.DirectFeedbackAlignment()})
    params, state = ruled.init(KEY, steps)
    with pytest.raises(ValueError, match="DirectFeedbackAlignment leads the error of the outputs"):
        ruled.value_and_grad(params, state, (steps, np.zeros((2, 3), int)))


@pytest.mark.parametrize("bits", [1, 25])
def test_bits_have_a_range(bits: int):
    with pytest.raises(ValueError, match="bits lies between 2"):
        fnn.QuantizedDelta(bits)


def test_a_noise_below_zero_is_refused():
    with pytest.raises(ValueError, match="scale"):
        fnn.NoisyDelta(-0.1)
