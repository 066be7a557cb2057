"""The outputs of a trained model for any number of inputs, batch by batch."""

from collections.abc import Iterable, Iterator, Sized
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from fnn.backprop import check_children
from fnn.errors import describe, exact_numpy, instance_hint, is_floating, positive
from fnn.gradients.progress import Progress
from fnn.guards.foreign import foreign, leaves
from fnn.guards.options import flag
from fnn.layer import Layer, Params, State
from fnn.objective import Objective
from fnn.train.checks import check_indices, check_statistics
from fnn.train.compiled import compiled_outputs
from fnn.train.converted import converted, is_numbers
from fnn.train.data import odd_ones_out, samples


def predict(
    model: Layer | Objective,
    params: Params,
    state: State,
    inputs: Any,
    *,
    batch_size: int = 256,
    progress: bool = False,
) -> Any:
    """The outputs for all inputs, in inference, as NumPy arrays.

    ``inputs`` is one of

    - what the model takes, an array or a tree of arrays with samples on the first axis; memory-mapped files are read
      batch by batch. Every ``batch_size`` samples are one batch, and what remains a smaller one;
    - an iterable of such batches (a list, a generator, a loader), which are taken as they are.

    The outputs come in the model's own tree, in the order of the inputs. One program is compiled for every shape of a
    batch, and a later call with an equal model reuses it; ``fnn.clear_compiled()`` releases them. The next batch is
    read while the device computes. An ``Objective`` in the place of the model gives the predictions that its loss makes
    of the outputs, which differ if the loss has a head of its own.

    Errors: ``TypeError`` if inputs are not arrays of numbers (the error says what to write), for a model that is none,
    and inside ``jit``; ``ValueError`` for inputs of different lengths or none, outputs that are not one for each
    sample, a batch norm without statistics, and an index past its table.

    >>> import fnn, jax.numpy as jnp
    >>> model = fnn.Dense(2)
    >>> params, state = model.init(jax.random.key(0), jnp.ones((1, 3)))
    >>> predict(model, params, state, np.ones((1000, 3), np.float32), batch_size=300).shape
    (1000, 2)
    """
    positive("batch_size", batch_size)
    flag("progress", progress)
    layer = model.model if isinstance(model, Objective) else model
    if not isinstance(layer, Layer):
        raise TypeError(f"predict takes a model, which is a layer, got {model!r}{instance_hint(model)}")
    check_children("params", params, [""])
    check_statistics(layer, state)
    batches, count = _batches(inputs, batch_size)
    run, parts, waiting, begun = compiled_outputs(model).outputs, list[Any](), None, 0
    with Progress("predicting", total=count, shown=progress) as work:
        for batch in work.over("batches", batches):
            outputs = run(params, state, batch)
            if waiting is not None:
                parts.append(_on_host(layer, params, state, *waiting))
            _check_outputs(model, outputs, samples(batch))
            waiting, begun = (batch, outputs, begun), begun + samples(batch)
        if waiting is None:
            raise ValueError(f"there are no inputs to predict from: {describe(inputs)}")
        parts.append(_on_host(layer, params, state, *waiting))
    return jax.tree.map(lambda *leaf: np.concatenate(leaf), *parts)


def _batches(inputs: Any, batch_size: int) -> tuple[Iterator[Any], int | None]:
    """The batches, and how many there are, if known."""
    if _are_batches(inputs):
        return map(_checked, inputs), len(inputs) if isinstance(inputs, Sized) else None
    whole = _checked(inputs, convert=False)
    starts = range(0, samples(whole), batch_size)

    def part(start: int) -> Any:
        return jax.tree.map(lambda leaf: exact_numpy(leaf[start : start + batch_size]), whole)

    return map(part, starts), len(starts)


def _are_batches(inputs: Any) -> bool:
    """Whether inputs are an iterable of batches, rather than an array or a tree of arrays."""
    if isinstance(inputs, list | Iterator):
        return not is_numbers(inputs)
    found = jax.tree.leaves(inputs)
    alone = not hasattr(inputs, "shape") and len(found) == 1 and found[0] is inputs
    return alone and isinstance(inputs, Iterable) and foreign(inputs) is None


def _checked(tree: Any, convert: bool = True) -> Any:
    """A tree of arrays with one length, as NumPy's; raises for anything else."""
    tree = converted(tree, "inputs")
    for leaf in leaves(tree):
        if isinstance(leaf, Tracer):
            raise TypeError("predict runs compiled batches from Python: inside jit or vmap, call model.apply")
        if (other := foreign(leaf, "inputs")) is not None:
            raise other.refusal("inputs are arrays of numbers")
        if not hasattr(leaf, "shape"):
            raise TypeError(f"inputs are arrays of numbers, got {describe(leaf)}; write numpy.asarray(inputs)")
    lengths = {tuple(leaf.shape[:1]) for leaf in jax.tree.leaves(tree)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"inputs have one length, that of their first axis, got {describe(tree)}{odd_ones_out(tree)}")
    return jax.tree.map(exact_numpy, tree) if convert else tree


def _check_outputs(model: Layer | Objective, outputs: Any, count: int) -> None:
    """Raises for outputs that are not one for each sample, which batches would not add up to."""
    if any(leaf.shape[:1] != (count,) for leaf in jax.tree.leaves(outputs)):
        hint = "" if isinstance(model, Objective) else "; if its loss has a head, give the Objective in its place"
        raise ValueError(f"the model makes {describe(outputs)} of {count} samples, not one output for each{hint}")


def _on_host(model: Layer, params: Params, state: State, batch: Any, outputs: Any, begun: int) -> Any:
    """The outputs of a batch as NumPy arrays; raises if an index past its table is why they are not finite."""
    found = jax.device_get(outputs)
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found) if is_floating(leaf)):
        check_indices(model, params, state, batch, f"inputs from {begun} on" if begun else "inputs")
    return found
