"""The same gradient by hand, by reverse mode, by forward mode and by differences, leaf by leaf."""

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import jax
import numpy as np

from fnn.combinators.cast import uncast
from fnn.errors import is_floating, positive
from fnn.gradients.cost import measure
from fnn.gradients.deltas import placed_layers
from fnn.gradients.directions import Directions
from fnn.gradients.equality import Whole, length
from fnn.gradients.kinks import find_kinks
from fnn.gradients.makers import delta_rules
from fnn.gradients.methods import METHODS, Gradients, Key
from fnn.gradients.problem import Operands, Problem, Records
from fnn.gradients.progress import Progress
from fnn.gradients.report import GradientReport
from fnn.gradients.rows import Kind, Measured, Row, RuleKind, is_zero, judge, norm_of, same_computation
from fnn.gradients.surrogates import held, is_straight_through, surrogates
from fnn.gradients.suspect import suspect
from fnn.layer import Params, State
from fnn.objective import Objective, unpacked
from fnn.paths import lies_in

KINDS: tuple[Kind, ...] = ("parameter", "delta")
WIDE_REVERSE = "reverse in float64"
REFERENCES = (WIDE_REVERSE, "reverse", "forward", "finite")
TOLERANCES = {"float64": 1e-12, "float32": 1e-5}
FINITE_TOLERANCE = 1e-8


