"""``check_loss``: a loss through its whole contract."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import is_floating
from fnn.layer import floating_leaves, wide_dtype
from fnn.losses.loss import Loss
from fnn.paths import named_leaves
from fnn.testing import oracles
from fnn.testing.comparison import (
    Agreement,
    agree,
    agree_narrow,
    alike,
    arrays,
    finite_numbers,
    gradient_like,
    identical,
    shapes,
)
from fnn.testing.violations import Violations, check_record
from fnn.testing.weighting import check_weights

DVALUE = 1.75
"""The gradient of the value, which every dtype can hold."""


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
    found, agreement, dtypes = Violations(repr(loss)), Agreement(), tuple(dtypes)
    with jax.enable_x64(True):
        prediction, target = oracles.to_float((prediction, target), jnp.float64)
        examples = jax.tree.leaves(prediction)[0].shape[0]
        shape = (examples,) if weights is None else jnp.shape(weights)
        drawn = jnp.asarray(np.random.default_rng(5).uniform(0.5, 1.5, shape))
        used = drawn if weights is None else jnp.asarray(weights, jnp.float64)
        check_record(found, loss)
        check = _Batch(found, loss, prediction, target, used)
        if check.contract():
            agreement = agreement.worst(**check.gradients(tolerance, second_tolerance))
            given = None if weights is None else used
            _Batch(found, loss, prediction, target, given).elsewhere(dtypes, tolerance, precision)
            check.constants()
            check.mapped(tolerance)
            if finite:
                agreement = agreement.worst(finite=check.differences(finite_tolerance))
            for each in (used, None):
                _Batch(found, loss, prediction, target, each).dtypes(dtypes)
            with found.step("weights"):
                check_weights(found, loss, prediction, target, used, additive, tolerance)
    found.finish()
    return agreement


class _Batch:
    """The checks of one loss on one batch."""

    def __init__(self, found: Violations, loss: Loss, prediction: Any, target: Any, weights: Any) -> None:
        self.found, self.loss = found, loss
        self.prediction, self.target, self.weights = prediction, target, weights
        self.leaves, self.rebuild = floating_leaves({"dprediction": prediction})
        self.names = [path for path, leaf in named_leaves({"dprediction": prediction}).items() if is_floating(leaf)]

    def run(self, prediction: Any, target: Any, weights: Any, dvalue: Any = 1.0) -> tuple[Any, Any]:
        value, cache = self.loss.forward(prediction, target, weights)
        return value, self.loss.backward(cache, dvalue)

    def floating(self, gradient: Any) -> list:
        named = named_leaves({"dprediction": gradient})
        return [named[name] for name in self.names]

    def named(self, leaves: Iterable) -> dict[str, np.ndarray]:
        return {name: np.asarray(leaf) for name, leaf in zip(self.names, leaves, strict=True)}

    def contract(self) -> bool:
        """Purity, the cache, shapes and dtypes, eagerly."""
        found, before = self.found, len(self.found.lines)
        arguments = (self.prediction, self.target, self.weights)
        with found.step("forward and backward"):
            self.value, cache = self.loss.forward(*arguments)
            scalar = jax.ShapeDtypeStruct((), jnp.float64)
            alike(found, "value", self.value, scalar)
            found.expect(isinstance(cache, dict), f"cache: expected a dict, got {type(cache).__name__}")
            for path, leaf in named_leaves(cache).items():
                found.expect(
                    isinstance(leaf, jax.Array),
                    f"cache, {path}: expected an array (a static fact rides as Static), got {type(leaf).__name__}",
                )
            identical(found, "forward a second time", self.loss.forward(*arguments)[0], self.value)
            agree(found, "calling against forward", arrays(self.loss(*arguments)), arrays(self.value), 1e-12)
            self.gradient = self.loss.backward(cache)
            alike(found, "dprediction", self.gradient, gradient_like(self.prediction))
            if len(found.lines) == before:
                identical(found, "backward a second time", self.loss.backward(cache), self.gradient)
                scaled = arrays(self.loss.backward(cache, -2.5))
                expected = {path: -2.5 * leaf for path, leaf in arrays(self.gradient).items()}
                agree(found, "backward of dvalue=-2.5 against -2.5 times that of 1", scaled, expected, 1e-12)
        return len(found.lines) == before

    def both(self, prediction: Any, target: Any, weights: Any, dvalue: Any) -> tuple[list, list]:
        """The gradients by hand and by ``jax.vjp``."""
        leaves, rebuild = floating_leaves(prediction)
        automatic = oracles.reverse(lambda leaves: [self.loss(rebuild(leaves), target, weights)], leaves, [dvalue])
        return self.floating(self.run(prediction, target, weights, dvalue)[1]), automatic

    def gradients(self, tolerance: float, second_tolerance: float) -> dict[str, float]:
        """The hand rule against reverse and forward mode, eager against jit, and the derivative of both."""
        found = self.found

        def everything(prediction: Any, target: Any, weights: Any, dvalue: Any, tangents: list) -> dict[str, Any]:
            leaves, rebuild = floating_leaves(prediction)

            def gradients(leaves: list) -> tuple[list, list]:
                return self.both(rebuild(leaves), target, weights, dvalue)

            def value(leaves: list) -> list:
                return [self.loss(rebuild(leaves), target, weights)]

            results: dict[str, Any] = {"manual": self.run(prediction, target, weights, dvalue)}
            (_, results["automatic"]), results["second"] = jax.jvp(gradients, (leaves,), (tangents,))
            return results | {"along": oracles.forward(value, leaves, tangents)}

        tangents = oracles.normal_like(200, self.leaves)
        arguments = (self.prediction, self.target, self.weights, jnp.asarray(DVALUE, jnp.float64), tangents)
        eager, results = self.run(*arguments[:4]), None
        with found.step("under jit"):
            results = jax.jit(everything)(*arguments)
            agree(found, "jit against eager", arrays(results["manual"]), arrays(eager), tolerance)
        if results is None:
            with found.step("differentiation"):
                results = everything(*arguments)
        if results is None:
            return {}
        ours = self.floating(eager[1])
        reverse = agree(
            found, "backward against jax.vjp", self.named(ours), self.named(results["automatic"]), tolerance
        )
        forward = oracles.agree_along(
            found, "backward against jax.jvp", ours, tangents, [arguments[3]], results["along"], tolerance
        )
        what = "the derivative of backward against that of jax.vjp"
        by_hand, automatic = map(self.named, results["second"])
        second = agree(found, what, by_hand, automatic, second_tolerance)
        return {"reverse": reverse, "forward": forward, "second": second}

    def elsewhere(self, dtypes: tuple[str, ...], tolerance: float, precision: float) -> None:
        """The gradient on kinks, and in narrow dtypes: by one program, at values that bfloat16 can hold."""

        def everything(batch: tuple) -> dict[str, tuple]:
            results = {}
            for dtype in ("float64", *dtypes):
                with self.found.step(f"gradients in {dtype}"):
                    prediction, target, weights = oracles.cast(batch, dtype)
                    value = jax.eval_shape(self.loss, prediction, target, weights)
                    results[dtype] = self.both(prediction, target, weights, jnp.asarray(DVALUE, value.dtype))
            return results

        compiled, batch = jax.jit(everything), (self.prediction, self.target, self.weights)
        with self.found.step("gradients on kinks"):
            ours, theirs = map(self.named, compiled((*oracles.rounded(batch[:2]), batch[2]))["float64"])
            if finite_numbers(theirs):
                agree(self.found, "backward on kinks against jax.vjp", ours, theirs, tolerance)
        with self.found.step("gradients in narrow dtypes"):
            results = compiled(oracles.bfloat16_values(batch))
            exact = arrays(self.named(results["float64"][1]))
            for dtype in dtypes:
                if dtype in results:  # else it could not be traced, which is reported
                    ours, theirs = (arrays(self.named(each)) for each in results[dtype])
                    agree_narrow(self.found, dtype, ours, theirs, exact, precision)

    def constants(self) -> None:
        """Some arguments may be traced and others not."""
        with self.found.step("traced, with the target a constant"):
            jax.eval_shape(lambda prediction: self.run(prediction, self.target, self.weights), self.prediction)
        with self.found.step("traced, with the prediction a constant"):
            jax.eval_shape(lambda target: self.run(self.prediction, target, self.weights), self.target)

    def mapped(self, tolerance: float) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        with self.found.step("under vmap"):
            stacked = oracles.pair((self.prediction, self.target, self.weights))
            got = arrays(jax.jit(jax.vmap(self.run))(*stacked))
            for place in range(2):
                batch = jax.tree.map(lambda leaf, place=place: jnp.asarray(leaf[place]), stacked)
                each = {path: leaf[place] for path, leaf in got.items()}
                agree(self.found, "vmap against one at a time", each, arrays(self.run(*batch)), tolerance)

    def differences(self, tolerance: float) -> float:
        """The hand rule against five-point differences."""
        with self.found.step("finite differences"):
            return oracles.agree_finite(
                self.found,
                "backward against finite differences",
                lambda leaves, *rest: [self.loss(self.rebuild(leaves)["dprediction"], *rest)],
                dict(zip(self.names, self.leaves, strict=True)),
                self.named(self.floating(self.gradient)),
                [np.ones(())],
                tolerance,
                (self.target, self.weights),
            )
        return np.inf

    def dtypes(self, dtypes: Iterable[str]) -> None:
        """The gradient has the prediction's dtype, the value the one that terms are added up in."""
        for dtype in dtypes:
            with self.found.step(dtype):
                batch = shapes((self.prediction, self.target, self.weights), dtype)
                value, gradient = jax.eval_shape(self.run, *batch)
                wide = jnp.dtype(wide_dtype(dtype))
                self.found.expect(
                    value.dtype in (dtype, wide),
                    f"{dtype}, value: expected {' or '.join(dict.fromkeys((dtype, str(wide))))}, got {value.dtype}",
                )
                alike(self.found, f"{dtype}, dprediction", gradient, gradient_like(batch[0]))
