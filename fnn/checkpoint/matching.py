"""Matches stored arrays to the leaves of a tree: renames paths, compares shapes and dtypes, reports what differs."""

import collections
from typing import Any, NamedTuple

import jax

from fnn.checkpoint.stored_leaf import Spec, narrowed
from fnn.paths import SEPARATOR, join


class Fit(NamedTuple):
    """The paths of the tree, by how they matched, and the paths of the file that nothing asked for.

    ``other_dtype`` and ``other_shape`` hold lines such as ``a/kernel: float32[2,3] in the file, float32[3,3] wanted``.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    other_dtype: tuple[str, ...]
    other_shape: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not (self.missing or self.unused or self.other_dtype or self.other_shape)


class PartialLoad(UserWarning):
    """``load(..., strict=False)`` did not find or did not use everything; ``fit`` says which paths."""

    def __init__(self, message: str, fit: Fit | None = None):
        super().__init__(message)
        self.fit = fit


def renamed(path: Any, names: list[str], rename: dict[str, str] | None) -> dict[str, str]:
    """A dict from paths in the tree to paths in the file.

    >>> renamed("old.safetensors", ["body/dense_0/bias", "head/bias"], {"body": "encoder"})
    {'encoder/dense_0/bias': 'body/dense_0/bias', 'head/bias': 'head/bias'}
    """
    rename = {} if rename is None else rename
    if not isinstance(rename, dict) or not all(isinstance(each, str) for pair in rename.items() for each in pair):
        raise TypeError(f"rename is a dict from paths in the file to paths in the tree, got {rename!r}")
    for source in rename:
        if not any(_below(name, source) is not None for name in names):
            raise ValueError(f"checkpoint {path} has nothing at {source!r} to rename; it holds {listed(sorted(names))}")
    sources, ends = collections.defaultdict(list), sorted(rename, key=len, reverse=True)
    for name in names:
        source = next((each for each in ends if _below(name, each) is not None), None)
        target = name if source is None else join(rename[source], _below(name, source) or "")
        sources[target].append(name)
    if several := [f"{target} (from {listed(found)})" for target, found in sources.items() if len(found) > 1]:
        raise ValueError(f"renaming gives several arrays of checkpoint {path} the same path: {listed(several)}")
    return {target: found[0] for target, found in sources.items()}


def fit_of(found: dict[str, Spec], wanted: dict[str, Spec]) -> Fit:
    """Compares what the file holds at each path of the tree with what is wanted there."""
    both = [name for name in wanted if name in found]
    dtypes = [n for n in both if (found[n].dtype, found[n].random) != (wanted[n].dtype, wanted[n].random)]
    shapes = [n for n in both if n not in dtypes and found[n].shape != wanted[n].shape]
    return Fit(
        loaded=tuple(sorted(set(both) - {*dtypes, *shapes})),
        missing=tuple(sorted(wanted.keys() - found.keys())),
        unused=tuple(sorted(found.keys() - wanted.keys())),
        other_dtype=tuple(f"{n}: {found[n]} in the file, {wanted[n]} wanted" for n in dtypes),
        other_shape=tuple(f"{n}: {found[n]} in the file, {wanted[n]} wanted" for n in shapes),
    )


def check_whole(path: Any, fit: Fit) -> None:
    """Raises unless everything matches; one message names all paths that differ in the same way."""
    if fit.missing or fit.unused:
        raise ValueError(
            f"the paths in checkpoint {path} differ from those of the tree to load into:"
            f" missing in the file: {listed(fit.missing)}; only in the file: {listed(fit.unused)}"
        )
    if fit.other_dtype:
        raise TypeError(
            f"the dtypes in checkpoint {path} differ from those of the tree to load into, and nothing is cast:"
            f" {listed(fit.other_dtype)}"
        )
    if fit.other_shape:
        raise ValueError(
            f"the shapes in checkpoint {path} differ from those of the tree to load into: {listed(fit.other_shape)}"
        )


def check_values(path: Any, fit: Fit, leaves: dict[str, Any]) -> None:
    """Raises for leaves that the file does not fill and that have no value to keep."""
    empty = [name for name in leaves.keys() - set(fit.loaded) if isinstance(leaves[name], jax.ShapeDtypeStruct)]
    if empty:
        raise ValueError(
            f"checkpoint {path} does not fill {listed(sorted(empty))}, where the tree to load into has a shape but no"
            f" value to keep; give arrays there.{table(fit)}"
        )


def check_width(path: Any, fit: Fit, wanted: dict[str, Spec], leaves: dict[str, Any]) -> None:
    """Raises for 64-bit arrays that JAX would narrow."""
    if wide := [name for name in fit.loaded if narrowed(wanted[name], leaves[name])]:
        raise ValueError(
            f"checkpoint {path} holds 64-bit arrays that JAX would narrow to 32 bits: {listed(wide)};"
            f" load it under jax.enable_x64(True), or into NumPy arrays"
        )


def table(fit: Fit) -> str:
    """What did not match, one path per line.

    >>> print(table(Fit(("a",), ("b",), ("c",), (), ("d: float32[2] in the file, float32[3] wanted",))))
    <BLANKLINE>
      kept, not in the file      b
      kept, shape differs        d: float32[2] in the file, float32[3] wanted
      in the file, not used      c
    """
    rows = [
        ("kept, not in the file", fit.missing),
        ("kept, dtype differs", fit.other_dtype),
        ("kept, shape differs", fit.other_shape),
        ("in the file, not used", fit.unused),
    ]
    return "".join(f"\n  {what:27}{line}" for what, lines in rows for line in lines)


def listed(items: list[str] | tuple[str, ...], limit: int = 12) -> str:
    shown = ", ".join(items[:limit])
    return f"{shown}, … {len(items) - limit} more" if len(items) > limit else shown or "none"


def _below(name: str, source: str) -> str | None:
    """The rest of a path below a subtree: empty for the subtree itself, None for a path outside it."""
    if name == source or not source:
        return name.removeprefix(source)
    return name.removeprefix(source + SEPARATOR) if name.startswith(source + SEPARATOR) else None
