"""What is judged is what will be used: averaged weights, their own batch statistics, and the last micro-batches."""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import fnn
from fnn.layer import named_key
from fnn.optim import accumulate, chain, ema, groups, lookahead, schedule_free_sgd, sgd
from fnn.optim.weights_to_use import evaluation_params
from tests.comparing import close, same
from tests.drawing import drawn
from tests.train.stop_at import StopAt

pytestmark = pytest.mark.full

X = drawn("inputs of runs with averages", 20, 3).astype(np.float32)
Y = X @ np.array([[1.0], [2.0], [-1.0]], np.float32)
PLAIN = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
NORMED = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.BatchNorm(), fnn.Dense(1)), fnn.MeanSquaredError())
BATCHES = [(X[start : start + 8], Y[start : start + 8]) for start in (0, 8, 12)]
KEY = jax.random.key(3)
FULL = pytest.mark.full
AVERAGES = {
    "ema": chain(sgd(0.1), ema(0.9)),
    "lookahead": lookahead(sgd(0.1), sync_period=4),
    "schedule_free": schedule_free_sgd(0.3),
    "groups": groups({"kernel": chain(sgd(0.1), ema(0.9)), "*": sgd(0.1)}, show=False),
}


def fit(objective: fnn.Objective, optimizer: Any, *callbacks: Any, data: Any = (X, Y), **options: Any) -> Any:
    options = {"epochs": 3, "batch_size": 8, "key": KEY, "validation": (X, Y)} | options
    return fnn.fit(objective, optimizer, data, callbacks=callbacks, progress=False, **options)


def compiled(objective: fnn.Objective, optimizer: Any, **options: Any) -> Any:
    train = fnn.make_train(objective, optimizer, epochs=3, batch_size=8, **options)
    return jax.jit(lambda key: train(key, (X, Y), validation=(X, Y)))(KEY)


@pytest.mark.parametrize(
    "name", [each if each == "schedule_free" else pytest.param(each, marks=FULL) for each in AVERAGES]
)
def test_the_averages_are_validated_and_returned(name):
    optimizer = AVERAGES[name]
    result, point = fit(PLAIN, optimizer), fit(PLAIN, optimizer, evaluate_averaged=False)
    same(result.opt_state, point.opt_state)  # training itself is the same
    close(result.params, evaluation_params(point.opt_state, point.params))
    assert not np.allclose(result.params["kernel"], point.params["kernel"], rtol=1e-3)
    for each in (result, point):
        judged = fnn.evaluate(PLAIN, each.params, each.state, (X, Y), batch_size=8)
        close(judged["loss"], each.history["validation_loss"][-1])
    whole = compiled(PLAIN, optimizer)
    close(whole.params, result.params, rtol=1e-5, atol=1e-6)
    close(whole.history, result.history, rtol=1e-5, atol=1e-6)
    close(compiled(PLAIN, optimizer, evaluate_averaged=False).params, point.params, rtol=1e-5, atol=1e-6)


@FULL
def test_in_groups_only_what_is_averaged_differs():
    result, point = (fit(PLAIN, AVERAGES["groups"], evaluate_averaged=each) for each in (True, False))
    same(result.params["bias"], point.params["bias"])


@FULL
def test_the_older_functions_say_the_same():
    point = fit(PLAIN, AVERAGES["ema"], evaluate_averaged=False)
    same(fit(PLAIN, AVERAGES["ema"]).params, fnn.optim.ema_params(point.opt_state))
    point = fit(PLAIN, AVERAGES["schedule_free"], evaluate_averaged=False)
    close(
        fit(PLAIN, AVERAGES["schedule_free"]).params,
        fnn.optim.schedule_free_eval_params(point.opt_state, point.params),
    )


