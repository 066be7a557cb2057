"""A model in inference as a program of StableHLO with its arrays, in one file that is verified when it is loaded."""

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from fnn.calls import checked_apply
from fnn.checkpoint import tensor_file
from fnn.checkpoint.file import contents, save
from fnn.checkpoint.file import load as load_arrays
from fnn.checkpoint.nested import structure_of, tree_like
from fnn.errors import describe, instance_hint, positive
from fnn.layer import Layer, Params, State
from fnn.train.checks import check_statistics

ENTRY = "program"
"""The array that holds the program, and the entry of the metadata that describes it."""

PARTS = ("params", "state")

INCONCLUSIVE = "InconclusiveDimensionOperation"
"""What JAX raises where a free size would have to be known; it has no public place in every version."""

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""What JAX can write a program for, anywhere."""


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A loaded program: called with inputs it gives what ``model.apply`` gives in inference, without the new state.

    ``inputs`` and ``outputs`` describe what it takes and gives, with ``b`` for a free batch axis; ``platforms`` are
    those that it was exported for; ``jax_version`` is that of the JAX that wrote it.
    """

    inputs: str
    outputs: str
    platforms: tuple[str, ...]
    jax_version: str
    run: Callable = dataclasses.field(repr=False)
    """The compiled program."""
    like: Any = dataclasses.field(repr=False)
    """The shapes of the inputs; a free batch axis is a symbol."""

    def __call__(self, inputs: Any) -> Any:
        """The outputs; compiled once for every number of samples.

        Errors: ``TypeError`` for inputs of another structure or dtype, ``ValueError`` for other shapes, samples of
        different numbers, and none at all.
        """
        inputs = jax.tree.map(jnp.asarray, inputs)
        self._check(inputs)
        return self.run(inputs)

    def _check(self, inputs: Any) -> None:
        given, wanted = jax.tree.flatten(inputs), jax.tree.flatten(self.like)
        says = f"the program takes {self.inputs}, got {describe(inputs)}"
        if given[1] != wanted[1] or any(a.dtype != b.dtype for a, b in zip(given[0], wanted[0], strict=True)):
            narrowed = any(b.dtype.itemsize == 8 for b in wanted[0]) and not jax.config.read("jax_enable_x64")
            raise TypeError(says + ("; it needs jax.enable_x64(True)" if narrowed else ""))
        fixed = [_fixed(b.shape) for b in wanted[0]]
        if any(len(a.shape) != len(b) for a, b in zip(given[0], fixed, strict=True)):
            raise ValueError(says)
        if any(not a.shape[0] for a in given[0]):
            raise ValueError(f"{says}; the number of samples is at least 1")
        wrong = [
            size
            for a, b in zip(given[0], fixed, strict=True)
            for size, want in zip(a.shape, b, strict=True)
            if want is not None and size != want
        ]
        if wrong or len({a.shape[0] for a, b in zip(given[0], fixed, strict=True) if b and b[0] is None}) > 1:
            raise ValueError(says)


def export_jax(
    model: Layer,
    params: Params,
    state: State,
    x: Any,
    path: str | os.PathLike,
    *,
    batch_size: int | None = None,
    platforms: Sequence[str] | None = None,
) -> Path:
    """Writes ``model`` in inference as a program, with its arrays, to one file, and returns the path.

        program(x) = model.apply(params, state, x, train=False)[0]

    ``x`` is an input or a pytree of inputs, batch first: arrays, or ``jax.ShapeDtypeStruct``. The program takes any
    number of samples, unless ``batch_size`` fixes it; other axes are those of ``x``. ``platforms`` are names such as
    ``"cpu"``, ``"cuda"`` and ``"tpu"``: by default the one that runs here.

    The file is a checkpoint (see ``fnn.save``): the arrays of ``params`` and ``state`` by path, which other programs
    can read, and the program as bytes of StableHLO in the entry ``program``, all of it under one checksum. ``load``
    needs fnn and JAX, but neither the classes of the model nor their code; what the model checks by value outside of
    ``jit`` (indices, lengths) is not checked by the program. StableHLO is kept readable by later versions of JAX for at
    least six months.

    Errors: those of the model, with the path of the layer; ``TypeError`` if not given a model, and for parameters or a
    state that are not nested dicts; ``ValueError`` for inputs that do not have one number of samples, a batch norm
    without statistics, and an unknown platform.
    A layer that needs to know the number of samples raises what it raises, with a note that ``batch_size`` fixes it.

    >>> import fnn, tempfile, jax, jax.numpy as jnp
    >>> model, x = fnn.Serial(fnn.Dense(3), fnn.Softmax()), jnp.ones((1, 2))
    >>> params, state = model.init(jax.random.key(0), x)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program = load(export_jax(model, params, state, x, f"{folder}/model.fnn", platforms=["cpu"]))
    >>> program.inputs, program.outputs, program(jnp.ones((5, 2))).shape
    ('float32[b,2]', 'float32[b,3]', (5, 3))

    Source: https://docs.jax.dev/en/latest/export/export.html
    """
    if not isinstance(model, Layer):
        raise TypeError(f"fnn.export.jax takes a model of fnn first, got {model!r}{instance_hint(model)}")
    trees: Any = {"params": params, "state": state}
    structure = {part: structure_of(part, tree) for part, tree in trees.items()}
    trees = jax.tree.map(jnp.asarray, trees)  # NumPy's float64 as JAX computes with it: the program's dtypes
    check_statistics(model, state)

    def run(leaves: dict[str, list], x: Any) -> Any:
        at = {part: jax.tree.unflatten(jax.tree.structure(tree), leaves[part]) for part, tree in trees.items()}
        return checked_apply(model, at["params"], at["state"], x, train=False, key=None)[0]

    leaves = {part: [_shape(leaf) for leaf in jax.tree.leaves(tree)] for part, tree in trees.items()}
    like = _with_batch(x, batch_size)
    try:
        exported = export.export(jax.jit(run), platforms=_platforms(platforms))(leaves, like)
        program = np.frombuffer(bytes(exported.serialize()), np.uint8)
    except Exception as error:
        if isinstance(error, ImportError):
            error.add_note("pip install 'fnn[export]' brings what JAX writes programs with")
        if "_DimExpr" in str(error) or type(error).__name__ == INCONCLUSIVE:
            error.add_note("this needs to know the number of samples, which is free here: batch_size=… fixes it")
        raise
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    notes = {
        "structure": structure,
        "inputs": describe(like),
        "outputs": describe(outputs),
        "platforms": list(exported.platforms),
        "jax": jax.__version__,
    }
    return save(path, {**trees, ENTRY: program}, {ENTRY: notes})