def compare_gradients(
    objective: Objective,
    params: Params,
    state: State,
    batch: tuple,
    *,
    key: jax.Array | None = None,
    methods: Sequence[str] = METHODS,
    dtype: Literal["float64", "float32"] = "float64",
    train: bool = True,
    entrywise: int = 64,
    directions: int = 8,
    seed: int = 0,
    tolerances: Mapping[str, float] | None = None,
    rules: Mapping[str, Any] | None = None,
    cost: bool = True,
    progress: bool = True,
) -> GradientReport:
    """Compares the gradient by several methods, on every parameter and on the output of every layer.

    * ``"manual"``: the hand rules, as training uses them
    * ``"reverse"``: ``jax.grad`` through ``apply``, where no hand rule is (``with_manual_vjp`` is taken off)
    * ``"forward"``: ``jax.jvp``
    * ``"finite"``: five-point differences of the value, with a step that fits (see ``fnn/gradients/finite.py``)

    Forward mode and differences take every entry of leaves of up to ``entrywise`` entries, and ``directions`` random
    directions drawn from ``seed`` of larger ones (see ``fnn/gradients/directions.py``).

    The reference r is ``"reverse"`` if it is among the methods, else ``"forward"``, else ``"finite"``. A gradient g
    passes if ‖g − r‖ ≤ tolerance · ‖r‖ on the leaf, or if the difference is below eps times the norm of the whole
    gradient. A leaf with ‖r‖ ≤ 100 · eps · (the norm of the whole) is called zero, and g must be below that too.
    Differences are allowed the rounding error of the value as well, which is measured. They are not judged, and the
    report says so, where the value has a kink within the smallest step, of parameters inside ``Frozen``, and where the
    gradient goes through a straight-through slope, which is no derivative (that of a layer with an attribute
    ``straight_through`` that is true). Where the rule that makes a gradient is ``auto`` (for a parameter that of its
    layer, for a delta that of the layer behind it), manual and reverse are the same computation, ``jax.vjp``: there
    only forward mode and differences confirm anything.

    ``report.ok`` says that the value is finite, that no method fails on any row and that some method was judged on
    every row. A report without rows is not ok: nothing was compared.

    Everything is computed in float64, whatever the caller's setting; random masks stay those of float32. With
    ``dtype="float32"`` manual, reverse and forward run in float32 and are compared with the float64 reverse at the same
    point (differences stay in float64: in float32 they would show their own rounding alone). A ``Cast`` inside the
    model is left out, so that the rules within it are compared and not the rounding of its dtype.

    ``tolerances`` replaces those of single methods: 1e-12 in float64 and 1e-5 in float32, 1e-8 for differences.
    ``rules`` takes the place of those of the objective. What a rule passes back is no gradient: the rows before it
    fail, and their ``cosine`` says how close it comes.
    ``cost=False`` leaves out the compiled cost, which is measured on the operands as given, in their own dtype.
    ``progress=False`` leaves out the line that says how far a comparison of more than a second is, where stderr is a
    terminal.

    Compare at trained or perturbed parameters: at initial ones, scales of 1 and biases of 0 hide a forgotten factor.

    Errors: ``ValueError`` for an unknown method or dtype, or fewer than two gradients to compare, and all that the
    model raises; ``TypeError`` for an objective that is none or a batch that is no tuple.

    >>> import fnn, jax.numpy as jnp
    >>> objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(2)), fnn.CrossEntropy())
    >>> batch = (jnp.ones((3, 5)), jnp.array([0, 1, 1]))
    >>> params, state = objective.init(jax.random.key(0), batch[0])
    >>> compare_gradients(objective, params, state, batch, methods=("manual", "reverse")).ok
    True
    """
    if not isinstance(objective, Objective):
        raise TypeError(f"expected an Objective(model, loss), got {objective!r}")
    if rules is not None:
        objective = dataclasses.replace(objective, rules=rules)
    unpacked(batch)
    methods = _checked_methods(methods, dtype)
    positive("directions", directions)
    if entrywise < 0:
        raise ValueError(f"entrywise is a number of entries of at least 0, got {entrywise}")
    allowed = {method: FINITE_TOLERANCE if method == "finite" else TOLERANCES[dtype] for method in methods}
    allowed |= _checked_tolerances(tolerances or {}, methods)
    exact = objective.with_model(uncast(objective.model))
    problem, operands = Problem(exact, train), Operands(params, state, tuple(batch), key)

    here = Gradients(problem, operands, dtype)
    # The float64 point is where the float32 one is, so that they differ in precision alone.
    wide = here if dtype == "float64" else Gradients(problem, here.operands, "float64")

    def probes(key: Key) -> Directions:
        return Directions("/".join(key), wide.variables[key].shape, entrywise, directions, seed)

    found: dict[str, dict[Key, Measured]] = {}
    costs = ()
    pieces = len(wide.variables) * sum(method in methods for method in ("forward", "finite")) + 2 + cost
    with Progress("comparing gradients", total=pieces, shown=progress) as work:
        with work.piece("reverse"):
            if wide is not here or "reverse" in methods:
                found["reverse" if wide is here else WIDE_REVERSE], records = wide.reverse()
            else:
                records = wide.records()
            if wide is not here and "reverse" in methods:
                found["reverse"], _ = here.reverse()
        with work.piece("manual"):
            if "manual" in methods:
                found["manual"] = here.manual()
        if "forward" in methods:
            found["forward"] = here.forward(probes, work.over)
        if "finite" in methods:
            found["finite"] = wide.finite(probes, work.over, records, tolerance=allowed["finite"])
            for each in _straight_through(wide, allowed["finite"]):
                found["finite"][each] = found["finite"][each]._replace(aside="surrogate")
        if cost:
            with work.piece("cost"):
                costs = measure(Problem(objective, train), operands, methods)
    reference = next(method for method in REFERENCES if method in found)
    rows = _rows(wide, found, reference, probes, float(np.finfo(dtype).eps), allowed)
    return GradientReport(
        rows=rows,
        methods=methods,
        reference=reference,
        dtype=dtype,
        train=train,
        value=float(records.value),
        tolerances={method: allowed[method] for method in methods if method != reference},
        # In the dtype that is compared: 0.1 in float32 is on a corner at 0.1 there, and beside it in float64.
        kinks=find_kinks(objective, _rounded(records, dtype), here.operands),
        suspect=suspect(objective.model, rows, found["manual"], found[reference]) if "manual" in methods else "",
        cost=costs,
        entrywise=entrywise,
        directions=directions,
        seed=seed,
        platform=jax.default_backend(),
        cost_dtype=_dtypes(operands),
        uncast=exact != objective,
    )