@functools.cache
def statistics(shuffled: bool) -> tuple[dict, dict]:
    """The statistics of a run, and what they are by hand: means over the full batches of the last epoch."""
    data = (X, Y) if shuffled else BATCHES
    result = fit(NORMED, AVERAGES["schedule_free"], data=data)
    dense = result.params["dense_0"]
    if shuffled:
        epoch_key = jax.random.fold_in(named_key(KEY, "epochs"), 2)
        order = np.asarray(jax.random.permutation(named_key(epoch_key, "order"), 20))
        batches = [X[order[:8]], X[order[8:16]]]
    else:
        batches = [batch[0] for batch in BATCHES]
    hidden = [batch @ dense["kernel"] + dense["bias"] for batch in batches]
    means = {"mean": np.mean([h.mean(0) for h in hidden], 0), "var": np.mean([h.var(0) for h in hidden], 0)}
    return result.state["batch_norm_0"], means


@pytest.mark.parametrize("shuffled", [True, False], ids=["arrays", "batches"])
def test_batch_statistics_are_those_of_the_averages(shuffled):
    found, expected = statistics(shuffled)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)
    assert found["count"] == 9


@FULL
def test_statistics_are_the_same_in_one_program():
    close(compiled(NORMED, AVERAGES["schedule_free"]).state, fit(NORMED, AVERAGES["schedule_free"]).state, rtol=1e-4)


def test_early_stopping_keeps_the_averages_of_the_best_epoch():
    rising = chain(sgd(lambda step: jnp.where(step < 6, 0.05, -0.01)), ema(0.5))
    stopping = fnn.EarlyStopping(5)
    result = fit(NORMED, rising, epochs=6, early_stopping=stopping)
    best = int(np.argmin(result.history["validation_loss"]))
    assert best < 5
    judged = fnn.evaluate(NORMED, result.params, result.state, (X, Y), batch_size=8)
    close(judged["loss"], result.history["validation_loss"][best])


@pytest.mark.parametrize(
    ("data", "at"),  # inside an epoch, at the end of one, at the end of all
    [
        pytest.param(data, at, marks=() if quick else FULL)
        for data, at, quick in [
            ((X, Y), 4, True), ((X, Y), 6, False), ((X, Y), 9, False),
            (BATCHES, 4, False), (BATCHES, 6, True), (BATCHES, 9, False),
        ]
    ],
)  # fmt: skip
def test_a_checkpoint_holds_the_averages_and_the_point_of_training(tmp_path, monkeypatch, at, data):
    monkeypatch.setattr("fnn.train.pace.SECONDS_A_CALL", 0.0)
    optimizer = AVERAGES["schedule_free"]
    stopped = fit(NORMED, optimizer, StopAt(at), data=data, checkpoint=tmp_path)
    path = fnn.CheckpointFolder(tmp_path).latest()
    assert path is not None
    like = {"params": stopped.params, "state": stopped.state}
    same(fnn.load(path, like=like, ignore="*"), like)  # no optimiser is asked
    same(fit(NORMED, optimizer, data=data, checkpoint=tmp_path, resume=True), fit(NORMED, optimizer, data=data))


def test_two_averages_of_one_parameter_are_refused():
    with pytest.raises(ValueError, match=r"averages bias, kernel more than once.*evaluate_averaged=False"):
        fit(PLAIN, chain(sgd(0.1), ema(0.9), ema(0.5)))
    fit(PLAIN, chain(sgd(0.1), ema(0.9), ema(0.5)), evaluate_averaged=False)


def test_what_a_callback_sees_is_the_point_of_training_and_the_weights_to_use():
    seen = {}

    class Look(fnn.Callback):
        def on_epoch(self, run):
            seen["point"], seen["usable"] = run.params, run.usable.params

    result = fit(PLAIN, AVERAGES["ema"], Look())
    same(seen["usable"], result.params)
    same(seen["point"], fit(PLAIN, AVERAGES["ema"], evaluate_averaged=False).params)


def by_hand(rows: list[np.ndarray]) -> np.ndarray:
    """The kernel after one step of gradient descent for each of these sets of samples."""
    kernel = np.zeros((3, 1))
    for row in rows:
        error = X[row].astype(float) @ kernel - Y[row]
        kernel = kernel - 0.1 * 2 * X[row].T.astype(float) @ error / len(row)
    return kernel


