"""Differentially private training: no other way leads from the data to the parameters, or out of the account."""

import dataclasses
import math
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.poisson import Drawn, poisson
from fnn.train.record import Ending
from fnn.train.step import Learned, Training
from tests.comparing import close
from tests.train.stop_at import StopAt
from tests.train.test_privacy import KEY, OBJECTIVE, OPTIONS, PRIVACY, X, Y

pytestmark = pytest.mark.full


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize("micro_batch", [None, 4])
def test_a_sample_whose_gradient_is_not_finite_adds_nothing(micro_batch: int | None):
    """Otherwise one sample made all parameters NaN, even if its weight was 0."""
    params, state = OBJECTIVE.init(KEY, X)
    privacy = dataclasses.replace(PRIVACY, micro_batch=micro_batch)
    odd, ones = X[:8].copy(), np.ones(8)
    odd[3], odd[5] = 1e200, np.inf  # the norm overflows, the gradient is NaN

    @jax.jit
    def grads(x: Any, weights: Any) -> Any:
        return privacy.gradients(OBJECTIVE, params, state, (x, Y[:8], weights), expected=6, key=KEY, noise_key=KEY)[1]

    without = grads(X[:8], np.r_[1.0, 1, 1, 0, 1, 0, 1, 1])
    close(grads(odd, ones), without)
    close(grads(odd, np.r_[1.0, 1, 1, 0, 1, 0, 1, 1]), without)


@dataclasses.dataclass(frozen=True)
class Restless(fnn.Layer):
    """Its parameter has a gradient whatever arrives, as that of a penalty on activations would."""

    def init(self, key: jax.Array, x: Any) -> tuple[Any, Any]:
        return {"scale": jnp.ones((), x.dtype)}, {}

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x * params["scale"], state, {"x": x, "scale": params["scale"]}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {"scale": (cache["x"] * (dy + 1)).sum()}, dy * cache["scale"]


@pytest.mark.usefixtures("strict_numerics")
def test_padding_adds_nothing_even_where_a_layer_has_a_gradient_of_its_own():
    objective = fnn.Objective(fnn.Serial(Restless(), fnn.Dense(3)), fnn.CrossEntropy())
    params, state = objective.init(KEY, X)
    noiseless = dataclasses.replace(PRIVACY, noise_multiplier=0.0)

    def grads(x: Any, y: Any, weights: Any) -> Any:
        return noiseless.gradients(objective, params, state, (x, y, weights), expected=5, key=KEY, noise_key=KEY)[1]

    padded = grads(np.repeat(X[:2], [1, 9], 0), np.repeat(Y[:2], [1, 9]), np.r_[1.0, 1, np.zeros(8)])
    close(padded, grads(X[:2], Y[:2], np.ones(2)))


def test_sums_of_16_bit_gradients_are_kept_in_32_bits():
    """Rounded to bfloat16, a sum of hundreds of samples moved by more than one sample may move it."""
    model = fnn.Dense(1, use_bias=False)
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    params = {"kernel": jnp.zeros((1, 1), jnp.bfloat16)}
    x, y = jnp.ones((300, 1), jnp.bfloat16), -100 * jnp.ones((300, 1), jnp.bfloat16)
    noiseless = fnn.Privacy(1.0, 0.0, 1e-3)

    def total(count: int) -> Any:
        batch = x, y, (jnp.arange(300) < count).astype(jnp.float32)
        return noiseless._summed(objective, params, {}, batch, KEY)[1]["kernel"]

    close(np.array([total(299), total(300)]).ravel(), np.array([299.0, 300.0], np.float32), rtol=1e-6)
    batch = x, y, jnp.ones(300)
    grads = noiseless.gradients(objective, params, {}, batch, expected=300, key=KEY, noise_key=KEY)[1]
    assert grads["kernel"].dtype == jnp.bfloat16


def test_frozen_layers_get_no_noise():
    """It would be most of the norm for clip_by_global_norm."""
    objective = fnn.Objective(fnn.Serial(body=fnn.Frozen(fnn.Dense(5)), head=fnn.Dense(3)), fnn.CrossEntropy())
    params, state = objective.init(KEY, X)
    batch = X[:4], Y[:4]
    grads = PRIVACY.gradients(objective, params, state, batch, expected=4, key=KEY, noise_key=KEY)[1]
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(grads["body"]))
    assert all((leaf != 0).all() for leaf in jax.tree.leaves(grads["head"]))


