"""Checks of data before they enter a compiled program, which cannot raise for a bad value."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.backprop import check_children, entry_at
from fnn.calls import apply_of, output_shape
from fnn.canonical.once import once_for_same
from fnn.combinators import Frozen
from fnn.errors import is_concrete, is_floating, located
from fnn.layer import Layer, Params, State
from fnn.layers import BatchNorm
from fnn.losses.loss import check_weights_by_name
from fnn.losses.multi import MultiLoss
from fnn.losses.steps import parted
from fnn.metrics import Metric
from fnn.objective import Objective, unpacked
from fnn.paths import named_leaves
from fnn.sequences.lengths import checked_lengths, lengths_of
from fnn.takes_logits import warn_of_a_cut
from fnn.train.data import of_data, samples
from fnn.walk import nodes


def check_data(
    objective: Objective,
    params: Params,
    state: State,
    data: tuple,
    name: str = "data",
    metrics: Sequence[Metric] = (),
) -> None:
    """Raises for data that do not fit the model, the loss and the metrics; checks values unless they are traced.

    Catches labels out of range, inputs or targets that are not finite, and indices past the vocabulary.
    """
    check_batch(objective, check_shapes(objective, params, state, data, name), data, name, metrics)
    check_indices(objective.model, params, state, data[0], name)


def check_statistics(model: Layer, state: State, *, frozen_only: bool = False) -> None:
    """Raises for a batch norm without statistics that is to run in inference, where inside a program it could not.

    ``frozen_only``: the others will have some by then.
    """
    for node in nodes(model):
        own = entry_at(state, node.path)
        check_children("state", own, [""])
        if not isinstance(node.layer, BatchNorm) or (frozen_only and not node.is_in(Frozen)):
            continue
        if "count" in own and is_concrete(own["count"]) and not np.all(own["count"]):
            raise ValueError(
                f"the batch norm at {node.path or 'the top'} has no statistics yet (count is 0): give the params and"
                f" state that training returned"
            )


def check_shapes(objective: Objective, params: Params, state: State, data: tuple, name: str) -> Any:
    """Raises for shapes and dtypes that do not fit; returns those of the model's output."""
    inputs, targets, weights = unpacked(data)
    with of_data(name, " do not fit the model"):
        outputs = output_shape(objective.model, params, state, inputs)
    with of_data(name, " do not fit the loss"), located("loss", objective.loss, (outputs, targets)):
        try:
            jax.eval_shape(objective.loss.forward, outputs, targets, weights)
        except (TypeError, ValueError) as error:
            if isinstance(error, TypeError) and _has_gaps(targets):  # outside a program, the loss says where
                objective.loss.check(outputs if objective.loss.takes_lengths else parted(outputs)[0], targets)
            if isinstance(outputs, dict) and not isinstance(objective.loss, MultiLoss):
                error.add_note(f"the outputs are {list(outputs)}: MultiLoss({{name: loss}}) has a loss for each")
            raise
    return outputs


def check_batch(objective: Objective, outputs: Any, data: tuple, name: str, metrics: Sequence[Metric] = ()) -> None:
    """Raises for targets and weights out of range, for values that are not finite, and for targets that a metric
    cannot use."""
    inputs, targets, weights = unpacked(data)
    prediction, lengths = (outputs, None) if objective.loss.takes_lengths else parted(outputs)
    judged: Any = lengths is not None
    if isinstance(outputs, dict):
        judged = {each: parted(y)[1] is not None for each, y in outputs.items()}
    inputs, targets = without_steps_past(inputs, targets, judged, name)
    with located("loss", objective.loss, (prediction, targets)):
        objective.loss.check(prediction, targets)
    if weights is not None:
        check_weights_by_name(weights, f"the weights of the {name}")
    for part, tree in (("inputs", inputs), ("targets", targets), ("weights", weights)):
        for path, leaf in named_leaves(tree).items():
            if is_concrete(leaf) and is_floating(leaf):
                finite = _finite_samples(leaf)
                if not finite.all():
                    which = f"{part} {path!r}" if path else part
                    raise ValueError(f"the {which} of the {name} are not finite in sample {int(np.argmin(finite))}")
    if metrics:
        for metric in metrics:
            warn_of_a_cut(objective.model, metric, prediction, targets)
        check_metrics(metrics, jax.eval_shape(objective.loss.predictions, prediction), targets, weights, name)


