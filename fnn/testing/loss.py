"""``check_loss``: a loss through its whole contract."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, is_floating
from fnn.layer import floating_leaves, wide_dtype
from fnn.losses.loss import Loss
from fnn.paths import named_leaves
from fnn.testing import oracles
from fnn.testing.comparison import Agreement, agree, alike, array, arrays, gradient_like, identical, shapes
from fnn.testing.violations import Violations, check_record


def check_loss(
    loss: Loss,
    prediction: Any,
    target: Any,
    weights: Any = None,
    *,
    dtypes: Iterable[str] = ("float32", "bfloat16"),
    additive: bool = True,
    finite: bool = True,
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
    a mean).

    >>> import fnn, jax.numpy as jnp
    >>> check_loss(fnn.MeanSquaredError(), jnp.arange(4.0), jnp.ones(4)).reverse < 1e-12
    True
    """
    found, agreement = Violations(repr(loss)), Agreement()
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
            check.constants()
            check.mapped(tolerance)
            if finite:
                agreement = agreement.worst(finite=check.differences(finite_tolerance))
            for each in (used, None):
                _Batch(found, loss, prediction, target, each).dtypes(dtypes)
            with found.step("weights"):
                _check_weights(found, loss, prediction, target, used, additive, tolerance)
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

    def gradients(self, tolerance: float, second_tolerance: float) -> dict[str, float]:
        """The hand rule against reverse and forward mode, eager against jit, and the derivative of both."""
        found = self.found

        def everything(prediction: Any, target: Any, weights: Any, dvalue: Any, tangents: list) -> dict[str, Any]:
            leaves, rebuild = floating_leaves({"dprediction": prediction})

            def function(leaves: list) -> list:
                return [self.loss(rebuild(leaves)["dprediction"], target, weights)]

            def by_hand(leaves: list) -> list:
                return self.floating(self.run(rebuild(leaves)["dprediction"], target, weights, dvalue)[1])

            automatic, second = jax.jvp(
                lambda leaves: oracles.reverse(function, leaves, [dvalue]), (leaves,), (tangents,)
            )
            return {
                "manual": self.run(prediction, target, weights, dvalue),
                "automatic": automatic,
                "second, automatic": second,
                "second, manual": oracles.forward(by_hand, leaves, tangents),
                "along": oracles.forward(function, leaves, tangents),
            }

        dvalue, tangents = jnp.asarray(1.7, jnp.float64), oracles.normal_like(200, self.leaves)
        arguments = (self.prediction, self.target, self.weights, dvalue, tangents)
        eager = self.run(*arguments[:4])
        results = None
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
            found, "backward against jax.jvp", ours, tangents, [dvalue], results["along"], tolerance
        )
        by_hand, automatic = self.named(results["second, manual"]), self.named(results["second, automatic"])
        what = "the derivative of backward against that of jax.vjp"
        second = agree(found, what, by_hand, automatic, second_tolerance)
        return {"reverse": reverse, "forward": forward, "second": second}

    def constants(self) -> None:
        """Some arguments may be traced and others not."""
        with self.found.step("traced, with the target a constant"):
            jax.eval_shape(lambda prediction: self.run(prediction, self.target, self.weights), self.prediction)
        with self.found.step("traced, with the prediction a constant"):
            jax.eval_shape(lambda target: self.run(self.prediction, target, self.weights), self.target)

    def mapped(self, tolerance: float) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        with self.found.step("under vmap"):
            one = (self.prediction, self.target, self.weights)
            batches = [one, jax.tree.map(lambda leaf: jnp.flip(leaf, 0) if leaf.ndim else leaf, one)]
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
            got = arrays(jax.jit(jax.vmap(self.run))(*stacked))
            for place, batch in enumerate(batches):
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


def _check_weights(
    found: Violations, loss: Loss, prediction: Any, target: Any, weights: jax.Array, additive: bool, tolerance: float
) -> None:
    examples = jax.tree.leaves(prediction)[0].shape[0]
    if not found.expect(examples >= 4, f"expected a prediction of at least 4 examples, got {describe(prediction)}"):
        return

    @jax.jit
    def results(prediction: Any, target: Any, weights: Any) -> tuple:
        value, cache = loss.forward(prediction, target, weights)
        return value, loss.backward(cache), loss.weight(prediction, target, weights)

    def run(rows: slice | np.ndarray, weights: Any) -> tuple[float, dict[str, np.ndarray], float]:
        part = jax.tree.map(lambda leaf: leaf[rows] if leaf.shape[:1] == (examples,) else leaf, (prediction, target))
        value, gradient, weight = results(*part, weights)
        return float(value), arrays({"dprediction": gradient}), float(weight)

    def same(what: str, got: tuple, value: Any, gradient: dict) -> None:
        agree(found, f"{what}: value", {"value": array(got[0])}, {"value": array(value)}, tolerance)
        agree(found, f"{what}: gradient", got[1], gradient, tolerance)

    everything, rowwise = slice(None), _rowwise(prediction, examples)
    plain, ones = run(everything, None), run(everything, jnp.ones_like(weights))
    same("weights of one against none", ones, plain[0], plain[1])

    keep = np.arange(examples) % 2 == 0
    mask = keep.reshape((-1,) + (1,) * (weights.ndim - 1))
    masked, kept = run(everything, jnp.where(mask, weights, 0)), run(keep, weights[keep])
    spread = {path: _spread(leaf, keep) if rowwise[path] else leaf for path, leaf in kept[1].items()}
    same("weights of zero against rows left out", masked, kept[0], spread)
    touched = [path for path in spread if rowwise[path] and masked[1][path][~keep].any()]
    found.expect(not touched, f"weights of zero: expected a gradient of exactly 0 in those rows of {touched}")

    def nan(leaf: Any) -> Any:
        rows = is_floating(leaf) and leaf.shape[:1] == (examples,)
        return jnp.where(keep.reshape((-1,) + (1,) * (leaf.ndim - 1)), leaf, jnp.nan) if rows else leaf

    value, gradient, _ = results(jax.tree.map(nan, prediction), target, jnp.where(mask, weights, 0))
    hidden = float(value), arrays({"dprediction": gradient})
    same("weights of zero on predictions that are NaN", hidden, masked[0], masked[1])

    nothing = run(everything, jnp.zeros_like(weights))
    found.expect(nothing[0] == 0, f"a zero sum of weights: expected the value 0, got {nothing[0]}")
    touched = [path for path, leaf in nothing[1].items() if not (leaf == 0).all()]
    found.expect(not touched, f"a zero sum of weights: expected a gradient of exactly 0 in {touched}")

    if additive:
        whole, rows = run(everything, weights), (slice(examples // 2), slice(examples // 2, examples))
        parts = [run(each, weights[each]) for each in rows]
        found.expect(whole[2] > 0, f"weight: expected the sum of the weights, got {whole[2]}")
        share = [part[2] / whole[2] for part in parts]
        value = sum(s * part[0] for s, part in zip(share, parts, strict=True))
        gradient = {}
        for path in whole[1]:
            each = [s * part[1][path] for s, part in zip(share, parts, strict=True)]
            gradient[path] = np.concatenate(each) if rowwise[path] else sum(each)
        same("the whole against its micro-batches", whole, value, gradient)


def _rowwise(prediction: Any, examples: int) -> dict[str, bool]:
    named = named_leaves({"dprediction": prediction})
    return {path: leaf.shape[:1] == (examples,) for path, leaf in named.items()}


def _spread(rows: np.ndarray, keep: np.ndarray) -> np.ndarray:
    whole = np.zeros((len(keep), *rows.shape[1:]))
    whole[keep] = rows
    return whole