def test_the_steps_of_a_run_draw_noise_of_their_own():
    """Noise that came back in a later step would cancel."""
    sampling = poisson(40, 10, 1e-3)
    objective = fnn.Objective(fnn.Serial(fnn.Dense(40), fnn.Dense(3)), fnn.CrossEntropy())
    training = Training(objective, fnn.optim.sgd(1.0), privacy=PRIVACY, sampling=sampling)
    learned = training.start(KEY, X)
    batches: Any = Drawn((X, Y, np.zeros(40)), KEY, 0, sampling)  # no gradient, noise alone
    totals = training.none(learned.params, learned.state, (X, Y))
    step = jax.jit(lambda key, number: training.numbered(learned, totals, batches, key, number)[0].params)

    def noise(key: Any, number: int) -> Any:
        moved = jax.tree.map(jnp.subtract, step(key, number), learned.params)
        return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved)])

    drawn = np.stack([noise(jax.random.key(seed), number) for seed in (1, 2) for number in (0, 1, 2)])
    size = drawn.shape[1]
    assert np.abs(drawn.std(1) / (1.3 * 0.7 / 10) - 1).max() < 5 / np.sqrt(2 * size)
    assert np.abs(np.corrcoef(drawn) - np.eye(len(drawn))).max() < 5 / np.sqrt(size)


def test_an_optimiser_sees_the_gradient_and_the_expected_number_of_samples_alone():
    """The number that was drawn would weigh the micro-batches of ``accumulate`` by the data."""
    seen: dict[str, Any] = {}

    def update(grads: Any, opt_state: Any, params: Any, **extra: Any) -> Any:
        seen.update(extra)
        return grads, opt_state

    optimizer = fnn.optim.Optimizer(lambda params: (), update)
    training = Training(OBJECTIVE, optimizer, privacy=PRIVACY, sampling=poisson(40, 10, 1e-3))
    learned = training.start(KEY, X)
    training.step(learned, (X[:14], Y[:14], np.r_[np.ones(7), np.zeros(7)]), KEY)
    assert seen.keys() == {"grad", "weight"}
    assert seen["weight"] == 10


@dataclasses.dataclass(frozen=True)
class Peeks(fnn.Layer):
    """Its initial parameter is the mean of its input, where the input is known."""

    def init(self, key: jax.Array, x: Any) -> tuple[Any, Any]:
        known = not isinstance(x, jax.ShapeDtypeStruct)
        return {"shift": x.mean(0) if known else jnp.zeros(x.shape[1:], x.dtype)}, {}

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return x - params["shift"], state


def test_initial_parameters_do_not_depend_on_the_data():
    objective = fnn.Objective(Peeks(), fnn.MeanSquaredError())
    train = fnn.make_train(objective, fnn.optim.sgd(0.0), **OPTIONS)
    assert not train(KEY, (X, X)).params["shift"].any()
    found = fnn.fit(objective, fnn.optim.sgd(0.0), (X, X), key=KEY, progress=False, **OPTIONS)
    assert not found.params["shift"].any()


def test_early_stopping_does_not_look_whether_the_training_loss_is_finite():
    learned = Learned({}, {}, ())
    for private in (False, True):
        ending = Ending(2, ("loss", "validation_loss"), early_stopping=fnn.EarlyStopping(2), private=private)
        entries = {name: jnp.zeros(()) for name in ending.names}
        values = {"loss": jnp.inf, "validation_loss": 1.0}
        record: Any = ending.end_of_epoch(ending.start(entries, learned), values, learned)
        assert bool(record.watch.waited == 0) == private
    options = {**OPTIONS, "early_stopping": fnn.EarlyStopping(2)}
    endings = []

    class Recorded(Ending):
        def end_of_epoch(self, *given: Any) -> Any:
            endings.append(self.private)
            return super().end_of_epoch(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fnn.train.make_train.Ending", Recorded)
        patch.setattr("fnn.train.fit.Ending", Recorded)
        fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **options)(KEY, (X, Y), validation=(X, Y))
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), validation=(X, Y), key=KEY, progress=False, **options)
    assert len(endings) >= 2
    assert all(endings)


