"""Augmentations inside training: in ``make_train``, in ``fit`` and over a sweep of their strengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.augment import Affine, Brightness, Compose, CutMix, Mixup, Noise, Rotate
from tests.drawing import generator

KEY = jax.random.key(0)
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy())


def bars(samples=64):
    """Images 6 × 6 of a bar that stands, one that lies, and a square, with their labels."""
    draw = generator(f"{samples} bars")
    pictures = np.zeros((3, 6, 6, 1))
    pictures[0, :, 2:4], pictures[1, 2:4], pictures[2, 1:5, 1:5] = 1, 1, 1
    labels = draw.integers(0, 3, samples, np.int32)
    return (pictures[labels] + 0.1 * draw.normal(size=(samples, 6, 6, 1))).astype(np.float32), labels


def run(augment, **options):
    options = {"epochs": 10, "batch_size": 16, "metrics": (fnn.Accuracy(),)} | options
    return fnn.make_train(options.pop("objective", OBJECTIVE), fnn.optim.adam(3e-2), augment=augment, **options)


PIPELINE = Compose(Affine(degrees=10, translate=0.05, zoom=(0.9, 1.1)), Brightness(0.1), Noise(0.1))
MIXUP = Mixup(0.4, classes=3)


def learned(augment):
    return jax.jit(run(augment, epochs=20))(KEY, bars(), validation=bars(32)).history


@pytest.fixture(scope="module")
def mixed_up():
    return learned(MIXUP)


def has_learned(history):
    return (
        history["loss"][-1] < 0.7 * history["loss"][0]
        and history["validation_accuracy"][-1] > 0.9
        and 0.6 < history["accuracy"][-1] <= 1
    )


@pytest.mark.full
def test_a_network_learns_from_pairs_that_are_mixed(mixed_up):
    assert has_learned(mixed_up), mixed_up


@pytest.mark.full
def test_fit_sees_the_same_as_make_train(mixed_up):
    options = {"epochs": 2, "batch_size": 16, "metrics": (fnn.Accuracy(),), "augment": MIXUP}
    driven = fnn.fit(OBJECTIVE, fnn.optim.adam(3e-2), bars(), key=KEY, progress=False, **options)
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(driven.history[name], mixed_up[name][:2], rtol=1e-4)


@pytest.mark.full
@pytest.mark.parametrize(
    "augment",
    [PIPELINE, CutMix(0.4, classes=3), Compose(PIPELINE, MIXUP)],
    ids=["images", "cut mix", "both"],
)
def test_a_network_learns_from_what_is_augmented(augment):
    history = learned(augment)
    assert has_learned(history), history


@pytest.mark.full
def test_a_sweep_over_strengths_is_one_program():
    def train(degrees, alpha):
        return run(Compose(Rotate(degrees), Mixup(alpha, classes=3)), epochs=2)(KEY, bars()).history["loss"]

    degrees, alphas = np.array([0.0, 40.0]), np.array([0.0, 0.5])
    both = jax.jit(jax.vmap(train))(degrees, alphas)
    np.testing.assert_allclose(both[0], jax.jit(run(None, epochs=2))(KEY, bars()).history["loss"], rtol=1e-4)
    np.testing.assert_allclose(both[1], jax.jit(train)(40.0, 0.5), rtol=1e-4)
    assert not np.allclose(both[0], both[1], rtol=1e-2)


@pytest.mark.full
def test_weights_go_into_a_mix():
    images, labels = bars()
    squares = labels == 2  # they are masked, and hold nonsense
    weights = np.where(squares, 0, 1).astype(np.float32)
    broken = np.where(squares[:, None, None, None], np.float32(1e30), images)
    result = jax.jit(run(MIXUP, epochs=10))(KEY, (broken, labels, weights))
    assert jnp.isfinite(result.history["loss"]).all()
    assert result.history["accuracy"][-1] > 0.9
    outputs, _ = OBJECTIVE.model.apply(result.params, result.state, images)
    assert fnn.Accuracy()(outputs, labels, weights) == 1


@pytest.mark.full
def test_metrics_that_need_no_labels_take_mixed_targets():
    metrics = (fnn.Accuracy(), fnn.TopKAccuracy(2), fnn.Perplexity())
    history = jax.jit(run(MIXUP, epochs=1, metrics=metrics))(KEY, bars()).history
    assert all(jnp.isfinite(values).all() for values in history.values())
    regression = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(1)), fnn.MeanSquaredError())
    data = (bars()[0], bars()[1][:, None].astype(np.float32))
    mixed = run(Mixup(0.4), objective=regression, metrics=(fnn.R2(),), epochs=1)
    assert jnp.isfinite(jax.jit(mixed)(KEY, data).history["r2"]).all()


ANSWERS = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(1)), fnn.BinaryCrossEntropy())


@pytest.mark.parametrize("metric", [fnn.Accuracy(), fnn.F1(), fnn.AUC(), fnn.ConfusionMatrix(2)], ids=repr)
def test_a_metric_of_yes_or_no_labels_is_refused_before_the_first_step(metric):
    data = (bars()[0], (bars()[1] == 1).astype(np.float32)[:, None])
    train = run(Mixup(0.4), objective=ANSWERS, metrics=(metric,), epochs=1)
    with pytest.raises(ValueError, match=r"needs labels, but the augmentation mixes the training targets: .*leave"):
        jax.jit(train)(KEY, data)


def test_yes_or_no_labels_without_a_metric_are_mixed():
    data = (bars()[0], (bars()[1] == 1).astype(np.float32)[:, None])
    history = jax.eval_shape(run(Mixup(0.4), objective=ANSWERS, metrics=(), epochs=1), KEY, data).history
    assert list(history) == ["loss"]


@pytest.mark.parametrize("metric", [fnn.F1("macro"), fnn.ConfusionMatrix(3)], ids=repr)
def test_a_metric_that_counts_labels_is_refused_too(metric):
    with pytest.raises(ValueError, match=r"needs labels, but the augmentation mixes"):
        run(MIXUP, metrics=(metric,), epochs=1)(KEY, bars())


def test_without_classes_the_error_says_what_to_write():
    with pytest.raises(ValueError, match=r"labels of 10 classes write Mixup\(0.4, classes=10\)"):
        run(Mixup(0.4))(KEY, bars())
