"""One layer in one mode, in training or in inference: what ``check_layer`` asks of shapes, dtypes and structure.

Compiling takes nearly all of a check's time, so all of this is asked of traces, but for one round trip that runs
eagerly. What is asked by value stands in ``derivatives.py``.
"""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.calls import checked_apply, checked_backward, checked_forward
from fnn.combinators import Remat
from fnn.errors import describe, is_floating
from fnn.gradients.arrays import array, gradient_like, normal_like, shapes
from fnn.gradients.oracles import Function
from fnn.layer import Layer, floating_leaves
from fnn.paths import named_leaves
from fnn.sequences.over_time import way_through
from fnn.testing.structure import alike, expect_cache, watched
from fnn.testing.subject import Subject
from fnn.testing.violations import Violations

SEED = 100
"""Of the first random output gradient."""

REPLACED = "expected its arguments left as they were, but something in them was replaced"


class Mode(Subject):
    """The checks of one layer in one mode; ``contract`` comes first and says whether the others make sense."""

    def __init__(
        self, found: Violations, layer: Layer, params: Any, state: Any, x: Any, key: jax.Array, train: bool
    ) -> None:
        super().__init__(found, {"dparams": params, "dx": x})
        self.layer, self.key, self.train = layer, key, train
        self.params, self.state, self.x = params, state, x

    def forward(self, params: Any, state: Any, x: Any, key: Any) -> tuple:
        return checked_forward(self.layer, params, state, x, train=self.train, key=key)

    def round_trip(self, params: Any, state: Any, x: Any, key: Any, dy: Any) -> dict[str, Any]:
        """Everything that comes out, by name."""
        y, new_state, cache = self.forward(params, state, x, key)
        dparams, dx = checked_backward(self.layer, cache, dy)
        return {"y": y, "state": new_state, "dparams": dparams, "dx": dx}

    def applied(self, params: Any, state: Any, x: Any, key: Any) -> dict[str, Any]:
        """What ``apply`` gives, named as in ``round_trip``; nothing it was given may be changed."""
        arguments = (params, state, x)
        unaltered = watched(arguments)
        y, new_state = checked_apply(self.layer, *arguments, train=self.train, key=key)
        self.found.expect(unaltered(), f"apply: {REPLACED}")
        return {"y": y, "state": new_state}

    def outputs(self, state: Any, key: Any, rebuild: Callable) -> Function:
        """The floating outputs of ``apply`` as a function of the floating leaves of params and x."""

        def function(leaves: list) -> list:
            point = rebuild(leaves)
            y, _ = self.layer.apply(point["dparams"], state, point["dx"], train=self.train, key=key)
            return floating_leaves(y)[0]

        return function

    def contract(self) -> bool:
        """The cache, structure, shapes and dtypes of a round trip, which leaves its arguments as they were."""
        found, before = self.found, len(self.found.lines)
        arguments = (self.params, self.state, self.x)
        unaltered = watched(arguments)
        with found.step("forward"):
            self.y, self.new_state, cache = self.forward(*arguments, self.key)
            if not expect_cache(found, cache):
                return False
            alike(found, "state after a step", self.new_state, self.state)
            found.expect(unaltered(), f"forward: {REPLACED}")
            self._check_output()
        if len(found.lines) > before:
            return False
        self.dy = normal_like(SEED, self.y)
        with found.step("backward"):
            unaltered = watched((cache, self.dy))
            result = self.layer.backward(cache, self.dy)
            if not found.expect(
                isinstance(result, tuple) and len(result) == 2,
                f"backward: expected (dparams, dx), got {describe(result)}",
            ):
                return False
            alike(found, "dparams", result[0], self.params)
            alike(found, "dx", result[1], gradient_like(self.x))
            for path, leaf in named_leaves(result[0]).items():
                zero = is_floating(leaf) or not array(leaf).any()
                found.expect(zero, f"dparams, {path}: expected zeros for what is not floating")
            found.expect(unaltered(), f"backward: {REPLACED}")
            self.eager = {"y": self.y, "state": self.new_state, "dparams": result[0], "dx": result[1]}
        return len(found.lines) == before

    def _check_output(self) -> None:
        for path, leaf in named_leaves(self.y).items():
            self.found.expect(
                not is_floating(leaf) or leaf.dtype == jnp.float64,
                f"y, {path or 'value'}: expected float64 for an input of float64, got {leaf.dtype}",
            )
            self.found.expect(
                not is_floating(leaf) or bool(np.isfinite(leaf).all()),
                f"y, {path or 'value'}: expected finite numbers for this input",
            )

    def dtypes(self, dtypes: Iterable[str]) -> None:
        """The dtypes in are the dtypes out, and those of the state and the gradients."""
        found, has_floats = self.found, bool(floating_leaves(self.x)[0])
        for dtype in dtypes:
            with found.step(dtype):
                x, dy = shapes((self.x, self.dy), dtype)
                params, state = jax.eval_shape(self.layer.init, self.key, x)
                if not has_floats:
                    params = shapes(params, dtype)
                out = jax.eval_shape(self.round_trip, params, state, x, self.key, dy)
                for path, leaf in named_leaves(out["y"]).items():
                    found.expect(
                        not is_floating(leaf) or leaf.dtype == dtype,
                        f"y, {path or 'value'}: expected {dtype} for an input of {dtype}, got {leaf.dtype}",
                    )
                alike(found, f"{dtype}, state after a step", out["state"], state)
                alike(found, f"{dtype}, dparams", out["dparams"], params)
                alike(found, f"{dtype}, dx", out["dx"], gradient_like(x))

    def tracing(self) -> None:
        """Inside scan the state is carried and the cache stacked; some arguments may be traced and others not."""
        with self.found.step("inside lax.scan"):

            def step(state: Any, each: tuple) -> tuple[Any, Any]:
                x, dy = each
                y, state, cache = self.forward(self.params, state, x, self.key)
                return state, (y, cache, self.layer.backward(cache, dy))

            inputs = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), (self.x, self.dy))
            state, _ = jax.eval_shape(lambda state, inputs: lax.scan(step, state, inputs), self.state, inputs)
            alike(self.found, "state out of lax.scan", state, shapes(self.state))
        with self.found.step("inside Remat"):
            remat, arguments = Remat(self.layer), (self.params, self.state, self.x, self.key)
            made = jax.eval_shape(lambda *at: remat.apply(*at[:3], train=self.train, key=at[3]), *arguments)
            # Lengths beside x come out beside y.
            y = jax.eval_shape(lambda y, x: way_through(self.layer, x).output(y), self.y, self.x)
            alike(self.found, "inside Remat", made, (y, shapes(self.new_state)))
        with self.found.step("traced, with x a constant"):
            jax.eval_shape(lambda params: self.round_trip(params, self.state, self.x, self.key, self.dy), self.params)
        with self.found.step("traced, with params and state constants"):
            jax.eval_shape(lambda x: self.round_trip(self.params, self.state, x, self.key, self.dy), self.x)

    def program(self) -> tuple | None:
        """What is computed, as text with its constants: where both modes compute the same, it is checked once."""

        def run(params: Any, state: Any, x: Any, key: Any, dy: Any) -> Any:
            return self.applied(params, state, x, key), self.round_trip(params, state, x, key, dy)

        with self.found.step("under jit"):
            program = jax.make_jaxpr(run)(self.params, self.state, self.x, self.key, self.dy)
            return str(program), *(array(constant).tobytes() for constant in program.consts)
        return None
