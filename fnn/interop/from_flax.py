"""``load_flax``: the parameters of a model from the variables of a linen module."""

from typing import Any

from fnn.interop.flax_groups import groups_of, held_variables, in_order
from fnn.interop.flax_layouts import forms
from fnn.interop.loading import loaded_into
from fnn.interop.matching import match
from fnn.interop.places import places_of
from fnn.interop.wanted import wanted_of
from fnn.layer import Layer, Params, State


def load_flax(
    model: Layer, variables: Any, x: Any, *, names: dict[str, str] | None = None, strict: bool = True
) -> tuple[Params, State]:
    """The parameters and the state of ``model`` from the variables of a ``flax.linen`` module.

    As ``load_torch``, but that variables have no settings, so that none is compared: flax's ``LayerNorm``,
    ``GroupNorm`` and ``InstanceNorm`` have ε = 1e-6 where fnn's have 1e-5, and its batch norm has the decay 0.99 where
    fnn's has 0.9. The numbers that linen
    gives its modules (``Dense_0``, ``Dense_1``) are the order of those of one class; where names have no numbers and
    shapes do not decide, ``names`` does. ``names`` are from globs of fnn's paths to paths of modules,
    ``{"encoder/*": "Encoder_0"}``.

    Errors: those of ``load_torch``; ``TypeError`` for variables without ``params``.

    >>> import jax, numpy as np
    >>> from fnn import Dense, Serial
    >>> params = {"Dense_0": {"kernel": np.ones((3, 2)), "bias": np.zeros(2)}}
    >>> x = jax.ShapeDtypeStruct((1, 3), "float32")
    >>> params, state = load_flax(Serial(Dense(2)), {"params": params}, x)
    <BLANKLINE>
     fnn         flax     leaves
     ──────────────────────────────────────
     dense_0  ←  Dense_0  bias; kernel 3×2
    <BLANKLINE>
    """
    given = held_variables(variables)

    def matching(params: Any, state: Any) -> Any:
        wanted = wanted_of(places_of(model, params, state), forms)
        return match(wanted, groups_of(given), names, in_order)

    return loaded_into("load_flax", model, x, given, matching, strict, "flax")[1:]
