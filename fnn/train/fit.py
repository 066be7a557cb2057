"""Training driven from Python: the steps of ``make_train``, in compiled pieces, with room between them."""

import os
from collections.abc import Sequence
from typing import Any

import jax
from jax.core import Tracer

from fnn.errors import positive, tuple_of
from fnn.layer import Params, State
from fnn.metrics import Metric
from fnn.objective import Method, Objective
from fnn.train.batches import Batches, as_given
from fnn.train.callbacks import Callback, Run, Standing
from fnn.train.checkpoints import Checkpoints
from fnn.train.compiled import compiled
from fnn.train.drive import Drive
from fnn.train.early_stopping import EarlyStopping
from fnn.train.evaluate import evaluation
from fnn.train.feed import feed_of
from fnn.train.history import History, better_higher
from fnn.train.make_train import TrainResult
from fnn.train.progress import ShowProgress
from fnn.train.setting import setting
from fnn.train.step import Augment, Learned, Training


def fit(
    objective: Objective,
    optimizer: Any,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    key: jax.Array,
    params: Params | None = None,
    state: State | None = None,
    validation: Any = None,
    validate_every: int = 1,
    early_stopping: EarlyStopping | None = None,
    metrics: Sequence[Metric] = (),
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike | Checkpoints | None = None,
    resume: bool = False,
    progress: bool = True,
    augment: Augment | None = None,
    shuffle: bool = True,
    method: Method = "manual",
) -> TrainResult:
    """Trains a model and returns ``TrainResult(params, state, opt_state, history, epochs_run)``.

    ``data`` and ``validation`` are each one of

    - ``(inputs, targets)`` or ``(inputs, targets, weights)``, arrays with samples on the first axis, which go to the
      device as a whole; those that are memory-mapped files (``numpy.memmap``) stay on the host and are read batch by
      batch. ``batch_size`` says how many samples make a step;
    - an iterable of such batches, gone through once an epoch (a list, PyTorch's or grain's loader), or a function of
      the epoch that returns one. Each shape of a batch compiles a program of its own. The iterable shuffles, and
      makes the batches: ``batch_size``, which validation arrays still need, is the most that one may hold.

    Batches from the host are read, checked and sent ahead by a thread while the device computes. Several steps go into
    one call of the compiled program; ``callbacks`` are called in between (see ``Callback``).

    Starts from ``params`` and ``state`` if they are given. ``history`` holds a NumPy array a name, one entry an epoch:
    ``loss``, each metric, and the same of the validation data under ``validation_…``. With ``early_stopping`` the
    parameters, state and optimiser state are those of the best epoch. Data for a last test stay outside: see
    ``fnn.evaluate``.

    ``checkpoint`` is a folder, or ``Checkpoints(folder, …)`` with settings; with ``resume`` the run goes on from the
    last checkpoint there, if there is one, and ends with the same bits as one that was never stopped. An interrupt from
    the keyboard ends the run after the current call of steps: what was learned is saved and returned.

    The same key gives the same bits, and the same run as ``make_train`` up to rounding: steps, order and keys are the
    same. Options that are not explained here are those of ``make_train``.

    Errors: ``ValueError`` for data of different lengths, labels out of range or values that are not finite, before
    their first step; an error from inside the model names the layer's path.

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
    positive("validate_every", validate_every)
    if (params is None) != (state is None):
        raise ValueError("give params and state together: both come from the same init or run")
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((key, params))):
        raise TypeError("fit drives compiled steps from Python: inside jit or vmap, call what fnn.make_train returns")
    if resume and checkpoint is None:
        raise ValueError("resume needs to know from where: give checkpoint=, the folder of the run")
    callbacks = tuple_of(Callback, "callbacks", callbacks)
    training = Training(objective, optimizer, metrics, augment, method, shuffle)
    given = as_given(data, batch_size, training.order, epochs)
    inputs = given.first[0] if isinstance(given, Batches) else jax.tree.map(lambda leaf: leaf[:1], given[0])
    if params is None or state is None:
        params, state = compiled(training).init(key, inputs)
    begun: tuple[Any, Any] = (params, state)
    learned = Learned(*begun, optimizer.init(params))  # not compiled: groups print who got what
    feed = feed_of(training, learned, given, batch_size)
    evaluate = None
    if validation is not None:
        evaluate = evaluation(training, learned, validation, batch_size, "validation data", epochs)
    totals, values = feed.no_totals(learned), compiled(training).values
    entries = jax.eval_shape(training.values, totals)
    entries |= {f"validation_{name}": entry for name, entry in entries.items()} if evaluate else {}
    names = training.names(validation=evaluate is not None)
    run = Run(
        key=key,
        epochs=epochs,
        batch_size=feed.batch_size,
        count=feed.count,
        metrics=training.metrics,
        entries={name: entries[name] for name in names},
        setting=setting(
            learned.opt_state,
            given.first if isinstance(given, Batches) else given,
            feed.batch_size,
            objective=objective,
            batch_size=feed.batch_size,
            steps_an_epoch=feed.count or 0,
            shuffle=shuffle,
            augment=augment,
            method=method,
            history=names,
            early_stopping=early_stopping,
            validate_every=validate_every,
        ),
        standing=Standing(learned, totals),
    )
    if early_stopping is not None:
        early_stopping.check(names)
        run.standing = run.standing._replace(watch=early_stopping.start(learned))
    if checkpoint is not None:
        checkpoints = checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
        checkpoints.open(run, resume=resume)
        callbacks = (*callbacks, checkpoints)  # last, so that what the others change is saved
    if progress:
        callbacks = (ShowProgress(), *callbacks)
    Drive(run, feed, values, evaluate, validate_every, callbacks, early_stopping).to_the_end()
    best = run.learned
    if early_stopping is not None and run.watch is not None:
        best = early_stopping.result(run.watch, run.learned)
    history = History(run.history, better_higher(run.metrics))
    return TrainResult(best.params, best.state, best.opt_state, history, run.epoch)
