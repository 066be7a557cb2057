"""One layer in one mode by value: its gradients against every oracle, and what ``jit`` and ``vmap`` make of it.

Three programs are compiled: the round trip with the oracles that XLA works out beside it, the round trip under
``vmap``, and the outputs at every point that differences need.
"""

from typing import Any

import jax
import numpy as np

from fnn.layer import floating_leaves
from fnn.testing import oracles
from fnn.testing.comparison import agree, alike, arrays, identical
from fnn.testing.mode import SEED, Mode
from fnn.testing.violations import Violations


class Derivatives:
    """The checks by value of a mode whose ``contract`` holds."""

    def __init__(self, mode: Mode, tolerance: float, second_tolerance: float, forward_mode: bool) -> None:
        self.mode, self.found = mode, mode.found
        self.tolerance, self.second_tolerance, self.forward_mode = tolerance, second_tolerance, forward_mode
        self.differentiable = bool(mode.leaves and jax.tree.leaves(mode.dy))
        self.results = self._everything

    def _everything(self, params: Any, state: Any, x: Any, key: Any, dy: Any, tangents: list) -> dict[str, Any]:
        """The gradient by hand and by ``jax.vjp``, and what both and the outputs change by along the tangents."""
        mode = self.mode
        leaves, rebuild = floating_leaves({"dparams": params, "dx": x})
        function, dy_leaves = mode.outputs(state, key, rebuild), jax.tree.leaves(dy)
        results: dict[str, Any] = {"manual": mode.round_trip(params, state, x, key, dy)}
        results["applied"] = mode.applied(params, state, x, key)
        if not self.differentiable:
            return results

        def by_hand(leaves: list) -> list:
            point = rebuild(leaves)
            return mode.floating(mode.round_trip(point["dparams"], state, point["dx"], key, dy))

        def automatic(leaves: list) -> list:
            return oracles.reverse(function, leaves, dy_leaves)

        if not self.forward_mode:
            return results | {"automatic": automatic(leaves)}
        results["automatic"], results["second, automatic"] = jax.jvp(automatic, (leaves,), (tangents,))
        results["second, manual"] = oracles.forward(by_hand, leaves, tangents)
        return results | {"along": oracles.forward(function, leaves, tangents)}

    def at(self, x: Any, dy: Any, tangents: list | None = None) -> dict[str, Any]:
        mode = self.mode
        return self.results(mode.params, mode.state, x, mode.key, dy, mode.leaves if tangents is None else tangents)

    def compiled(self) -> bool:
        """Under ``jit`` a layer is what it is eagerly, and its ``apply`` is its ``forward``: else nothing more is asked.

        A layer that cannot be compiled is told as such, and asked the rest eagerly.
        """
        found, mode = self.found, self.mode
        with found.step("under jit"):
            compiled = jax.jit(self._everything)
            results = compiled(mode.params, mode.state, mode.x, mode.key, mode.dy, mode.leaves)
            self.results, before = compiled, len(found.lines)
            self._as_eager(results["manual"])
            expected = {part: mode.eager[part] for part in ("y", "state")}
            if alike(found, "apply against forward", results["applied"], expected):
                ours, theirs = arrays(results["applied"]), arrays(expected)
                agree(found, "apply against forward", ours, theirs, self.tolerance)
            return len(found.lines) == before
        return True

    def _as_eager(self, got: Any) -> None:
        mode, trial = self.mode, Violations("")
        agree(trial, "jit against eager", arrays(got), arrays(mode.eager), self.tolerance)
        if trial.lines:  # a layer that does not give the same twice is told as such
            again = mode.round_trip(mode.params, mode.state, mode.x, mode.key, mode.dy)
            if not identical(self.found, "a round trip a second time", again, mode.eager):
                return
        for line in trial.lines:
            self.found.add(line)

    def gradients(self, seeds: int) -> dict[str, float]:
        """The hand rule against reverse and forward mode, its linearity, and its own derivative."""
        found, mode, errors = self.found, self.mode, {"reverse": 0.0, "forward": 0.0, "second": 0.0}
        gradients, cotangents, before = [], [], len(found.lines)
        for seed in range(seeds if self.differentiable else 0):
            if len(found.lines) > before:
                break
            dy = oracles.normal_like(SEED + seed, mode.y)
            tangents = oracles.normal_like(2 * SEED + seed, mode.leaves)
            with found.step("differentiation"):
                results = self.at(mode.x, dy, tangents)
                gradient = mode.named(mode.floating(results["manual"]))
                gradients.append(gradient)
                cotangents.append(dy)
                what = "backward against jax.vjp"
                error = agree(found, what, gradient, mode.named(results["automatic"]), self.tolerance)
                errors["reverse"] = max(errors["reverse"], error)
                if self.forward_mode:
                    what, ours = "backward against jax.jvp", list(gradient.values())
                    sides = (ours, tangents, jax.tree.leaves(dy), results["along"])
                    error = oracles.agree_along(found, what, *sides, self.tolerance)
                    errors["forward"] = max(errors["forward"], error)
                    ours, theirs = mode.named(results["second, manual"]), mode.named(results["second, automatic"])
                    what = "the derivative of backward against that of jax.vjp"
                    errors["second"] = max(errors["second"], agree(found, what, ours, theirs, self.second_tolerance))
        if len(gradients) > 1:
            with found.step("linearity"):
                a, b = 0.7, -1.9
                dy = jax.tree.map(lambda p, q: a * np.asarray(p) + b * np.asarray(q), *cotangents[:2])
                got = mode.named(mode.floating(self.at(mode.x, dy)["manual"]))
                expected = {name: a * gradients[0][name] + b * gradients[1][name] for name in mode.names}
                what = "backward of a combination of output gradients against the combination of their backwards"
                agree(found, what, got, expected, self.tolerance)
        return errors

    def mapped(self) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        mode = self.mode
        with self.found.step("under vmap"):
            batches = [(mode.x, mode.dy), jax.tree.map(_flipped, (mode.x, mode.dy))]
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
            run = jax.vmap(mode.round_trip, in_axes=(None, None, 0, None, 0))
            got = arrays(jax.jit(run)(mode.params, mode.state, stacked[0], mode.key, stacked[1]))
            for place, alone in enumerate((mode.eager, self.at(*batches[1])["manual"])):
                each = {path: leaf[place] for path, leaf in got.items()}
                agree(self.found, "vmap against one at a time", each, arrays(alone), self.tolerance)

    def samples(self, *, required: bool) -> bool:
        """Under ``vmap``, sample by sample, the outputs and gradients of a batch come out; says if the outputs do."""
        mode = self.mode

        def one(x: Any, dy: Any) -> dict[str, Any]:
            single_x, single_dy = jax.tree.map(lambda leaf: leaf[None], (x, dy))
            return mode.round_trip(mode.params, mode.state, single_x, mode.key, single_dy)

        trial = Violations("")
        with trial.step("sample by sample"):
            got = jax.jit(jax.vmap(one))(mode.x, mode.dy)
            merged = {part: jax.tree.map(lambda leaf: np.squeeze(leaf, 1), got[part]) for part in ("y", "dx")}
            agree(
                trial, "outputs sample by sample against the batch", *map(arrays, (merged["y"], mode.y)), self.tolerance
            )
            if not trial.lines:
                summed = jax.tree.map(lambda leaf: np.asarray(leaf).sum(0), got["dparams"])
                ours = arrays({"dparams": summed, "dx": merged["dx"]})
                theirs = arrays({part: mode.eager[part] for part in ("dparams", "dx")})
                agree(self.found, "gradients sample by sample against the batch", ours, theirs, self.tolerance)
        for line in trial.lines if required else ():
            self.found.add(line)
        return not trial.lines

    def differences(self, tolerance: float) -> float:
        """The hand rule against five-point differences."""
        mode = self.mode
        if not self.differentiable:
            return 0.0

        def outputs(leaves: list, params: Any, state: Any, x: Any, key: Any) -> list:
            return mode.outputs(state, key, floating_leaves({"dparams": params, "dx": x})[1])(leaves)

        with self.found.step("finite differences"):
            return oracles.agree_finite(
                self.found,
                "backward against finite differences",
                outputs,
                dict(zip(mode.names, mode.leaves, strict=True)),
                mode.named(mode.floating(mode.eager)),
                jax.tree.leaves(mode.dy),
                tolerance,
                (mode.params, mode.state, mode.x, mode.key),
            )
        return np.inf


def _flipped(leaf: Any) -> np.ndarray:
    return np.flip(leaf, 0) if np.ndim(leaf) else np.asarray(leaf)
