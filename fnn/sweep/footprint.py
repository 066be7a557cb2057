"""The memory that a traced program needs per run of a sweep, read from its jaxpr before anything is compiled."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal


class Footprint(NamedTuple):
    """The parts of a program that depend on the run.

    ``outputs`` says which outputs do. ``bytes`` is the peak size of the intermediate values and outputs that do, each
    as a separate array: XLA, which fuses, needs less. ``kernels`` says whether the kernel of any convolution does:
    ``vmap`` turns that into a grouped convolution with one group per run.
    """

    outputs: tuple[bool, ...]
    bytes: int
    kernels: bool


def footprint(jaxpr: Any, varying: tuple[bool, ...]) -> Footprint:
    """The footprint of a program; ``varying`` says which of its inputs depend on the run.

    >>> jaxpr = jax.make_jaxpr(lambda x, y: (x + y, 2 * y))(jax.numpy.ones(3), jax.numpy.ones(3))
    >>> footprint(jaxpr.jaxpr, (True, False))
    Footprint(outputs=(True, False), bytes=12, kernels=False)
    """
    depends = dict(zip(jaxpr.invars, varying, strict=True))
    last = {variable: place for place, each in enumerate(jaxpr.eqns) for variable in _variables(each.invars)}
    last |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    live, most, kernels = 0, 0, False
    held: dict[Any, int] = {}
    for place, equation in enumerate(jaxpr.eqns):
        given = tuple(_depends(variable, depends) for variable in equation.invars)
        inner = _of_equation(equation, given)
        kernels |= inner.kernels or (equation.primitive.name == "conv_general_dilated" and given[1])
        for variable, runs in zip(equation.outvars, inner.outputs, strict=True):
            depends[variable] = runs
            held[variable] = _bytes(variable.aval) if runs else 0
        most = max(most, live + inner.bytes, live + sum(held[variable] for variable in equation.outvars))
        live += sum(held[variable] for variable in equation.outvars)
        for variable in {*_variables(equation.invars), *equation.outvars}:
            if last.get(variable, place) == place:
                live -= held.pop(variable, 0)
    return Footprint(tuple(_depends(variable, depends) for variable in jaxpr.outvars), most, kernels)


def _of_equation(equation: Any, given: tuple[bool, ...]) -> Footprint:
    name, parameters = equation.primitive.name, equation.params
    if name == "while":
        head, body = parameters["cond_nconsts"], parameters["body_nconsts"]
        test = parameters["cond_jaxpr"].jaxpr
        found = _loop(parameters["body_jaxpr"].jaxpr, given[head : head + body], given[head + body :])
        if any(footprint(test, given[:head] + found.outputs).outputs):  # runs stop at different times
            return found._replace(outputs=(True,) * len(found.outputs))
        return found
    if name == "scan":
        # Shapes, which all JAX versions share, say how many values are carried: stacked ones have an extra axis.
        inner = parameters["jaxpr"].jaxpr
        carried = sum(map(_same_rank, equation.outvars, inner.outvars))
        carry = sum(map(_same_rank, equation.invars, inner.invars))
        consts = carry - carried
        found = _loop(inner, given[:consts], given[consts:carry], given[carry:])
        stacked = sum(_bytes(each.aval) for each in equation.outvars[carried:])
        return found._replace(bytes=found.bytes + stacked)
    if name == "cond":
        branches = [footprint(branch.jaxpr, given[1:]) for branch in parameters["branches"]]
        outputs = tuple(given[0] or any(each) for each in zip(*(branch.outputs for branch in branches), strict=True))
        return Footprint(outputs, max(each.bytes for each in branches), any(each.kernels for each in branches))
    for value in parameters.values():  # jit, remat, custom derivatives: the program itself is the first jaxpr
        program = getattr(value, "jaxpr", value)
        if hasattr(program, "eqns") and len(program.invars) == len(given):
            return footprint(program, given)
    return Footprint((any(given),) * len(equation.outvars), 0, False)


def _same_rank(outer: Any, inner: Any) -> bool:
    return len(outer.aval.shape) == len(inner.aval.shape)


def _loop(body: Any, consts: tuple[bool, ...], carry: tuple[bool, ...], rest: tuple[bool, ...] = ()) -> Footprint:
    """The footprint of a loop: a value that depends on the run after an iteration also does in the next."""
    while True:
        found = footprint(body, consts + carry + rest)
        after = tuple(a or b for a, b in zip(carry, found.outputs, strict=False))
        if after == carry:
            return found._replace(outputs=carry + found.outputs[len(carry) :])
        carry = after


def _variables(atoms: Any) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def _depends(atom: Any, depends: dict[Any, bool]) -> bool:
    return not isinstance(atom, Literal) and depends.get(atom, False)


def _bytes(aval: Any) -> int:
    if not hasattr(aval, "dtype"):  # a token
        return 0
    key = jnp.issubdtype(aval.dtype, jax.dtypes.prng_key)
    return math.prod(aval.shape) * (8 if key else aval.dtype.itemsize)