ZEROS = fnn.Objective(fnn.Dense(1, use_bias=False, kernel_init=fnn.initializers.Constant(0.0)), fnn.MeanSquaredError())
ROWS = np.arange(20)


@pytest.mark.parametrize(
    "optimizer",
    [
        pytest.param(accumulate(sgd(0.1), 2), id="alone"),
        pytest.param(chain(accumulate(sgd(0.1), 2)), id="in a chain", marks=FULL),
        pytest.param(groups({"*": accumulate(sgd(0.1), 2)}, show=False), id="in groups", marks=FULL),
        pytest.param(fnn.optim.skip_nonfinite(accumulate(sgd(0.1), 2)), id="skip_nonfinite", marks=FULL),
    ],
)
def test_micro_batches_that_wait_at_the_end_are_applied(optimizer):
    expected = by_hand([ROWS[:16], ROWS[16:]])  # three batches, of which two make one step
    options = {"epochs": 1, "batch_size": 8, "shuffle": False}
    result = fit(ZEROS, optimizer, **options)
    np.testing.assert_allclose(result.params["kernel"], expected, rtol=1e-5)
    judged = fnn.evaluate(ZEROS, result.params, {}, (X, Y), batch_size=8)
    close(judged["loss"], result.history["validation_loss"][0])
    whole = jax.jit(fnn.make_train(ZEROS, optimizer, **options))(KEY, (X, Y))
    np.testing.assert_allclose(whole.params["kernel"], expected, rtol=1e-5)


@FULL
def test_where_none_waits_nothing_is_applied():
    result = fit(ZEROS, accumulate(sgd(0.1), 3), epochs=1, shuffle=False)
    np.testing.assert_allclose(result.params["kernel"], by_hand([ROWS]), rtol=1e-5)


@FULL
def test_a_run_that_goes_on_accumulates_on(tmp_path):
    optimizer = accumulate(sgd(0.1), 2)
    fit(ZEROS, optimizer, epochs=1, checkpoint=tmp_path)
    longer = fit(ZEROS, optimizer, epochs=3, checkpoint=tmp_path, resume=True)
    same(longer.params, fit(ZEROS, optimizer, epochs=3).params)


def test_other_groups_take_no_step_for_what_waits():
    optimizer = groups({"bias": fnn.optim.momentum(0.1), "*": accumulate(sgd(0.1), 2)}, show=False)
    result = fit(PLAIN, optimizer, epochs=1)
    assert int(result.opt_state.groups["bias"][0].count) == 3


@FULL
def test_a_line_search_of_optax_stands_in_a_run():
    result = fit(PLAIN, optax.lbfgs(), epochs=15, batch_size=20)
    assert result.history["loss"][-1] < 1e-4


@pytest.mark.full
def test_a_frozen_batch_norm_keeps_its_statistics_beside_averages():
    encoder = fnn.Serial(fnn.Dense(4), fnn.BatchNorm())
    params, state = encoder.init(KEY, X)
    _, state = encoder.apply(params, state, X, train=True)
    model = fnn.Serial(encoder=fnn.Frozen(encoder), norm=fnn.BatchNorm(), head=fnn.Dense(1))
    own_params, own_state = model.init(KEY, X)
    result = fit(
        fnn.Objective(model, fnn.MeanSquaredError()),
        chain(sgd(0.1), ema(0.5)),
        params={**own_params, "encoder": params},
        state={**own_state, "encoder": state},
    )
    same(result.state["encoder"], state)
    assert not np.array_equal(result.state["norm"]["mean"], own_state["norm"]["mean"])


@pytest.mark.parametrize("whole", [False, True], ids=["fit", "make_train"])
def test_statistics_that_move_under_frozen_parameters_are_told_of(whole):
    optimizer = groups({"dense_0/*": None, "batch_norm_0/*": None, "*": sgd(0.1)}, show=False)
    with pytest.warns(UserWarning, match=r"batch_norm_0/mean.*Frozen"):
        compiled(NORMED, optimizer) if whole else fit(NORMED, optimizer)


