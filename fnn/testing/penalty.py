"""``check_penalty``: a penalty through its whole contract."""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.gradients.arrays import cast
from fnn.penalties import Penalty
from fnn.testing.comparison import Agreement
from fnn.testing.scalar import Scalar
from fnn.testing.violations import Violations, check_record


def check_penalty(
    penalty: Penalty,
    params: Any,
    *,
    finite: bool = True,
    tolerance: float = 1e-12,
    finite_tolerance: float = 1e-8,
    second_tolerance: float = 1e-10,
) -> Agreement:
    """Runs a penalty through its whole contract; raises one ``AssertionError`` that lists every violation.

    Checked: a scalar value, purity, the cache, a gradient with the structure, shapes and dtypes of ``params``; eager =
    jit; the gradient against ``jax.vjp``, ``jax.jvp`` and five-point differences (``finite=False`` stands aside, for
    parameters on a kink), and against ``jax.vjp`` at multiples of one half, where most kinks are; its own derivative;
    its linearity in ``dvalue``; float32 kept.

    >>> import fnn, jax.numpy as jnp
    >>> check_penalty(fnn.L2(0.1), {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}).reverse < 1e-12
    True
    """
    found, agreement = Violations(repr(penalty)), Agreement()
    with jax.enable_x64(True):
        scalar = Scalar(found, penalty, "dparams", cast(params, jnp.float64))
        check_record(found, penalty)
        if scalar.contract(tolerance):
            agreement = scalar.gradients(tolerance, second_tolerance)
            scalar.elsewhere((), tolerance)
            if finite:
                agreement = agreement._replace(finite=scalar.differences(finite_tolerance))
            scalar.dtypes(("float32",))
    found.finish()
    return agreement