def load(path: str | os.PathLike) -> Program:
    """The program in a file of ``fnn.export.jax``: ``program(inputs)`` gives the outputs.

    A program is code: load those that you trust. It runs inside XLA and cannot reach files or Python.

    Errors: ``FileNotFoundError`` if there is no such file; ``ValueError`` for a damaged file, one without a program, a
    program for other platforms than the one that runs here, and one that this version of JAX cannot read.
    """
    with tensor_file.opened(path) as file:
        specs, metadata = contents(path, file)
    notes = metadata.get(ENTRY)
    if not isinstance(notes, dict):
        raise ValueError(f"{path} holds no program: write one with fnn.export.jax")
    try:
        platforms, version = tuple(notes["platforms"]), notes["jax"]
        like = {part: tree_like(part, notes["structure"][part], specs) for part in PARTS} | {
            ENTRY: np.zeros(specs[ENTRY].shape, specs[ENTRY].dtype)
        }
        described = notes["inputs"], notes["outputs"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} describes its program in another way than fnn.export.jax does: {error}") from error
    here = export.default_export_platform()
    if here not in platforms:
        raise ValueError(
            f"{path} was exported for {', '.join(platforms)} and {here} runs here: export it with"
            f" platforms={[*platforms, here]}"
        )
    tree = load_arrays(path, like)
    try:
        exported = export.deserialize(bytearray(tree[ENTRY].tobytes()))
    except Exception as error:
        raise ValueError(
            f"{path} was written by JAX {version}, and JAX {jax.__version__} cannot read its program: {error}"
        ) from error
    leaves = {part: jax.tree.leaves(tree[part]) for part in PARTS}
    (_, x), _ = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    compiled = jax.jit(exported.call)
    return Program(*described, platforms, version, lambda inputs: compiled(leaves, inputs), x)


def _with_batch(x: Any, batch_size: int | None) -> Any:
    """The shapes of inputs with the batch axis free, or of that size."""
    if batch_size is not None:
        positive("batch_size", batch_size)
    (size,) = export.symbolic_shape("b") if batch_size is None else (batch_size,)
    if len({np.shape(leaf)[:1] for leaf in jax.tree.leaves(x)}) > 1 and all(map(np.shape, jax.tree.leaves(x))):
        raise ValueError(
            f"inputs have one leading axis of samples, got {describe(x)}; what is not of samples belongs into the model"
        )

    def shaped(leaf: Any) -> jax.ShapeDtypeStruct:
        like = _shape(leaf)
        if not like.shape:
            raise ValueError(f"inputs have a leading axis of samples, got {describe(x)}")
        return jax.ShapeDtypeStruct((size, *like.shape[1:]), like.dtype)

    return jax.tree.map(shaped, x)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    if isinstance(leaf, jax.ShapeDtypeStruct | jax.Array):
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return jax.eval_shape(lambda: jnp.asarray(leaf))


def _platforms(names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return (export.default_export_platform(),)
    if isinstance(names, str):
        raise TypeError(f"platforms are several names, such as ['cpu', 'cuda'], got {names!r}")
    unknown = [name for name in names if name not in PLATFORMS]
    if unknown:
        raise ValueError(f"platforms are among {', '.join(PLATFORMS)}, got {', '.join(map(repr, unknown))}")
    return tuple(names)


def _fixed(shape: tuple) -> tuple[int | None, ...]:
    """A shape with ``None`` for an axis that is free."""
    return tuple(None if export.is_symbolic_dim(size) else size for size in shape)
