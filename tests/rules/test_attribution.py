"""Attributions: by numbers worked by hand, by the formulas for relevances, and by what they must sum to."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import close

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.abs(np.random.default_rng(0).standard_normal((5, 4))) + 0.1
CLASSES = np.array([0, 2, 1, 2, 0])
RELEVANCES = (fnn.Epsilon(0.0), fnn.Gamma(0.0, 0.5), fnn.ZPlus(0.0))


def drawn(model: fnn.Layer, x: Any) -> tuple[Any, Any]:
    params, state = model.init(KEY, x)
    generator = np.random.default_rng(3)
    return jax.tree.map(lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape)), params), state


def two_layers(use_bias: bool) -> tuple[fnn.Layer, Any]:
    model = fnn.Serial(fnn.Dense(6, use_bias=use_bias), fnn.Relu(), fnn.Dense(3, use_bias=use_bias))
    return model, drawn(model, X)[0]


def score(model: fnn.Layer, params: Any, state: Any, x: Any) -> Any:
    return np.take_along_axis(np.asarray(model.apply(params, state, x)[0]), CLASSES[:, None], 1)[:, 0]


# ---- by hand

TINY = fnn.Serial(fnn.Dense(2, use_bias=False), fnn.Relu(), head=fnn.Dense(1, use_bias=False))
TINY_PARAMS = {
    "dense_0": {"kernel": np.array([[1.0, -1.0], [1.0, 2.0]])},
    "head": {"kernel": np.array([[2.0], [-3.0]])},
}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (fnn.Attribution(), [2 + 3, 2 - 6]),  # both units are on: 3 and 3
        (fnn.GradientTimesInput(), [5, -8]),
        (fnn.GuidedBackprop(), [2, 2]),  # the second unit's delta is −3
        (fnn.Deconvnet(), [2, 2]),
        (None, [5, -8]),
    ],
)
def test_each_rule_on_two_units(rule: Any, expected: list[float]):
    found = fnn.attribute(TINY, TINY_PARAMS, {}, jnp.array([[1.0, 2.0]]), jnp.array([0]), rule=rule)
    close(found, np.array([expected], float))


def test_guided_backprop_stops_where_a_unit_is_off_and_the_deconvnet_does_not():
    x = jnp.array([[-3.0, 2.0]])  # the first unit is off
    guided, other = (
        fnn.attribute(TINY, TINY_PARAMS, {}, x, jnp.array([0]), rule=rule)
        for rule in (fnn.GuidedBackprop(), fnn.Deconvnet())
    )
    close(guided, np.zeros((1, 2)))
    close(other, np.array([[2.0, 2.0]]))


# ---- by the formulas for relevances


def relevances(x: Any, params: Any, above: Any, weights: Any, epsilon: float) -> Any:
    """R_i = Σ_j x_i w_ij / (z_j + ε sign(z_j)) R_j, with the weights and biases of ``weights(params)``."""
    kernel, bias = weights(params)
    z = x @ kernel + bias
    return x * ((above / (z + epsilon * np.where(z < 0, -1, 1))) @ kernel.T)


def plain(params: Any) -> tuple[Any, Any]:
    return np.asarray(params["kernel"]), np.asarray(params.get("bias", 0.0))


def raised(params: Any) -> tuple[Any, Any]:
    return tuple(w + 0.5 * np.maximum(w, 0) for w in plain(params))  # type: ignore[return-value]


def positive(params: Any) -> tuple[Any, Any]:
    return np.maximum(plain(params)[0], 0), 0.0


@pytest.mark.parametrize("use_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(
    ("rule", "weights"),
    [(fnn.Epsilon(0.3), plain), (fnn.Gamma(0.3, 0.5), raised), (fnn.ZPlus(0.3), positive)],
    ids=["epsilon", "gamma", "z plus"],
)
def test_a_network_of_two_layers_by_the_formula(rule: Any, weights: Any, use_bias: bool):
    model, params = two_layers(use_bias)
    hidden = np.maximum(X @ plain(params["dense_0"])[0] + plain(params["dense_0"])[1], 0)
    outputs = np.asarray(model.apply(params, {}, X)[0])
    above = relevances(hidden, params["dense_1"], outputs * np.eye(3)[CLASSES], weights, 0.3)
    expected = relevances(X, params["dense_0"], above, weights, 0.3)
    close(fnn.attribute(model, params, {}, X, CLASSES, rule=rule), expected, rtol=1e-10)


# ---- what they sum to

IMAGES = np.abs(np.random.default_rng(1).standard_normal((5, 6, 6, 2)))
NO_BIAS: dict[str, Any] = {"use_bias": False}
CONSERVING = {
    "perceptron": (fnn.Serial(fnn.Dense(6, **NO_BIAS), fnn.Relu(), fnn.Dense(3, **NO_BIAS)), X),
    "residual": (
        fnn.Serial(
            fnn.Residual(fnn.Serial(fnn.Dense(4, **NO_BIAS), fnn.Tanh())),
            fnn.Repeat(fnn.Residual(fnn.Remat(fnn.Dense(4, **NO_BIAS))), 2),
            fnn.Dense(3, **NO_BIAS),
        ),
        X,
    ),
    "convolutions": (
        fnn.Serial(
            *(fnn.Conv(4, 3, **NO_BIAS), fnn.Relu(), fnn.MaxPool(2), fnn.DepthwiseConv(3, **NO_BIAS), fnn.Relu()),
            *(fnn.Parallel(fnn.Conv(4, 1, **NO_BIAS), fnn.AvgPool(3, strides=1, padding="SAME")), fnn.GlobalAvgPool()),
            fnn.Dense(3, **NO_BIAS),
        ),
        IMAGES,
    ),
}


@pytest.mark.parametrize("rule", RELEVANCES, ids=repr)
@pytest.mark.parametrize("name", CONSERVING)
def test_without_biases_relevances_sum_to_the_output(name: str, rule: Any):
    model, x = CONSERVING[name]
    params, state = drawn(model, x)
    # Every output has a positive weight: z⁺ has nowhere to pass the relevance of one that has none.
    params = jax.tree.map(lambda w: w.at[..., 0, :].set(jnp.abs(w[..., 0, :])), params)
    found = fnn.attribute(model, params, state, x, CLASSES, rule=rule)
    close(found.reshape(5, -1).sum(1), score(model, params, state, x), rtol=1e-9)


def test_a_batch_norm_in_inference_shares_what_its_scaled_input_adds():
    model = fnn.Serial(fnn.BatchNorm(use_bias=False), fnn.Dense(3, **NO_BIAS))
    params, state = drawn(model, X)
    state = {"batch_norm_0": {"mean": jnp.zeros(4), "var": jnp.ones(4), "count": jnp.array(1, jnp.int32)}}
    found = fnn.attribute(model, params, state, X, CLASSES, rule=fnn.Epsilon(0.0))
    close(found.sum(1), score(model, params, state, X), rtol=1e-10)


def test_integrated_gradients_sum_to_the_difference_from_the_baseline():
    model = fnn.Serial(fnn.Dense(6), fnn.Tanh(), fnn.Dense(3))
    params, _ = drawn(model, X)
    rule = fnn.IntegratedGradients(steps=400, baseline=0.5)
    found = jax.jit(lambda x: fnn.attribute(model, params, {}, x, CLASSES, rule=rule))(X)
    expected = score(model, params, {}, X) - score(model, params, {}, np.full_like(X, 0.5))
    close(found.sum(1), expected, rtol=1e-4, atol=1e-4)


def test_a_smooth_gradient_of_a_linear_model_is_its_gradient_and_has_the_spread_of_noise_otherwise():
    model, params = fnn.Dense(3), drawn(fnn.Dense(3), X)[0]
    close(fnn.attribute(model, params, {}, X, CLASSES, rule=fnn.SmoothGrad()), params["kernel"].T[CLASSES])
    model, params = two_layers(True)
    one, again, other = (
        fnn.attribute(model, params, {}, X, CLASSES, rule=fnn.SmoothGrad(0.5, 16, seed)) for seed in (0, 0, 1)
    )
    close(one, again)
    assert np.abs(one - other).max() > 0.01


# ---- targets, inputs, errors


def test_weights_as_a_target_and_integers_say_the_same():
    model, params = two_layers(True)
    found = fnn.attribute(model, params, {}, X, np.eye(3)[CLASSES])
    close(found, fnn.attribute(model, params, {}, X, CLASSES))


def test_indices_have_no_attribution():
    model = fnn.Serial(fnn.Embedding(5, 4), fnn.Flatten(), fnn.Dense(3))
    params, state = drawn(model, np.zeros((5, 2), int))
    for rule in (fnn.GradientTimesInput(), fnn.IntegratedGradients(), fnn.SmoothGrad()):
        assert fnn.attribute(model, params, state, np.ones((5, 2), int), CLASSES, rule=rule) is None


def test_a_layer_without_a_rule_is_named_by_its_path():
    model = fnn.Serial(body=fnn.Serial(fnn.LSTM(3, return_sequences=False)), head=fnn.Dense(3))
    x = np.ones((5, 2, 4))
    params, state = drawn(model, x)
    with pytest.raises(ValueError, match="Epsilon has no rule for LSTM, which has parameters") as error:
        fnn.attribute(model, params, state, x, CLASSES, rule=fnn.Epsilon())
    assert "in body/lstm_0" in "".join(error.value.__notes__)


@pytest.mark.parametrize("target", [np.zeros(4, int), np.zeros(5), np.zeros((5, 2))])
def test_a_target_of_another_shape_is_refused(target: Any):
    model, params = two_layers(True)
    with pytest.raises(ValueError, match=r"the target is an integer for each output, \(5,\), or weights \(5, 3\)"):
        fnn.attribute(model, params, {}, X, target)
    with pytest.raises(ValueError, match="epsilon"):
        fnn.Epsilon(-1.0)


def test_outputs_with_their_lengths_are_refused_by_a_message():
    steps = np.ones((2, 3, 4)), np.array([3, 1])
    model = fnn.Serial(fnn.Dense(2))
    params, state = model.init(jax.random.key(0), steps)
    with pytest.raises(ValueError, match=r"explains one floating array, got the outputs \(float.*\[2,3,2\], int"):
        fnn.attribute(model, params, state, steps, np.zeros((2, 3), int))
