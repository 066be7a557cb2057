"""Checkpoints: a pytree in one ``safetensors`` file, written whole or not at all, and checked when it is read.

The leaves stand in the file under their paths. Its metadata has one entry, ``fnn_checkpoint``, a JSON object: the
checksum (see ``fnn.train.durable``), the version of this layout, the caller's metadata, the implementations of random
keys (stored as their data), and the dtypes of float8 arrays (stored as uint8: the library reads no float8 into NumPy).
The same tree and metadata give the same bytes.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fnn.paths import path_of
from fnn.train import durable

CODES = {
    np.dtype(dtype): code
    for dtype, code in [
        (np.bool_, "BOOL"), (np.int8, "I8"), (np.int16, "I16"), (np.int32, "I32"), (np.int64, "I64"),
        (np.uint8, "U8"), (np.uint16, "U16"), (np.uint32, "U32"), (np.uint64, "U64"),
        (np.float16, "F16"), (jnp.bfloat16, "BF16"), (np.float32, "F32"), (np.float64, "F64"), (np.complex64, "C64"),
    ]
}  # fmt: skip
"""The format's name of each dtype that is stored as it is."""

FLOAT8 = {str(dtype): dtype for dtype in map(np.dtype, (jnp.float8_e4m3fn, jnp.float8_e5m2))}
"""The dtypes that are stored as uint8."""

DTYPES = {code: dtype for dtype, code in CODES.items()}

ON_HOST = (np.ndarray, np.generic, bool, int, float)
"""The leaves that ``load`` does not turn into JAX arrays."""


class Spec(NamedTuple):
    """What is stored of a leaf; ``random`` is the implementation of a typed random key (the array is then its data)."""

    dtype: np.dtype
    shape: tuple[int, ...]
    random: str | None = None

    def __str__(self) -> str:
        described = f"{self.dtype}[{','.join(map(str, self.shape))}]"
        return f"{self.random} key as {described}" if self.random else described


def save(path: str | os.PathLike, tree: Any, metadata: dict[str, Any] | None = None) -> Path:
    """Writes a pytree of arrays, numbers and typed random keys, and returns the path.

    ``metadata`` comes back from ``read_metadata`` as ``json.loads(json.dumps(metadata))``: tuples as lists, keys as
    strings, NaN and infinities as they are. Missing folders are made.

    The file is written beside under a hidden name, synced, and renamed onto ``path``: whatever fails before, the
    previous file stays and the new one is removed. If only the last step fails, the sync of the folder, the new file
    stands in its place and the error says that a power cut may still undo the renaming.

    Raises ``TypeError`` for a leaf or metadata that cannot be stored, ``ValueError`` for two leaves of the same path.

    >>> import tempfile
    >>> tree = {"dense_0": {"kernel": jnp.ones((2, 3)), "bias": jnp.zeros(3)}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(f"{folder}/model.safetensors", tree, {"epoch": 7})
    ...     restored, metadata = load(path, like=tree), read_metadata(path)
    >>> restored["dense_0"]["bias"], metadata
    (Array([0., 0., 0.], dtype=float32), {'epoch': 7})
    """
    path = Path(path)
    leaves = _leaves(tree)
    specs = {name: _spec(name, leaf) for name, leaf in leaves.items()}
    notes = _notes(specs, metadata)
    durable.write(path, {name: _stored(leaf, specs[name]) for name, leaf in leaves.items()}, notes)
    return path


def load(path: str | os.PathLike, like: Any) -> Any:
    """The tree that was saved, with the structure of ``like`` and the same kind of leaf at each place.

    A leaf of ``like`` is a JAX array or a ``jax.ShapeDtypeStruct`` (a JAX array comes back, uncommitted on the default
    device), a NumPy array or scalar, a Python number, or a typed random key. Paths, shapes and dtypes must be those of
    the file; nothing is cast.

    Raises ``ValueError`` for a file that is damaged or not a checkpoint, for paths or shapes that differ, and for
    64-bit arrays that JAX would narrow; ``TypeError`` for dtypes that differ; ``OSError`` if there is no such file.
    """
    wanted = _leaves(like)
    specs = {name: _spec(name, leaf) for name, leaf in wanted.items()}
    with durable.opened(path) as (file, notes):
        found, _ = _contents(path, file, notes)
        _check_fit(path, found, specs, wanted)
        restored = []
        for name, leaf in wanted.items():
            array = durable.read(file, name, specs[name].dtype, specs[name].shape)
            restored.append(_restored(array, specs[name], leaf))
    return jax.tree.structure(like).unflatten(restored)


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """The metadata of a checkpoint, ``{}`` if it was saved without; the whole file is verified, as by ``load``."""
    with durable.opened(path) as (file, notes):
        return _contents(path, file, notes)[1]


def _leaves(tree: Any) -> dict[str, Any]:
    """The leaves by path, which must tell them apart (``{"a/b": 1, "a": {"b": 2}}`` does not)."""
    leaves, duplicates = {}, []
    for key_path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = path_of(key_path)
        duplicates += [name] if name in leaves else []
        leaves[name] = leaf
    if duplicates:
        raise ValueError(f"several leaves of the tree have the same path: {_listed(duplicates)}; rename one of them")
    if "__metadata__" in leaves:
        raise ValueError("a leaf has the path '__metadata__', which the safetensors format reserves; rename it")
    return leaves


