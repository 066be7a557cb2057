"""``load_torch`` and ``store_torch``: the parameters of a model from a module of PyTorch, and back."""

import functools
from typing import Any

from fnn.interop.channels_last import channels_last_note
from fnn.interop.differences import warn_of_differences
from fnn.interop.loading import check_model, loaded_into, shapes_of
from fnn.interop.matching import Ambiguous, match
from fnn.interop.places import places_channels_first
from fnn.interop.table import left_over, table
from fnn.interop.torch_arrays import Held, held, input_of, write
from fnn.interop.torch_gaps import unseen
from fnn.interop.torch_groups import groups_of, orders
from fnn.interop.torch_layouts import forms
from fnn.interop.transfer import store, tied_leaves
from fnn.interop.wanted import Matching, wanted_of
from fnn.layer import Layer, Params, State
from fnn.paths import named_leaves


def load_torch(
    model: Layer, module_or_state_dict: Any, x: Any, *, names: dict[str, str] | None = None, strict: bool = True
) -> tuple[Params, State]:
    """The parameters and the state of ``model`` from a ``torch.nn.Module`` or its state dict; see ``fnn.interop``.

    ``x`` is an input of the model, a tensor of PyTorch too, or its shape; images have their channels last. Its dtype is
    that of the parameters. ``names`` are
    ``{glob of paths: prefix of keys}``: what a glob selects gets arrays whose keys begin with the prefix. Prints a
    table of what went where. With ``strict=False`` what is left over is not used, and layers that found nothing keep
    what ``model.init(jax.random.key(0), x)`` gives them.

    Errors: ``ValueError`` if layers or arrays are left over, if order and shapes do not decide which arrays belong to a
    layer, and for ``names`` that match nothing or overlap; ``TypeError`` for what is no module and no state dict.
    ``fnn.interop.Difference``, a warning, for settings of the modules that differ from the layers'.

    >>> import jax, numpy as np
    >>> from fnn import Dense, Relu, Serial
    >>> arrays = {"0.weight": np.ones((2, 3)), "0.bias": np.zeros(2), "2.weight": np.ones((1, 2)), "2.bias": np.ones(1)}
    >>> model, x = Serial(Dense(2), Relu(), Dense(1)), jax.ShapeDtypeStruct((1, 3), "float32")
    >>> params, state = load_torch(model, arrays, x)
    <BLANKLINE>
     fnn         PyTorch  leaves
     ───────────────────────────────────────────────────
     dense_0  ←  0        kernel 2×3 (transposed); bias
     dense_1  ←  2        kernel 1×2 (transposed); bias
    <BLANKLINE>
    >>> model.apply(params, state, jax.numpy.ones((1, 3)))[0]
    Array([[7.]], dtype=float32)
    """
    given, x = held(module_or_state_dict), input_of(x)

    def matched(x: Any, *both: Any) -> Matching:
        return _matching(model, both, x, given, names)

    def missing(x: Any) -> int:
        over = matched(x, *shapes_of(model, x)).unfilled
        return sum(not each.is_optional for each in over)

    try:
        found = loaded_into("load_torch", model, x, given, functools.partial(matched, x), strict, "PyTorch")
    except (TypeError, ValueError) as error:
        if words := channels_last_note(x, missing):
            error.add_note(words)
        raise
    matching, params, state = found
    if words := unseen(given.modules):
        print(words)
    warn_of_differences(model, matching, given.modules, given.read)
    return params, state


def store_torch(
    model: Layer,
    params: Params,
    state: State,
    module: Any,
    *,
    names: dict[str, str] | None = None,
    x: Any = None,
) -> None:
    """Writes the parameters and the state of ``model`` into a ``torch.nn.Module``: ``load_torch`` backwards.

    Arrays that already say the same stay as they are, so that a module that was loaded and stored again is the same bit
    for bit. ``x`` is needed only if a ``Flatten`` is the first to see images.

    Errors: those of ``load_torch``, of which nothing is written; ``ValueError`` also for what the module cannot hold:
    biases that are not 0 if it has none, slopes that differ if it has one.
    """
    given = held(module, "store_torch")
    check_model("store_torch", model)
    matching = _matching(model, (params, state), input_of(x), given, names)
    if over := left_over(matching, "PyTorch"):
        raise ValueError(
            f"layers and arrays are left over, so nothing was stored; change the module or the model:{over}"
        )
    tree = {"params": params, "state": state}
    leaves = {**named_leaves(tree), **tied_leaves(model, params)}
    store(
        matching,
        leaves,
        given.read,
        lambda name, value: write(given.arrays[name], value),
    )
    print("\n".join(filter(None, (table(matching, "→"), unseen(given.modules)))))
    warn_of_differences(model, matching, given.modules, given.read)


def _matching(model: Layer, both: Any, x: Any, given: Held, names: dict[str, str] | None) -> Matching:
    params, state = both
    wanted, groups = wanted_of(places_channels_first(model, params, state, x), forms), groups_of(given)
    return best([functools.partial(match, wanted, order(groups), names) for order in orders(groups, given.modules)])


def best(tries: list[Any]) -> Matching:
    """The first matching with nothing left over; without one, what became of the first try."""
    first: Matching | Ambiguous | None = None
    for each in tries:
        try:
            found = each()
        except Ambiguous as error:
            found = error
        if isinstance(found, Matching) and not left_over(found, ""):
            return found
        first = found if first is None else first
    if isinstance(first, Matching):
        return first
    raise first  # type: ignore[misc]
