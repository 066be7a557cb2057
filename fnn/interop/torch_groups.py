"""The arrays of a state dict that belong to one layer, by the module that holds them.

A recurrent module of several layers and directions is a group for each. Norms of weights have two ways of writing their
names, of which the newer (``parametrizations``) is read as the older. The layers of a transformer, which PyTorch
registers attention first and norms last, come in the order in which they run. Buffers of integers, such as a module's
list of positions, are left out.
"""

import re
from collections.abc import Callable
from typing import Any

from fnn.interop.parts import Group
from fnn.interop.pieces import Shape
from fnn.interop.torch_arrays import Held, is_whole, shape_of
from fnn.interop.torch_layouts import KNOWN

RECURRENT = re.compile(r"^(weight|bias)_(ih|hh|hr)_(l\d+(?:_reverse)?)$")
PARAMETRIZED = re.compile(r"^(?:(.*)\.)?parametrizations\.(\w+)\.(original[01]?|0\._[uv])$")
OLDER = {"original": "_orig", "original0": "_g", "original1": "_v", "0._u": "_u", "0._v": "_v"}
USUAL = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})

PRE_NORM = (
    ("norm1", "self_attn", "norm2", "linear1", "linear2"),
    (*("norm1", "self_attn", "norm2", "multihead_attn", "norm3", "linear1", "linear2"),),
)
POST_NORM = (
    ("self_attn", "norm1", "linear1", "linear2", "norm2"),
    (*("self_attn", "norm1", "multihead_attn", "norm2", "linear1", "linear2", "norm3"),),
)


def groups_of(held: Held) -> list[Group]:
    """The groups in the order of their first arrays."""
    found: dict[tuple[str, str], dict[str, tuple[str, Shape]]] = {}
    attention = {key.rpartition(".")[0] for key in held.arrays if re.search(r"(^|\.)(in|q)_proj_weight$", key)}
    for key, array in held.arrays.items():
        prefix, part, name = _place(key, attention)
        if is_whole(array) and name not in USUAL:
            continue
        found.setdefault((prefix, part), {})[name] = (key, shape_of(array))
    groups = []
    for (prefix, part), names in found.items():
        module = held.modules.get(prefix)
        # A parameter of a module with modules inside, such as an array of positions, is no part of a layer.
        alone = not part and not USUAL.intersection(names) and any(_is_inside(other, prefix) for other, _ in found)
        each = {name: {name: at} for name, at in names.items()} if alone else {part: names}
        bases = type(module).__mro__ if module is not None else ()
        classes = KNOWN.intersection(base.__name__ for base in bases)
        groups += [Group(prefix, names, part, module, classes) for part, names in each.items()]
    return groups


def _is_inside(prefix: str, outer: str) -> bool:
    return prefix != outer and (not outer or prefix.startswith(f"{outer}."))


def _place(key: str, attention: set[str]) -> tuple[str, str, str]:
    """The prefix of a key, the part in it, and the name in that."""
    if found := PARAMETRIZED.match(key):
        prefix, name, which = found.groups()
        return prefix or "", "", name + OLDER[which]
    prefix, _, name = key.rpartition(".")
    outer, _, last = prefix.rpartition(".")
    if last == "out_proj" and outer in attention:
        return outer, "", f"out_proj.{name}"
    if found := RECURRENT.match(name):
        kind, which, part = found.groups()
        return prefix, part, f"{kind}_{which}"
    return prefix, "", name


def in_order(groups: list[Group], pre_norm: bool) -> list[Group]:
    """The groups, those inside the layers of a transformer in the order in which they run, norms first or last."""
    by_prefix: dict[str, dict[str, int]] = {}
    for place, group in enumerate(groups):
        outer, _, last = group.prefix.rpartition(".")
        by_prefix.setdefault(outer, {})[last] = place
    ordered = list(groups)
    for inside in by_prefix.values():
        for names in PRE_NORM if pre_norm else POST_NORM:
            if set(names) == set(inside):
                for place, name in zip(sorted(inside.values()), names, strict=True):
                    ordered[place] = groups[inside[name]]
    return ordered


def orders(groups: list[Group], modules: dict[str, Any]) -> list[Callable[[list[Group]], list[Group]]]:
    """The orders to try: the modules' own first."""
    post = any(getattr(module, "norm_first", None) is False for module in modules.values())

    def pre_norm(groups: list[Group]) -> list[Group]:
        return in_order(groups, True)

    def post_norm(groups: list[Group]) -> list[Group]:
        return in_order(groups, False)

    return [post_norm, pre_norm] if post else [pre_norm, post_norm]
