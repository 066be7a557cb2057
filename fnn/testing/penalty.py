"""``check_penalty``: a penalty through its whole contract."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.paths import named_leaves
from fnn.penalties import Penalty
from fnn.testing import oracles
from fnn.testing.comparison import Agreement, agree, alike, arrays, finite_numbers, identical
from fnn.testing.violations import Violations, check_record


def check_penalty(
    penalty: Penalty, params: Any, *, finite: bool = True, tolerance: float = 1e-12, finite_tolerance: float = 1e-8
) -> Agreement:
    """Runs a penalty through its whole contract; raises one ``AssertionError`` that lists every violation.

    Checked: a scalar value, purity, a gradient with the structure, shapes and dtypes of ``params``; eager = jit; the
    gradient against ``jax.grad`` and five-point differences (``finite=False`` stands aside, for parameters on a kink)
    and, against ``jax.grad``, at multiples of one half, where most kinks are; its linearity in ``dvalue``; float32
    kept.

    >>> import fnn, jax.numpy as jnp
    >>> check_penalty(fnn.L2(0.1), {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}).reverse < 1e-12
    True
    """
    found, agreement = Violations(repr(penalty)), Agreement()
    with jax.enable_x64(True):
        params = oracles.to_float(params, jnp.float64)
        check_record(found, penalty)

        def run(params: Any, dvalue: Any = 1.0) -> tuple[jax.Array, Any]:
            value, cache = penalty.forward(params)
            return value, penalty.backward(cache, dvalue)

        with found.step("forward and backward"):
            value, gradient = run(params)
            scalar = alike(found, "value", value, jax.ShapeDtypeStruct((), jnp.float64))
            identical(found, "a second time", run(params), (value, gradient))
            agree(found, "calling against forward", arrays(penalty(params)), arrays(value), tolerance)
            if alike(found, "dparams", gradient, params) and scalar:
                ours = arrays(gradient)
                error = agree(found, "backward against jax.grad", ours, arrays(jax.grad(penalty)(params)), tolerance)
                agreement = agreement.worst(reverse=error)
                corners = jax.tree.map(jnp.asarray, oracles.rounded(params))
                on_kinks, automatic = arrays(run(corners)[1]), arrays(jax.grad(penalty)(corners))
                if finite_numbers(automatic):
                    agree(found, "backward on kinks against jax.grad", on_kinks, automatic, tolerance)
                scaled = {path: -2.5 * leaf for path, leaf in ours.items()}
                what = "backward of dvalue=-2.5 against -2.5 times that of 1"
                agree(found, what, arrays(run(params, -2.5)[1]), scaled, tolerance)
                if finite:
                    treedef = jax.tree.structure(params)
                    error = oracles.agree_finite(
                        found,
                        "backward against finite differences",
                        lambda leaves: [penalty(treedef.unflatten(leaves))],
                        named_leaves(params),
                        ours,
                        [np.ones(())],
                        finite_tolerance,
                    )
                    agreement = agreement.worst(finite=error)
            with found.step("under jit"):
                agree(found, "jit against eager", arrays(jax.jit(run)(params)), arrays((value, gradient)), tolerance)
            with found.step("float32"):
                narrow = oracles.to_float(params, jnp.float32)
                value, gradient = jax.eval_shape(run, narrow)
                alike(found, "float32, value", value, jax.ShapeDtypeStruct((), jnp.float32))
                alike(found, "float32, dparams", gradient, narrow)
    found.finish()
    return agreement
