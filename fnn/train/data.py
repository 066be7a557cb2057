"""Data as arrays: batches of static sizes, and the look at the data before they enter a compiled program."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, exact_array, is_concrete, is_floating, positive
from fnn.layer import Layer, Params, State, output_shape
from fnn.losses.loss import check_weights
from fnn.objective import Objective, unpacked
from fnn.values import once_for_equal


class Plan(NamedTuple):
    """An epoch of n samples: ``steps`` of ``size`` each, then one of ``rest`` (0 for none). No sample is left out."""

    size: int
    steps: int
    rest: int

    @property
    def count(self) -> int:
        """The number of steps, the one of the rest included."""
        return self.steps + bool(self.rest)


def plan(samples: int, batch_size: int) -> Plan:
    """How an epoch falls into batches.

    The remainder is a step of its own smaller size, not padded: padding would enter batch statistics. A remainder of
    one sample, which has no variance, joins the batch before it.

    >>> plan(100, 32), plan(97, 32), plan(20, 32)
    (Plan(size=32, steps=3, rest=4), Plan(size=32, steps=2, rest=33), Plan(size=32, steps=0, rest=20))
    """
    positive("batch_size", batch_size)
    positive("the number of samples", samples)
    steps, rest = divmod(samples, batch_size)
    if rest == 1 and steps and batch_size > 1:
        steps, rest = steps - 1, rest + batch_size
    return Plan(batch_size, steps, rest)


class Length(NamedTuple):
    """How long a run is: its epochs, and the steps of the last one where it is cut short."""

    epochs: int
    last: int | None = None


def length(plan: Plan, epochs: int | None, steps: int | None) -> Length:
    """The length of a run given by its epochs or by its steps.

    >>> length(plan(100, 32), None, 8), length(plan(100, 32), None, 10)  # four steps an epoch
    (Length(epochs=2, last=None), Length(epochs=3, last=2))
    """
    if epochs is not None:
        return Length(epochs)
    whole, last = divmod(steps or 0, plan.count)
    return Length(whole + 1, last) if last else Length(whole)


def arrays(data: Any, convert: Callable[[Any], Any] = exact_array) -> tuple:
    """Data as a tuple of pytrees of arrays, all of one length; ``convert`` makes an array of a leaf."""
    inputs, targets, weights = unpacked(data)
    parts = (inputs, targets) if weights is None else (inputs, targets, weights)
    for name, part in zip(("inputs", "targets", "weights"), parts, strict=False):
        for leaf in jax.tree.leaves(part):
            if not hasattr(leaf, "shape"):
                raise TypeError(f"{name} are arrays, got {type(part).__name__}; write numpy.asarray({name})")
            if getattr(leaf.dtype, "kind", None) in ("U", "S", "O"):
                raise TypeError(f"{name} are numbers, got an array of {leaf.dtype}; encode them as integers first")
    parts = jax.tree.map(convert, parts)
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(parts)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"inputs, targets and weights have one length, their first axis; got {describe(parts)}")
    return parts


def samples(data: Any) -> int:
    """The number of samples."""
    return jax.tree.leaves(data)[0].shape[0]


def take(data: Any, indices: jax.Array) -> Any:
    """The samples at these places."""
    return jax.tree.map(lambda leaf: jnp.take(leaf, indices, axis=0, mode="clip"), data)


def check_data(objective: Objective, params: Params, state: State, data: tuple, name: str = "data") -> None:
    """Raises for data that do not fit the model and the loss; values are looked at where they can be.

    In a compiled program nothing can be raised for a bad value, so labels out of range, inputs or targets that are not
    finite and indices past the vocabulary are caught here, on the host, where data enter.
    """
    check_batch(objective, check_shapes(objective, params, state, data), data, name)
    check_indices(objective.model, params, state, data[0], name)


def check_shapes(objective: Objective, params: Params, state: State, data: tuple) -> Any:
    """Raises for shapes and dtypes that do not fit, and returns those of the model's output."""
    inputs, targets, weights = unpacked(data)
    outputs = output_shape(objective.model, params, state, inputs)
    jax.eval_shape(objective.loss.forward, outputs, targets, weights)
    return outputs


def check_batch(objective: Objective, outputs: Any, data: tuple, name: str) -> None:
    """Raises for targets and weights out of range, and for values that are not finite."""
    inputs, targets, weights = unpacked(data)
    objective.loss.check(outputs, targets)
    if weights is not None:
        check_weights(weights, f"the weights of the {name}")
    for part, tree in (("inputs", inputs), ("targets", targets), ("weights", weights)):
        for leaf in jax.tree.leaves(tree):
            if is_concrete(leaf) and is_floating(leaf):
                # NumPy's, so that data that are constants of a trace are looked at too.
                finite = np.isfinite(np.asarray(leaf)).reshape(leaf.shape[0], -1).all(1)
                if not finite.all():
                    raise ValueError(f"the {part} of the {name} are not finite in sample {int(np.argmin(finite))}")


def check_indices(model: Layer, params: Params, state: State, inputs: Any, name: str, chunk: int = 1024) -> None:
    """Raises for an index past its table: inside a program such an index makes NaN, so one pass over the data tells."""
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
                model.apply(params, state, part(which, 1))  # a layer that can look at values says what is wrong
            except ValueError as error:
                error.add_note(f"for sample {which} of the {name}")
                raise
            raise ValueError(
                f"the model's output is not finite for sample {which} of the {name}: an index lies outside its"
                f" vocabulary, a length outside its sequence, or the parameters are not finite"
            )


@once_for_equal
def _finite_outputs(model: Layer) -> Callable[[Params, State, Any], jax.Array]:
    """Whether all that comes out of a model is finite."""

    @jax.jit
    def finite(params: Params, state: State, inputs: Any) -> jax.Array:
        outputs, _ = model.apply(params, state, inputs)
        return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(outputs)]).all()

    return finite
