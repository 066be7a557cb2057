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
from fnn.train.make_train import TrainResult

MISSING = "add {0}=[…] to the arguments of the sweep"
"""How a hyper-parameter that a run reads is added."""


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

    Any other keyword is a hyper-parameter, a list of numbers, and the runs are those of the whole grid; a single number
    is the same for all runs. ``combinations``, a list of dicts, stands for values that belong together or are drawn at
    random; each of them meets each point of the grid. The objective or the optimizer that ``make_train`` was given is a
    function of ``hyperparams``, which is a dict of traced scalars here: anything that enters computations can vary
    (rates, decay, clipping, penalties, smoothing, dropout, the scale of an initialiser), sizes and layers cannot.

    ``seeds`` is their number, a list of integers, or keys. The key of seed i is ``jax.random.fold_in(key, i)``, the
    same in every combination, so that combinations meet the same initial weights and orders. Run i of the result alone
    is ``jax.jit(train)(result.keys[i], data, result.combination(i), validation=validation)``: it gives the same to 1e-6
    and better, as far as training does not blow rounding up; side by side, products are summed in another order.

    All is one program, compiled once, also over several calls with as many runs. Runs do not touch each other: one that
    diverges has NaN in its own history alone. A hyper-parameter out of its range (a dropout rate of 1.5) makes its runs
    NaN, and the table says why. With early stopping each keeps what it had when it stopped; the runs
    side by side last as long as the longest.

    How the runs are laid out is in ``result.layout``:

    - ``method``: "vmap" runs them side by side, "map" one after the other. "auto" takes "map" on a CPU for a model with
      convolutions, whose kernels turn into slow grouped convolutions side by side, else "vmap".
    - ``max_parallel``: how many at most run side by side on a device; the rest waits in chunks of one size. By default
      what fits into half of the free memory (on a CPU of all memory), by the sizes of all intermediate values of a run.
    - ``devices``: over which to spread, by default all of this process. Each gets as many runs as the others.

    Raises ``ValueError`` for an axis without values or with a value twice, for combinations that name different
    hyper-parameters, and for a hyper-parameter on which nothing in a run depends; ``KeyError`` for one that is read but
    not given; ``TypeError`` for values that are no numbers; and what ``train`` raises.

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
        raise TypeError(f"train is what fnn.make_train returns, a function, got {train!r}")
    runs = runs_of(key, seeds, combinations, hyperparams)
    operands = {"data": arrays(data)}
    if validation is not None:
        operands["validation"] = arrays(validation, name="validation data")
    values = {name: jnp.asarray(column) for name, column in runs.hyperparams.items()}
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), (runs.keys, values))

    traced, result = _traced(train, shapes, operands)
    if not isinstance(getattr(result, "history", None), Mapping):
        raise TypeError(f"train returns a TrainResult, as what fnn.make_train returns does, got {describe(result)}")
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
    # The last run fills the places that are left over.
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
    # Nothing is exchanged between devices, so each stops when its own runs have.
    spread = jax.shard_map(
        on_device, mesh=_mesh(layout), in_specs=(runs, runs, PartitionSpec()), out_specs=runs, check_vma=False
    )
    return spread(keys, values, operands)


def _run(train: Any, key: jax.Array, values: dict[str, Any], operands: dict) -> TrainResult:
    """One run; the options it has no use for are not mentioned."""
    options = {name: value for name, value in operands.items() if name != "data"}
    given = values if isinstance(values, Given) else Given(values, MISSING)
    return train(key, operands["data"], *([given] if values else []), **options)


def _refusals(train: Any, result: SweepResult, operands: dict) -> tuple[str | None, ...]:
    """Of every run what its constructors say against its hyper-parameters, now that these are numbers and not traced.

    Only combinations all of whose runs diverged are asked: what is out of range makes every run NaN.
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
    except Exception:  # the rehearsal's end; or a run that takes no numbers, of which nothing more is known
        return None
    return None


def _out_of_jit(train: Any) -> Any:
    """The function under jit, in which numbers are numbers, also where some of its arguments are given already."""
    if isinstance(train, functools.partial):
        return functools.partial(_out_of_jit(train.func), *train.args, **train.keywords)
    inside = getattr(train, "__wrapped__", None) if isinstance(train, jax.stages.Wrapped) else None
    return train if inside is None else _out_of_jit(inside)


def _traced(train: Any, shapes: tuple, operands: dict) -> tuple[Any, Any]:
    """One run as a jaxpr, and the shapes of its result. The data are in it as they are, so that they are looked at."""
    try:
        return jax.make_jaxpr(lambda key, values: _run(train, key, values, operands), return_shape=True)(*shapes)
    except TypeError as error:  # JAX's own, and those of constructors that were given a tracer for an integer
        if isinstance(error, jax.errors.JAXTypeError) or "Tracer" in str(error) or "traced" in str(error):
            error.add_note(
                "in a sweep hyperparams are traced: they can be numbers in computations, but no sizes and no conditions"
                " of Python; sweep over those with a loop around fnn.sweep"
            )
        raise


def _check_used(jaxpr: Any, names: list[str]) -> None:
    """Raises for a hyper-parameter on which no result depends: all its runs would be the same."""
    inputs = dict(zip(sorted(names), jaxpr.invars[len(jaxpr.invars) - len(names) :], strict=True))

    def matters(name: str) -> bool:
        return any(footprint(jaxpr, tuple(each is inputs[name] for each in jaxpr.invars)).outputs)

    check_used(names, filter(matters, names))


def _mesh(layout: Layout) -> Mesh:
    return Mesh(np.asarray(layout.devices), ("runs",))
