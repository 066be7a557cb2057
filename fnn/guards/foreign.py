"""Inputs that are not arrays of numbers: what they are, and what to write instead.

Tables, sparse matrices, text, arrays of Python objects, generators, masked arrays: NumPy and JAX misread them, or fail
far from where they came in. They are recognised by their attributes, so that no other library is imported.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np


class Foreign(NamedTuple):
    """What the input is, in words, and what to write instead."""

    kind: str
    advice: str

    def refusal(self, expected: str) -> TypeError:
        """The error to raise."""
        return TypeError(f"{expected}, got {self.kind}; {self.advice}")


def foreign(x: Any, name: str = "x") -> Foreign | None:
    """Says what x is if it is not an array of numbers, ``None`` if it may be one; the advice calls it ``name``.

    >>> foreign("text"), foreign(1.5)
    (Foreign(kind='text', advice='encode it as integers first'), None)
    """
    kind = type(x).__name__
    if isinstance(x, str | bytes):
        return Foreign("text", "encode it as integers first")
    if isinstance(x, Iterator):
        return Foreign(f"a {kind}, which can be read only once", f"write numpy.stack(list({name}))")
    if isinstance(x, set | frozenset):
        return Foreign(f"a {kind}", f"write numpy.asarray(list({name}))")
    if hasattr(x, "toarray") or hasattr(x, "todense"):  # SciPy's, JAX's
        return Foreign(f"a sparse {kind}", f"write {name}.{'toarray' if hasattr(x, 'toarray') else 'todense'}()")
    if hasattr(x, "to_numpy") and hasattr(x, "columns"):  # pandas, polars
        return Foreign(f"a {kind}", f"write {name}.to_numpy()")
    if hasattr(x, "detach"):
        return _of_tensor(x, kind, name)
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        return Foreign(
            "an array with masked entries",
            f"the mask would be lost: write {name}.filled(0), and give weights that are 0 there",
        )
    return _of_dtype(x, name)


def leaves(tree: Any) -> list[Any]:
    """The leaves of a pytree; foreign things count as leaves, since JAX would warn about generators."""
    return jax.tree.leaves(tree, is_leaf=lambda each: foreign(each) is not None)


def _of_tensor(x: Any, kind: str, name: str) -> Foreign | None:
    """PyTorch's tensors are accepted, unless NumPy cannot read them."""
    try:
        np.asarray(x)
    except (TypeError, RuntimeError) as error:
        return Foreign(f"a {kind} that NumPy cannot read ({error})", f"write {name}.detach().cpu().float().numpy()")
    return None


def _of_dtype(x: Any, name: str) -> Foreign | None:
    dtype = getattr(x, "dtype", None)
    letter = getattr(dtype, "kind", "")
    if letter in ("U", "S", "T"):
        return Foreign(f"an array of {dtype}", "encode them as integers first")
    if letter in ("M", "m", "V") and not _is_jax_number(dtype):
        return Foreign(
            f"an array of {dtype}", f"convert them to numbers first; for times, write {name}.astype('float32')"
        )
    if letter != "O":
        return None
    each = [type(item) for item in np.asarray(x).reshape(-1)[:1000]]
    if any(issubclass(item, str | bytes) for item in each):
        return Foreign("an array of text", f"encode it as integers: numpy.unique({name}, return_inverse=True)[1]")
    if any(hasattr(item, "__len__") for item in each):
        return Foreign(
            "an array of sequences of different lengths", "pad them to one length, and give their lengths beside them"
        )
    names = sorted({item.__name__ for item in each})
    missing = "fill in missing values, and " if "NoneType" in names else ""
    return Foreign(f"an array of objects ({', '.join(names)})", f"{missing}write {name}.astype('float32')")


def _is_jax_number(dtype: Any) -> bool:
    """Whether it is one of JAX's small floating dtypes, whose kind NumPy calls void."""
    return isinstance(dtype, np.dtype) and dtype.kind == "V" and dtype.type is not np.void