@pytest.mark.parametrize("inside", [schedule_free_sgd(0.1), chain(sgd(0.1), ema(0.9))], ids=["schedule_free", "ema"])
def test_an_average_inside_an_average_is_refused(inside):
    """The outer one was taken, without a word."""
    with pytest.raises(ValueError, match="averages bias, kernel more than once"):
        fit(PLAIN, lookahead(inside))


def test_a_run_that_is_over_accumulated_to_its_end(tmp_path):
    """The parameters were those after the remainder, the state of the optimiser that before it."""
    for optimizer in (accumulate(sgd(0.1), 2), chain(accumulate(sgd(0.1), 2), ema(0.9))):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        whole = fit(PLAIN, optimizer, checkpoint=folder)
        same(fit(PLAIN, optimizer, checkpoint=folder, resume=True), whole)


def test_the_remainder_is_applied_whoever_looked_before_the_epoch_ended(tmp_path):
    """What a callback or a checkpoint saw after the last step, before the end of the epoch, was returned."""
    optimizer, seen = accumulate(sgd(0.1), 2), []

    class Look(fnn.Callback):
        def on_steps(self, run):
            seen.append(run.usable)

    whole = fit(PLAIN, optimizer, validation=None)
    same(fit(PLAIN, optimizer, Look(), validation=None), whole)
    fit(PLAIN, optimizer, StopAt(9), validation=None, checkpoint=tmp_path)
    same(fit(PLAIN, optimizer, validation=None, checkpoint=tmp_path, resume=True), whole)


def test_a_run_that_is_over_sooner_makes_the_last_update(tmp_path):
    """It was returned as it had been saved, in the middle of the run that it was then."""
    optimizer = accumulate(sgd(0.1), 2)
    fit(PLAIN, optimizer, StopAt(3), epochs=3, checkpoint=tmp_path)
    whole = fit(PLAIN, optimizer, epochs=1)
    same(fit(PLAIN, optimizer, epochs=1, checkpoint=tmp_path, resume=True), whole)


@pytest.mark.parametrize("data", [(X, Y), BATCHES, lambda epoch: iter(BATCHES)], ids=["arrays", "list", "function"])
def test_a_checkpoint_without_averages_gives_those_of_what_was_learned(tmp_path, data):
    """With resume='force' the averages of a run that had not begun were returned."""
    optimizer, batch_size = AVERAGES["ema"], 8
    fit(NORMED, optimizer, data=data, batch_size=batch_size, checkpoint=tmp_path, evaluate_averaged=False)
    with pytest.warns(UserWarning, match="evaluate_averaged"):
        result = fit(NORMED, optimizer, data=data, batch_size=batch_size, checkpoint=tmp_path, resume="force")
    whole = fit(NORMED, optimizer, data=data, batch_size=batch_size)
    same(result.params, whole.params)
    same(result.state, whole.state)


def test_the_weights_to_use_of_a_stream_do_not_depend_on_how_far_it_was_read():
    """Inside an epoch the statistics were those of what had been read by then; before its first step, of none."""
    found = []

    class Look(fnn.Callback):
        def on_start(self, run):
            run.params = run.params  # what is known of its averages holds no more

        def on_steps(self, run):
            found.append(run.usable.state)

    def run(slow):
        def batches(epoch):
            for batch in BATCHES:
                time.sleep(slow)
                yield batch

        found.clear()
        fit(NORMED, AVERAGES["ema"], Look(), data=batches, epochs=1)
        return found[0]

    same(run(0.3), run(0.0))


def test_the_weights_to_use_are_there_before_the_first_step_of_a_run_that_goes_on(tmp_path):
    seen = []

    class Look(fnn.Callback):
        def on_start(self, run):
            run.params = jax.tree.map(jnp.array, run.params)
            seen.append(run.usable)

    options = {"data": BATCHES, "batch_size": 8, "checkpoint": tmp_path}
    whole = fit(NORMED, AVERAGES["ema"], **options)
    fit(NORMED, AVERAGES["ema"], Look(), resume=True, **options)
    same(seen[0].state, whole.state)
