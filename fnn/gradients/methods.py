"""One point in one precision, and what the methods find there; every program is compiled once a model."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.combinators.frozen import frozen_layers
from fnn.gradients.arrays import cast, is_key, normal_like
from fnn.gradients.directions import Directions
from fnn.gradients.finite import five_point, rounding_noise
from fnn.gradients.problem import Leaves, Operands, Problem, Records
from fnn.gradients.rows import Measured
from fnn.layer import Layer
from fnn.paths import lies_in, named_leaves

METHODS = ("manual", "reverse", "forward", "finite")

Key = tuple[str, str]
Over = Callable[[str, Iterable[Key]], Iterable[Key]]
"""Goes over the leaves on behalf of a method, and may say how far it is."""

# One program for all calls on an equal model: comparing again, on another batch or another seed, compiles nothing.
_REVERSE = jax.jit(Problem.reverse, static_argnums=0)
_MANUAL = jax.jit(Problem.manual, static_argnums=0)
_DIRECTIONAL = jax.jit(Problem.directional, static_argnums=0)
_MOVED = jax.jit(Problem.moved, static_argnums=0)
_RECORDS = jax.jit(Problem.records, static_argnums=0)


class Gradients:
    """The gradients at operands cast to a dtype, as NumPy arrays by ("parameter" or "delta", path).

    The caller's x64 setting does not matter and is not changed: in float64 it is on, in float32 off. Matrix products
    are exact to the dtype, also where the device would rather take fewer digits (TF32).
    """

    def __init__(self, problem: Problem, operands: Operands, dtype: str) -> None:
        self.problem, self.dtype = problem, np.dtype(dtype)
        with self._precision():
            self.operands = cast(operands, dtype)
            self.variables = problem.variables(self.operands)
            self._zeros = jax.tree.map(lambda leaf: jnp.asarray(np.zeros(leaf.shape, leaf.dtype)), self.variables)

    def of(self, model: Layer) -> "Gradients":
        """The gradients of another model of the same parameters, at the same point."""
        problem = Problem(self.problem.objective.with_model(model), self.problem.train)
        return Gradients(problem, self.operands, str(self.dtype))

    @contextmanager
    def _precision(self) -> Iterator[None]:
        with jax.enable_x64(self.dtype.itemsize == 8), jax.default_matmul_precision("highest"):
            yield

    def reverse(self) -> tuple[dict[Key, Measured], Records]:
        """The automatic gradient, and what the layers saw."""
        with self._precision():
            gradients, records = jax.tree.map(_numpy, _REVERSE(self.problem, self.variables, self.operands))
        return self._measured(gradients), records

    def records(self) -> Records:
        """What the layers saw."""
        with self._precision():
            return jax.tree.map(_numpy, _RECORDS(self.problem, self.variables, self.operands))

    def manual(self) -> dict[Key, Measured]:
        """The gradient by the hand rules."""
        with self._precision():
            return self._measured(jax.tree.map(_numpy, _MANUAL(self.problem, self.operands)))

    def forward(self, directions: Callable[[Key], Directions], over: Over) -> dict[Key, Measured]:
        """Directional derivatives by ``jax.jvp``."""
        found = {}
        with self._precision():
            for key in over("forward", self.variables):
                probes = directions(key)
                running = [
                    _DIRECTIONAL(self.problem, self.variables, self._along(key, probes[k]), self.operands)
                    for k in range(len(probes))
                ]
                along = np.array(running, np.float64)
                found[key] = _entries_or_along(probes, along, None, 0.0)
        return found

    def finite(
        self, directions: Callable[[Key], Directions], over: Over, records: Records, *, tolerance: float
    ) -> dict[Key, Measured]:
        """Directional derivatives by five-point differences; none of the parameters inside ``Frozen``."""
        scales, frozen = self._scales(records), frozen_layers(self.problem.objective.model)
        found = {}
        with self._precision():
            base = float(self._value_at(self._zeros, 0.0))
            noise = self._noise(scales, base)
            for key in over("finite", self.variables):
                if key[0] == "parameter" and lies_in(key[1], frozen):
                    found[key] = Measured(np.zeros(self.variables[key].shape), aside="frozen")
                    continue
                probes = directions(key)
                lines = [self._along(key, probes[k]) for k in range(len(probes))]
                d = five_point(
                    lambda k, step, lines=lines: self._value_at(lines[k], step),
                    base,
                    count=len(probes),
                    scale=scales[key] * probes.reach,
                    noise=noise,
                    tolerance=tolerance,
                )
                # Five times its root mean square: no draw of rounding errors gets there.
                found[key] = _entries_or_along(probes, d.along, d.smooth, 5 * probes.norm(d.noise[d.smooth]))
        return found

    def _value_at(self, direction: Leaves, step: float) -> jax.Array:
        return _MOVED(self.problem, self.variables, direction, jnp.asarray(step, self.dtype), self.operands)

    def _along(self, key: Key, vector: np.ndarray) -> Leaves:
        return {**self._zeros, key: jnp.asarray(vector, self._zeros[key].dtype)}

    def _scales(self, records: Records) -> dict[Key, float]:
        """The root mean square of what each variable moves: the parameter, or the output that the delta is added to."""
        outputs = {path.strip("/"): leaf for path, leaf in named_leaves(records.outputs).items()}

        def scale(key: Key) -> float:
            values = np.asarray(self.variables[key] if key[0] == "parameter" else outputs[key[1]], np.float64)
            size = float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
            return size if 0 < size < np.inf else 1.0

        return {key: scale(key) for key in self.variables}

    def _noise(self, scales: dict[Key, float], base: float) -> float:
        draws = [normal_like(k, self._zeros) for k in range(4)]
        lines = [{key: scales[key] * draw[key] for key in draw} for draw in draws]
        return rounding_noise(lambda k, step: self._value_at(lines[k], step), base, count=len(lines))

    def _measured(self, gradients: Leaves) -> dict[Key, Measured]:
        found = {}
        for key, variable in self.variables.items():
            gradient = gradients.get(key)
            if gradient is None:
                found[key] = Measured(missing="there is no gradient")
            elif gradient.shape != variable.shape:
                found[key] = Measured(missing=f"the gradient has the shape {gradient.shape}, not {variable.shape}")
            else:
                found[key] = Measured(gradient)
        return found


def _entries_or_along(probes: Directions, along: np.ndarray, smooth: np.ndarray | None, noise: float) -> Measured:
    if not probes.every_entry:
        return Measured(along=along, smooth=smooth, noise=noise)
    return Measured(values=along.reshape(probes.shape), smooth=smooth, noise=noise)


def _numpy(leaf: Any) -> Any:
    return leaf if is_key(leaf) else np.asarray(leaf)
