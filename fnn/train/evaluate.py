"""The loss and metrics of a model in inference, on arrays or on a stream of batches."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.layer import Params, State
from fnn.metrics import Metric
from fnn.objective import Objective
from fnn.optim.gradient_descent import sgd
from fnn.train.batches import Batches, as_given, is_arrays
from fnn.train.compiled import compiled
from fnn.train.data import check_data, plan, samples
from fnn.train.feed import batch_check, check_stream
from fnn.train.step import Learned, Training
from fnn.train.stream import Stream


def evaluate(
    objective: Objective,
    params: Params,
    state: State,
    data: Any,
    *,
    batch_size: int | None = None,
    metrics: Sequence[Metric] = (),
) -> dict[str, np.ndarray]:
    """The loss and the metrics of a trained model, by name: on data that took no part in training, say.

    ``data`` and ``batch_size`` are those of ``fit``; arrays without ``batch_size`` are one batch. Errors as there.

    >>> import fnn
    >>> objective, x = fnn.Objective(fnn.Identity(), fnn.MeanSquaredError()), jnp.arange(4.0)[:, None]
    >>> print(evaluate(objective, {}, {}, (x, x + 3))["loss"])
    9.0
    """
    training = Training(objective, sgd(0.0), metrics)
    if batch_size is None and is_arrays(data):
        batch_size = len(jax.tree.leaves(data)[0])
    learned = Learned(params, state, ())
    values = jax.device_get(evaluation(training, learned, data, batch_size, "data")(learned))
    return {name: values[name] for name in training.names(validation=False)}


def evaluation(
    training: Training, learned: Learned, data: Any, batch_size: int | None, name: str, times: int = 1
) -> Callable[[Learned], dict[str, Any]]:
    """``evaluate(learned) -> values`` on these data, which are looked at first or, batch by batch, on their way."""
    given = as_given(data, batch_size, lambda key, count: jnp.arange(count), times)
    if isinstance(given, Batches):
        return _over_batches(training, given, batch_check(training, learned, name), name)
    check_data(training.objective, learned.params, learned.state, given, name)
    size = plan(samples(given), batch_size)  # pyright: ignore[reportArgumentType]
    return lambda learned: compiled(training).evaluate(learned, given, plan=size)


def _over_batches(
    training: Training, batches: Batches, check: Callable[[tuple], None], name: str
) -> Callable[[Learned], dict[str, Any]]:
    functions = compiled(training)

    def run(learned: Learned) -> dict[str, Any]:
        totals = training.no_totals(learned, batches.first)
        stream = Stream(batches.epoch(0, jax.random.key(0)), batches.first, check)
        try:
            while (group := stream.next()) is not None:
                totals = functions.judged_of(learned, totals, group.stacked, group.number)
                check_stream(training, learned, totals, group, name)
        finally:
            stream.close()
        return functions.values(totals)

    return run
