"""Lengths beside x: each sequence of a batch has what it has alone, whatever stands behind it."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
import fnn.layers
from fnn.calls import apply_of
from fnn.sequences.lengths import checked_lengths
from tests import compiled
from tests.cases import LAYERS
from tests.comparing import close
from tests.drawing import drawn, generator

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)
LENGTHS = np.array([7, 2, 4], np.int32)
X = drawn("sequences of three lengths", 3, 7, 3)
WITHIN = np.arange(7)[None] < LENGTHS[:, None]

full = pytest.mark.full
MODELS = [
    fnn.Serial(fnn.LSTM(4), fnn.GRU(4, return_sequences=False)),
    fnn.Serial(fnn.Conv(3, 3), fnn.Relu(), fnn.AvgPool(2, strides=1, padding="SAME"), fnn.GRU(2), fnn.Dense(2)),
    fnn.Serial(
        fnn.Residual(fnn.Conv(3, 3, padding="CAUSAL"), fnn.Conv(3, 1)),
        fnn.Parallel(fnn.Dense(3), fnn.MultiHeadAttention(1)),
        fnn.MaxPool(2),
        fnn.GlobalMaxPool(),
    ),
    fnn.Serial(fnn.First(fnn.SimpleRNN(3)), fnn.First(fnn.GlobalAvgPool())),
    pytest.param(fnn.LSTM(3), marks=full),
    pytest.param(fnn.Serial(fnn.Dense(4), fnn.LSTM(4), fnn.Dropout(0.0), fnn.Dense(2)), marks=full),
    pytest.param(fnn.Serial(fnn.SeparableConv(3, 3), fnn.Conv(4, 2, strides=2, padding="VALID")), marks=full),
    pytest.param(fnn.Serial(fnn.Conv(3, 3, dilation=2, padding=((1, 3),)), fnn.AvgPool(2)), marks=full),
    pytest.param(fnn.Serial(fnn.Bidirectional(fnn.GRU(2), "sum"), fnn.MaxPool(3, strides=1, padding=1)), marks=full),
    pytest.param(fnn.Serial(fnn.Repeat(fnn.LSTM(3), 2), fnn.Remat(fnn.GRU(2)), fnn.Dense(3)), marks=full),
    pytest.param(fnn.Serial(fnn.Dense(4), fnn.Repeat(fnn.TransformerBlock(2, 6), 2), fnn.GlobalAvgPool()), marks=full),
    pytest.param(fnn.Serial(fnn.TimeDistributed(fnn.Dense(3)), fnn.GRU(2)), marks=full),
    pytest.param(fnn.Residual(fnn.Serial(fnn.LSTM(3), fnn.LSTM(3))), marks=full),
    pytest.param(fnn.Parallel(fnn.Conv(2, 3), fnn.GRU(2), merge="concatenate"), marks=full),
    pytest.param(fnn.Cast(fnn.Serial(fnn.LSTM(3), fnn.GRU(2)), "float64"), marks=full),
    pytest.param(fnn.WeightNorm(fnn.Serial(fnn.LSTM(3), fnn.GRU(2))), marks=full),
    pytest.param(fnn.with_manual_vjp(fnn.Serial(fnn.LSTM(3), fnn.GRU(2))), marks=full),
    pytest.param(fnn.Frozen(fnn.Serial(fnn.LSTM(3), fnn.GRU(2))), marks=full),
    pytest.param(fnn.Serial(fnn.PositionalEmbedding(7), fnn.MultiHeadAttention(1, causal=True)), marks=full),
]


@partial(jax.jit, static_argnums=0)
def outputs(model: Any, params: Any, state: Any, x: Any) -> Any:
    return apply_of(model, params, state, x)[0]


@partial(jax.jit, static_argnums=0)
def gradients(objective: Any, params: Any, state: Any, batch: Any) -> Any:
    """By hand and by ``jax.grad``, of the parameters and of x; and the outputs."""

    def value(params: Any, x: Any) -> Any:
        return objective(params, state, ((x, batch[0][1]), batch[1]), train=True, key=KEY)[0]

    (_, aux), by_hand = objective.value_and_grad(params, state, batch, train=True, key=KEY)
    return by_hand, jax.grad(value, (0, 1))(params, batch[0][0]), aux.outputs


def drawn_for(layer: Any, x: Any) -> tuple[Any, Any]:
    """Random parameters, and a state of ones, in the shapes of those that init makes."""
    params, state = jax.eval_shape(layer.init, KEY, x)
    draw = generator(repr(layer))
    params = jax.tree.map(lambda leaf: 0.5 * draw.standard_normal(leaf.shape).astype(leaf.dtype), params)
    return params, jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), state)


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_each_sequence_has_what_it_has_alone_and_padding_leaves_no_trace(model: fnn.Layer):
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    padded = np.where(WITHIN[..., None], X, 1e3)
    params, state = drawn_for(objective, (padded, LENGTHS))
    shapes = jax.eval_shape(partial(outputs, model), params, state, (padded, LENGTHS))
    target = drawn("targets", *(shapes[0] if isinstance(shapes, tuple) else shapes).shape)
    by_hand, (automatic, dx), y = gradients(objective, params, state, ((padded, LENGTHS), target))
    y, after = y if isinstance(y, tuple) else (y, None)
    alone = outputs(model, params, state, X[2:, : LENGTHS[2]])
    if after is None:
        close(y[2], alone[0], atol=1e-13)
    else:
        assert int(after[2]) == alone.shape[1]
        close(y[2, : int(after[2])], alone[0], atol=1e-13)
    close(by_hand, automatic, rtol=1e-11, atol=1e-13)
    assert not dx[~WITHIN].any()
    assert dx[WITHIN].any()
    if after is not None and y.shape[1] == 7:  # what is asked of padding does not matter either
        target = np.where(WITHIN[..., None], target, -1e3)
        close(
            gradients(objective, params, state, ((np.where(WITHIN[..., None], X, -7.0), LENGTHS), target))[0], by_hand
        )


# Of the layers other than activations of each entry alone, which have it from their base.
DECLARED = {
    "each step": (
        "Add Concatenate Dense Dropout Embedding GEGLU GLU GaussianNoise Identity LayerNorm LogSoftmax Maxout Multiply"
        " PRelu PositionalEmbedding RMSNorm ReGLU RotaryEmbedding SinusoidalEmbedding Softmax SwiGLU TrainableSwish"
    ),
    "zeros": "Conv DepthwiseConv",
    "lengths": (
        "AvgPool BatchNorm FeedbackRNN GRU GlobalAvgPool GlobalMaxPool LSTM MaxPool MultiHeadAttention SimpleRNN"
    ),
    "mixed": "ConvTranspose Flatten GroupNorm InstanceNorm Pad PixelShuffle Reshape Transpose UpSample",
    None: "Bilinear Lambda",  # a pair of arrays, and a function of anything
}


def test_every_layer_says_what_it_does_over_time():
    said = {name: kind for kind, names in DECLARED.items() for name in names.split()}
    public = {name: kind for name, kind in vars(fnn.layers).items() if isinstance(kind, type)}
    layers = {name for name, kind in public.items() if issubclass(kind, fnn.Layer)}
    activations = {name for name in layers if issubclass(public[name], fnn.layers.Elementwise)}
    assert all(public[name].over_time == "each step" for name in activations)
    assert set(said) == layers - activations
    for case in LAYERS:
        name = type(case.layer).__name__
        if name in said and getattr(case.layer, "axis", -1) == -1:
            expected = said[name]
            if getattr(case.layer, "padding", None) == "SAME" and {"zeros": 1, "lengths": 1}.get(str(expected)):
                continue  # with strides it is mixed, which a row of the errors below holds
            assert case.layer.over_time == expected, case.name


STEPWISE = [case for case in LAYERS if case.layer.over_time == "each step" and not case.layer.children()]


@pytest.mark.full
@pytest.mark.parametrize("case", STEPWISE, ids=lambda case: case.name)
def test_each_step_means_that_no_step_sees_another(case: Any):
    x = case.input()
    if not hasattr(x, "ndim") or x.ndim < 3:
        pytest.skip("the row has no axis of time")
    params, state = compiled.init(case.layer, KEY, x)
    other = np.array(x)
    other[:, 1] = other[:, 0]
    y, moved = (compiled.apply(case.layer, params, state, each)[0] for each in (x, other))
    close(np.delete(moved, 1, 1), np.delete(y, 1, 1))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (fnn.Flatten(), r"Flatten\(\) mixes the steps .* got \(float64\[3,7,3\], int32\[3\]\); reduce the steps first"),
        (fnn.GroupNorm(1), r"GroupNorm\(groups=1\) mixes the steps"),
        (
            fnn.Conv(2, 3, strides=2),
            r"mixes the steps .* use padding='VALID', pass x alone if it has no padding",
        ),
        (fnn.MaxPool(2, padding="SAME"), "mixes the steps .* or give integers that are not lengths a second axis"),
        (fnn.DepthwiseConv(3, strides=2), "mixes the steps"),
        (fnn.Softmax(axis=1), "mixes the steps"),
        (
            fnn.TimeDistributed(fnn.Serial(fnn.BatchNorm())),
            r"BatchNorm\(\) would include padding in its statistics here",
        ),
    ],
    ids=repr,
)
def test_a_layer_that_would_mix_padding_in_is_refused_by_name(layer: fnn.Layer, message: str):
    model = fnn.Serial(fnn.GRU(3), fnn.First(layer))
    with pytest.raises(ValueError, match=message) as caught:
        model.init(KEY, (X, LENGTHS))
    assert any("in first_0" in note for note in caught.value.__notes__)


@pytest.mark.full
def test_batch_norm_takes_its_statistics_over_the_steps_within_the_lengths():
    layer = fnn.First(fnn.BatchNorm(decay=0.0))
    params, state = layer.init(KEY, (X, LENGTHS))
    (y, lengths), state = layer.apply(params, state, (np.where(WITHIN[..., None], X, np.nan), LENGTHS), train=True)
    rows = X[WITHIN]
    close(state["mean"], rows.mean(0))
    close(state["var"], rows.var(0))
    close(y[WITHIN], (rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5), atol=1e-13)
    assert not np.asarray(y)[~WITHIN].any()
    assert lengths is LENGTHS or (np.asarray(lengths) == LENGTHS).all()
    for few, found in (([0, 1, 0], "one"), ([0, 0, 0], "none")):
        with pytest.raises(ValueError, match=f"at least two values per channel for a variance, got {found}"):
            layer.apply(params, state, (X, np.array(few)), train=True)
    y, after = compiled.apply(layer, params, state, (X, np.array([0, 1, 0])), train=True)
    assert np.isnan(y[0][1, 0]).all()  # undecidable inside a program
    close(after, state)  # and no statistic


def test_the_mean_over_time_is_that_of_the_steps_within_the_length():
    x = np.array([[[1.0], [5.0], [-8.4]]])
    assert fnn.GlobalAvgPool().apply({}, {}, (x, np.array([2])))[0] == 3.0
    assert fnn.First(fnn.GlobalAvgPool()).apply({}, {}, (x, np.array([2])))[0] == 3.0
    assert fnn.GlobalMaxPool().apply({}, {}, (-np.abs(x), np.array([2])))[0] == -1.0


@pytest.mark.parametrize("layer", [fnn.GlobalAvgPool(), fnn.GlobalMaxPool()], ids=repr)
def test_a_sequence_without_steps_has_no_mean_and_no_maximum(layer: fnn.Layer):
    given = (X, np.array([7, 0, 4]))
    with pytest.raises(ValueError, match=r"an empty sequence has no mean and no maximum, got the lengths \[7, 0, 4\]"):
        layer.apply({}, {}, given)
    y = compiled.apply(layer, {}, {}, given)[0]
    assert np.isnan(y[1]).all()
    assert np.isfinite(y[::2]).all()


@partial(jax.jit, static_argnums=0)
def value(objective: Any, params: Any, state: Any, batch: Any) -> Any:
    return objective(params, state, batch)[0]


IMPOSSIBLE = [
    fnn.Serial(fnn.GRU(2)),
    fnn.Serial(fnn.Conv(2, 3)),
    fnn.Serial(fnn.BatchNorm()),
    fnn.Serial(fnn.AvgPool(2)),
    fnn.Serial(fnn.MaxPool(2)),
    fnn.Serial(fnn.GlobalAvgPool()),
    fnn.Serial(fnn.GlobalMaxPool()),
    fnn.Serial(fnn.MultiHeadAttention(1)),
    fnn.Serial(fnn.Dense(2)),
]


@pytest.mark.full
@pytest.mark.parametrize("model", IMPOSSIBLE, ids=repr)
@pytest.mark.parametrize("length", [pytest.param(-1, marks=full), 8])
def test_an_impossible_length_is_an_error_and_inside_a_program_nan(model: fnn.Layer, length: int):
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = drawn_for(objective, (X, LENGTHS))
    given = (X, np.array([7, length, 4], np.int32))
    shapes = jax.eval_shape(partial(apply_of, model), params, state, (X, LENGTHS))[0]
    target = np.zeros((shapes[0] if isinstance(shapes, tuple) else shapes).shape)
    with pytest.raises(ValueError, match=rf"lengths lie in \[0, 7\], got values from {min(length, 4)} to"):
        objective(params, state, (given, target))
    assert np.isnan(value(objective, params, state, (given, target)))


def test_lengths_are_integers_one_a_sequence():
    with pytest.raises(TypeError, match=r"expected integer lengths \(3,\), got \(int, int, int\)"):
        checked_lengths((1, 2, 3), 3, 7)
    with pytest.raises(ValueError, match=r"expected one length a sequence, \(3,\), got int64\[2\]"):
        compiled.apply(fnn.Serial(fnn.Identity()), {}, {}, (X, np.array([1, 2])))
    for given in ((X, LENGTHS, LENGTHS), (X[:, 0], LENGTHS), (X, WITHIN)):
        with pytest.raises(TypeError, match=r"expected one array, got \(float64"):
            fnn.GlobalAvgPool().apply({}, {}, given)


@pytest.mark.full
def test_a_loss_over_time_takes_lengths_as_weights():
    p, y, weights = X, drawn("targets over time", 3, 7, 3), np.array([1.0, 0.0, 3.0])
    loss = fnn.MeanSquaredError()
    each = WITHIN.astype(float)
    value, cache = loss.forward((np.where(WITHIN[..., None], p, np.nan), LENGTHS), y)
    close(value, loss(p, y, each))
    dp, dlengths = loss.backward(cache)
    assert dlengths is None
    close(dp, loss.backward(loss.forward(p, y, each)[1]))
    close(loss((p, LENGTHS), y, weights), loss(p, y, each * weights[:, None]))
    close(loss.weight((p, LENGTHS), y, weights), loss.weight(p, y, each * weights[:, None]))
    labels = np.argmax(y, -1)
    close(fnn.CrossEntropy()((p, LENGTHS), labels), fnn.CrossEntropy()(p, labels, each))
    with pytest.raises(ValueError, match="a prediction with lengths needs a target for every step"):
        fnn.CrossEntropy()((p, LENGTHS), labels[:, 0])


@pytest.mark.full
def test_a_head_that_projects_takes_them_too():
    model = fnn.Serial(fnn.Embedding(6, 4), fnn.LSTM(4))
    objective = fnn.Objective(model, fnn.LinearCrossEntropy(5, chunk=4))
    tokens, labels = np.arange(21).reshape(3, 7) % 6, np.arange(21).reshape(3, 7) % 5
    params, state = drawn_for(objective, (tokens, LENGTHS))

    @jax.jit
    def everything(params: Any) -> Any:
        hidden, _ = model.apply({name: params[name] for name in ("embedding_0", "lstm_0")}, state, (tokens, LENGTHS))
        expected = fnn.CrossEntropy()(hidden[0] @ params["loss"]["kernel"], labels, WITHIN.astype(float))
        batch = ((tokens, LENGTHS), labels)
        by_hand, automatic = (
            objective.value_and_grad(params, state, batch, method=method) for method in ("manual", "auto")
        )
        return by_hand[0][0], expected, by_hand[1], automatic[1]

    value, expected, grads, automatic = everything(params)
    close(value, expected)
    close(grads, automatic, 1e-11, 1e-13)


@pytest.mark.full
def test_a_run_and_its_metrics_count_no_padding():
    objective = fnn.Objective(fnn.Serial(fnn.GRU(4), fnn.Dense(3)), fnn.CrossEntropy())
    labels = np.argmax(X, -1)
    result = fnn.fit(
        objective,
        fnn.optim.sgd(0.0),
        ((X, LENGTHS), np.where(WITHIN, labels, 0)),
        epochs=1,
        batch_size=2,
        key=KEY,
        metrics=[fnn.Accuracy()],
        validation=((X, LENGTHS), labels),
        progress=False,
    )
    y = outputs(objective.model, result.params, result.state, (X, LENGTHS))[0]
    expected = (np.argmax(y, -1) == labels)[WITHIN].mean()
    close(result.history["validation_accuracy"], np.array([expected]), rtol=1e-6)
    close(result.history["accuracy"], np.array([expected]), rtol=1e-6)
    close(result.history["loss"], result.history["validation_loss"], rtol=1e-6)


@pytest.mark.full
def test_the_report_of_a_model_given_lengths_confirms_every_layer():
    model = fnn.Serial(fnn.Conv(3, 3), fnn.BatchNorm(), fnn.Bidirectional(fnn.GRU(2)), fnn.GlobalAvgPool())
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params, state = objective.init(KEY, (X, LENGTHS))
    batch = ((X, LENGTHS), drawn("t", 3, 4))
    report = fnn.compare_gradients(objective, params, state, batch, key=KEY, cost=False)
    assert report.ok, report
    assert "conv_0" in {row.path for row in report.rows}
    assert [row.path for row in fnn.summary(model, (X, LENGTHS)).rows] == [
        *("conv_0", "batch_norm_0", "bidirectional_0/forward", "bidirectional_0/backward", "global_avg_pool_0")
    ]


def test_a_layer_that_says_nothing_is_given_the_pair_and_its_author_told_what_to_say():
    def last(x: Any) -> Any:
        return x[:, -1]

    model = fnn.Serial(fnn.GRU(2), fnn.Lambda(last))
    with pytest.raises(TypeError) as caught:
        model.init(KEY, (X, LENGTHS))
    notes = "\n".join(caught.value.__notes__)
    assert 'Lambda was given (x, lengths): if it treats each step separately, write over_time = "each step"' in notes
    doubled = fnn.Lambda(jnp.negative, over_time="each step")
    assert repr(doubled).endswith("over_time='each step')")
    y, lengths = fnn.Serial(doubled).apply({}, {}, (X, LENGTHS))[0]
    close(y[WITHIN], -X[WITHIN])
    assert (np.asarray(lengths) == LENGTHS).all()


def test_images_beside_integers_are_no_sequences():
    images, steps = np.ones((2, 4, 4, 1)), np.array([900, 3])
    layer = fnn.First(fnn.Conv(2, 3))
    params, state = layer.init(KEY, (images, steps))
    y, passed = layer.apply(params, state, (images, steps))[0]
    assert y.shape == (2, 4, 4, 2)
    assert (passed == steps).all()


@pytest.mark.full
def test_padding_may_hold_anything():
    """Not a number, a label or an index that is none: it is neither judged nor looked at."""
    x, labels = np.where(WITHIN[..., None], X, np.nan), np.where(WITHIN, np.argmax(X, -1), -1)
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.LayerNorm(), fnn.GRU(3)), fnn.CrossEntropy())
    params, state = objective.init(KEY, (X, LENGTHS))
    clean = ((np.where(WITHIN[..., None], X, 0.0), LENGTHS), np.where(WITHIN, labels, 0))
    for given, right in zip(
        gradients(objective, params, state, ((x, LENGTHS), labels))[:2],
        gradients(objective, params, state, clean)[:2],
        strict=True,
    ):
        close(given, right)
    values = fnn.evaluate(objective, params, state, ((x, LENGTHS), labels), metrics=[fnn.Accuracy()])
    close(values, fnn.evaluate(objective, params, state, clean, metrics=[fnn.Accuracy()]))
    tokens = np.where(WITHIN, labels, -1)
    model = fnn.Serial(fnn.Embedding(4, 3), fnn.Dense(2))
    params, state = model.init(KEY, (tokens, LENGTHS))
    assert np.isfinite(model.apply(params, state, (tokens, LENGTHS))[0][0]).all()


@pytest.mark.full
def test_a_metric_judges_every_step_within_the_lengths_as_a_sample():
    targets = drawn("targets of steps", 3, 7, 2)
    outputs = targets + 0.1 * drawn("errors of steps", 3, 7, 2)
    expected = fnn.R2()(outputs[WITHIN], targets[WITHIN])
    close(fnn.R2()((outputs, LENGTHS), targets), expected, rtol=1e-6)
    objective = fnn.Objective(fnn.Serial(fnn.Identity()), fnn.MeanSquaredError())
    found = fnn.evaluate(objective, {}, {}, ((outputs, LENGTHS), targets), metrics=[fnn.R2()])
    close(found["r2"], expected, rtol=1e-6)
    labels = np.argmax(targets, -1)
    close(fnn.Accuracy()((outputs, LENGTHS), labels), fnn.Accuracy()(outputs[WITHIN], labels[WITHIN]), rtol=1e-6)
    with pytest.raises(ValueError, match="weights have the shape of the leading axes of the targets"):
        fnn.R2()((outputs, LENGTHS), targets, np.ones(2))


INSIDE_FIRST = [
    fnn.Remat(fnn.GRU(3)),
    fnn.Parallel(fnn.GRU(3), fnn.Dense(3)),
    pytest.param(fnn.Frozen(fnn.GRU(3)), marks=full),
    pytest.param(fnn.Cast(fnn.GRU(3), "float64"), marks=full),
    pytest.param(fnn.TimeDistributed(fnn.Dense(3)), marks=full),
    pytest.param(fnn.Residual(fnn.Serial(fnn.BatchNorm()), fnn.Dense(3)), marks=full),
    pytest.param(fnn.Repeat(fnn.Remat(fnn.Conv(3, 2, padding="CAUSAL")), 2), marks=full),
    pytest.param(fnn.First(fnn.First(fnn.LSTM(3))), marks=full),
]


@pytest.mark.full
@pytest.mark.parametrize("inner", INSIDE_FIRST, ids=repr)
def test_a_cache_that_a_wrapper_hands_on_is_not_taken_for_its_own(inner: fnn.Layer):
    """``First`` returns the cache of its layer as it is, and its mark of lengths was unwrapped twice."""
    layer = fnn.First(inner)
    objective = fnn.Objective(fnn.Serial(fnn.Dense(3), layer), fnn.MeanSquaredError())
    params, state = drawn_for(objective, (X, LENGTHS))
    target = drawn("targets in first", 3, 7, 3)
    by_hand, (automatic, _), _ = gradients(objective, params, state, ((X, LENGTHS), target))
    close(by_hand, automatic, rtol=1e-11, atol=1e-13)

    def alone(params: Any, state: Any) -> Any:
        y, _, cache = layer.forward(params, state, (X, LENGTHS), train=True, key=KEY)
        return layer.backward(cache, (jnp.ones_like(y[0]), None))[1]

    dx, dlengths = jax.eval_shape(alone, *drawn_for(layer, (X, LENGTHS)))
    assert dx.shape == X.shape
    assert dlengths is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_short_lengths_count_as_far_as_the_steps_go(dtype: str):
    x = np.ones((1, 260, 2))
    model = fnn.Serial(fnn.Conv(2, 1, padding=((20, 10),)), fnn.GlobalAvgPool())
    params, state = model.init(KEY, (x, np.array([250])))
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5), params)
    y = compiled.apply(model, params, state, (x, np.array([250], dtype)))[0]
    close(y, np.full((1, 2), 0.5 + 250 / 280))


def test_what_is_said_of_time_is_one_of_four():
    with pytest.raises(TypeError, match=r"Mine\.over_time is one of .* or None, got 'each_step'"):

        class Mine(fnn.Layer):
            over_time = "each_step"  # type: ignore[assignment]

    with pytest.raises(ValueError, match="or None, got 'mix'"):
        fnn.Lambda(jnp.sin, over_time="mix")  # type: ignore[arg-type]


@pytest.mark.full
def test_a_carry_passes_by_as_any_other_member():
    carry = np.ones((3, 4))
    layer = fnn.Serial(fnn.First(fnn.Relu()), fnn.GRU(4))
    params, state = layer.init(KEY, (X, LENGTHS, carry))
    y, lengths = layer.apply(params, state, (X, LENGTHS, carry))[0]
    expected = fnn.GRU(4).apply(params["gru_0"], {}, (np.maximum(X, 0), LENGTHS, carry))[0]
    close(y, expected)
    assert (np.asarray(lengths) == LENGTHS).all()
    params, state = fnn.Residual(fnn.GRU(4), fnn.Dense(4)).init(KEY, (X, LENGTHS, carry))


LOSSES = [
    (fnn.RootMeanSquaredError(), X + 1.0),
    (fnn.CrossEntropy(), np.argmax(X, -1)),
    (fnn.MultiClassHinge(), np.argmax(X, -1)),
    (fnn.BinaryCrossEntropy(), (X > 0).astype(float)),
    (fnn.Hinge(), np.sign(X)),
    (fnn.Poisson(), np.abs(X)),
    (fnn.KLDivergence(), np.abs(X) / np.abs(X).sum(-1, keepdims=True)),
    (fnn.CosineSimilarity(), X + 1.0),
]


@pytest.mark.full
@pytest.mark.parametrize(("loss", "target"), LOSSES, ids=repr)
def test_no_loss_looks_at_targets_past_the_lengths(loss: fnn.losses.Loss, target: np.ndarray):
    p, within = drawn("predictions over time", 3, 7, 3), WITHIN.reshape(3, 7, *(1,) * (target.ndim - 2))
    padded = np.where(within, target, -7).astype(target.dtype)
    expected, cache = loss.forward(p, target, WITHIN.astype(float))
    value, over_time = loss.forward((np.where(WITHIN[..., None], p, np.nan), LENGTHS), padded)
    close(value, expected)
    close(loss.backward(over_time)[0], loss.backward(cache))


def test_a_run_refuses_lengths_beyond_the_steps():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(3)), fnn.MeanSquaredError())
    with pytest.raises(
        ValueError, match=r"lengths lie in \[0, 7\], got values from 4 to 9; integers that are not lengths"
    ):
        fnn.evaluate(objective, *objective.init(KEY, (X, LENGTHS)), ((X, np.array([7, 9, 4])), X))
