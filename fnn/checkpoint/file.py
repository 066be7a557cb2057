"""Checkpoints: a pytree in one ``safetensors`` file, written whole or not at all, and verified when it is read.

Leaves are stored under their paths. The notes (see ``fnn.checkpoint.tensor_file``) are a JSON object: the checksum, the
version of this layout, the implementations of random keys (stored as their data), the dtypes of float8 arrays (stored
as uint8), and the caller's metadata. The same tree and metadata give the same bytes.
"""

import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from fnn.checkpoint import durable, matching, tensor_file
from fnn.checkpoint.matching import PartialLoad as PartialLoad
from fnn.checkpoint.stored_leaf import FLOAT8, Spec, restored, spec_of, stored
from fnn.paths import matches, path_of

VERSION = 1


def save(path: str | os.PathLike, tree: Any, metadata: dict[str, Any] | None = None) -> Path:
    """Writes a pytree of arrays, numbers and typed random keys, and returns the path.

    ``read_metadata`` returns ``metadata`` as ``json.loads(json.dumps(metadata))``: tuples become lists and keys become
    strings; NaN and infinities are kept. Missing folders are created.

    The file is written under a hidden name in the same folder, synced, and renamed onto ``path``. If anything fails
    before the rename, the previous file stays and the new one is removed. If only the last step fails, the sync of the
    folder, the new file is in place and the error says that a power cut may still undo the rename.

    Raises ``TypeError`` for a leaf or metadata that cannot be stored, ``ValueError`` if two leaves have the same path.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> tree = {"dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(f"{folder}/model.safetensors", tree, {"epoch": 7})
    ...     restored, metadata = load(path, like=tree), read_metadata(path)
    >>> restored["dense_0"]["bias"], metadata
    (Array([0., 0., 0.], dtype=float32), {'epoch': 7})
    """
    path = Path(path)
    leaves = _leaves(tree)
    specs = {name: spec_of(name, leaf) for name, leaf in leaves.items()}
    notes = _notes(specs, metadata)
    durable.write(path, tensor_file.parts({name: stored(leaf, specs[name]) for name, leaf in leaves.items()}, notes))
    return path


