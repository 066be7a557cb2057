"""A whole training run as one pure function."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from fnn.augment.mixing import mixes
from fnn.errors import positive, tuple_of
from fnn.guards.options import one_key
from fnn.guards.signatures import check_takes
from fnn.layer import Params, State, named_key
from fnn.metrics import Metric
from fnn.objective import Method, Objective
from fnn.optim.unmoved import warn_of_moving_statistics
from fnn.train.balance import balanced, weighted
from fnn.train.checks import check_data, check_start
from fnn.train.chunks import checkpointed_scan, in_chunks
from fnn.train.data import Stretch, arrays, length, plan, samples, stretches
from fnn.train.early_stopping import EarlyStopping, check_early_stopping
from fnn.train.given import made
from fnn.train.history import History, better_higher
from fnn.train.privacy import Privacy
from fnn.train.privacy_checks import check_privacy
from fnn.train.record import Ending, Record, missing, where, with_validation
from fnn.train.result import TrainResult
from fnn.train.scoring import Totals
from fnn.train.settings import check_settings
from fnn.train.step import Augment, Learned, Training
from fnn.train.usable import BATCHES, Usable


def make_train(
    objective: Objective | Callable[[Any], Objective],
    optimizer: Any,
    *,
    epochs: int | None = None,
    steps: int | None = None,
    batch_size: int,
    metrics: Sequence[Metric] = (),
    validate_every: int = 1,
    early_stopping: EarlyStopping | None = None,
    augment: Augment | None = None,
    shuffle: bool = True,
    method: Method = "manual",
    checkpoint_steps: int | None = None,
    on_epoch: Callable[[Any, dict[str, Any]], None] | None = None,
    evaluate_averaged: bool = True,
    privacy: Privacy | None = None,
    update_in_backward: bool = False,
) -> Callable[..., TrainResult]:
    """Returns ``train(key, data, hyperparams=None, *, validation, params, state, sample_weight) -> TrainResult``.

    A pure function: initialisation (unless ``params`` and ``state`` are given, as for a network that was trained
    before), shuffling, every step, metrics, validation and early stopping happen inside: one XLA program under
    ``jax.jit``, a sweep over seeds under ``jax.vmap`` or ``jax.lax.map`` over keys (for convolutional models on a CPU
    the latter is faster: ``vmap`` turns their convolutions into grouped convolutions).

    ``data`` and ``validation`` are ``(inputs, targets)`` or ``(inputs, targets, weights)`` with samples on the first
    axis; ``sample_weight`` is the weights given by themselves. A loss with ``class_weight="balanced"`` gets the weights
    of the classes in the training targets. ``objective`` and ``optimizer`` may each be a function of ``hyperparams``,
    called inside the trace, so that anything numeric can be mapped over; hyperparams, or an entry of a dict of them,
    that neither reads raise ``ValueError``. ``augment(key, inputs) -> inputs`` changes training inputs (see
    ``fnn.augment``; one that mixes samples changes targets too). ``on_epoch(epoch, values)``, if given, is called on
    the host after every epoch, to show progress.

    Give the length of a run as ``epochs`` or ``steps``. With ``steps`` the last epoch is cut short, and its entry in
    the history covers the steps that ran. The remainder of an epoch is a smaller step (see ``fnn.train.data.plan``).

    ``validate_every``: validate every that many epochs and after the last one; the entries of the history in between
    are NaN (-1 for integers). It is a ``lax.cond``, so nothing is computed in between, except under ``vmap`` with early
    stopping: the runs are then at different epochs, and validation is computed after every epoch.

    With ``early_stopping`` the parameters, state and optimiser state are those of the best epoch. If it monitors a
    validation entry, it judges only the epochs that have one, and patience counts those.

    If the optimiser averages the parameters (``ema``, ``lookahead``, ``schedule_free``), the averages are validated,
    kept as the best and returned, and their batch statistics are estimated again as means over up to 32 training
    batches; ``evaluate_averaged=False`` uses the parameters that training changes. Micro-batches that ``accumulate``
    still holds at the end make one last update.

    ``privacy``: differentially private training, with ε after every epoch in the history (see ``fnn.Privacy``).

    ``checkpoint_steps``: makes the run differentiable in reverse mode, so that ``jax.grad`` of any result with respect
    to hyperparams and data (not the key) finds hyper-parameters by gradient. It stores what was learned before every
    ``jax.checkpoint``ed chunk of that many steps and recomputes the chunk in the backward pass; if a chunk is shorter
    than an epoch, the epoch is checkpointed too. About the square root of the number of steps takes the least memory.
    Early stopping is refused, because the number of epochs has no gradient, and so is ``on_epoch``, which the backward
    pass would call again. Give Adam and its relatives an ``eps_root`` above 0: if a gradient is exactly 0 (a dead unit,
    say), the square root has no finite slope. State is not differentiated: in the gradient of a validation loss the
    running statistics of a batch norm count as constants.

    ``update_in_backward``: the optimiser updates each layer of a ``Repeat`` within the backward pass, as soon as its
    gradient is there, so that one layer's gradient is alive at a time instead of all. The optimiser must be
    element-wise (Adam, SGD and their relatives, decay, freezing, groups of these). The operations are the same, and so
    are the bits, unless XLA rounds a product and a sum at once in one program alone. A ``clip_by_global_norm`` at the
    head of a chain takes a first backward pass for the norm. On a CPU a step of a perceptron of 16 layers in
    ``Repeat``, 512 wide with 128 samples, needs 0.51 of the temporary memory with Adam (0.41 with clipping). Layers
    outside ``Repeat`` gain nothing, except with clipping.

    Seeds in one program: ``jax.jit(jax.vmap(lambda key: train(key, data, validation=held_out)))(keys)`` (``vmap`` maps
    every keyword argument, so pass the fixed ones inside a lambda). A compiled run cannot raise for a label out of
    range: the loss becomes NaN.

    >>> import fnn
    >>> objective = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
    >>> train = jax.jit(make_train(objective, fnn.optim.sgd(0.1), epochs=50, batch_size=8))
    >>> x = jnp.linspace(-1, 1, 20)[:, None]
    >>> result = train(jax.random.key(0), (x, 3 * x + 1))
    >>> bool(result.history["loss"][-1] < 1e-3), int(result.epochs_run)
    (True, 50)

    The derivative of the last loss with respect to the learning rate:

    >>> train = make_train(objective, fnn.optim.sgd, steps=10, batch_size=8, checkpoint_steps=3)
    >>> slope = jax.grad(lambda rate: train(jax.random.key(0), (x, 3 * x + 1), rate).history["loss"][-1])(0.1)
    >>> bool(slope < 0)
    True
    """
    if (epochs is None) == (steps is None):
        raise ValueError(f"give the length of a run in epochs or in steps, one of the two; got {epochs=}, {steps=}")
    for name, count in (("epochs", epochs), ("steps", steps), ("checkpoint_steps", checkpoint_steps)):
        if count is not None:
            positive(name, count)
    positive("batch_size", batch_size)
    positive("validate_every", validate_every)
    check_early_stopping(early_stopping)
    check_settings(augment, method, shuffle, evaluate_averaged, update_in_backward)
    monitor = early_stopping.monitor if early_stopping else None
    check_privacy(privacy, method=method, shuffle=shuffle, mixes=mixes(augment), monitor=monitor)
    metrics = tuple_of(Metric, "metrics", metrics)
    if on_epoch is not None:
        check_takes("on_epoch", on_epoch, "epoch", "values")
    if checkpoint_steps is not None and early_stopping is not None:
        raise ValueError(
            "a run that stops early cannot be differentiated: the epoch where it stops jumps as hyperparams change, and"
            " a loop whose length depends on values has no reverse mode; leave out early_stopping or checkpoint_steps"
        )
    if checkpoint_steps is not None and update_in_backward:
        raise ValueError(
            "a run that is differentiated keeps what update_in_backward=True overwrites; leave out one of it and"
            " checkpoint_steps"
        )
    if checkpoint_steps is not None and on_epoch is not None:
        raise ValueError(
            "on_epoch would be called again for every epoch that the backward pass recomputes; read the history, or"
            " leave out checkpoint_steps"
        )

    def train(
        key: jax.Array,
        data: Any,
        hyperparams: Any = None,
        *,
        validation: Any = None,
        params: Params | None = None,
        state: State | None = None,
        sample_weight: Any = None,
    ) -> TrainResult:
        one_key(key)
        check_start(params, state)
        resolved, stepping, check_hyperparams = made(objective, optimizer, hyperparams)
        data = arrays(weighted(data, sample_weight))
        resolved = balanced(resolved, data, params, state)
        sampling = privacy.sampling(samples(data), batch_size) if privacy else None
        settings: dict[str, Any] = {"update_in_backward": update_in_backward, "privacy": privacy, "sampling": sampling}
        training = Training(resolved, stepping, metrics, augment, method, shuffle, evaluate_averaged, **settings)
        scoring = training.scoring
        learned = training.start(key, data[0], params, state)
        warn_of_moving_statistics(training.optimizer, learned.params, learned.state, training.objective.model)
        check_data(training.objective, learned.params, learned.state, data, metrics=training.measured)
        train_plan = sampling.plan if sampling else plan(samples(data), batch_size)
        run_length = length(train_plan, epochs, steps)
        first = jax.tree.map(lambda leaf: leaf[: train_plan.size], data)
        check_hyperparams(lambda: training.step(learned, first, key))
        judged = None
        if validation is not None:
            validation = arrays(validation, name="validation data")
            check_data(
                training.objective, learned.params, learned.state, validation, "validation data", scoring.metrics
            )
            judged = stretches(validation, plan(samples(validation), batch_size))
        higher = better_higher(training.metrics)
        names = tuple(training.names(validation=judged is not None))
        sign = early_stopping.sign(scoring.metrics) if early_stopping else -1
        ending = Ending(run_length.epochs, names, validate_every, early_stopping, sign, bool(privacy))

        def parts(epoch: jax.Array) -> tuple[jax.Array, list[Stretch]]:
            epoch_key = jax.random.fold_in(named_key(key, "epochs"), epoch)
            if sampling:
                return epoch_key, [sampling.stretch(data, epoch_key)]
            return epoch_key, stretches(data, train_plan, training.order(epoch_key, samples(data)))

        spent = jnp.asarray(privacy.spent(sampling, run_length), jnp.float32) if privacy and sampling else None

        def usable(epoch: jax.Array, learned: Learned) -> Learned:
            epoch_key, ((batches, start, stop), *_) = parts(epoch)
            return Usable(training).of(
                learned, batches, min(stop - start, BATCHES), epoch_key, epoch + 1 == run_length.epochs
            )

        def judge(learned: Learned) -> dict[str, jax.Array]:
            return scoring.evaluate(learned.params, learned.state, judged or ())

        def not_judged(learned: Learned) -> dict[str, jax.Array]:
            return jax.tree.map(lambda leaf: missing(leaf.shape, leaf.dtype), jax.eval_shape(judge, learned))

        def one_epoch(
            epoch: jax.Array, learned: Learned, stop: Any = None, chunk: int | None = None
        ) -> tuple[Learned, dict[str, jax.Array], Learned]:
            epoch_key, found = parts(epoch)
            carry = (learned, training.none(learned.params, learned.state, data))
            for batches, start, end in found:
                carry = steps_of(training, carry, Stretch(batches, start, end), epoch_key, stop, chunk)
            learned, totals = carry
            values, used = training.values(totals), learned
            if spent is not None:
                values |= {"epsilon": spent[epoch]}
            if not Usable(training).trivial(learned):
                used = where(ending.needs_usable(epoch), usable, lambda _, learned: learned, epoch, learned)
            if judged is not None:
                values = with_validation(values, where(ending.validates(epoch), judge, not_judged, used))
            if on_epoch is not None:
                jax.debug.callback(on_epoch, epoch, values)
            return learned, values, used

        if checkpoint_steps is not None:
            learned, history, epochs_run = in_chunks(
                lambda *given: one_epoch(*given)[:2], learned, run_length, train_plan, checkpoint_steps
            )
            result = usable(epochs_run - 1, learned)
            return TrainResult(*result, History(history, higher), epochs_run)

        def body(carry: tuple[Learned, Record]) -> tuple[Learned, Record]:
            learned, record = carry
            stop = None
            if run_length.last is not None:
                stop = jnp.where(record.epoch + 1 == run_length.epochs, run_length.last, train_plan.count)
            learned, values, used = one_epoch(record.epoch, learned, stop)
            return learned, ending.end_of_epoch(record, values, used)

        def goes_on(carry: tuple[Learned, Record]) -> jax.Array:
            record = carry[1]
            return (record.epoch < run_length.epochs) & ~jnp.asarray(ending.over(record))

        entries = jax.eval_shape(one_epoch, jnp.array(0, jnp.int32), learned)[1]
        learned, record = jax.lax.while_loop(goes_on, body, (learned, ending.start(entries, learned)))
        result = ending.result(record, usable(record.epoch - 1, learned))
        return TrainResult(*result, History(record.history, higher), record.epoch)

    return train


def steps_of(
    training: Training, carry: tuple[Learned, Totals], stretch: Stretch, key: jax.Array, stop: Any, chunk: int | None
) -> tuple[Learned, Totals]:
    """Runs the steps of a stretch before ``stop``, which may be traced (``None``: all), in chunks if given."""
    batches, start, end = stretch
    if chunk:  # a gradient stores only the start of each chunk
        end = end if stop is None else max(start, min(stop, end))
        if start == end:  # the run ends before
            return carry

        def numbered(carry: tuple[Learned, Totals], step: jax.Array) -> tuple[tuple[Learned, Totals], None]:
            return training.numbered(*carry, batches, key, start + step), None

        return checkpointed_scan(numbered, carry, end - start, chunk)[0]
    if stop is not None:
        end = max(start, min(stop, end)) if isinstance(stop, int) else jnp.clip(stop, start, end)
    return training.steps(*carry, batches, key, start, end)
