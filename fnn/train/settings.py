"""Checks of the settings of a run, and of what its steps return."""

from typing import Any

from fnn.augment.compose import check_augmentation
from fnn.guards.options import flag
from fnn.layer import State
from fnn.objective import check_method
from fnn.paths import named_leaves


def check_settings(
    augment: Any, method: Any, shuffle: Any, evaluate_averaged: Any, update_in_backward: Any = False
) -> None:
    """Raises for settings of the wrong type."""
    flag("update_in_backward", update_in_backward)
    flag("shuffle", shuffle)
    flag("evaluate_averaged", evaluate_averaged)
    check_method(method)
    if augment is not None:
        check_augmentation(augment)


def check_state(new: State, old: State) -> None:
    """Raises for a layer whose new state does not match its old one, and names the path, which JAX would not."""
    shapes = [{path: (leaf.shape, leaf.dtype) for path, leaf in named_leaves(tree).items()} for tree in (new, old)]
    other = [path for path in {**shapes[1], **shapes[0]} if shapes[0].get(path) != shapes[1].get(path)]
    if other:
        raise ValueError(
            f"a layer returns a state with the paths, shapes and dtypes that its init returned, but a step changed them"
            f" at {', '.join(map(repr, other[:5]))}"
        )
