"""Floating-point operations of a function, counted from what JAX traces: the same on every platform and version.

An addition, a product, a comparison, an elementary function and an entry of a reduction count as 1; in a product of
matrices or a convolution, a multiply-add counts as 2. Moving, reshaping, indexing, sorting, drawing random bits and
integer operations are free. A loop of known length counts its body each time (XLA's own analysis counts it once), a
conditional its most expensive branch.

Along one axis with o outputs and a kernel of size k, a convolution has o · k multiply-adds for each pair of channels;
those on the padding count too. The zeros between the entries of a dilated input (the gradient of a strided convolution,
or a transposed one) do not count: a pair (output, kernel entry) counts only if it meets an entry of the input, or
padding where an entry would be. The windows of pools count in the same way.

The count is NaN where it cannot be known: for a loop that runs until a condition holds, a decomposition of a matrix, a
Fourier transform, a call of a foreign kernel. What no result needs is not counted: XLA leaves it out.
"""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

ELEMENTWISE = frozenset(
    re.findall(
        r"\w+",
        """
    abs add add_any acos acosh asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp cos cosh digamma div eq
    erf erf_inv erfc exp exp2 expm1 floor ge gt igamma igamma_grad_a igammac integer_pow is_finite le lgamma log log1p
    logistic lt max min mul ne neg nextafter polygamma pow regularized_incomplete_beta rem round rsqrt select_n sign sin
    sinh sqrt square sub tan tanh zeta
    """,
    )
)
REDUCTIONS = frozenset({"argmax", "argmin", "reduce_max", "reduce_min", "reduce_prod", "reduce_sum"})
CUMULATIVE = frozenset({"cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum"})
SCATTERED = frozenset({"add", "mul", "sub", "min", "max"})
UNKNOWN = frozenset(
    re.findall(
        r"\w+",
        """
    cholesky custom_call eig eigh ffi_call fft geqp3 geqrf hessenberg householder_product io_callback lu pallas_call
    pure_callback qr ragged_dot_general random_gamma schur svd symmetric_product triangular_solve tridiagonal
    tridiagonal_solve while
    """,
    )
)
"""Operations whose cost depends on values, or on code that cannot be inspected."""


def flops(function: Callable, *shapes: Any) -> float:
    """The operations of one call on arguments of these shapes, NaN if they cannot be counted. Nothing is computed.

    >>> x = jax.ShapeDtypeStruct((8, 3), "float32")
    >>> flops(lambda x: jnp.tanh(x @ x.T), x)
    448
    """
    return _count(jax.make_jaxpr(function)(*shapes).jaxpr)


def _count(jaxpr: Any, used: Sequence[bool] | None = None) -> float:
    """The operations that the used outputs need."""
    total = 0
    live = {id(output) for i, output in enumerate(jaxpr.outvars) if used is None or used[i]}
    for equation in reversed(jaxpr.eqns):
        wanted = [id(output) in live for output in equation.outvars]
        if any(wanted) or equation.effects:
            total += _cost(equation, wanted)
            live.update(map(id, equation.invars))
    return total


def _cost(equation: Any, wanted: list[bool]) -> float:
    name, given = equation.primitive.name, equation.params
    if not equation.outvars:  # only an effect: a callback, a print
        return 0
    if name in UNKNOWN:
        return math.nan
    operands, out = [variable.aval for variable in equation.invars], equation.outvars[0].aval
    if name == "dot_general":
        (contracted, _), _ = given["dimension_numbers"]
        return 2 * _floating(out) * out.size * math.prod(operands[0].shape[axis] for axis in contracted)
    if name == "conv_general_dilated":
        return 2 * _floating(out) * _products(operands[1], out, given)
    if name == "scan":
        return given["length"] * _count(given["jaxpr"].jaxpr)
    if name == "cond":
        counts = [_count(branch.jaxpr) for branch in given["branches"]]
        return sum(counts) if any(map(math.isnan, counts)) else max(counts)
    if name.startswith("select_and_scatter"):  # searches every window of the source
        source = operands[0 if name == "select_and_scatter_add" else 1]
        return _floating(source) * source.size * math.prod(given["window_dimensions"])
    if name.startswith(("reduce_window", "select_and_gather")):
        return _floating(operands[0]) * _entries(out, given)
    if name in REDUCTIONS or name in CUMULATIVE:
        return _floating(operands[0]) * operands[0].size
    if name == "reduce":
        return operands[0].size * _count(given["jaxpr"])
    if name.startswith("scatter"):
        return _floating(operands[-1]) * operands[-1].size if name[8:] in SCATTERED else 0
    if name in ELEMENTWISE:
        return max(map(_floating, [*operands, out])) * out.size
    if name == "shard_map":  # the program of one device
        axes = given["newly_manual_axes" if "newly_manual_axes" in given else "manual_axes"]  # since JAX 0.12
        return math.prod(given["mesh"].shape[axis] for axis in axes) * _count(given["jaxpr"])
    inner = list(_inner(given))
    same = len(inner) == 1 and len(inner[0].outvars) == len(wanted)
    return sum(_count(program, wanted if same else None) for program in inner)


def _products(kernel: Any, out: Any, given: dict[str, Any]) -> int:
    """The multiply-adds of a convolution."""
    numbers = given["dimension_numbers"]
    channels = math.prod(out.shape[axis] for axis in numbers.out_spec[:2]) * kernel.shape[numbers.rhs_spec[1]]
    sizes = [out.shape[axis] for axis in numbers.out_spec[2:]], [kernel.shape[axis] for axis in numbers.rhs_spec[2:]]
    each = *sizes, given["window_strides"], given["rhs_dilation"], given["lhs_dilation"], given["padding"]
    return channels * math.prod(itertools.starmap(_meetings, zip(*each, strict=True)))


def _entries(out: Any, given: dict[str, Any]) -> int:
    """The entries in all windows of a reduction."""
    plain = (1,) * out.ndim
    dilation, spread = (given.get(name) or plain for name in ("window_dilation", "base_dilation"))
    each = out.shape, given["window_dimensions"], given["window_strides"], dilation, spread, given["padding"]
    return math.prod(itertools.starmap(_meetings, zip(*each, strict=True)))


def _meetings(out: int, window: int, stride: int, dilation: int, spread: int, pads: tuple[int, int]) -> int:
    """How many pairs (output o, kernel entry k) have o·stride + k·dilation − pad at a multiple of ``spread``."""
    if spread == 1:
        return out * window
    starts = Counter((o * stride - pads[0]) % spread for o in range(out))
    return sum(starts[-k * dilation % spread] for k in range(window))


def _inner(parameters: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an equation: those of jit, remat and custom derivatives."""
    if "call_jaxpr" in parameters:
        parameters = {"call_jaxpr": parameters["call_jaxpr"]}  # the others are the programs of its derivative
    for value in parameters.values():
        value = getattr(value, "jaxpr", value)
        if hasattr(value, "eqns"):
            yield value


def _floating(aval: Any) -> int:
    return int(jnp.issubdtype(aval.dtype, jnp.inexact))
