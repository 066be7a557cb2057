"""Training driven from Python: the steps of ``make_train``, compiled in pieces, with callbacks in between."""

import contextlib
import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.augment.mixing import mixes
from fnn.checkpoint.model_file import described_if_possible
from fnn.errors import positive, tuple_of
from fnn.guards.options import flag, one_key, path_of
from fnn.layer import Params, State
from fnn.metrics import Metric
from fnn.objective import Method, Objective
from fnn.optim.unmoved import warn_of_moving_statistics
from fnn.train.balance import balanced, weighted
from fnn.train.callbacks import Callback, Run, Standing, copied
from fnn.train.checks import check_start, check_statistics
from fnn.train.compiled import compiled
from fnn.train.early_stopping import EarlyStopping, check_early_stopping
from fnn.train.evaluate import Judge
from fnn.train.fingerprint import fingerprint
from fnn.train.history import History, better_higher
from fnn.train.loop import Loop
from fnn.train.privacy import Privacy
from fnn.train.privacy_checks import check_choice, check_privacy, sampling_of
from fnn.train.profile import Profile
from fnn.train.progress import ShowProgress
from fnn.train.record import Ending
from fnn.train.result import TrainResult
from fnn.train.saving import Checkpoints
from fnn.train.source import source_of
from fnn.train.step import Augment, Learned, Training
from fnn.train.usable import Usable


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
    sample_weight: Any = None,
    validation: Any = None,
    validate_every: int = 1,
    early_stopping: EarlyStopping | None = None,
    metrics: Sequence[Metric] = (),
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike | Checkpoints | None = None,
    resume: bool | Literal["force"] = False,
    progress: bool = True,
    augment: Augment | None = None,
    shuffle: bool = True,
    method: Method = "manual",
    steps_per_epoch: int | None = None,
    evaluate_averaged: bool = True,
    privacy: Privacy | None = None,
    update_in_backward: bool = False,
    profile: str | os.PathLike | None = None,
) -> TrainResult:
    """Trains a model and returns ``TrainResult(params, state, opt_state, history, epochs_run)``.

    ``data`` and ``validation`` are each one of

    - ``(inputs, targets)`` or ``(inputs, targets, weights)``: arrays with samples on the first axis, or tables and
      series of pandas and polars, PyTorch's tensors, lists of numbers, or a dict of these by name (see ``Graph`` and
      ``MultiLoss``). They are copied to the device as a whole; memory-mapped files (``numpy.memmap``) stay on the host
      and are read batch by batch. ``batch_size`` is the number of samples in a step;
    - an iterable of such batches, iterated once per epoch (a list, a PyTorch or grain loader), or a function of the
      epoch that returns one. It does its own shuffling and batching; ``batch_size``, still needed for validation
      arrays, is then the largest batch allowed. Each new batch shape compiles another program. With
      ``steps_per_epoch`` an epoch is that many batches and the next epoch continues after them: for endless iterables.

    ``sample_weight`` is the third part of the arrays, given by itself. A loss with ``class_weight="balanced"`` gets the
    weights of the classes in the training targets, which must then be arrays.

    A thread reads, checks and sends batches from the host while the device computes. One call of the compiled program
    runs about 0.2 s worth of steps; ``callbacks`` are called in between (see ``Callback``). Later runs with equal parts
    and shapes reuse the compiled programs; ``fnn.clear_compiled()`` releases them.

    Starts from ``params`` and ``state`` if given, and leaves them unchanged: steps overwrite one copy, and
    ``early_stopping`` keeps a second. ``history`` is a dict of NumPy arrays with one entry per epoch: ``loss``, each
    metric, and the same for the validation data under ``validation_…``. With ``early_stopping`` the parameters, state
    and optimiser state are those of the best epoch. Keep test data out of ``fit``: use ``fnn.evaluate``. Averaged
    parameters (``ema``, ``lookahead``, ``schedule_free``) are validated, kept and returned, as in ``make_train``,
    unless ``evaluate_averaged=False``. With ``privacy`` (see ``fnn.Privacy``) ``data`` are arrays, and ``batch_size``
    is the expected number of samples in a step.

    ``checkpoint`` is a folder, or ``Checkpoints(folder, …)`` with settings; ``fnn.load_model`` gets the model with its
    parameters and state from there in a fresh process. With ``resume`` the run continues from the last checkpoint, if
    there is one, and ends with the same bits as if it had never stopped. A checkpoint of a different run is refused,
    and the error names what differs; ``resume="force"`` continues anyway, with a warning. With ``progress`` a line says
    from where a run resumes, and after an interrupt what is saved and how to go on.

    The first Ctrl-C ends the run after the current call of steps: what was learned is saved and returned. A second one
    raises ``KeyboardInterrupt``. SIGTERM saves too, and is then raised again. An interrupted run has a smaller
    ``epochs_run``, and an empty history if its first epoch was not finished; a loop over runs goes on with the next.

    ``profile`` is a folder for a trace by JAX's profiler of the second epoch, at most about ten seconds of it (of a
    single epoch the steps after the first call).

    The same key gives the same bits, and the same run as ``make_train`` up to rounding: steps, order and keys agree.
    Options that are not explained here are those of ``make_train``.

    Errors: ``ValueError`` for data of different lengths, labels out of range or values that are not finite, raised
    before the first step on them; ``TypeError`` for data that are not numbers (a sparse matrix, text, a table with
    text: the error says what to write) and options of the wrong type. One inside the model names the layer's path.

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
    if batch_size is not None:
        positive("batch_size", batch_size)
    flag("progress", progress)
    check_early_stopping(early_stopping)
    check_start(params, state)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((key, params))):
        raise TypeError("fit runs compiled steps from Python: inside jit or vmap, call what fnn.make_train returns")
    one_key(key)
    if not isinstance(resume, bool) and not (isinstance(resume, str) and resume == "force"):
        raise ValueError(f"resume is True, False or 'force', got {resume!r}")
    if resume and checkpoint is None:
        raise ValueError("resume needs a checkpoint to resume from: give checkpoint=, the folder of the run")
    callbacks = tuple_of(Callback, "callbacks", callbacks)
    if profile is not None:
        callbacks = (*callbacks, Profile(profile))
    if checkpoint is not None and not isinstance(checkpoint, Checkpoints):
        path_of("checkpoint", checkpoint)
    data = weighted(data, sample_weight)
    objective = balanced(objective, data, params, state)
    monitor = early_stopping.monitor if early_stopping else None
    check_privacy(privacy, method=method, shuffle=shuffle, mixes=mixes(augment), monitor=monitor)
    sampling = sampling_of(privacy, data, batch_size, steps_per_epoch)
    settings: dict[str, Any] = {"update_in_backward": update_in_backward, "privacy": privacy, "sampling": sampling}
    training = Training(objective, optimizer, metrics, augment, method, shuffle, evaluate_averaged, **settings)
    training.spent(1)  # raises without dp-accounting, before anything is trained
    scoring, functions = training.scoring, compiled(training)
    source = source_of(
        data, batch_size, functions.order, steps_per_epoch=steps_per_epoch, epochs=epochs, sampling=sampling
    )
    begun: tuple[Any, Any] = functions.init(key, source.first[0]) if params is None else copied((params, state))
    learned = _own(Learned(begun[0], begun[1], optimizer.init(begun[0])))  # not compiled: groups print their table
    del begun, params, state  # not needed any more: steps overwrite what is learned
    warn_of_moving_statistics(optimizer, learned.params, learned.state, objective.model)
    check_statistics(objective.model, learned.state, frozen_only=True)
    source.check(objective, learned.params, learned.state, training.measured)
    judge = None
    if validation is not None:
        judged = source_of(validation, batch_size, name="validation data", epochs=epochs)
        judge = Judge(scoring, judged, learned.params, learned.state, "validation data")
    totals = training.none(learned.params, learned.state, source.first)
    entries = jax.eval_shape(training.values, totals) | {"epsilon": jax.ShapeDtypeStruct((), jnp.float32)}
    entries |= {f"validation_{name}": entry for name, entry in entries.items()}
    names = tuple(training.names(validation=judge is not None))
    sign = early_stopping.sign(scoring.metrics) if early_stopping else -1
    ending = Ending(epochs, names, validate_every, early_stopping, sign, bool(privacy))
    apart = source.remembers = not Usable(training).trivial(learned)
    loop = Loop(training, source, judge, ending, key)
    run = Run(
        key=key,
        epochs=epochs,
        batch_size=source.batch_size,
        count=source.count,
        metrics=training.metrics,
        entries={name: entries[name] for name in names},
        fingerprint={},
        standing=Standing(learned, totals, ending.start(entries, copied(learned) if early_stopping else learned)),
        apart=apart,
        make_usable=loop.usable,
        firsts=source.firsts,
        expect=source.expect,
        stored_model=described_if_possible(objective.model) if checkpoint is not None else ("", ""),
        shown=bool(progress),
    )
    with contextlib.ExitStack() as held:
        if checkpoint is not None:
            checkpoints = checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
            if checkpoints.folder.is_file():
                raise NotADirectoryError(f"checkpoint is a folder, but {checkpoints.folder} is a file")
            if checkpoints.keep_best:
                check_choice(privacy, "the best checkpoints", checkpoints.monitor)
            held.enter_context(checkpoints.held())
            run.fingerprint = fingerprint(
                optimizer=optimizer,
                model=objective.model,
                loss=objective.loss,
                penalties=objective.penalties,
                **({"rules": objective.rules} if objective.rules else {}),
                data=source.described(),
                **{"validation data": judge.source.described() if judge else None},
                batch_size=source.batch_size,
                steps_per_epoch=steps_per_epoch,
                metrics=training.metrics,
                augment=augment,
                method=method,
                shuffle=shuffle,
                validate_every=validate_every,
                early_stopping=early_stopping,
                evaluate_averaged=evaluate_averaged,
                **({"privacy": privacy} if privacy else {}),
                **({"update_in_backward": True} if update_in_backward else {}),
            )
            checkpoints.open(run, resume=resume)
            callbacks = (*callbacks, checkpoints)  # last, so that it saves what the others change
        if progress:
            callbacks = (ShowProgress(saved=checkpoint is not None), *callbacks)
        loop.drive(run, callbacks)
    watch = run.standing.record.watch
    if early_stopping is not None and watch is not None and watch.waited > 0 and not early_stopping.found(watch):
        warnings.warn(
            f"no epoch had a finite loss and a finite {early_stopping.monitor}: the run returns what it started with",
            RuntimeWarning,
            stacklevel=2,
        )
    usable = run.usable if apart else run.standing.learned
    result = ending.result(run.standing.record, usable)
    return TrainResult(*result, History(run.history, better_higher(training.metrics)), run.epoch)


def _own(learned: Learned) -> Learned:
    """The same values, with no array used twice or shared with the caller, so that steps can overwrite them.

    The optimiser state is copied: it may hold the parameters themselves, or constants that the optimiser keeps.
    """
    seen: set[int] = set()

    def own(leaf: Any) -> jax.Array:
        again = id(leaf) in seen
        seen.add(id(leaf))
        return jnp.array(leaf, copy=True) if again else jnp.asarray(leaf)

    params, state = jax.tree.map(own, (learned.params, learned.state))
    return Learned(params, state, copied(learned.opt_state))
