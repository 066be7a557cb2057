"""A model with its parameters and state in one file, which a fresh process can use without the program that made it."""

import os
from pathlib import Path
from typing import Any

from fnn.checkpoint import tensor_file
from fnn.checkpoint.file import contents, load, save
from fnn.checkpoint.folder import CheckpointFolder
from fnn.checkpoint.model_text import from_json, to_json
from fnn.checkpoint.nested import structure_of, tree_like
from fnn.errors import instance_hint
from fnn.layer import Layer, Params, State

ENTRY = "model"
"""The entry of a checkpoint's metadata that describes the model."""

PARTS = ("params", "state")


def save_model(path: str | os.PathLike, model: Layer, params: Params, state: State) -> Path:
    """Writes a model with its parameters and state to one file, and returns the path; ``load_model`` reads it.

    The file is a checkpoint (see ``save``) whose metadata hold the model as JSON (see ``to_json``).

    Errors: those of ``save`` and ``to_json``; ``TypeError`` for parameters or a state that are not nested dicts.

    >>> import fnn, jax, tempfile, jax.numpy as jnp
    >>> model = fnn.Serial(fnn.Dense(3), fnn.Relu())
    >>> params, state = model.init(jax.random.key(0), jnp.ones((1, 2)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_model(f"{folder}/model.safetensors", model, params, state)
    ...     load_model(path)[0]
    Serial(Dense(features=3), Relu())
    """
    if not isinstance(model, Layer) or isinstance(path, Layer):
        given = ", ".join(type(each).__name__ for each in (path, model, params, state))
        raise TypeError(
            f"save_model takes (path, model, params, state) in this order, got ({given})"
            f"{'' if isinstance(path, Layer) else instance_hint(model)}"
        )
    text = to_json(model)
    return save(path, {"params": params, "state": state}, {ENTRY: described(text, params, state)})


def load_model(path: str | os.PathLike, *, best: bool = False) -> tuple[Layer, Params, State]:
    """``(model, params, state)`` from a file of ``save_model``, or from the checkpoints of a run.

    ``path`` is a file, or the folder that ``fit(…, checkpoint=folder)`` saved in: the last checkpoint there, or with
    ``best=True`` the best one (``Checkpoints(folder, keep_best=1)``). The weights are those to use, averaged if the
    optimiser averages them. The model of a run is ``objective.model``, with the head that its loss brings, if any.

    The classes of the model are fnn's, or were given to ``fnn.register``; nothing is imported, and no code comes from
    the file.

    Errors: ``FileNotFoundError`` if there is no such file or no checkpoint; ``ValueError`` for a damaged file, one
    without a model, a model that could not be stored (a layer is named), an unknown class, function or field, and
    ``best`` of a folder without scores.
    """
    path = _file(Path(path), best)
    with tensor_file.opened(path) as file:
        specs, metadata = contents(path, file)
    found = metadata.get(ENTRY)
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no model, only arrays: read it with fnn.load, or save it with fnn.save_model")
    if "unstored" in found:
        raise ValueError(f"{path} holds no model, since it could not be stored when the run began: {found['unstored']}")
    try:
        text, structure = found["text"], found["structure"]
        model = from_json(text)
        like = {part: tree_like(part, structure[part], specs) for part in PARTS}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} describes its model in another way than fnn.save_model writes it: {error}") from error
    except ValueError as error:
        error.add_note(f"of the model in {path}")
        raise
    tree = load(path, like, ignore="*")
    return model, tree["params"], tree["state"]


def described(text: str, params: Params, state: State) -> dict[str, Any]:
    """The entry of the metadata: the model's text, and the structure of parameters and state."""
    return {
        "text": text,
        "structure": {"params": structure_of("params", params), "state": structure_of("state", state)},
    }


def described_if_possible(model: Layer) -> tuple[str, str]:
    """The text of a model, and why there is none; one of the two is empty."""
    try:
        return to_json(model), ""
    except (TypeError, ValueError, RecursionError) as error:
        return "", str(error)


def _file(path: Path, best: bool) -> Path:
    if not path.is_dir():
        if best:
            raise ValueError(f"best=True chooses among the checkpoints of a folder, and {path} is a file")
        return path
    folder = CheckpointFolder(path)
    found = folder.best() if best else folder.latest()
    if found is None and folder.latest() is None:
        raise FileNotFoundError(f"there is no checkpoint in {path}")
    if found is None:
        raise ValueError(
            f"no checkpoint in {path} has a score: Checkpoints(folder, keep_best=1) keeps the best; leave best out for"
            f" the last one"
        )
    return found
