"""Layers that PyTorch may hold in one module or in several: attention and gated linear units.

Attention is ``nn.MultiheadAttention`` (``in_proj_weight``: queries, keys and values one behind the other), or two
``nn.Linear``, the first with all three, or four. Four of one shape can be told apart by their names alone: ``q_proj``,
``query`` or ``wq`` and their like; by their order never, for BART registers the keys first and BERT the queries.
"""

from fnn.interop.parts import Form, Part
from fnn.interop.pieces import Piece, joined, turned, unchanged
from fnn.interop.places import Place
from fnn.interop.torch_kernels import linear
from fnn.layers import GLU

LINEAR = ("Linear",)
NAMES = ("query", "key", "value")


def _names(letter: str, *words: str) -> frozenset[str]:
    return frozenset(
        {letter, *words, *(f"{word}_proj" for word in (letter, *words)), f"{letter}_lin", f"linear_{letter}"}
        | {f"to_{letter}", f"w{letter}", f"w_{letter}"}
    )


ROLES = {
    "query": _names("q", "query"),
    "key": _names("k", "key"),
    "value": _names("v", "value"),
    "out": _names("o", "out", "output") | {"to_out", "proj", "dense", "wo"},
}
GATES = {
    "gate": frozenset({"gate", "gate_proj", "w_gate", "linear_gate"}),
    "value": frozenset({"value", "value_proj", "up", "up_proj", "w_up", "w_value", "linear_value", "linear_up"}),
}


def attention(place: Place) -> tuple[Form, ...]:
    """The forms of ``MultiHeadAttention``."""
    weights = {name: _projection(place, name) for name in (*NAMES, "out")}
    parts = {name: [turn for turn in (weights[name], _flat_bias(place, name)) if turn is not None] for name in weights}
    biased = len(parts["query"]) == 2
    out = (_keyed(parts["out"], "out_proj."), _keyed(parts["out"], ""))
    separate = tuple(Part(tuple(pieces), LINEAR, name, ROLES[name]) for name, pieces in parts.items())
    biases = (joined("in_proj_bias", [parts[name][1] for name in NAMES], "query, key, value"),) if biased else ()
    apart = [_keyed([weights[name]], "", f"{name[0]}_proj_weight")[0] for name in NAMES]
    in_three = Part((*apart, *biases, *out[0]), ("MultiheadAttention",))
    if len({weights[name].keys["weight"][1] for name in NAMES}) > 1:
        return (in_three,), separate
    packed = joined("in_proj_weight", [weights[name] for name in NAMES], "query, key, value, each transposed")
    whole = Part((packed, *biases, *out[0]), ("MultiheadAttention",))
    both = [packed._replace(keys={"weight": packed.keys["in_proj_weight"]})]
    both += [each._replace(keys={"bias": each.keys["in_proj_bias"]}) for each in biases]
    return (whole,), (in_three,), separate, (Part(tuple(both), LINEAR), Part(out[1], LINEAR))


def gated(place: Place) -> tuple[Form, ...]:
    """The forms of the gated linear units: two modules, or for ``GLU`` one in front of ``nn.GLU``, the value first."""
    parts = {}
    for name in ("value", "gate"):
        own = {leaf.removeprefix(f"{name}/"): at for leaf, at in place.leaves.items() if leaf.startswith(f"{name}/")}
        parts[name] = linear(place._replace(leaves=own, columns=0))
    apart = tuple(Part(pieces, LINEAR, name, GATES[name]) for name, pieces in parts.items())
    if not isinstance(place.layer, GLU):
        return (apart,)
    pairs = zip(parts["value"], parts["gate"], strict=True)
    packed = tuple(joined(next(iter(one.keys)), [one, other], f"value, gate; {one.note}") for one, other in pairs)
    return (Part(packed, LINEAR),), apart


def _projection(place: Place, name: str) -> Piece:
    """(D, heads, d) as (heads · d, D), and of ``out`` (heads, d, D) as (D, heads · d)."""
    path, (first, second, third) = place.leaves[f"{name}/kernel"]
    split = (first, second, third)
    if name == "out":
        return turned(path, "weight", split, (2, 0, 1), (third, first * second), "transposed, split into heads")
    return turned(path, "weight", split, (1, 2, 0), (second * third, first), "transposed, split into heads")


def _flat_bias(place: Place, name: str) -> Piece | None:
    if f"{name}/bias" not in place.leaves:
        return None
    path, shape = place.leaves[f"{name}/bias"]
    size = 1
    for each in shape:
        size *= each
    return unchanged(path, "bias", shape, (size,))


def _keyed(pieces: list[Piece], prefix: str, key: str = "") -> tuple[Piece, ...]:
    """The pieces under other keys."""
    return tuple(
        piece._replace(keys={key or prefix + name: shape for name, shape in piece.keys.items()}) for piece in pieces
    )
