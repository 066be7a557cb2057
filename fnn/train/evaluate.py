"""The loss and metrics of a model at inference, on arrays or on a stream of batches."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from fnn.backprop import check_children
from fnn.layer import Params, State
from fnn.metrics import Metric
from fnn.objective import Objective
from fnn.train.balance import weighted
from fnn.train.checks import check_statistics
from fnn.train.compiled import compiled_scoring
from fnn.train.data import arrays, is_arrays, samples
from fnn.train.pace import Pace, wait
from fnn.train.scoring import Scoring, loss_of, zeros
from fnn.train.source import Source, source_of


def evaluate(
    objective: Objective,
    params: Params,
    state: State,
    data: Any,
    *,
    batch_size: int | None = None,
    metrics: Sequence[Metric] = (),
    sample_weight: Any = None,
) -> dict[str, np.ndarray]:
    """The loss and the metrics of a trained model, by name, on test data for example.

    ``data``, ``sample_weight`` and ``batch_size`` are as in ``fit``; arrays without ``batch_size`` are one batch. If
    all weights are 0, every value is NaN and a warning says why.

    Errors: ``ValueError`` for data of different lengths, labels out of range or values that are not finite;
    ``TypeError`` if data are not arrays of numbers.

    >>> import fnn, jax.numpy as jnp
    >>> objective, x = fnn.Objective(fnn.Identity(), fnn.MeanSquaredError()), jnp.arange(4.0)[:, None]
    >>> print(evaluate(objective, {}, {}, (x, x + 3))["loss"])
    9.0
    """
    scoring, data = Scoring(objective, metrics), weighted(data, sample_weight)
    if batch_size is None and is_arrays(data):
        batch_size = samples(arrays(data, lambda leaf: leaf))
    check_children("params", params, [""])
    check_statistics(objective.model, state)
    judge = Judge(scoring, source_of(data, batch_size), params, state)
    values = jax.device_get(judge(params, state))
    return {name: values[name] for name in scoring.names(validation=False)}


class Judge:
    """Scores a model on one source, whose data are checked first, or batch by batch as they are read."""

    def __init__(self, scoring: Scoring, source: Source, params: Params, state: State, name: str = "data") -> None:
        self._scoring, self.source, self._pace, self._name = scoring, source, Pace(), name
        self._functions = compiled_scoring(scoring)
        source.check(scoring.objective, params, state, scoring.metrics)
        self._nothing = jax.eval_shape(scoring.none, params, state, source.first)

    def __call__(self, params: Params, state: State, stopped: Callable[[], Any] = lambda: False) -> Any:
        """The values by name; ``None`` if ``stopped()`` becomes true meanwhile."""
        functions, totals = self._functions, zeros(self._nothing)
        with contextlib.closing(self.source.epoch(0)) as stretches:
            for stretch in stretches:
                for steps in self._pace.calls(stretch):
                    with self._pace.call(steps):
                        totals = functions.scores(totals, params, state, *steps)
                        wait(totals)
                    if not np.isfinite(loss_of(totals)["sum"]):
                        self.source.explain(self._scoring.objective, params, state, steps)
                    if stopped():
                        return None
                if stopped():
                    return None
        if not float(loss_of(totals)["weight"]):
            warnings.warn(f"all weights of the {self._name} are 0: their loss is NaN", RuntimeWarning, stacklevel=2)
        return functions.values(totals)
