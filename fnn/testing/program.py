"""One layer in one mode by value: everything that is asked of it, computed by one compiled program.

The parts share what they have in common. One that cannot be traced is reported and left out, so that the others run.
"""

from typing import Any

import jax
import jax.numpy as jnp

from fnn.combinators import Remat, Repeat, Residual
from fnn.errors import describe, is_floating
from fnn.gradients import oracles
from fnn.gradients.arrays import cast
from fnn.layer import Layer, floating_leaves
from fnn.testing.mode import Mode


class Program:
    """A mode's gradients by hand and by every oracle; called with an output gradient, and with other points.

    The results, by name; a gradient is a list of leaves as ``Mode.names`` has them:

    manual, applied             what a round trip gives, and what ``apply`` gives
    automatic, along, second    what reverse and forward mode say, as ``oracles.every`` has it; second if asked
    Remat, Residual, Repeat     the gradient of the layer ``inside`` these, if asked: by hand, automatic
    float32, bfloat16           the gradient in these dtypes: by hand, automatic
    """

    def __init__(
        self, mode: Mode, *, forward_mode: bool, dtypes: tuple[str, ...], second: bool = True, inside: bool = True
    ) -> None:
        self.mode, self.forward_mode, self.dtypes = mode, forward_mode, dtypes
        self.second, self.inside = second, inside
        self.differentiable = bool(mode.leaves and jax.tree.leaves(mode.dy))
        self.run = self._everything

    def __call__(self, dy: Any, tangents: list | None = None, **other: Any) -> dict[str, Any]:
        """The results at the mode's own point, or with another ``params``, ``state`` or ``x``."""
        mode = self.mode
        at = {"params": mode.params, "state": mode.state, "x": mode.x} | other
        if tangents is None:
            tangents = floating_leaves({"dparams": at["params"], "dx": at["x"]})[0]
        return self.run(at["params"], at["state"], at["x"], mode.key, dy, tangents)

    def compile(self) -> None:
        """From now on the program is compiled: until then it runs eagerly."""
        compiled = jax.jit(self._everything)
        mode = self.mode
        compiled(mode.params, mode.state, mode.x, mode.key, mode.dy, mode.leaves)
        self.run = compiled

    def _everything(self, params: Any, state: Any, x: Any, key: Any, dy: Any, tangents: list) -> dict[str, Any]:
        mode = self.mode
        results: dict[str, Any] = {"manual": mode.round_trip(params, state, x, key, dy)}
        results["applied"] = mode.applied(params, state, x, key)
        if not self.differentiable:
            return results
        results |= self._differentiated(params, state, x, key, dy, tangents)
        if self.inside:
            results |= self._inside(results["automatic"], params, state, x, key, dy)
        for dtype in self.dtypes:
            with mode.found.step(f"gradients in {dtype}"):
                results[dtype] = self._narrow(dtype, params, state, x, key, dy)
        return results

    def _inside(self, automatic: list, params: Any, state: Any, x: Any, key: Any, dy: Any) -> dict[str, Any]:
        mode, results = self.mode, {}
        with mode.found.step("inside Remat"):
            results["Remat"] = self._by_hand(Remat(mode.layer), params, state, x, key, dy), automatic
        if describe(mode.y) == describe(mode.x) and floating_leaves(x)[0]:
            with mode.found.step("inside Residual"):
                results["Residual"] = self._both(Residual(mode.layer), params, state, x, key, dy)
            with mode.found.step("inside Repeat"):
                results["Repeat"] = self._both(Repeat(mode.layer, 2), stacked(params), stacked(state), x, key, dy)
        return results

    def _differentiated(self, params: Any, state: Any, x: Any, key: Any, dy: Any, tangents: list) -> dict[str, Any]:
        mode = self.mode
        leaves, rebuild = floating_leaves({"dparams": params, "dx": x})
        function, dy_leaves = mode.outputs(state, key, rebuild), jax.tree.leaves(dy)

        def by_hand(leaves: list) -> list:
            point = rebuild(leaves)
            return mode.floating(mode.round_trip(point["dparams"], state, point["dx"], key, dy))

        along = tangents if self.forward_mode else None
        return oracles.every(function, by_hand, leaves, dy_leaves, along, second=self.second)

    def _by_hand(self, layer: Layer, params: Any, state: Any, x: Any, key: Any, dy: Any) -> list:
        """The gradient by hand of another layer."""
        _, _, cache = layer.forward(params, state, x, train=self.mode.train, key=key)
        dparams, dx = layer.backward(cache, dy)
        return self.mode.floating({"dparams": dparams, "dx": dx})

    def _both(self, layer: Layer, params: Any, state: Any, x: Any, key: Any, dy: Any) -> tuple[list, list]:
        """The gradients by hand and by ``jax.vjp`` of another layer."""
        leaves, rebuild = floating_leaves({"dparams": params, "dx": x})

        def function(leaves: list) -> list:
            at = rebuild(leaves)
            return floating_leaves(layer.apply(at["dparams"], state, at["dx"], train=self.mode.train, key=key)[0])[0]

        by_hand = self._by_hand(layer, params, state, x, key, dy)
        return by_hand, oracles.reverse(function, leaves, jax.tree.leaves(dy))

    def _narrow(self, dtype: str, params: Any, state: Any, x: Any, key: Any, dy: Any) -> tuple[list, list]:
        params, x, dy = cast((params, x, dy), dtype)
        like = jax.eval_shape(self.mode.layer.init, key, x)[1]
        state = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), state, like)
        return self._both(self.mode.layer, params, state, x, key, dy)


def stacked(tree: Any) -> Any:
    """Parameters or state of two layers, not the same ones."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf, 0.75 * leaf if is_floating(leaf) else leaf]), tree)
