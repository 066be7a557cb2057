"""One layer in one mode, in training or in inference: the parts of ``check_layer``."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import describe, is_floating
from fnn.layer import Layer, floating_leaves
from fnn.paths import named_leaves
from fnn.testing import oracles
from fnn.testing.comparison import agree, alike, array, arrays, gradient_like, identical, shapes
from fnn.testing.violations import Violations


class Mode:
    """The checks of one layer in one mode; ``contract`` comes first and says whether the others make sense."""

    def __init__(
        self, found: Violations, layer: Layer, params: Any, state: Any, x: Any, key: jax.Array, train: bool
    ) -> None:
        self.found, self.layer, self.key, self.train = found, layer, key, train
        self.params, self.state, self.x = params, state, x
        self.leaves, self.rebuild = floating_leaves({"dparams": params, "dx": x})
        named = named_leaves({"dparams": params, "dx": x})
        self.names = [path for path, leaf in named.items() if is_floating(leaf)]

    def forward(self, params: Any, state: Any, x: Any, key: Any) -> tuple:
        return self.layer.forward(params, state, x, train=self.train, key=key)

    def round_trip(self, params: Any, state: Any, x: Any, key: Any, dy: Any) -> dict[str, Any]:
        """Everything that comes out, by name."""
        y, new_state, cache = self.forward(params, state, x, key)
        dparams, dx = self.layer.backward(cache, dy)
        return {"y": y, "state": new_state, "dparams": dparams, "dx": dx}

    def outputs(self, state: Any, key: Any, rebuild: Callable) -> oracles.Function:
        """The floating outputs of ``apply`` as a function of the floating leaves of params and x."""

        def function(leaves: list) -> list:
            point = rebuild(leaves)
            y, _ = self.layer.apply(point["dparams"], state, point["dx"], train=self.train, key=key)
            return floating_leaves(y)[0]

        return function

    def named(self, leaves: Iterable) -> dict[str, np.ndarray]:
        return {name: np.asarray(leaf) for name, leaf in zip(self.names, leaves, strict=True)}

    def contract(self) -> bool:
        """Purity, the cache, structure, shapes and dtypes, eagerly."""
        found, before = self.found, len(self.found.lines)
        arguments = (self.params, self.state, self.x)
        kept = jax.tree.map(lambda leaf: leaf, arguments)
        with found.step("forward"):
            self.y, self.new_state, cache = self.forward(*arguments, self.key)
            if not found.expect(isinstance(cache, dict), f"cache: expected a dict, got {type(cache).__name__}"):
                return False
            for path, leaf in named_leaves(cache).items():
                found.expect(
                    isinstance(leaf, jax.Array),
                    f"cache, {path}: expected an array (a static fact rides as Static), got {type(leaf).__name__}",
                )
            identical(found, "forward a second time", self.forward(*arguments, self.key)[:2], (self.y, self.new_state))
            alike(found, "state after a step", self.new_state, self.state)
            y, new_state = self.layer.apply(*arguments, train=self.train, key=self.key)
            if alike(found, "apply against forward", (y, new_state), (self.y, self.new_state)):
                agree(found, "apply against forward", arrays((y, new_state)), arrays((self.y, self.new_state)), 1e-12)
            _unchanged(found, "forward or apply", arguments, kept)
            self._check_output()
        if len(found.lines) > before:
            return False
        self.dy = oracles.normal_like(100, self.y)
        with found.step("backward"):
            kept = jax.tree.map(lambda leaf: leaf, (cache, self.dy))
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
            _unchanged(found, "backward", (cache, self.dy), kept)
            if len(found.lines) == before:
                identical(found, "backward a second time", self.layer.backward(cache, self.dy), result)
            self.eager = {"y": self.y, "state": self.new_state, "dparams": result[0], "dx": result[1]}
        return len(found.lines) == before

    def _check_output(self) -> None:
        for path, leaf in named_leaves(self.y).items():
            self.found.expect(
                not is_floating(leaf) or leaf.dtype == jnp.float64,
                f"y, {path or 'value'}: expected float64 for an input of float64, got {leaf.dtype}",
            )
            self.found.expect(
                not is_floating(leaf) or bool(jnp.isfinite(leaf).all()),
                f"y, {path or 'value'}: expected finite numbers for this input",
            )

    def dtypes(self, dtypes: Iterable[str]) -> None:
        """The dtypes in are the dtypes out, and those of the state and the gradients."""
        found, has_floats = self.found, bool(floating_leaves(self.x)[0])
        for dtype in dtypes:
            with found.step(dtype):
                x = shapes(self.x, dtype)
                params, state = jax.eval_shape(self.layer.init, self.key, x)
                if not has_floats:
                    params = shapes(params, dtype)
                y, new_state, _ = jax.eval_shape(self.forward, params, state, x, self.key)
                for path, leaf in named_leaves(y).items():
                    found.expect(
                        not is_floating(leaf) or leaf.dtype == dtype,
                        f"y, {path or 'value'}: expected {dtype} for an input of {dtype}, got {leaf.dtype}",
                    )
                alike(found, f"{dtype}, state after a step", new_state, state)
                out = jax.eval_shape(self.round_trip, params, state, x, self.key, gradient_like(y))
                alike(found, f"{dtype}, dparams", out["dparams"], params)
                alike(found, f"{dtype}, dx", out["dx"], gradient_like(x))

    def tracing(self) -> None:
        """Inside scan the state is carried and the cache stacked; some arguments may be traced and others not."""
        with self.found.step("inside lax.scan"):

            def step(state: Any, each: tuple) -> tuple[Any, Any]:
                x, dy = each
                y, state, cache = self.forward(self.params, state, x, self.key)
                return state, (y, cache, self.layer.backward(cache, dy))

            inputs = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (self.x, self.dy))
            state, _ = jax.eval_shape(lambda state, inputs: lax.scan(step, state, inputs), self.state, inputs)
            alike(self.found, "state out of lax.scan", state, shapes(self.state))
        with self.found.step("traced, with x a constant"):
            jax.eval_shape(lambda params: self.round_trip(params, self.state, self.x, self.key, self.dy), self.params)
        with self.found.step("traced, with params and state constants"):
            jax.eval_shape(lambda x: self.round_trip(self.params, self.state, x, self.key, self.dy), self.x)

    def program(self) -> tuple | None:
        """What is computed, as text with its constants: where both modes compute the same, it is checked once."""

        def run(params: Any, state: Any, x: Any, key: Any, dy: Any) -> Any:
            y = self.layer.apply(params, state, x, train=self.train, key=key)
            return y, self.round_trip(params, state, x, key, dy)

        with self.found.step("under jit"):
            program = jax.make_jaxpr(run)(self.params, self.state, self.x, self.key, self.dy)
            return str(program), *(array(constant).tobytes() for constant in program.consts)
        return None

    def gradients(self, seeds: int, tolerance: float, second_tolerance: float, forward_mode: bool) -> dict[str, float]:
        """The hand rule against reverse and forward mode, eager against jit, linearity, and the derivative of both."""
        found, errors = self.found, {"reverse": 0.0, "forward": 0.0, "second": 0.0}
        differentiable = bool(self.leaves and jax.tree.leaves(self.dy))

        def everything(params: Any, state: Any, x: Any, key: Any, dy: Any, tangents: list) -> dict[str, Any]:
            leaves, rebuild = floating_leaves({"dparams": params, "dx": x})
            function, dy_leaves = self.outputs(state, key, rebuild), jax.tree.leaves(dy)
            results: dict[str, Any] = {"manual": self.round_trip(params, state, x, key, dy)}
            if not differentiable:
                return results

            def by_hand(leaves: list) -> list:
                point = rebuild(leaves)
                return self.floating(self.round_trip(point["dparams"], state, point["dx"], key, dy))

            def automatic(leaves: list) -> list:
                return oracles.reverse(function, leaves, dy_leaves)

            if not forward_mode:
                return results | {"automatic": automatic(leaves)}
            results["automatic"], results["second, automatic"] = jax.jvp(automatic, (leaves,), (tangents,))
            results["second, manual"] = oracles.forward(by_hand, leaves, tangents)
            return results | {"along": oracles.forward(function, leaves, tangents)}

        self.run = lambda x, dy: self.round_trip(self.params, self.state, x, self.key, dy)
        with found.step("under jit"):
            compiled = jax.jit(everything)
            results = compiled(self.params, self.state, self.x, self.key, self.dy, self.leaves)
            agree(found, "jit against eager", arrays(results["manual"]), arrays(self.eager), tolerance)
            self.run = lambda x, dy: compiled(self.params, self.state, x, self.key, dy, self.leaves)["manual"]
            everything = compiled
        gradients, cotangents, before = [], [], len(found.lines)
        for seed in range(seeds if differentiable else 0):
            if len(found.lines) > before:
                break
            dy = oracles.normal_like(100 + seed, self.y)
            tangents = oracles.normal_like(200 + seed, self.leaves)
            with found.step("differentiation"):
                results = everything(self.params, self.state, self.x, self.key, dy, tangents)
                gradient = self.floating(results["manual"])
                gradients.append(gradient)
                cotangents.append(dy)
                ours, theirs = self.named(gradient), self.named(results["automatic"])
                error = agree(found, "backward against jax.vjp", ours, theirs, tolerance)
                errors["reverse"] = max(errors["reverse"], error)
                if forward_mode:
                    what, dy_leaves = "backward against jax.jvp", jax.tree.leaves(dy)
                    along = results["along"]
                    error = oracles.agree_along(found, what, gradient, tangents, dy_leaves, along, tolerance)
                    errors["forward"] = max(errors["forward"], error)
                    ours, theirs = self.named(results["second, manual"]), self.named(results["second, automatic"])
                    what = "the derivative of backward against that of jax.vjp"
                    errors["second"] = max(errors["second"], agree(found, what, ours, theirs, second_tolerance))
        if len(gradients) > 1:
            with found.step("linearity"):
                a, b = 0.7, -1.9
                dy = jax.tree.map(lambda p, q: a * p + b * q, *cotangents[:2])
                got = self.named(self.floating(self.run(self.x, dy)))
                expected = self.named([a * p + b * q for p, q in zip(*gradients[:2], strict=True)])
                what = "backward of a combination of output gradients against the combination of their backwards"
                agree(found, what, got, expected, tolerance)
        return errors

    def floating(self, out: dict[str, Any]) -> list:
        """The gradients in what ``round_trip`` returned, in the order of ``names``."""
        named = named_leaves({part: out[part] for part in ("dparams", "dx")})
        return [named[name] for name in self.names]

    def mapped(self, tolerance: float) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        with self.found.step("under vmap"):
            batches = [(self.x, self.dy), jax.tree.map(_flipped, (self.x, self.dy))]
            stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
            run = jax.vmap(self.round_trip, in_axes=(None, None, 0, None, 0))
            got = arrays(jax.jit(run)(self.params, self.state, stacked[0], self.key, stacked[1]))
            for place, alone in enumerate((self.eager, self.run(*batches[1]))):
                each = {path: leaf[place] for path, leaf in got.items()}
                agree(self.found, "vmap against one at a time", each, arrays(alone), tolerance)

    def samples(self, tolerance: float, *, required: bool) -> bool:
        """Under ``vmap``, sample by sample, the outputs and gradients of a batch come out; says if the outputs do."""

        def one(x: Any, dy: Any) -> dict[str, Any]:
            single_x, single_dy = jax.tree.map(lambda leaf: leaf[None], (x, dy))
            return self.round_trip(self.params, self.state, single_x, self.key, single_dy)

        trial = Violations("")
        with trial.step("sample by sample"):
            got = jax.jit(jax.vmap(one))(self.x, self.dy)
            merged = {part: jax.tree.map(lambda leaf: leaf.squeeze(1), got[part]) for part in ("y", "dx")}
            ours, theirs = arrays(merged["y"]), arrays(self.y)
            agree(trial, "outputs sample by sample against the batch", ours, theirs, tolerance)
            if not trial.lines:
                summed = jax.tree.map(lambda leaf: leaf.sum(0), got["dparams"])
                ours = arrays({"dparams": summed, "dx": merged["dx"]})
                theirs = arrays({part: self.eager[part] for part in ("dparams", "dx")})
                agree(self.found, "gradients sample by sample against the batch", ours, theirs, tolerance)
        for line in trial.lines if required else ():
            self.found.add(line)
        return not trial.lines

    def differences(self, tolerance: float) -> float:
        """The hand rule against five-point differences."""
        dy = jax.tree.leaves(self.dy)
        if not (self.leaves and dy):
            return 0.0
        with self.found.step("finite differences"):

            def run(leaves: list, params: Any, state: Any, x: Any, key: Any) -> list:
                return self.outputs(state, key, floating_leaves({"dparams": params, "dx": x})[1])(leaves)

            compiled = jax.jit(run)
            return oracles.agree_finite(
                self.found,
                "backward against finite differences",
                lambda leaves: compiled(leaves, self.params, self.state, self.x, self.key),
                dict(zip(self.names, self.leaves, strict=True)),
                self.named(self.floating(self.eager)),
                dy,
                tolerance,
            )
        return np.inf


def _unchanged(found: Violations, what: str, arguments: Any, kept: Any) -> None:
    same = jax.tree.structure(arguments) == jax.tree.structure(kept) and all(
        one is other for one, other in zip(jax.tree.leaves(arguments), jax.tree.leaves(kept), strict=True)
    )
    found.expect(same, f"{what}: expected its arguments left as they were, but something in them was replaced")


def _flipped(leaf: jax.Array) -> jax.Array:
    return jnp.flip(leaf, 0) if leaf.ndim else leaf
