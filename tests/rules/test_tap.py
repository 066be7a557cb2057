"""Taps: what passes a layer, forward and backward, and what becomes of the rest when it is changed."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.paths import named_leaves
from fnn.rules.tap_plot import at, by_depth, size
from tests.comparing import close, same

pytestmark = [pytest.mark.full, pytest.mark.usefixtures("strict_numerics")]

KEY = jax.random.key(0)
X = np.random.default_rng(0).standard_normal((6, 4))
LABELS = np.random.default_rng(1).integers(0, 3, 6)


def network() -> tuple[fnn.Objective, Any, Any]:
    block = fnn.Residual(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dropout(0.3)))
    model = fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Repeat(fnn.Remat(block), 2), head=fnn.Dense(3))
    objective = fnn.Objective(model, fnn.CrossEntropy(), (fnn.L2(0.1),))
    return objective, *objective.init(KEY, X)


def test_what_passes_is_seen_and_nothing_changes():
    objective, params, state = network()
    (value, aux), grads = objective.value_and_grad(params, state, (X, LABELS), key=KEY)
    found = fnn.tap(objective, "*")(params, state, (X, LABELS), key=KEY)
    close(found[:3], (value, aux, grads))
    same(found.activations["head"], found.aux.outputs)
    assert found.activations["repeat_0/tanh_0"].shape == (2, 6, 4)
    assert found.activations.keys() == found.deltas.keys()
    assert list(found.deltas) == [
        *("dense_0", "batch_norm_0", "repeat_0/dense_0", "repeat_0/tanh_0", "repeat_0/dropout_0", "head")
    ]


def test_a_delta_is_the_derivative_by_an_array_added_to_the_output():
    objective, params, state = network()
    found = fnn.tap(objective, "*")(params, state, (X, LABELS), key=KEY)

    def value(shift: dict[str, Any]) -> jax.Array:
        def moved(path: str, y: Any) -> Any:
            return y + shift[path]

        tapped = fnn.tap(objective, ("dense_0", "head"), activation=moved)
        return tapped(params, state, (X, LABELS), key=KEY).value

    zeros = {path: jnp.zeros_like(found.deltas[path]) for path in ("dense_0", "head")}
    close({path: found.deltas[path] for path in zeros}, jax.grad(value)(zeros))


def test_an_edited_activation_passes_on_and_the_gradient_goes_back_through_the_edit():
    objective, params, state = network()

    def ablated(path: str, y: Any) -> Any:
        return y * jnp.array([[1.0, 0.0, 1.0, 2.0]])

    tapped = fnn.tap(objective, "dense_0", activation=ablated)
    found = tapped(params, state, (X, LABELS), key=KEY)
    close(found.activations["dense_0"][:, 1], np.zeros(6))
    automatic = jax.grad(lambda params: tapped(params, state, (X, LABELS), key=KEY).value)(params)
    close(found.grads, automatic, atol=1e-13)


def test_an_edited_delta_changes_its_layer_and_those_before_it_alone():
    objective, params, state = network()
    plain = fnn.tap(objective, "*")(params, state, (X, LABELS), key=KEY)
    found = fnn.tap(objective, "repeat_0/tanh_0", delta=lambda path, dy: 0 * dy)(params, state, (X, LABELS), key=KEY)
    close(found.deltas["repeat_0/tanh_0"], np.zeros((2, 6, 4)))
    (value, _), penalised = objective.value_and_grad(params, state, (X, LABELS), key=KEY)
    close(found.value, value)
    close(found.grads["head"], penalised["head"])
    close(found.grads["repeat_0"]["kernel" if "kernel" in params["repeat_0"] else "dense_0"]["bias"], np.zeros((2, 4)))
    assert not np.allclose(found.grads["dense_0"]["kernel"], plain.grads["dense_0"]["kernel"])


def test_a_layer_alone_and_sequences_with_their_lengths():
    objective = fnn.Objective(fnn.Dense(3), fnn.CrossEntropy())
    params, state = objective.init(KEY, X)
    found = fnn.tap(objective, "*")(params, state, (X, LABELS))
    close(found.activations[""], found.aux.outputs)
    assert found.aux.state == {}
    objective = fnn.Objective(fnn.Serial(fnn.LSTM(3), fnn.Dense(2)), fnn.CrossEntropy())
    inputs = np.random.default_rng(2).standard_normal((2, 4, 3)), np.array([4, 2])
    batch = inputs, np.zeros((2, 4), int)
    params, state = objective.init(KEY, inputs)
    found = fnn.tap(objective, "lstm_0")(params, state, batch)
    close(found.grads, objective.value_and_grad(params, state, batch)[1])
    close(found.deltas["lstm_0"][1, 2:], np.zeros((2, 3)))


def test_tied_and_frozen_parameters_keep_their_gradients():
    model = fnn.Tied(
        fnn.Serial(one=fnn.Dense(4), held=fnn.Frozen(fnn.Dense(4)), other=fnn.Dense(4)), {"other/kernel": "one/kernel"}
    )
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(KEY, X)
    found = jax.jit(lambda params: fnn.tap(objective, "*")(params, state, (X, X)))(params)
    close(named_leaves(found.grads), named_leaves(objective.value_and_grad(params, state, (X, X))[1]))


def test_a_glob_without_a_layer_and_an_edit_of_another_shape_are_refused():
    objective, params, state = network()
    with pytest.raises(ValueError, match="conv"):
        fnn.tap(objective, "conv_*")
    with pytest.raises(ValueError, match="an edit returns an array like the one it gets") as error:
        fnn.tap(objective, "head", activation=lambda path, y: y[:, :2])(params, state, (X, LABELS), key=KEY)
    assert "head: Dense(features=3)" in "".join(error.value.__notes__)


def test_a_tap_is_a_value_and_runs_under_jit():
    objective, params, state = network()
    one, two = fnn.tap(objective, "head"), fnn.tap(objective, "head")
    assert one == two
    assert hash(one) == hash(two)
    found = jax.jit(lambda params: one(params, state, (X, LABELS), key=KEY))(params)
    close(found, one(params, state, (X, LABELS), key=KEY))


# ---- the picture


def test_layers_are_drawn_as_they_run_and_with_the_sizes_of_their_own_signals(tmp_path: Any):
    objective, params, state = network()
    tapping = fnn.tap(objective, "*")
    found = tapping(params, state, (X, LABELS), key=KEY)
    block = ("dense_0", "tanh_0", "dropout_0")
    expected = [("dense_0", ()), ("batch_norm_0", ())]
    expected += [(f"repeat_0/{name}", (i,)) for i in range(2) for name in block] + [("head", ())]
    assert list(by_depth(objective.model)) == expected
    second = np.asarray(found.deltas["repeat_0/tanh_0"])[1]
    low, middle, high = size(at(found.deltas["repeat_0/tanh_0"], (1,)))
    close(middle, np.sqrt((second**2).mean()))
    close((low, high), tuple(np.percentile(np.abs(second), [5, 95])))
    tapping.plot(found, tmp_path / "depth.png")
    assert (tmp_path / "depth.png").read_bytes().startswith(b"\x89PNG")


def test_a_layer_without_floating_outputs_has_no_size():
    assert np.isnan(size(at(np.arange(3), ()))).all()
