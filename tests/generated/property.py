"""What holds for every model: the gradient by hand is the automatic one.

Both are compiled as one program, or run operation by operation: the second is quicker for a few hundred variations of
one small model, as shrinking asks for them.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.gradients import oracles
from fnn.gradients.arrays import arrays, gradient_like
from fnn.gradients.equality import EPS, Whole, length, norm, verdict
from fnn.testing.comparison import agree
from fnn.testing.mode import Mode
from fnn.testing.structure import alike
from fnn.testing.violations import Violations
from tests.generated.grammar import Case
from tests.points import Point, drawn_point

TOLERANCE = 1e-12
ROUNDING = 4 * EPS
"""By how much the inputs are moved to see what rounding alone does to a gradient."""


@dataclasses.dataclass
class Record:
    """How many models were met, and the worst of them."""

    models: int = 0
    ill_conditioned: int = 0
    error: float = 0.0
    worst: str = ""

    def add(self, other: "Record") -> None:
        self.models += other.models
        self.ill_conditioned += other.ill_conditioned
        if other.error > self.error:
            self.error, self.worst = other.error, other.worst

    def __str__(self) -> str:
        aside = f" ({self.ill_conditioned} ill-conditioned)" if self.ill_conditioned else ""
        return f"{self.models:,} models{aside}; largest relative error {self.error:.1e}, of {self.worst}"


def check(case: Case, record: Record | None = None, *, compiled: bool = True) -> None:
    """Raises ``AssertionError`` unless the gradients of parameters and input agree to 1e-12."""
    record = Record() if record is None else record
    found = Violations(repr(case))
    with jax.disable_jit():
        point = drawn_point(case.model, case.input(), train=case.train, trained=False, seed=case.seed)
    dy = point.output_gradient(case.seed)
    with jax.disable_jit(not compiled):
        manual, automatic, (dparams, dx) = jax.jit(point.gradients)(*point.arguments, dy)
    alike(found, "dparams", dparams, point.params)
    alike(found, "dx", dx, gradient_like(point.x))
    comparable = not found.lines
    error = agree(found, "backward against jax.vjp", arrays(manual), arrays(automatic), TOLERANCE)
    record.models += 1
    both = arrays(manual), arrays(automatic)
    if comparable and found.lines and any(aside(point, dy, *both) for aside in (_is_rounding, _is_noise, _is_absorbed)):
        record.ill_conditioned += 1
        return
    found.finish()
    if error > record.error:
        record.error = error
        record.worst = f"{case.model!r} on {case.shape}, train={case.train}"


def _is_rounding(point: Point, dy: Any, manual: dict[str, np.ndarray], automatic: dict[str, np.ndarray]) -> bool:
    """Whether every leaf that differs is one whose numbers nearly cancel.

    Rounding the inputs then moves its automatic gradient about as far, and the difference is small beside the leaf, or
    below the rounding of the whole gradient.
    """
    moves, whole = _moves(point, dy), Whole(norm(automatic.values()))
    for path, leaf in automatic.items():
        said = verdict(manual[path], leaf, whole, tolerance=TOLERANCE)
        if said.passed:
            continue
        small = said.error <= max(1e-6 * said.expected, EPS * whole.norm)
        if not (small and said.error <= 10 * length(moves[path])):
            return False
    return True


def _is_noise(point: Point, dy: Any, manual: dict[str, np.ndarray], automatic: dict[str, np.ndarray]) -> bool:
    """Whether they agree operation by operation and, compiled, differ by less than a rounding in float32.

    Random numbers are drawn in float32, and a program that draws them in two places may round them in two ways.
    """
    with jax.disable_jit():
        ours, theirs, _ = point.gradients(*point.arguments, dy)
    near = Violations("")
    agree(near, "operation by operation", arrays(ours), arrays(theirs), TOLERANCE)
    agree(near, "compiled", manual, automatic, float(np.finfo(np.float32).eps))
    return not near.lines


def _is_absorbed(point: Point, dy: Any, manual: dict[str, np.ndarray], automatic: dict[str, np.ndarray]) -> bool:
    """Whether forward mode, entry by entry, says what the hand rule does: then digits were lost in reverse mode.

    JAX 0.9 transposes tanh into two terms that cancel at −1, each added to the gradient by itself; what stands beside
    them is lost where they are much larger (``findings/jax-grad-absorbed-beside-tanh.sh``).
    """
    del automatic
    mode = Mode(Violations(""), point.layer, *point.arguments, point.train)
    function, cotangents = mode.outputs(point.state, point.key, mode.rebuild), jax.tree.leaves(dy)
    sizes = [leaf.size for leaf in mode.leaves]
    starts = np.cumsum([0, *sizes])

    def slope(entry: jax.Array) -> jax.Array:
        places = zip(mode.leaves, starts, strict=False)
        along = [
            (jnp.arange(leaf.size) == entry - start).astype(leaf.dtype).reshape(leaf.shape) for leaf, start in places
        ]
        slopes = zip(cotangents, oracles.forward(function, mode.leaves, along), strict=True)
        return sum((jnp.vdot(dy, moved) for dy, moved in slopes), jnp.zeros(()))

    slopes = np.split(np.asarray(jax.jit(lambda: jax.lax.map(slope, jnp.arange(starts[-1])))()), starts[1:-1])
    forward = {name: part.reshape(leaf.shape) for name, part, leaf in zip(mode.names, slopes, mode.leaves, strict=True)}
    near = Violations("")
    agree(near, "forward mode", manual, forward, TOLERANCE)
    return not near.lines


def _moves(point: Point, dy: Any) -> dict[str, np.ndarray]:
    """How far the automatic gradient moves if the inputs are rounded otherwise.

    Both are computed in the same way, so that noise of float32 is the same in both.
    """
    draw = np.random.default_rng(0)

    def moved(leaf: Any) -> Any:
        if leaf is None or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return leaf * jnp.asarray(1 + ROUNDING * draw.standard_normal(leaf.shape))

    here = point.params, point.x, dy
    there, before = (
        arrays(point.gradients(params, point.state, x, point.key, dy)[1])
        for params, x, dy in (jax.tree.map(moved, here), here)
    )
    return {path: there[path] - before[path] for path in before}
