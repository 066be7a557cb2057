"""What "equal" means: relative errors by leaf norm, and the same structure, shapes and dtypes."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, is_floating
from fnn.gradients.diagnosis import diagnose
from fnn.paths import named_leaves
from fnn.testing.violations import Violations

FLOOR = 2.0
"""Units in the last place by which two right programs differ: each rounds its last operations by at most a half."""

ZERO = 100 * float(np.finfo(np.float64).eps)
"""A leaf below this part of the whole is rounding, and counts as zero."""


class Agreement(NamedTuple):
    """The largest relative errors that a check found, by oracle; NaN for one that was not asked or cannot judge.

    ``jax.vjp`` (``reverse``) does not judge a rule that is ``jax.vjp`` itself, and differences (``finite``) not a slope
    that is no derivative.
    """

    reverse: float = math.nan
    forward: float = math.nan
    finite: float = math.nan
    second: float = math.nan

    def worst(self, **errors: float) -> "Agreement":
        """The larger of each, a number where one of the two is NaN."""
        return self._replace(**{name: float(np.fmax(getattr(self, name), error)) for name, error in errors.items()})


def array(leaf: Any) -> np.ndarray:
    """A leaf as a NumPy array of float64, a random key as its bits."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return np.asarray(leaf).astype(np.float64)


def arrays(tree: Any) -> dict[str, np.ndarray]:
    """All leaves by path, as NumPy arrays of float64."""
    return {path: array(leaf) for path, leaf in named_leaves(tree).items()}


def shapes(tree: Any, dtype: Any = None) -> Any:
    """The shapes and dtypes of all leaves, the floating ones in another dtype if one is given."""

    def shape(leaf: Any) -> jax.ShapeDtypeStruct:
        other = dtype is not None and is_floating(leaf)
        return jax.ShapeDtypeStruct(leaf.shape, jnp.dtype(dtype) if other else leaf.dtype)

    return jax.tree.map(shape, tree)


def gradient_like(tree: Any) -> Any:
    """The leaves that have a gradient, ``None`` in the place of the others."""
    return jax.tree.map(lambda leaf: leaf if is_floating(leaf) else None, tree)


def norm(leaves: Any) -> float:
    """The Euclidean norm of all entries of some arrays."""
    return float(np.sqrt(sum(np.vdot(leaf, leaf) for leaf in leaves)))


def agree(
    found: Violations,
    what: str,
    got: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    tolerance: float,
    *,
    floor: float = 0.0,
) -> float:
    """Adds a line for every leaf that differs, with the reading of it; returns the largest relative error.

    The error of a leaf is ‖got − expected‖ / ‖expected‖. A leaf whose expected norm is below 100·eps of the norm of
    the whole counts as zero, and the one got must be below that too. ``floor`` is the part of the whole to which an
    oracle with noise of its own can tell a leaf.
    """
    if not found.expect(got.keys() == expected.keys(), f"{what}: expected the leaves {[*expected]}, got {[*got]}"):
        return np.inf
    largest, whole = 0.0, norm(expected.values())
    if not found.expect(np.isfinite(whole), f"{what}: expected finite numbers to compare with, got a norm of {whole}"):
        return np.inf
    for path, reference in expected.items():
        if got[path].shape != reference.shape:
            found.add(f"{what}, {path}: expected the shape {reference.shape}, got {got[path].shape}")
            continue
        size, off = norm([reference]), norm([got[path] - reference])
        if size <= ZERO * whole:
            found.expect(
                norm([got[path]]) <= ZERO * whole,
                f"{what}, {path}: expected zero (below {ZERO * whole:.1e}), got norm {norm([got[path]]):.1e}",
            )
            continue
        error = off / max(size, floor * whole)
        largest = max(largest, float(np.nan_to_num(error, nan=np.inf)))
        if not error <= tolerance:
            reading = diagnose("it", got[path], reference)
            index = np.unravel_index(np.argmax(np.nan_to_num(abs(got[path] - reference), nan=np.inf)), reference.shape)
            found.add(
                f"{what}, {path}: relative error {error:.1e}, allowed {tolerance:.0e}; worst at"
                f" {tuple(map(int, index))}: expected {reference[index]:.6g}, got {got[path][index]:.6g}"
                + (f": {reading}" if reading else "")
            )
    return largest


