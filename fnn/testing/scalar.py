"""A scalar with a gradient by hand, a loss on one batch or a penalty: what is asked of both."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.gradients import oracles
from fnn.gradients.arrays import arrays, cast, gradient_like, normal_like, shapes
from fnn.layer import floating_leaves, wide_dtype
from fnn.testing.comparison import Agreement, agree, agree_finite, agree_mapped
from fnn.testing.inputs import bfloat16_values, pair, rounded
from fnn.testing.structure import alike, expect_cache, identical
from fnn.testing.subject import Subject
from fnn.testing.violations import Violations

DVALUE = 1.75
"""The gradient of the value, which every dtype can hold."""


class Scalar(Subject):
    """The checks of ``function(*arguments)``, whose gradient by the first of the arguments has the name ``name``.

    ``function`` has ``forward`` and ``backward`` as losses and penalties have them.
    """

    def __init__(self, found: Violations, function: Any, name: str, *arguments: Any) -> None:
        super().__init__(found, {name: arguments[0]})
        self.function, self.name, self.arguments = function, name, arguments

    def run(self, *arguments: Any, dvalue: Any = 1.0) -> tuple[Any, Any]:
        """The value and the gradient."""
        value, cache = self.function.forward(*arguments)
        return value, self.function.backward(cache, dvalue)

    def by_hand(self, arguments: tuple, dvalue: Any) -> list:
        return self.floating({self.name: self.run(*arguments, dvalue=dvalue)[1]})

    def value(self, *rest: Any) -> Callable[[list], list]:
        """The value as a function of the floating leaves of the first argument."""
        return lambda leaves: [self.function(self.rebuild(leaves)[self.name], *rest)]

    def contract(self, tolerance: float) -> bool:
        """Purity, the cache, shapes and dtypes, eagerly."""
        found, function, before = self.found, self.function, len(self.found.lines)
        with found.step("forward and backward"):
            value, cache = function.forward(*self.arguments)
            alike(found, "value", value, jax.ShapeDtypeStruct((), jnp.float64))
            expect_cache(found, cache)
            identical(found, "forward a second time", function.forward(*self.arguments)[0], value)
            agree(found, "calling against forward", arrays(function(*self.arguments)), arrays(value), tolerance)
            self.gradient = function.backward(cache)
            alike(found, self.name, self.gradient, gradient_like(self.arguments[0]))
            if len(found.lines) == before:
                identical(found, "backward a second time", function.backward(cache), self.gradient)
                scaled = arrays(function.backward(cache, -2.5))
                expected = {path: -2.5 * leaf for path, leaf in arrays(self.gradient).items()}
                agree(found, "backward of dvalue=-2.5 against -2.5 times that of 1", scaled, expected, tolerance)
        return len(found.lines) == before

    def gradients(self, tolerance: float, second_tolerance: float) -> Agreement:
        """The hand rule against reverse and forward mode, eager against jit, and the derivative of both."""

        def everything(arguments: tuple, dvalue: Any, tangents: list) -> dict[str, Any]:
            leaves, rest = floating_leaves({self.name: arguments[0]})[0], arguments[1:]

            def by_hand(leaves: list) -> list:
                return self.by_hand((self.rebuild(leaves)[self.name], *rest), dvalue)

            results = oracles.every(self.value(*rest), by_hand, leaves, [dvalue], tangents)
            return results | {"manual": self.run(*arguments, dvalue=dvalue)}

        dvalue, tangents = jnp.asarray(DVALUE, jnp.float64), normal_like(200, self.leaves)
        eager, results = self.run(*self.arguments, dvalue=dvalue), None
        with self.found.step("under jit"):
            results = jax.jit(everything)(self.arguments, dvalue, tangents)
            agree(self.found, "jit against eager", arrays(results["manual"]), arrays(eager), tolerance)
        if results is None:
            with self.found.step("differentiation"):
                results = everything(self.arguments, dvalue, tangents)
        if results is None:
            return Agreement()
        ours = self.floating({self.name: eager[1]})
        return self.agree_with_oracles(ours, results, tangents, [dvalue], tolerance, second_tolerance)

    def elsewhere(self, dtypes: tuple[str, ...], tolerance: float, precision: float = 2.0) -> None:
        """The gradient on kinks, and in narrow dtypes: by one program, at values that bfloat16 can hold."""

        def everything(arguments: tuple) -> dict[str, tuple[list, list]]:
            results = {}
            for dtype in ("float64", *dtypes):
                with self.found.step(f"gradients in {dtype}"):
                    at, *rest = cast(arguments, dtype)
                    leaves = floating_leaves(at)[0]
                    dvalue = jnp.asarray(DVALUE, jax.eval_shape(self.function, at, *rest).dtype)
                    automatic = oracles.reverse(self.value(*rest), leaves, [dvalue])
                    results[dtype] = self.by_hand((at, *rest), dvalue), automatic
            return results

        compiled = jax.jit(everything)
        with self.found.step("gradients on kinks"):
            ours, theirs = compiled((*rounded(self.arguments[:2]), *self.arguments[2:]))["float64"]
            if all(np.isfinite(leaf).all() for leaf in theirs):
                self.agree("backward on kinks against jax.vjp", ours, theirs, tolerance)
        if not dtypes:
            return
        with self.found.step("gradients in narrow dtypes"):
            results = compiled(bfloat16_values(self.arguments))
            for dtype in dtypes:
                if dtype in results:  # else it could not be traced, which is reported
                    self.agree_narrow(dtype, [results[dtype]], [results["float64"][1]], precision)

    def mapped(self, tolerance: float) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        with self.found.step("under vmap"):
            stacked = pair(self.arguments)
            got = jax.jit(jax.vmap(self.run))(*stacked)
            each = [jax.tree.map(lambda leaf, i=i: jnp.asarray(leaf[i]), stacked) for i in range(2)]
            agree_mapped(self.found, got, (self.run(*arguments) for arguments in each), tolerance)

    def differences(self, tolerance: float) -> float:
        """The hand rule against five-point differences."""

        def function(leaves: list, *rest: Any) -> list:
            return self.value(*rest)(leaves)

        with self.found.step("finite differences"):
            leaves = dict(zip(self.names, self.leaves, strict=True))
            ours = self.named(self.floating({self.name: self.gradient}))
            return agree_finite(self.found, function, leaves, ours, [np.ones(())], tolerance, self.arguments[1:])
        return np.inf

    def dtypes(self, dtypes: Iterable[str]) -> None:
        """The gradient has the dtype of the argument, the value the one that terms are added up in."""
        for dtype in dtypes:
            with self.found.step(dtype):
                arguments = shapes(self.arguments, dtype)
                value, gradient = jax.eval_shape(self.run, *arguments)
                wide = jnp.dtype(wide_dtype(dtype))
                self.found.expect(
                    value.dtype in (dtype, wide),
                    f"{dtype}, value: expected {' or '.join(dict.fromkeys((dtype, str(wide))))}, got {value.dtype}",
                )
                alike(self.found, f"{dtype}, {self.name}", gradient, gradient_like(arguments[0]))
