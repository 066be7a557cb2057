"""``check_loss``: a loss through its whole contract."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.gradients.arrays import cast
from fnn.losses.loss import Loss
from fnn.testing.comparison import Agreement
from fnn.testing.scalar import Scalar
from fnn.testing.violations import Violations, check_record
from fnn.testing.weighting import check_weights


def check_loss(
    loss: Loss,
    prediction: Any,
    target: Any,
    weights: Any = None,
    *,
    dtypes: Iterable[str] = ("float32", "bfloat16"),
    additive: bool = True,
    finite: bool = True,
    precision: float = 2.0,
    tolerance: float = 1e-12,
    finite_tolerance: float = 1e-8,
    second_tolerance: float = 1e-10,
) -> Agreement:
    """Runs a loss through its whole contract; raises one ``AssertionError`` that lists every violation.

    Prediction and target are arrays or pytrees of them, of at least four examples. A leaf whose first axis has as many
    entries as there are examples is one of rows; any other (a kernel, say) belongs to all examples. Floating leaves are
    taken to float64. ``weights`` has the shape of the per-example axes; without it the checks draw weights (N,).

    Checked: purity, the cache, shapes and dtypes; eager = jit = vmap; the gradient against ``jax.vjp``, ``jax.jvp``
    and five-point differences; its linearity in ``dvalue``; that weights of one change nothing, that rows of weight
    zero might as well not be there (also with predictions that are NaN), that a zero sum of weights gives value and
    gradient 0, and that micro-batches add up to the whole (``additive=False`` stands aside from the last, for a root of
    a mean). The gradient is asked again at multiples of one half, where most kinks are, and in ``dtypes``, where it may
    be ``precision`` times as far from that of float64 as ``jax.vjp`` is, and two units in the last place further.

    >>> import fnn, jax.numpy as jnp
    >>> check_loss(fnn.MeanSquaredError(), jnp.arange(4.0), jnp.ones(4)).reverse < 1e-12
    True
    """
    found, dtypes = Violations(repr(loss)), tuple(dtypes)
    agreement = Agreement()
    with jax.enable_x64(True):
        prediction, target = cast((prediction, target), jnp.float64)
        examples = jax.tree.leaves(prediction)[0].shape[0]
        shape = (examples,) if weights is None else jnp.shape(weights)
        drawn = jnp.asarray(np.random.default_rng(5).uniform(0.5, 1.5, shape))
        used = drawn if weights is None else jnp.asarray(weights, jnp.float64)
        weighted, plain = (Scalar(found, loss, "dprediction", prediction, target, each) for each in (used, None))
        check_record(found, loss)
        if weighted.contract(tolerance):
            agreement = weighted.gradients(tolerance, second_tolerance)
            (plain if weights is None else weighted).elsewhere(dtypes, tolerance, precision)
            with found.step("traced, with the target a constant"):
                jax.eval_shape(lambda prediction: weighted.run(prediction, target, used), prediction)
            with found.step("traced, with the prediction a constant"):
                jax.eval_shape(lambda target: weighted.run(prediction, target, used), target)
            weighted.mapped(tolerance)
            if finite:
                agreement = agreement._replace(finite=weighted.differences(finite_tolerance))
            weighted.dtypes(dtypes)
            plain.dtypes(dtypes)
            with found.step("weights"):
                check_weights(found, loss, prediction, target, used, additive, tolerance)
    found.finish()
    return agreement