def without_steps_past(inputs: Any, targets: Any, judged: Any, name: str) -> tuple[Any, Any]:
    """Replaces the padding of inputs ``(x, lengths, …)``, and of the targets if steps are ``judged``, by ones, because
    padding may hold anything. Inputs may be a dict of such; ``judged`` is a dict if targets are one."""
    if isinstance(inputs, dict):
        cleaned = {}
        for key, each in inputs.items():
            cleaned[key], targets = without_steps_past(each, targets, judged, name)
        return cleaned, targets
    lengths = lengths_of(inputs) if isinstance(inputs, tuple) else None
    if lengths is None or not all(map(is_concrete, jax.tree.leaves((inputs, targets)))):
        return inputs, targets
    steps = np.shape(inputs[0])[:2]
    try:
        lengths = np.asarray(checked_lengths(lengths, *steps))
    except ValueError as error:
        error.add_note(f"for sample {int(np.argmax((lengths < 0) | (lengths > steps[1])))} of the {name}")
        raise
    within = np.arange(steps[1])[None] < lengths[:, None]

    def kept(leaf: Any) -> Any:
        where = jnp if isinstance(leaf, jax.Array) else np  # an array on the device is not copied to the host
        with jax.ensure_compile_time_eval():
            return where.where(within.reshape(*steps, *(1,) * (leaf.ndim - 2)), leaf, where.ones((), leaf.dtype))

    if isinstance(judged, dict) and isinstance(targets, dict):
        targets = {key: kept(t) if judged.get(key) and np.shape(t)[:2] == steps else t for key, t in targets.items()}
    elif judged is True and jnp.shape(targets)[:2] == steps:
        targets = kept(targets)
    return (kept(inputs[0]), *inputs[1:]), targets


def check_metrics(metrics: Sequence[Metric], outputs: Any, targets: Any, weights: Any, name: str) -> None:
    """Raises for targets that a metric cannot use; ``outputs`` holds shapes."""
    for metric in metrics:
        try:
            metric.check(outputs, targets, weights)
        except (TypeError, ValueError) as error:
            error.add_note(f"for the metric {metric!r} of the {name}")
            raise


def _has_gaps(targets: Any) -> bool:
    """Whether some of the targets are not finite, if their values are known."""
    known = [leaf for leaf in jax.tree.leaves(targets) if is_concrete(leaf) and is_floating(leaf)]
    return not all(_finite_samples(leaf).all() for leaf in known)


def _finite_samples(leaf: Any) -> np.ndarray:
    """Which samples are finite. For an array on the device, only this result is copied to the host."""
    with jax.ensure_compile_time_eval():  # so that constants of a trace are checked too
        where = jnp if isinstance(leaf, jax.Array) else np
        return np.asarray(where.isfinite(leaf).reshape(leaf.shape[0], -1).all(1))


def check_indices(model: Layer, params: Params, state: State, inputs: Any, name: str, chunk: int = 1024) -> None:
    """Raises for an index past its table: it gives NaN inside a program, so one pass over the data finds it."""
    integers = any(jnp.issubdtype(leaf.dtype, jnp.integer) for leaf in jax.tree.leaves(inputs))
    if not integers or not all(map(is_concrete, jax.tree.leaves((params, state, inputs)))):
        return
    finite = functools.partial(_finite_outputs(model), params, state)

    def part(start: int, size: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[start : start + size], inputs)

    for start in range(0, samples(inputs), chunk):
        if not finite(part(start, chunk)):
            which = next((each for each in range(start, samples(inputs)) if not finite(part(each, 1))), start)
            try:
                # Outside a program, a layer can check values and say what is wrong.
                apply_of(model, params, state, part(which, 1))
            except ValueError as error:
                error.add_note(f"for sample {which} of the {name}")
                raise
            raise ValueError(
                f"the model's output is not finite for sample {which} of the {name}: an index is outside its"
                f" vocabulary, a length is outside its sequence, or the parameters are not finite"
            )


@once_for_same
def _finite_outputs(model: Layer) -> Callable[[Params, State, Any], jax.Array]:
    """A function that says whether all outputs of a model are finite."""

    @jax.jit
    def finite(params: Params, state: State, inputs: Any) -> jax.Array:
        outputs, _ = apply_of(model, params, state, inputs)
        return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(outputs)]).all()

    return finite


def check_start(params: Any, state: Any) -> None:
    """Raises unless parameters and state to start from come together, as nested dicts, or not at all."""
    if (params is None) != (state is None):
        raise ValueError("give params and state together: both come from the same init or run")
    for kind, tree in (("params", params), ("state", state)):
        if tree is not None:
            check_children(kind, tree, [""])