def close(found: Violations, what: str, got: Any, expected: Any, tolerance: float, *, floor: float = 1e-3) -> None:
    """Adds a line for every leaf that differs by more than rounding; what is not finite must be the same.

    For numbers that both sides round: the error of a leaf is ‖got − expected‖ / ‖expected‖, a leaf counting for at
    least ``floor`` of the whole, since the difference of two nearly equal numbers leaves rounding alone.
    """
    if not alike(found, what, got, expected):
        return
    ours, theirs = arrays(got), arrays(expected)
    finite = {path: np.where(np.isfinite(leaf), leaf, 0) for path, leaf in theirs.items()}
    whole = norm(finite.values())
    for path, reference in theirs.items():
        same = (ours[path] == reference) | (np.isnan(ours[path]) & np.isnan(reference))
        off = np.subtract(ours[path], reference, out=np.zeros_like(reference), where=~same)
        error = norm([off]) / max(norm([finite[path]]), floor * whole, 1e-300)
        found.expect(
            error <= tolerance, f"{what}, {path or 'value'}: relative error {error:.1e}, allowed {tolerance:.0e}"
        )


def agree_narrow(
    found: Violations,
    dtype: str,
    ours: dict[str, np.ndarray],
    theirs: dict[str, np.ndarray],
    exact: dict[str, np.ndarray],
    factor: float,
) -> None:
    """Adds a line for every leaf of a gradient in a narrow dtype that is further off than ``jax.vjp`` there.

    It may have ``factor`` times the error of ``theirs`` against ``exact``, and ``FLOOR`` units in the last place more:
    where ``theirs`` happens to be exact, or nearly so, a multiple of its error would forbid rounding at all.
    """
    ulp, whole = float(jnp.finfo(dtype).eps), norm(exact.values())
    for path, reference in exact.items():
        size = norm([reference])
        size = whole if size <= ZERO * whole else size  # of a leaf that is zero, only rounding is left
        mine, other = (norm([each[path] - reference]) / max(size, 1e-300) for each in (ours, theirs))
        found.expect(
            mine <= factor * other + FLOOR * ulp or not np.isfinite(other),
            f"{dtype}, {path}: {mine / ulp:.2f} units in the last place off by hand, {other / ulp:.2f} by jax.vjp",
        )


def finite_numbers(arrays: dict[str, np.ndarray]) -> bool:
    """Whether all numbers are finite."""
    return all(np.isfinite(leaf).all() for leaf in arrays.values())


def identical(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """Adds a line for every leaf that is not the same, bit for bit."""
    if not alike(found, what, got, expected):
        return False
    ours, theirs = arrays(got), arrays(expected)
    differing = [path or "value" for path in theirs if not np.array_equal(ours[path], theirs[path], equal_nan=True)]
    return found.expect(not differing, f"{what}: expected the same bits, {', '.join(differing)} differ")


def alike(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """Adds a line for everything in which the structure, shapes or dtypes differ; says whether nothing does."""
    before = len(found.lines)
    ours, theirs = named_leaves(got), named_leaves(expected)
    for path in theirs.keys() - ours.keys():
        found.add(f"{what}, {path or 'value'}: expected {describe(theirs[path])}, got nothing")
    for path in ours.keys() - theirs.keys():
        found.add(f"{what}, {path or 'value'}: expected nothing here, got {describe(ours[path])}")
    for path in ours.keys() & theirs.keys():
        same = describe(ours[path]) == describe(theirs[path])
        found.expect(same, f"{what}, {path or 'value'}: expected {describe(theirs[path])}, got {describe(ours[path])}")
    ours, theirs = jax.tree.structure(got), jax.tree.structure(expected)
    if len(found.lines) == before:
        found.expect(ours == theirs, f"{what}: expected the structure {theirs}, got {ours}")
    return len(found.lines) == before


def alike_compiled(found: Violations, what: str, got: Any, expected: Any) -> bool:
    """``alike`` as a compiled function sees it: a number is an array, and weak types are compared too.

    Says whether nothing but weak types differs. Raises ``TypeError`` for a leaf that is no array and no number.
    """
    got, expected = (jax.eval_shape(lambda tree: tree, tree) for tree in (got, expected))
    if not alike(found, what, got, expected):
        return False
    weak, ours = {path: leaf.weak_type for path, leaf in named_leaves(expected).items()}, named_leaves(got)
    differing = [path or "value" for path in weak if ours[path].weak_type != weak[path]]
    found.expect(
        not differing,
        f"{what}: expected the same weak types, {', '.join(differing)} differ, for which a step is compiled once more;"
        " give the number a dtype",
    )
    return True