def load(
    path: str | os.PathLike,
    like: Any,
    *,
    strict: bool = True,
    rename: dict[str, str] | None = None,
    ignore: str | Iterable[str] = (),
) -> Any:
    """Loads the saved tree, with the structure of ``like`` and the same kind of leaf at each path.

    A leaf of ``like`` is a JAX array or a ``jax.ShapeDtypeStruct`` (both load as a JAX array, uncommitted, on the
    default device), a NumPy array or scalar, a Python number, or a typed random key. Paths, shapes and dtypes must
    match the file; nothing is cast.

    ``rename`` maps paths in the file to paths in ``like``. A path names an array or a whole subtree; ``""`` is the
    root, so ``{"encoder": ""}`` loads an encoder alone and ``{"": "encoder"}`` puts the whole file under ``encoder``.
    If two entries match a path, the longer one applies. Each path is renamed once, so two paths can be swapped.

    ``ignore`` holds globs of paths in the file, after renaming, that need not be in ``like``: ``"*"`` loads only what
    ``like`` asks for.

    ``strict=False`` loads the leaves whose path, shape and dtype match, and keeps the leaf of ``like`` elsewhere (an
    error for a ``jax.ShapeDtypeStruct``, which has no value to keep). A ``PartialLoad`` warning lists the leaves that
    were kept and the parts of the file that were not used; its attribute ``fit`` holds them as tuples of paths.

    Raises ``ValueError`` if the file is damaged or not a checkpoint, if paths or shapes differ, if a renaming matches
    nothing or gives two arrays one path, and for 64-bit arrays that JAX would narrow; ``TypeError`` if dtypes differ;
    ``OSError`` if there is no such file. Needs little more memory than the tree.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(f"{folder}/model.safetensors", {"body": {"bias": jnp.ones(2)}})
    ...     load(path, like={"encoder": {"bias": jnp.zeros(2)}}, rename={"body": "encoder"})
    {'encoder': {'bias': Array([1., 1.], dtype=float32)}}
    """
    leaves = _leaves(like)
    wanted = {name: spec_of(name, leaf) for name, leaf in leaves.items()}
    with tensor_file.opened(path) as file:
        stored_specs, _ = contents(path, file)
        origins = matching.renamed(path, list(stored_specs), rename)
        globs = (ignore,) if isinstance(ignore, str) else tuple(ignore)
        asked = {name for name in origins if name in wanted or not any(matches(glob, name) for glob in globs)}
        fit = matching.fit_of({name: stored_specs[origins[name]] for name in asked}, wanted)
        if strict:
            matching.check_whole(path, fit)
        matching.check_values(path, fit, leaves)
        matching.check_width(path, fit, wanted, leaves)
        filled = {name: restored(file.read(origins[name]), wanted[name], leaves[name]) for name in fit.loaded}
    if not fit.whole:
        message = f"checkpoint {path} fills {len(filled)} of {len(leaves)} leaves of the tree{matching.table(fit)}"
        warnings.warn(PartialLoad(message, fit), stacklevel=2)
    return jax.tree.structure(like).unflatten([filled.get(name, leaf) for name, leaf in leaves.items()])


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata of a checkpoint, ``{}`` if it was saved without any. Verifies the whole file, as ``load`` does."""
    with tensor_file.opened(path) as file:
        return contents(path, file)[1]


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves by path; paths must be unique (those of ``{"a/b": 1, "a": {"b": 2}}`` are not)."""
    leaves, duplicates = {}, []
    for key_path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = path_of(key_path)
        duplicates += [name] if name in leaves else []
        leaves[name] = leaf
    if duplicates:
        raise ValueError(
            f"several leaves of the tree have the same path: {matching.listed(duplicates)}; rename one of them"
        )
    if "__metadata__" in leaves:
        raise ValueError("a leaf has the path '__metadata__', which the safetensors format reserves; rename it")
    return leaves


def _notes(specs: dict[str, Spec], metadata: dict[str, Any] | None) -> dict[str, Any]:
    if not isinstance(metadata, dict | None):
        raise TypeError(f"the metadata is a dict, got {type(metadata).__name__}")
    try:
        # As it will be read back: keys that JSON does not tell apart, such as 1 and "1", become one here.
        metadata = json.loads(json.dumps(metadata or {}))
    except TypeError as error:
        raise TypeError(f"the metadata is written as JSON: {error}; arrays belong in the tree") from error
    random = {name: spec.random for name, spec in sorted(specs.items()) if spec.random}
    float8 = {name: str(spec.dtype) for name, spec in sorted(specs.items()) if str(spec.dtype) in FLOAT8}
    return {"version": VERSION, "random_keys": random, "float8": float8, "metadata": metadata}


def contents(path: Any, file: tensor_file.TensorFile) -> tuple[dict[str, Spec], dict[str, Any]]:
    """What is stored at each path, and the caller's metadata."""
    try:
        version, random, float8 = (file.notes[name] for name in ("version", "random_keys", "float8"))
        if isinstance(version, int) and version > VERSION:
            raise ValueError(f"layout {version} was written by a newer fnn; this one reads {VERSION}")
        specs = {}
        for name, entry in file.entries.items():
            dtype = FLOAT8[float8[name]] if name in float8 else entry.dtype
            if dtype.itemsize != entry.dtype.itemsize:
                raise ValueError(f"{name!r} is {entry.dtype} in the header and {dtype} in the notes")
            specs[name] = Spec(dtype, entry.shape, random.get(name))
        notes = {"sha256": file.notes["sha256"], **_notes(specs, file.notes["metadata"])}
        if json.dumps(notes) != json.dumps(file.notes):
            raise ValueError("fnn.save writes its notes differently")
        return specs, notes["metadata"]
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise tensor_file.contradicted(path, error) from error
