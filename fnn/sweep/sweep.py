"""Many runs in one compiled program: seeds × hyper-parameters."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fnn.errors import describe
from fnn.guards.options import one_key
from fnn.objective import Objective
from fnn.sweep.footprint import footprint
from fnn.sweep.grid import runs_of
from fnn.sweep.placement import Arrangement, Layout, layout_of
from fnn.sweep.result import SweepResult
from fnn.train.data import arrays
from fnn.train.given import Given, check_used
from fnn.train.result import TrainResult

MISSING = "add {0}=[…] to the arguments of the sweep"
"""How to add a hyper-parameter that a run reads."""


def sweep(
    train: Callable[..., TrainResult],
    key: jax.Array,
    data: Any,
    *,
    seeds: int | Sequence[int] | jax.Array = 1,
    validation: Any = None,
    combinations: Iterable[Mapping[str, float]] | None = None,
    method: Arrangement = "auto",
    max_parallel: int | None = None,
    devices: Sequence[Any] | None = None,
    **hyperparams: Any,
) -> SweepResult:
    """Runs ``train``, which ``make_train`` returned, for every combination of hyper-parameters and every seed.

    Every other keyword is a hyper-parameter with a list of numbers, and the runs are those of the whole grid; a single
    number is the same for all runs. ``combinations``, a list of dicts, is for values that belong together or are drawn
    at random; each of them is combined with each point of the grid. The objective or the optimizer given to
    ``make_train`` is a function of ``hyperparams``, here a dict of traced scalars: anything used in computations can
    vary (rates, decay, clipping, penalties, smoothing, dropout, the scale of an initialiser), sizes and layers cannot.

    ``seeds`` is their number, a list of integers, or keys. The key of seed i is ``jax.random.fold_in(key, i)`` in every
    combination, so that all combinations see the same initial weights and orders. To repeat run i by itself:
    ``jax.jit(train)(result.keys[i], data, result.combination(i), validation=validation)``. It agrees to 1e-6 or better,
    unless training amplifies rounding errors; side by side, products are summed in another order.

    The whole sweep is one program, compiled once, also for later calls with as many runs. Runs are independent: one
    that diverges has NaN only in its own history. A hyper-parameter out of range (a dropout rate of 1.5) makes its runs
    NaN, and the table says why. With early stopping each run keeps what it had when it stopped; runs side by side take
    as long as the longest.

    ``result.layout`` says how the runs are laid out:

    - ``method``: "vmap" runs them side by side, "map" one after the other. "auto" takes "map" on a CPU for a model with
      convolutions, which side by side become slow grouped convolutions, else "vmap".
    - ``max_parallel``: the most runs side by side on a device; the others follow in chunks of equal size. By default as
      many as fit into half of the free memory (on a CPU: of all memory), by the sizes of a run's intermediate values.
    - ``devices``: the devices to use, by default all of this process. Each gets the same number of runs.

    Raises ``ValueError`` for an axis without values or with a value twice, for combinations that name different
    hyper-parameters, and for a hyper-parameter on which nothing in a run depends; ``KeyError`` for one that is read but
    not given; ``TypeError`` for values that are not numbers; and whatever ``train`` raises.

    >>> import fnn
    >>> train = fnn.make_train(
    ...     lambda h: fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError(), [fnn.L2(h["decay"])]),
    ...     lambda h: fnn.optim.sgd(h["learning_rate"]),
    ...     epochs=20,
    ...     batch_size=8,
    ... )
    >>> x = jnp.linspace(-1, 1, 24)[:, None]
    >>> result = sweep(train, jax.random.key(0), (x, 3 * x), seeds=4, learning_rate=[0.01, 0.1], decay=[0.0, 0.1])
    >>> print(result.layout)
    16 runs side by side
    >>> result.best("loss").hyperparams
    {'learning_rate': 0.1, 'decay': 0.0}
    >>> result.results.history["loss"].shape
    (16, 20)
    """
    one_key(key)
    if not callable(train) or isinstance(train, Objective):
        raise TypeError(f"train is the function that fnn.make_train returns, got {train!r}")
    runs = runs_of(key, seeds, combinations, hyperparams)
    operands = {"data": arrays(data)}
    if validation is not None:
        operands["validation"] = arrays(validation, name="validation data")
    values = {name: jnp.asarray(column) for name, column in runs.hyperparams.items()}
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (runs.keys, values))

    traced, result = _traced(train, shapes, operands)
    if not isinstance(getattr(result, "history", None), Mapping):
        raise TypeError(f"train returns a TrainResult, as those made by fnn.make_train do, got {describe(result)}")
    _check_used(traced.jaxpr, list(values))
    for name in values:
        if name in result.history or name.removeprefix("best_") in result.history:
            raise ValueError(f"{name!r} is a column of scores in the table of this sweep; rename the hyper-parameter")
    needed = footprint(traced.jaxpr, (True,) * len(traced.jaxpr.invars))
    layout = layout_of(
        len(runs.seeds),
        method=method,
        kernels=needed.kernels,
        run_bytes=needed.bytes,
        result_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(result)),
        max_parallel=max_parallel,
        devices=devices,
    )
    # The last run fills the leftover places.
    filled = np.minimum(np.arange(layout.places), layout.runs - 1)
    each = jax.tree.map(lambda leaf: leaf[filled], (runs.keys, values))
    if layout.devices:
        mesh = _mesh(layout)
        each = jax.device_put(each, NamedSharding(mesh, PartitionSpec("runs")))
        operands = jax.device_put(operands, NamedSharding(mesh, PartitionSpec()))
    keys, values = each
    results = _all_runs(keys, values, operands, train=train, layout=layout)
    if layout.places > layout.runs:
        results = jax.tree.map(lambda leaf: leaf[: layout.runs], results)
    result = SweepResult(results, runs.hyperparams, runs.seeds, runs.keys, layout)
    return dataclasses.replace(result, refusals=_refusals(train, result, operands))


@functools.partial(jax.jit, static_argnames=("train", "layout"))
def _all_runs(keys: jax.Array, values: dict[str, jax.Array], operands: dict, *, train: Any, layout: Layout) -> Any:
    def on_device(keys: jax.Array, values: dict[str, jax.Array], operands: dict) -> Any:
        def one(each: tuple) -> TrainResult:
            return _run(train, each[0], each[1], operands)

        if layout.parallel == 1:
            return jax.lax.map(one, (keys, values))
        if layout.chunks == 1:
            return jax.vmap(one)((keys, values))
        return jax.lax.map(one, (keys, values), batch_size=layout.parallel)

    if not layout.devices:
        return on_device(keys, values, operands)
    runs = PartitionSpec("runs")
    # Devices exchange nothing, so each one stops when its own runs have stopped.
    spread = jax.shard_map(
        on_device, mesh=_mesh(layout), in_specs=(runs, runs, PartitionSpec()), out_specs=runs, check_vma=False
    )
    return spread(keys, values, operands)


def _run(train: Any, key: jax.Array, values: dict[str, Any], operands: dict) -> TrainResult:
    """One run; passes only the options that were given."""
    options = {name: value for name, value in operands.items() if name != "data"}
    given = values if isinstance(values, Given) else Given(values, MISSING)
    return train(key, operands["data"], *([given] if values else []), **options)


def _refusals(train: Any, result: SweepResult, operands: dict) -> tuple[str | None, ...]:
    """For every run, the error that its constructors raise for its hyper-parameters as plain, untraced numbers.

    Tries only combinations in which every run diverged, because a value out of range makes every run NaN.
    """
    if not result.hyperparams:
        return ()
    said: dict[tuple, str | None] = {}
    for each in result.table().combinations:
        if each.without == len(each.runs):
            said[tuple(each.hyperparams.values())] = _refusal(
                train, result.keys[each.runs[0]], each.hyperparams, operands
            )
    return tuple(said.get(tuple(result.combination(run).values())) for run in range(len(result)))


def _refusal(train: Any, key: jax.Array, hyperparams: dict[str, Any], operands: dict) -> str | None:
    run = functools.partial(_run, _out_of_jit(train), values=Given(hyperparams, rehearsal=True), operands=operands)
    try:
        jax.eval_shape(run, key)
    except ValueError as error:
        return str(error)
    except Exception:  # the rehearsal ended, or the run does not take plain numbers and nothing more is known
        return None
    return None


def _out_of_jit(train: Any) -> Any:
    """The function inside jit, which can be called with plain numbers, also if inside a ``functools.partial``."""
    if isinstance(train, functools.partial):
        return functools.partial(_out_of_jit(train.func), *train.args, **train.keywords)
    inside = getattr(train, "__wrapped__", None) if isinstance(train, jax.stages.Wrapped) else None
    return train if inside is None else _out_of_jit(inside)


def _traced(train: Any, shapes: tuple, operands: dict) -> tuple[Any, Any]:
    """One run as a jaxpr, and the shapes of its result. The data are constants in it, so that they are checked."""
    try:
        return jax.make_jaxpr(lambda key, values: _run(train, key, values, operands), return_shape=True)(*shapes)
    except TypeError as error:  # from JAX, or from a constructor that got a tracer instead of an integer
        if isinstance(error, jax.errors.JAXTypeError) or "Tracer" in str(error) or "traced" in str(error):
            error.add_note(
                "in a sweep hyperparams are traced: they can be numbers in computations, but not sizes or conditions of"
                " Python; sweep over those with a loop around fnn.sweep"
            )
        raise


def _check_used(jaxpr: Any, names: list[str]) -> None:
    """Raises for a hyper-parameter on which no result depends, because all its values would give the same run."""
    inputs = dict(zip(sorted(names), jaxpr.invars[len(jaxpr.invars) - len(names) :], strict=True))

    def matters(name: str) -> bool:
        return any(footprint(jaxpr, tuple(each is inputs[name] for each in jaxpr.invars)).outputs)

    check_used(names, filter(matters, names))


def _mesh(layout: Layout) -> Mesh:
    return Mesh(np.asarray(layout.devices), ("runs",))