def test_little_noise_is_accounted_for_in_a_moment():
    """The account of noise_multiplier=0.01 took minutes and memory that grew as 1/σ²."""
    accounting = pytest.importorskip("dp_accounting", reason="the account needs dp-accounting")
    sampling = poisson(6000, 256, 1e-5)
    event = accounting.PoissonSampledDpEvent(sampling.rate, accounting.GaussianDpEvent(0.2))
    exact = accounting.pld.PLDAccountant(value_discretization_interval=1e-3)
    exact.compose(accounting.SelfComposedDpEvent(event, 230))
    found = fnn.Privacy(5.0, 0.2, 1e-5).epsilon(samples=6000, batch_size=256, steps=230)
    assert exact.get_epsilon(1e-5) <= found < 1.0001 * exact.get_epsilon(1e-5)
    begun = time.monotonic()
    assert 1000 < fnn.Privacy(5.0, 0.01, 1e-5).epsilon(samples=6000, batch_size=256, steps=230) < math.inf
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("runs", ["fit", "make_train"])
def test_without_the_library_nothing_is_trained(monkeypatch: pytest.MonkeyPatch, runs: str):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    monkeypatch.setattr(Training, "steps", lambda *_: pytest.fail("a step was made"))
    options = {**OPTIONS, "privacy": dataclasses.replace(PRIVACY, noise_multiplier=1.2345)}  # not in the cache

    def fitted(key: Any, data: Any) -> Any:
        return fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), data, key=key, progress=False, **options)

    train = fitted if runs == "fit" else fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **options)
    with pytest.raises(ImportError, match=r"needs dp-accounting: pip install \"fnn.privacy.\""):
        train(KEY, (X, Y))


@pytest.mark.parametrize("model", ["plain", "with a head"])
def test_rules_of_the_objective_are_refused(model: str):
    """Those of an objective whose loss brings its head were dropped without a word."""
    loss, layers = fnn.LinearCrossEntropy(3), [fnn.Dense(5), fnn.Dense(4)]
    if model == "plain":
        loss, layers = fnn.CrossEntropy(), [fnn.Dense(5), fnn.Dense(3)]
    objective = fnn.Objective(fnn.Serial(*layers), loss, rules={"dense_1": fnn.FeedbackAlignment()})
    with pytest.raises(ValueError, match="is no gradient, so that it has no gradients of single examples"):
        fnn.make_train(objective, fnn.optim.sgd(0.1), **OPTIONS)(KEY, (X, Y))


def test_what_reads_more_than_the_gradient_is_refused():
    with pytest.raises(ValueError, match=r"kfac\(0.1\) reads more of the backward pass than the private gradient"):
        fnn.make_train(OBJECTIVE, fnn.optim.kfac(0.1), **OPTIONS)(KEY, (X, Y))
    with pytest.raises(ValueError, match=r"GradientNoise\(\) would count what pads a Poisson sample as samples"):
        fnn.make_train(OBJECTIVE, fnn.optim.sgd(0.1), **OPTIONS, metrics=[fnn.GradientNoise()])(KEY, (X, Y))


def test_best_checkpoints_by_a_training_entry_are_refused(tmp_path: Any):
    options = {**OPTIONS, "checkpoint": fnn.Checkpoints(tmp_path, keep_best=1, monitor="loss")}
    with pytest.raises(ValueError, match="the best checkpoints by 'loss' would choose by what the training data say"):
        fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **options)


def test_a_forced_resumption_leaves_nothing_out_of_the_account(tmp_path: Any):
    """ε of the whole run was reported for the noise of its end."""

    def run(**more: Any) -> Any:
        options = {**OPTIONS, "checkpoint": tmp_path, **more}
        return fnn.fit(OBJECTIVE, fnn.optim.sgd(0.1), (X, Y), key=KEY, progress=False, **options)

    run(callbacks=[StopAt(6)])
    for more, what in (
        ({"privacy": dataclasses.replace(PRIVACY, noise_multiplier=2.0)}, "privacy: Privacy"),
        ({"privacy": None}, "privacy: Privacy"),
        ({"batch_size": 20}, "batch_size: 10, now 20"),
    ):
        with pytest.raises(ValueError, match=rf"spent its privacy otherwise \(.*{what}.*would leave out"):
            run(resume="force", **more)
    with pytest.warns(UserWarning, match="optimizer"):
        fnn.fit(
            OBJECTIVE,
            fnn.optim.sgd(0.2),
            (X, Y),
            key=KEY,
            progress=False,
            checkpoint=tmp_path,
            resume="force",
            **OPTIONS,
        )
