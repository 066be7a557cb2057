"""Floating-point operations of a function, counted from what JAX traces: the same on every platform and version.

Counted as 1: an addition, a product, a comparison, an elementary function, an entry of a reduction. A product of
matrices or a convolution is 2 a multiply-add. Moving, reshaping, indexing and drawing random bits are free. A loop of
known length counts its body each time (XLA's own analysis counts it once), a choice its dearest branch.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

ELEMENTWISE = frozenset(
    re.findall(
        r"\w+",
        """
    abs add add_any acos acosh asin asinh atan atan2 atanh cbrt ceil clamp cos cosh digamma div eq erf erf_inv erfc exp
    exp2 expm1 floor ge gt integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter pow rem
    round rsqrt select_n sign sin sinh sqrt square sub tan tanh
    """,
    )
)
REDUCTIONS = frozenset({"argmax", "argmin", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum"})
CUMULATIVE = frozenset({"cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum"})


def flops(function: Callable, *shapes: Any) -> int:
    """The operations of one call on arguments of these shapes; nothing is computed.

    >>> x = jax.ShapeDtypeStruct((8, 3), "float32")
    >>> flops(lambda x: jnp.tanh(x @ x.T), x)
    448
    """
    return _count(jax.make_jaxpr(function)(*shapes).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(_cost(equation) for equation in jaxpr.eqns)


def _cost(equation: Any) -> int:
    name, given = equation.primitive.name, equation.params
    if not equation.outvars:  # an effect alone: a callback, a print
        return 0
    operands, out = [variable.aval for variable in equation.invars], equation.outvars[0].aval
    if name == "dot_general":
        (contracted, _), _ = given["dimension_numbers"]
        return 2 * out.size * math.prod(operands[0].shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel, features = operands[1], given["dimension_numbers"].rhs_spec[0]
        return 2 * out.size * (kernel.size // kernel.shape[features])
    if name == "scan":
        return given["length"] * _count(given["jaxpr"].jaxpr)
    if name == "cond":
        return max(_count(branch.jaxpr) for branch in given["branches"])
    if name.startswith(("reduce_window", "select_and")):
        return out.size * math.prod(given["window_dimensions"])
    if name in REDUCTIONS or name in CUMULATIVE:
        return _floating(operands[0]) * operands[0].size
    if name.startswith("scatter"):
        return operands[-1].size if name[8:] in ("add", "mul") else 0
    if name in ELEMENTWISE:
        return max(map(_floating, [*operands, out])) * out.size
    return sum(map(_count, _inner(given)))


def _inner(parameters: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation: those of jit, remat, custom derivatives and loops of unknown length."""
    if "call_jaxpr" in parameters:
        parameters = {"call_jaxpr": parameters["call_jaxpr"]}  # beside it stand the derivative's own programs
    for value in parameters.values():
        value = getattr(value, "jaxpr", value)
        if hasattr(value, "eqns"):
            yield value


def _floating(aval: Any) -> int:
    return int(jnp.issubdtype(aval.dtype, jnp.inexact))
