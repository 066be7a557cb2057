"""What the checks of every hand-written gradient share: its floating leaves by name, and the oracles asked of them."""

from collections.abc import Iterable
from typing import Any

import jax.numpy as jnp
import numpy as np

from fnn.errors import is_floating
from fnn.gradients.arrays import arrays
from fnn.gradients.equality import Whole, length, norm
from fnn.layer import floating_leaves
from fnn.paths import named_leaves
from fnn.testing.comparison import Agreement, agree, agree_along
from fnn.testing.violations import Violations

UNITS = 2.0
"""Units in the last place by which two right programs differ: each rounds its last operations by at most a half."""


class Subject:
    """A gradient in the making: ``names`` and ``leaves`` of what is differentiated by, in one order; ``rebuild`` puts
    others in their places."""

    def __init__(self, found: Violations, variables: dict[str, Any]) -> None:
        self.found = found
        self.parts = tuple(variables)
        self.leaves, self.rebuild = floating_leaves(variables)
        self.names = [path for path, leaf in named_leaves(variables).items() if is_floating(leaf)]

    def floating(self, gradient: dict[str, Any]) -> list:
        """The leaves of a gradient, in the order of ``names``; what else the dict holds is left out."""
        named = named_leaves({part: gradient[part] for part in self.parts})
        return [named[name] for name in self.names]

    def named(self, leaves: Iterable) -> dict[str, np.ndarray]:
        """Leaves in the order of ``names``, by name."""
        return {name: np.asarray(leaf) for name, leaf in zip(self.names, leaves, strict=True)}

    def agree(self, what: str, ours: Iterable, theirs: Iterable, tolerance: float, *, floor: float = 0.0) -> float:
        """Two gradients, leaf by leaf."""
        return agree(self.found, what, self.named(ours), self.named(theirs), tolerance, floor=floor)

    def agree_with_oracles(
        self,
        gradient: list,
        results: dict[str, Any],
        tangents: list,
        cotangents: list,
        tolerance: float,
        second_tolerance: float,
    ) -> Agreement:
        """A gradient by hand, and its derivative, against what ``oracles.every`` gave."""
        reverse = self.agree("backward against jax.vjp", gradient, results["automatic"], tolerance)
        if "along" not in results:
            return Agreement(reverse)
        sides = (gradient, tangents, cotangents, results["along"])
        forward = agree_along(self.found, "backward against jax.jvp", *sides, tolerance)
        if "second" not in results:
            return Agreement(reverse, forward)
        (ours, theirs), what = results["second"], "the derivative of backward against that of jax.vjp"
        return Agreement(reverse, forward, second=self.agree(what, ours, theirs, second_tolerance))

    def agree_narrow(self, dtype: str, draws: list[tuple[list, list]], exact: list[list], factor: float) -> None:
        """Gradients in a narrow dtype, by hand and by ``jax.vjp``, of several draws as one.

        By hand the error against ``exact`` may be ``factor`` times that of ``jax.vjp``, and ``UNITS`` in the last place
        more: where ``jax.vjp`` happens to be exact, or nearly so, a multiple of its error would forbid rounding at all.
        """
        ours, theirs, right = map(self._over, (*zip(*draws, strict=True), exact))
        ulp, whole = float(jnp.finfo(dtype).eps), Whole(norm(right.values()))
        for name, reference in right.items():
            size = length(reference)
            size = whole.norm if size <= whole.zero else size  # of a leaf that is zero, only rounding is left
            mine, other = (length(each[name] - reference) / max(size, 1e-300) for each in (ours, theirs))
            self.found.expect(
                mine <= factor * other + UNITS * ulp or not np.isfinite(other),
                f"{dtype}, {name}: {mine / ulp:.2f} units in the last place off by hand, {other / ulp:.2f} by jax.vjp",
            )

    def _over(self, gradients: Iterable[list]) -> dict[str, np.ndarray]:
        each = [arrays(self.named(gradient)) for gradient in gradients]
        return {name: np.stack([gradient[name] for gradient in each]) for name in self.names}
