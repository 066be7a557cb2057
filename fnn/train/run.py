"""A whole training run as one pure function."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from fnn.errors import positive
from fnn.layer import Params, State, named_key
from fnn.metrics import Metric
from fnn.objective import Method, Objective
from fnn.train.data import arrays, check_data, plan, samples
from fnn.train.early_stopping import EarlyStopping
from fnn.train.epoch import Augment, Learned, Training, with_validation


class TrainResult(NamedTuple):
    """What a run leaves: a pytree, so runs stack under ``vmap``.

    ``history`` holds an array a name with one entry an epoch, NaN after an early stop; ``epochs_run`` counts epochs.
    """

    params: Params
    state: State
    opt_state: Any
    history: dict[str, Any]
    epochs_run: Any


def make_train(
    objective: Objective | Callable[[Any], Objective],
    optimizer: Any,
    *,
    epochs: int,
    batch_size: int,
    metrics: Sequence[Metric] = (),
    early_stopping: EarlyStopping | None = None,
    augment: Augment | None = None,
    shuffle: bool = True,
    method: Method = "manual",
    on_epoch: Callable[[Any, dict[str, Any]], None] | None = None,
) -> Callable[..., TrainResult]:
    """Returns ``train(key, data, hyperparams=None, *, validation=None) -> TrainResult``, a pure function.

    Initialisation, shuffling, every step, metrics, validation and early stopping happen inside: one XLA program under
    ``jax.jit``, a sweep over seeds under ``jax.vmap`` or ``jax.lax.map`` over keys (for convolutional models on a CPU
    the latter is faster: under ``vmap`` their kernels turn into grouped convolutions).

    ``data`` and ``validation`` are ``(inputs, targets)`` or ``(inputs, targets, weights)`` with samples on the first
    axis. ``objective`` and ``optimizer`` may each be a function of ``hyperparams``, called inside the trace, so that
    anything numeric can be mapped over. ``augment(key, inputs) -> inputs`` changes training inputs. ``on_epoch(epoch,
    values)`` is called on the host after every epoch, to show progress; the run needs no such callback.

    The remainder of an epoch is a step of its own smaller size (see ``fnn.train.data.plan``). With ``early_stopping``
    the parameters, state and optimiser state are those of the best epoch.

    Seeds in one program: ``jax.jit(jax.vmap(lambda key: train(key, data, validation=held_out)))(keys)`` (``vmap`` maps
    every keyword argument, so name those that stay in a lambda). In a compiled run nothing can be raised for a label
    out of range: the loss is NaN then.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> train = jax.jit(make_train(objective, fnn.optim.sgd(0.1), epochs=50, batch_size=8))
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> result = train(jax.random.key(0), (x, 3 * x + 1))
    >>> bool(result.history["loss"][-1] < 1e-3), int(result.epochs_run)
    (True, 50)
    """
    positive("epochs", epochs)
    positive("batch_size", batch_size)

    def train(key: jax.Array, data: Any, hyperparams: Any = None, *, validation: Any = None) -> TrainResult:
        training = Training(
            _resolved(objective, hyperparams, isinstance(objective, Objective)),
            _resolved(optimizer, hyperparams, hasattr(optimizer, "init") and hasattr(optimizer, "update")),
            metrics,
            augment,
            method,
            shuffle,
        )
        data = arrays(data)
        learned = training.start(key, data[0])
        check_data(training.objective, learned.params, learned.state, data)
        train_plan = plan(samples(data), batch_size)
        names = training.names(validation=validation is not None)
        if validation is not None:
            validation = arrays(validation)
            check_data(training.objective, learned.params, learned.state, validation, "validation data")
        if early_stopping is not None:
            early_stopping.check(names)

        def one_epoch(epoch: jax.Array, learned: Learned) -> tuple[Learned, dict[str, jax.Array]]:
            epoch_key = jax.random.fold_in(named_key(key, "epochs"), epoch)
            learned, values = training.epoch(learned, data, train_plan, epoch_key)
            if validation is not None:
                validated = training.evaluate(learned, validation, plan(samples(validation), batch_size))
                values = with_validation(values, validated)
            if on_epoch is not None:
                jax.debug.callback(on_epoch, epoch, values)
            return learned, values

        learned, history, epochs_run = _loop(one_epoch, learned, names, epochs, early_stopping, training)
        return TrainResult(learned.params, learned.state, learned.opt_state, history, epochs_run)

    return train


def _loop(
    one_epoch: Callable[..., tuple[Learned, dict[str, jax.Array]]],
    learned: Learned,
    names: list[str],
    epochs: int,
    early_stopping: EarlyStopping | None,
    training: Training,
) -> tuple[Learned, dict[str, jax.Array], jax.Array]:
    values = jax.eval_shape(lambda learned: one_epoch(jnp.array(0), learned)[1], learned)
    history = {name: jnp.full((epochs, *values[name].shape), jnp.nan, values[name].dtype) for name in names}
    watch = None if early_stopping is None else early_stopping.start(learned)

    def goes_on(carry: tuple) -> jax.Array:
        epoch, _, _, watch = carry
        more = epoch < epochs
        return more if early_stopping is None else more & ~early_stopping.stops(watch)

    def body(carry: tuple) -> tuple:
        epoch, learned, history, watch = carry
        learned, values = one_epoch(epoch, learned)
        history = {name: history[name].at[epoch].set(values[name]) for name in names}
        if early_stopping is not None:
            monitored = values[early_stopping.monitor]
            watch = early_stopping.update(watch, monitored, learned, early_stopping.sign(training.metrics))
        return epoch + 1, learned, history, watch

    epoch, learned, history, watch = jax.lax.while_loop(
        goes_on, body, (jnp.array(0, jnp.int32), learned, history, watch)
    )
    return (learned if watch is None else watch.learned), history, epoch


def _resolved(given: Any, hyperparams: Any, ready: bool) -> Any:
    if ready:
        return given
    if not callable(given):
        raise TypeError(f"expected an objective and an optimizer, or functions of hyperparams, got {given!r}")
    if hyperparams is None:
        raise TypeError(f"{given!r} is a function of hyperparams: call train(key, data, hyperparams)")
    return given(hyperparams)
