"""Training driven from Python: the steps of ``make_train``, in compiled pieces with a progress bar between them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fnn.errors import positive
from fnn.layer import Params, State, named_key
from fnn.metrics import Metric
from fnn.objective import Method, Objective
from fnn.train.data import arrays, check_data, plan, samples
from fnn.train.early_stopping import EarlyStopping
from fnn.train.epoch import Augment, Learned, Totals, Training, with_validation
from fnn.train.progress import ProgressBar
from fnn.train.run import TrainResult

SECONDS_A_CALL = 0.2
"""How long one call of the compiled steps takes, about: long beside the cost of a call, short for a progress bar."""


def fit(
    objective: Objective,
    optimizer: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    key: jax.Array,
    params: Params | None = None,
    state: State | None = None,
    validation: Any = None,
    early_stopping: EarlyStopping | None = None,
    metrics: Sequence[Metric] = (),
    progress: bool = True,
    augment: Augment | None = None,
    shuffle: bool = True,
    method: Method = "manual",
) -> TrainResult:
    """Trains a model and returns ``TrainResult(params, state, opt_state, history, epochs_run)``.

    ``data`` and ``validation`` are ``(inputs, targets)`` or ``(inputs, targets, weights)`` with samples on the first
    axis. Starts from ``params`` and ``state`` if they are given. ``history`` holds a NumPy array a name, one entry an
    epoch: ``loss``, each metric, and the same of the validation data under ``validation_…``. With ``early_stopping``
    the parameters, state and optimiser state are those of the best epoch.

    The same key gives the same bits, and the same run as ``make_train`` up to rounding: steps, order and keys are the
    same. Options that are not explained here are those of ``make_train``.

    Errors: ``ValueError`` for data of different lengths, labels out of range or values that are not finite, before the
    first step; an error from inside the model names the layer's path.

    >>> import fnn, jax.numpy as jnp
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> result = fit(
    ...     fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError()), fnn.optim.sgd(0.1), (x, 3 * x + 1),
    ...     epochs=50, batch_size=8, key=jax.random.key(0), progress=False,
    ... )
    >>> bool(result.history["loss"][-1] < 1e-3)
    True
    """
    positive("epochs", epochs)
    if (params is None) != (state is None):
        raise ValueError("give params and state together: both come from the same init or run")
    training = Training(objective, optimizer, metrics, augment, method, shuffle)
    data = arrays(data)
    if params is None or state is None:
        learned = jax.jit(training.start)(key, jax.tree.map(lambda leaf: leaf[:1], data[0]))
    else:
        learned = Learned(params, state, optimizer.init(params))
    check_data(objective, learned.params, learned.state, data)
    names = training.names(validation=validation is not None)
    if validation is not None:
        validation = arrays(validation)
        check_data(objective, learned.params, learned.state, validation, "validation data")
    run_epoch = _epoch_runner(training, data, batch_size)
    evaluate = jax.jit(lambda learned, data: training.evaluate(learned, data, plan(samples(data), batch_size)))
    watch = sign = None
    if early_stopping is not None:
        early_stopping.check(names)
        watch, sign = early_stopping.start(learned), early_stopping.sign(metrics)
    rows = []
    with ProgressBar("training", epochs=epochs, steps=plan(samples(data), batch_size).count, shown=progress) as bar:
        for epoch in range(epochs):
            epoch_key = jax.random.fold_in(named_key(key, "epochs"), epoch)
            learned, values = run_epoch(learned, epoch_key, lambda done, epoch=epoch: bar.step(epoch, done))
            if validation is not None:
                values = with_validation(values, evaluate(learned, validation))
            row = jax.device_get(values)
            rows.append({name: row[name] for name in names})  # JAX sorts its dicts
            bar.epoch(epoch, rows[-1])
            if early_stopping is not None and watch is not None and sign is not None:
                watch = early_stopping.update(watch, values[early_stopping.monitor], learned, sign)
                if early_stopping.stops(watch):
                    break
    best = learned if watch is None else watch.learned
    history = {name: np.array([row[name] for row in rows]) for name in names}
    return TrainResult(best.params, best.state, best.opt_state, history, len(rows))


def _epoch_runner(
    training: Training, data: tuple, batch_size: int
) -> Callable[..., tuple[Learned, dict[str, jax.Array]]]:
    """``run(learned, key, report) -> (learned, values)``: one epoch in calls of about ``SECONDS_A_CALL``."""
    size = plan(samples(data), batch_size)
    order = jax.jit(lambda key: training.order(key, samples(data)))
    # The limits are traced: calls of any length share one compilation.
    steps = jax.jit(
        lambda learned, totals, data, order, key, start, stop: training.steps(
            learned, totals, data, order, size, key, (start, stop)
        )
    )
    rest = jax.jit(lambda learned, totals, data, order, key: training.rest(learned, totals, data, order, size, key))
    values = jax.jit(training.values)
    steps_a_call = 1

    def run(learned: Learned, key: jax.Array, report: Callable[[int], None]) -> tuple[Learned, dict[str, jax.Array]]:
        nonlocal steps_a_call
        totals: Totals = training.no_totals(learned, data)
        places, done = order(key), 0
        while done < size.steps:
            stop, began = min(done + steps_a_call, size.steps), time.perf_counter()
            learned, totals = jax.block_until_ready(steps(learned, totals, data, places, key, done, stop))
            if time.perf_counter() - began < SECONDS_A_CALL:
                steps_a_call *= 2
            done = stop
            report(done)
        if size.rest:
            learned, totals = rest(learned, totals, data, places, key)
            report(size.count)
        return learned, values(totals)

    return run
