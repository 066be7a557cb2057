"""How what a checkpoint holds is laid onto a tree: paths renamed, each leaf compared, what fits told from what not."""

import collections
from typing import Any, NamedTuple

import jax

from fnn.checkpoint.stored_leaf import Spec, narrowed
from fnn.paths import SEPARATOR, join


class Fit(NamedTuple):
    """Paths of the tree by what became of them, and paths of the file that nothing asked for.

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
    """``load(..., strict=False)`` did not find everything, or not use everything; ``fit`` tells paths apart."""

    def __init__(self, message: str, fit: Fit | None = None):
        super().__init__(message)
        self.fit = fit


def renamed(path: Any, names: list[str], rename: dict[str, str] | None) -> dict[str, str]:
    """The path in the file by the path that it has in the tree.

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
    """What of the file, by the paths of the tree, fits what is wanted there."""
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
    """Raises unless everything fits; one message names all paths that differ in the same respect."""
    if fit.missing or fit.unused:
        raise ValueError(
            f"checkpoint {path} has other paths than the tree to load into:"
            f" missing in the file: {listed(fit.missing)}; only in the file: {listed(fit.unused)}"
        )
    if fit.other_dtype:
        raise TypeError(
            f"checkpoint {path} has other dtypes than the tree to load into, and nothing is cast:"
            f" {listed(fit.other_dtype)}"
        )
    if fit.other_shape:
        raise ValueError(f"checkpoint {path} has other shapes than the tree to load into: {listed(fit.other_shape)}")


def check_values(path: Any, fit: Fit, leaves: dict[str, Any]) -> None:
    """Raises for leaves that the file does not fill and that hold no value to keep."""
    empty = [name for name in leaves.keys() - set(fit.loaded) if isinstance(leaves[name], jax.ShapeDtypeStruct)]
    if empty:
        raise ValueError(
            f"checkpoint {path} does not fill {listed(sorted(empty))}, where the tree to load into has only a shape and"
            f" no value to keep; give arrays there.{table(fit)}"
        )


def check_width(path: Any, fit: Fit, wanted: dict[str, Spec], leaves: dict[str, Any]) -> None:
    """Raises where JAX would narrow what is loaded."""
    if wide := [name for name in fit.loaded if narrowed(wanted[name], leaves[name])]:
        raise ValueError(
            f"checkpoint {path} holds 64-bit arrays that JAX would narrow to 32 bits: {listed(wide)};"
            f" load it under jax.enable_x64(True), or into NumPy arrays"
        )


def table(fit: Fit) -> str:
    """What did not fit, a line each.

    >>> print(table(Fit(("a",), ("b",), ("c",), (), ("d: float32[2] in the file, float32[3] wanted",))))
    <BLANKLINE>
      kept, not in the file      b
      kept, of another shape     d: float32[2] in the file, float32[3] wanted
      in the file, not used      c
    """
    rows = [
        ("kept, not in the file", fit.missing),
        ("kept, of another dtype", fit.other_dtype),
        ("kept, of another shape", fit.other_shape),
        ("in the file, not used", fit.unused),
    ]
    return "".join(f"\n  {what:27}{line}" for what, lines in rows for line in lines)


def listed(items: list[str] | tuple[str, ...], limit: int = 12) -> str:
    shown = ", ".join(items[:limit])
    return f"{shown}, … {len(items) - limit} more" if len(items) > limit else shown or "none"


def _below(name: str, source: str) -> str | None:
    """What follows of a path below a subtree: nothing for the subtree itself, None for a path elsewhere."""
    if name == source or not source:
        return name.removeprefix(source)
    return name.removeprefix(source + SEPARATOR) if name.startswith(source + SEPARATOR) else None