def _straight_through(point: Gradients, tolerance: float) -> Collection[Key]:
    """The leaves whose gradient goes through a straight-through slope."""
    model = point.problem.objective.model
    if not is_straight_through(model):
        return ()
    return surrogates(model, point.reverse()[0], point.of(held(model)).reverse()[0], tolerance)


def _rows(
    point: Gradients,
    found: dict[str, dict[Key, Measured]],
    reference: str,
    probes: Callable[[Key], Directions],
    eps: float,
    allowed: dict[str, float],
) -> tuple[Row, ...]:
    """The rows, parameters first, each kind in the order of the model."""
    model, loss = point.problem.objective.model, point.problem.objective.loss
    layers: list[tuple[str, RuleKind]] = [(path, layer.rule) for path, layer, _ in placed_layers(model)]
    made, rows = dict(delta_rules(model, after=loss.rule)), []
    for kind in KINDS:
        keys = sorted((key for key in point.variables if key[0] == kind), key=lambda key: _place(key[1], layers))
        norms = {key: norm_of(found[reference][key], probes(key)) for key in keys}
        whole = Whole(length(np.array([*norms.values()])), eps)
        for key in keys:
            place = _place(key[1], layers)[0]
            r, directions = found[reference][key], probes(key)
            rule: RuleKind = layers[place][1] if place < len(layers) else "hand"  # a combinator's own parameters
            maker = rule if kind == "parameter" or place == len(layers) else made[layers[place][0]]
            comparisons = []
            for method, each in found.items():
                if method != reference:
                    one = judge(method, each[key], r, directions, whole=whole, tolerance=allowed[method])
                    alike = maker == "auto" and method == "manual" and reference in ("reverse", WIDE_REVERSE)
                    comparisons.append(same_computation(one) if alike else one)
            zero, shape = is_zero(r, directions, whole), point.variables[key].shape
            rows.append(Row(kind, key[1], shape, rule, norms[key], zero, tuple(comparisons)))
    return tuple(rows)


def _place(path: str, layers: list[tuple[str, RuleKind]]) -> tuple[int, str]:
    """Where the layer of a path stands in the model: the longest that the path begins with."""
    inside = [i for i, (layer, _) in enumerate(layers) if lies_in(path, [layer])]
    return (max(inside, key=lambda i: len(layers[i][0])) if inside else len(layers), path)


def _checked_methods(methods: Sequence[str], dtype: str) -> tuple[str, ...]:
    if isinstance(methods, str):
        raise TypeError(f"methods is a tuple of names, got {methods!r}; did you mean ({methods!r},)?")
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"unknown methods {unknown}; expected some of {list(METHODS)}")
    if dtype not in TOLERANCES:
        raise ValueError(f"dtype is 'float64' or 'float32', got {dtype!r}")
    methods = tuple(method for method in METHODS if method in methods)
    if len(methods) < (2 if dtype == "float64" else 1):
        raise ValueError(f"a comparison needs two methods, got {list(methods)}; add 'reverse'")
    return methods


def _checked_tolerances(tolerances: Mapping[str, float], methods: tuple[str, ...]) -> dict[str, float]:
    unknown = [method for method in tolerances if method not in methods]
    if unknown:
        raise ValueError(f"tolerances for {unknown}, which are not among the methods {list(methods)}")
    return dict(tolerances)


def _rounded(records: Records, dtype: str) -> Records:
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if is_floating(leaf) else leaf, records)


def _dtypes(operands: Operands) -> str:
    return ", ".join(sorted({str(leaf.dtype) for leaf in jax.tree.leaves(operands.params) if hasattr(leaf, "dtype")}))
