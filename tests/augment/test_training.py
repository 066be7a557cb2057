"""Augmentations inside training: in ``make_train``, in ``fit`` and over a sweep of their strengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.augment import Affine, Brightness, Compose, CutMix, Mixup, Noise, Rotate

KEY = jax.random.key(0)
OBJECTIVE = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(3)), fnn.CrossEntropy())


def bars(samples=60):
    """Images 6 × 6 of a bar that stands, one that lies, and a square, with their labels."""
    rng = np.random.default_rng(0)
    pictures = np.zeros((3, 6, 6, 1))
    pictures[0, :, 2:4], pictures[1, 2:4], pictures[2, 1:5, 1:5] = 1, 1, 1
    labels = rng.integers(0, 3, samples)
    return jnp.asarray(pictures[labels] + 0.1 * rng.normal(size=(samples, 6, 6, 1)), jnp.float32), jnp.asarray(labels)


def run(augment, **options):
    options = {"epochs": 10, "batch_size": 16, "metrics": (fnn.Accuracy(),)} | options
    return fnn.make_train(options.pop("objective", OBJECTIVE), fnn.optim.adam(3e-2), augment=augment, **options)


PIPELINE = Compose(Affine(degrees=10, translate=0.05, zoom=(0.9, 1.1)), Brightness(0.1), Noise(0.1))


@pytest.mark.parametrize(
    "augment",
    [PIPELINE, Mixup(0.4, classes=3), CutMix(0.4, classes=3), Compose(PIPELINE, Mixup(0.4, classes=3))],
    ids=["images", "mixup", "cut mix", "both"],
)
def test_a_network_learns_from_what_is_augmented(augment):
    result = jax.jit(run(augment, epochs=20))(KEY, bars(), validation=bars(30))
    assert result.history["loss"][-1] < 0.7 * result.history["loss"][0]
    assert result.history["validation_accuracy"][-1] > 0.9
    assert 0.6 < result.history["accuracy"][-1] <= 1


def test_fit_sees_the_same_as_make_train():
    options = {"epochs": 2, "batch_size": 16, "metrics": (fnn.Accuracy(),), "augment": Mixup(0.4, classes=3)}
    driven = fnn.fit(OBJECTIVE, fnn.optim.adam(3e-2), bars(), key=KEY, progress=False, **options)
    whole = jax.jit(run(options["augment"], epochs=2))(KEY, bars())
    for name in ("loss", "accuracy"):
        np.testing.assert_allclose(driven.history[name], whole.history[name], rtol=1e-4)


def test_a_sweep_over_strengths_is_one_program():
    def train(degrees, alpha):
        return run(Compose(Rotate(degrees), Mixup(alpha, classes=3)), epochs=2)(KEY, bars()).history["loss"]

    degrees, alphas = jnp.array([0.0, 40.0]), jnp.array([0.0, 0.5])
    both = jax.jit(jax.vmap(train))(degrees, alphas)
    np.testing.assert_allclose(both[0], jax.jit(run(None, epochs=2))(KEY, bars()).history["loss"], rtol=1e-4)
    np.testing.assert_allclose(both[1], jax.jit(train)(40.0, 0.5), rtol=1e-4)
    assert not np.allclose(both[0], both[1], rtol=1e-2)


def test_weights_go_into_a_mix():
    images, labels = bars()
    weights = jnp.where(labels == 2, 0.0, 1.0)  # the squares are masked, and hold nonsense
    broken = images.at[labels == 2].set(1e30)
    result = jax.jit(run(Mixup(0.4, classes=3), epochs=10))(KEY, (broken, labels, weights))
    assert jnp.isfinite(result.history["loss"]).all()
    assert result.history["accuracy"][-1] > 0.9
    outputs, _ = OBJECTIVE.model.apply(result.params, result.state, images)
    assert fnn.Accuracy()(outputs, labels, weights) == 1


def test_metrics_that_need_no_labels_take_mixed_targets():
    metrics = (fnn.Accuracy(), fnn.TopKAccuracy(2), fnn.Perplexity())
    history = jax.jit(run(Mixup(0.4, classes=3), epochs=1, metrics=metrics))(KEY, bars()).history
    assert all(jnp.isfinite(values).all() for values in history.values())
    regression = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(1)), fnn.MeanSquaredError())
    data = (bars()[0], bars()[1][:, None].astype(jnp.float32))
    mixed = run(Mixup(0.4), objective=regression, metrics=(fnn.R2(),), epochs=1)
    assert jnp.isfinite(jax.jit(mixed)(KEY, data).history["r2"]).all()


@pytest.mark.parametrize("metric", [fnn.Accuracy(), fnn.F1(), fnn.AUC(), fnn.ConfusionMatrix(2)], ids=repr)
def test_a_metric_of_yes_or_no_labels_is_refused_before_the_first_step(metric):
    objective = fnn.Objective(fnn.Serial(fnn.Flatten(), fnn.Dense(1)), fnn.BinaryCrossEntropy())
    data = (bars()[0], (bars()[1] == 1).astype(jnp.float32)[:, None])
    train = run(Mixup(0.4), objective=objective, metrics=(metric,), epochs=1)
    with pytest.raises(ValueError, match=r"needs labels, and the augmentation mixes the targets of training: .*leave"):
        jax.jit(train)(KEY, data)
    jax.jit(run(Mixup(0.4), objective=objective, metrics=(), epochs=1))(KEY, data)


@pytest.mark.parametrize("metric", [fnn.F1("macro"), fnn.ConfusionMatrix(3)], ids=repr)
def test_a_metric_that_counts_labels_is_refused_too(metric):
    with pytest.raises(ValueError, match=r"needs labels, and the augmentation mixes"):
        run(Mixup(0.4, classes=3), metrics=(metric,), epochs=1)(KEY, bars())


def test_without_classes_the_error_says_what_to_write():
    with pytest.raises(ValueError, match=r"Mixup\(0.4, classes=10\) makes distributions over 10 classes"):
        run(Mixup(0.4))(KEY, bars())
