"""Bidirectional and TimeDistributed: what they are, by other means, and what they refuse."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.gradients.deltas import instrumented, placed_layers
from tests import compiled
from tests.comparing import close, same
from tests.drawing import drawn

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
X = drawn("sequences over time", 3, 4, 2)
LENGTHS = np.array([4, 1, 3])


@pytest.mark.full
@pytest.mark.parametrize(
    ("merge", "merged"),
    [
        ("concatenate", lambda one, other: np.concatenate((one, other), -1)),
        pytest.param("sum", np.add, marks=pytest.mark.full),
        pytest.param("multiply", np.multiply, marks=pytest.mark.full),
    ],
)
def test_bidirectional_merges_a_layer_and_one_that_reads_each_sequence_flipped(merge: Any, merged: Any):
    layer = fnn.Bidirectional(fnn.GRU(3), merge)
    params, state = compiled.init(layer, KEY, (X, LENGTHS))
    assert state == {}
    forward, _ = compiled.apply(fnn.GRU(3), params["forward"], {}, (X, LENGTHS))
    backward = np.zeros((3, 4, 3))
    for sample, length in enumerate(LENGTHS):  # by flipping the input, not by the option
        flipped = X[sample : sample + 1, :length][:, ::-1]
        y, _ = compiled.apply(fnn.GRU(3), params["backward"], {}, flipped)
        backward[sample, :length] = y[0, ::-1]
    close(compiled.apply(layer, params, state, (X, LENGTHS))[0], merged(np.asarray(forward), backward))


def test_the_directions_have_parameters_of_their_own():
    params, _ = compiled.init(fnn.Bidirectional(fnn.LSTM(3)), KEY, X)
    assert sorted(params) == ["backward", "forward"]
    assert np.abs(params["forward"]["kernel"] - params["backward"]["kernel"]).max() > 0.1


def test_a_reversed_layer_is_flipped_too():
    children = fnn.Bidirectional(fnn.GRU(3, reverse=True)).children()
    assert children == {"forward": fnn.GRU(3, reverse=True), "backward": fnn.GRU(3)}


def test_bidirectional_takes_any_layers_under_its_names():
    layer = fnn.Bidirectional(fnn.GRU(3))
    assert layer.with_children(layer.children()) == layer
    assert repr(layer) == "Bidirectional(inner=GRU(features=3))"
    other = layer.with_children({"forward": fnn.Dense(3), "backward": fnn.Dense(2)})
    assert other.children() == {"forward": fnn.Dense(3), "backward": fnn.Dense(2)}
    assert list(instrumented(layer).children()) == ["forward", "backward"]
    assert [each.path for each in placed_layers(layer)] == ["forward", "backward"]


@pytest.mark.full
def test_gradients_of_a_model_over_time_agree_by_all_methods():
    model = fnn.Serial(
        fnn.TimeDistributed(fnn.Dense(3)), fnn.Bidirectional(fnn.LSTM(2)), last=fnn.GRU(2, return_sequences=False)
    )
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(KEY, X)
    report = fnn.compare_gradients(objective, params, state, (X, np.ones((3, 2))), key=KEY)
    assert report.ok, report
    assert {row.path for row in report.rows} >= {"bidirectional_0/backward/recurrent_kernel", "bidirectional_0/forward"}


def test_bidirectional_refuses_what_has_no_direction():
    with pytest.raises(
        TypeError, match=r"flips the field reverse of a recurrent layer, but Dense\(features=3\) has none"
    ):
        fnn.Bidirectional(fnn.Dense(3))
    with pytest.raises(TypeError, match=r"Bidirectional is made of layers, got .*; did you mean GRU\(…\)\?"):
        fnn.Bidirectional(fnn.GRU)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is made of layers, got 3"):
        fnn.Bidirectional(fnn.GRU(2), opposite=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="merge is 'sum', 'concatenate' or 'multiply', got 'mean'"):
        fnn.Bidirectional(fnn.GRU(2), "mean")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="with_children replaces layers, not names"):
        fnn.Bidirectional(fnn.GRU(2)).with_children({"forward": fnn.GRU(2)})
    with pytest.raises(ValueError, match="must be set in both directions or in neither, but only backward has it"):
        fnn.Bidirectional(fnn.GRU(2), opposite=fnn.LSTM(2, reverse=True, return_carry=True))
    layer = fnn.Bidirectional(fnn.GRU(2, return_carry=True))
    with pytest.raises(TypeError, match=r"a carry for each direction \(forward, backward\), got float64\[3,2\]"):
        layer.init(KEY, (X, LENGTHS, np.zeros((3, 2))))
    with pytest.raises(ValueError, match=r"expected a carry float64\[3,2\], got float64\[3,5\]"):
        layer.init(KEY, (X, LENGTHS, (np.zeros((3, 2)), np.zeros((3, 5)))))


@pytest.mark.full
def test_bidirectional_hands_on_the_carry_of_each_direction(random: Any):
    """A forward and a backward pass, against the two layers alone."""
    layer = fnn.Bidirectional(fnn.GRU(2, return_carry=True), "sum")
    forward, backward = layer.children().values()
    params = compiled.drawn_params(random, layer, X)
    start = random(3, 2), random(3, 2)
    (y, carries), _, cache = compiled.forward(layer, params, {}, (X, LENGTHS, start))
    dy, dcarries = random(3, 4, 2), (random(3, 2), random(3, 2))
    dparams, (dx, dlengths, dstart) = compiled.backward(layer, cache, (dy, dcarries))
    assert dlengths is None
    outputs, dxs = [], []
    for place, (name, child) in enumerate((("forward", forward), ("backward", backward))):
        (out, carry), _, cache = compiled.forward(child, params[name], {}, (X, LENGTHS, start[place]))
        same(carries[place], carry)
        own, (dinput, _, dcarry) = compiled.backward(child, cache, (dy, dcarries[place]))
        same(dparams[name], own)
        same(dstart[place], dcarry)
        outputs.append(out)
        dxs.append(dinput)
    close(y, np.add(*outputs))
    close(dx, np.add(*dxs))
    # Without carries in, they start at zero, and have no gradient.
    zeros = layer.start(3, X.dtype)
    same(compiled.apply(layer, params, {}, (X, LENGTHS, zeros))[0], compiled.apply(layer, params, {}, (X, LENGTHS))[0])
    _, _, cache = compiled.forward(layer, params, {}, (X, LENGTHS, None))
    assert compiled.backward(layer, cache, (dy, dcarries))[1][2] is None


def test_bidirectional_starts_from_a_carry_for_both_or_one_each():
    pair = fnn.Bidirectional(fnn.LSTM(2, return_carry=True)).start(3, "float64")
    assert jax.tree.map(jnp.shape, pair) == (((3, 2), (3, 2)), ((3, 2), (3, 2)))
    assert fnn.Bidirectional(fnn.GRU(2)).start(3).shape == (3, 2)


@pytest.mark.full
def test_reports_and_summaries_see_through_to_the_carries():
    model = fnn.Serial(fnn.Bidirectional(fnn.GRU(2, return_carry=True)), fnn.First(fnn.Dense(2)), fnn.Lambda(first))
    assert [row.path for row in fnn.summary(model, X).rows][:2] == [
        "bidirectional_0/forward",
        "bidirectional_0/backward",
    ]
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(KEY, X)
    report = fnn.compare_gradients(objective, params, state, (X, np.ones((3, 4, 2))), key=KEY, cost=False)
    assert report.ok, report
    assert "bidirectional_0/forward/1" in {row.path for row in report.rows}


def first(x: Any) -> Any:
    return x[0]


def test_an_error_names_the_direction(random: Any):
    layer = fnn.Bidirectional(fnn.GRU(2))
    params = compiled.drawn_params(random, layer, X)
    with pytest.raises(ValueError, match="lengths lie in") as caught:
        layer.apply(params, {}, (X, np.array([1, 2, 9])))
    notes = [note for note in caught.value.__notes__ if note.startswith("in ")]
    assert len(notes) == 1
    assert notes[0].startswith("in forward: GRU(features=2), applied to")


def test_time_distributed_applies_its_layer_to_every_step_alone(random: Any):
    images = random(2, 3, 4, 5, 1)
    layer, inner = fnn.TimeDistributed(fnn.Conv(2, 3)), fnn.Conv(2, 3)
    params, _ = compiled.init(layer, KEY, images)
    y, _ = compiled.apply(layer, params, {}, images)
    for t in range(3):
        close(y[:, t], compiled.apply(inner, params, {}, images[:, t])[0])


def test_time_distributed_adds_no_segment_and_keeps_the_inner_parameters():
    params, _ = compiled.init(fnn.TimeDistributed(fnn.Dense(3)), KEY, X)
    expected, _ = compiled.init(fnn.Dense(3), KEY, X.reshape(12, 2))
    same(params, expected)


def test_batch_norm_over_time_sees_all_steps_as_samples():
    layer = fnn.TimeDistributed(fnn.BatchNorm(decay=0.0))
    params, state = compiled.init(layer, KEY, X)
    _, state = compiled.apply(layer, params, state, X, train=True)
    close(state["mean"], np.asarray(X).reshape(12, 2).mean(0))
    close(state["var"], np.asarray(X).reshape(12, 2).var(0))


def test_time_distributed_refuses_what_has_no_steps():
    layer = fnn.TimeDistributed(fnn.Tanh())
    with pytest.raises(
        ValueError, match=r"expected every array of the input \(N, T, …\), with one N and one T, got float64\[3\]"
    ):
        compiled.apply(layer, {}, {}, jnp.zeros(3))
    with pytest.raises(ValueError, match=r"with one N and one T, got \(float64\[3,4,2\], float64\[3,5\]\)"):
        layer.apply({}, {}, (X, jnp.zeros((3, 5))))
    with pytest.raises(ValueError, match=r"expected 12 samples, one a step, from the inner layer, got float64\[3,4\]"):
        fnn.TimeDistributed(_Parted()).apply({}, {}, X)


class _Parted(fnn.Tanh):
    """A layer that loses the batch axis."""

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
        return x[:, 0].reshape(3, 4), state