def _spec(name: str, leaf: Any) -> Spec:
    if isinstance(leaf, bool):
        return Spec(np.dtype(np.bool_), ())
    if isinstance(leaf, int):
        if not -(2**63) <= leaf < 2**63:
            raise ValueError(f"the integer at {name!r} does not fit 64 bits: {leaf}; put it into the metadata")
        return Spec(np.dtype(np.int64), ())
    # NumPy's float64 scalar is a Python float too; both are stored alike.
    if isinstance(leaf, float):
        return Spec(np.dtype(np.float64), ())
    dtype, shape = getattr(leaf, "dtype", None), getattr(leaf, "shape", None)
    if dtype is None or shape is None:
        raise TypeError(
            f"a checkpoint holds arrays, numbers and random keys, got {type(leaf).__name__} at {name!r};"
            f" text and settings go into the metadata, static values into fnn.Static"
        )
    if jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return _key_spec(name, leaf)
    if dtype not in CODES and dtype not in FLOAT8.values():
        raise TypeError(
            f"a checkpoint does not hold {dtype!r} (at {name!r}); it holds"
            f" {', '.join(map(str, [*CODES, *FLOAT8]))}, in little-endian order"
        )
    return Spec(np.dtype(dtype), tuple(shape))


def _key_spec(name: str, key: Any) -> Spec:
    implementations = []

    def data(key: jax.Array) -> jax.Array:
        implementations.append(jax.random.key_impl(key))
        return jax.random.key_data(key)

    # Traced, because ``key`` may be a ShapeDtypeStruct, of which JAX does not tell the implementation otherwise.
    array = jax.eval_shape(data, key)
    if not isinstance(implementations[0], str):
        raise TypeError(
            f"the random key at {name!r} has an implementation without a name, {implementations[0]!r};"
            f" save jax.random.key_data of it"
        )
    return Spec(np.dtype(array.dtype), tuple(array.shape), implementations[0])


def _stored(leaf: Any, spec: Spec) -> np.ndarray:
    """The array that stands for a leaf in the file, without a copy where its memory already is as the file wants it."""
    array = np.asarray(jax.random.key_data(leaf) if spec.random else leaf, dtype=spec.dtype, order="C")
    return array.view(np.uint8) if str(spec.dtype) in FLOAT8 else array


def _notes(specs: dict[str, Spec], metadata: dict[str, Any] | None) -> dict[str, Any]:
    if not isinstance(metadata, dict | None):
        raise TypeError(f"the metadata is a dict, got {type(metadata).__name__}")
    try:
        json.dumps(metadata)
    except TypeError as error:
        raise TypeError(f"the metadata is written as JSON: {error}; arrays belong into the tree") from error
    random = {name: spec.random for name, spec in sorted(specs.items()) if spec.random}
    float8 = {name: str(spec.dtype) for name, spec in sorted(specs.items()) if str(spec.dtype) in FLOAT8}
    return {"version": 1, "random_keys": random, "float8": float8, "metadata": metadata or {}}


def _contents(path: Any, file: Any, notes: dict[str, Any]) -> tuple[dict[str, Spec], dict[str, Any]]:
    """What is stored at each path, and the caller's metadata."""
    try:
        random, float8, specs = notes["random_keys"], notes["float8"], {}
        for name in file.keys():  # noqa: SIM118 (the file is no dict)
            array = file.get_slice(name)
            dtype = FLOAT8[float8[name]] if name in float8 else DTYPES[array.get_dtype()]
            specs[name] = Spec(dtype, tuple(array.get_shape()), random.get(name))
        return specs, notes["metadata"]
    except durable.UNREADABLE as error:
        raise durable.contradicted(path, error) from error


def _check_fit(path: Any, found: dict[str, Spec], wanted: dict[str, Spec], leaves: dict[str, Any]) -> None:
    """Raises unless the file holds what is wanted; one message names all paths that differ in the same respect."""
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing or extra:
        raise ValueError(
            f"checkpoint {path} has other paths than the tree to load into:"
            f" missing in the file: {_listed(missing)}; only in the file: {_listed(extra)}"
        )
    pairs = [
        (f"{name}: {found[name]} in the file, {wanted[name]} wanted", found[name], wanted[name]) for name in wanted
    ]
    if dtypes := [text for text, a, b in pairs if (a.dtype, a.random) != (b.dtype, b.random)]:
        raise TypeError(
            f"checkpoint {path} has other dtypes than the tree to load into, and nothing is cast: {_listed(dtypes)}"
        )
    if shapes := [text for text, a, b in pairs if a.shape != b.shape]:
        raise ValueError(f"checkpoint {path} has other shapes than the tree to load into: {_listed(shapes)}")
    on_device = [name for name in wanted if not isinstance(leaves[name], ON_HOST)]
    if wide := [name for name in on_device if jax.dtypes.canonicalize_dtype(wanted[name].dtype) != wanted[name].dtype]:
        raise ValueError(
            f"checkpoint {path} holds 64-bit arrays that JAX would narrow to 32 bits: {_listed(wide)};"
            f" load it under jax.enable_x64(True), or into NumPy arrays"
        )


def _restored(array: np.ndarray, spec: Spec, like: Any) -> Any:
    """The leaf, of the same kind as in ``like``."""
    if spec.random:
        return jax.random.wrap_key_data(jax.device_put(array), impl=spec.random)
    if isinstance(like, np.generic):
        return array[()]
    if isinstance(like, np.ndarray):
        return array
    return array.item() if isinstance(like, ON_HOST) else jax.device_put(array)


def _listed(items: list[str], limit: int = 12) -> str:
    shown = ", ".join(items[:limit])
    return f"{shown}, … {len(items) - limit} more" if len(items) > limit else shown or "none"
