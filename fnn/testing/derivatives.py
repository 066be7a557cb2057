"""One layer in one mode by value: its gradients against every oracle, and what ``jit`` and ``vmap`` make of it."""

from typing import Any

import jax
import numpy as np

from fnn.backprop import Combinator
from fnn.combinators.frozen import frozen_layers
from fnn.gradients.arrays import arrays, normal_like
from fnn.gradients.surrogates import is_straight_through
from fnn.layer import floating_leaves
from fnn.paths import join, lies_in
from fnn.testing.comparison import Agreement, agree, agree_finite, agree_mapped
from fnn.testing.inputs import bfloat16_values, pair, rounded
from fnn.testing.mode import SEED, Mode
from fnn.testing.program import Program
from fnn.testing.structure import alike, identical
from fnn.testing.violations import Violations

DRAWS = 8
"""Output gradients over which rounding is measured: one error is luck, the norm of several is not."""

CANCELLED = 0.1
"""On kinks a leaf's error is measured beside at least this part of the whole gradient: multiples of one half cancel,
and a leaf that is zero is left with the rounding of large terms. A wrong slope is an error of the order of one."""

INSIDE = ("Remat", "Residual", "Repeat")


class Derivatives:
    """The checks by value of a mode whose ``contract`` holds; what is ``asked`` of its program says ``Program``."""

    def __init__(self, mode: Mode, tolerance: float, second_tolerance: float, **asked: Any) -> None:
        self.mode, self.found = mode, mode.found
        self.tolerance, self.second_tolerance = tolerance, second_tolerance
        self.program = Program(mode, **asked)

    def compiled(self) -> bool:
        """Under ``jit`` a layer is what it is eagerly, and its ``apply`` is its ``forward``: else no more is asked.

        A layer that cannot be compiled is reported, and the rest is asked eagerly.
        """
        found, mode = self.found, self.mode
        with found.step("under jit"):
            self.program.compile()
            results, before = self.program(mode.dy), len(found.lines)
            self._as_eager(results["manual"])
            expected = {part: mode.eager[part] for part in ("y", "state")}
            if alike(found, "apply against forward", results["applied"], expected):
                ours, theirs = arrays(results["applied"]), arrays(expected)
                agree(found, "apply against forward", ours, theirs, self.tolerance)
            return len(found.lines) == before
        return True

    def _as_eager(self, got: Any) -> None:
        mode = self.mode
        again = mode.round_trip(mode.params, mode.state, mode.x, mode.key, mode.dy)
        if identical(self.found, "a round trip a second time", again, mode.eager):
            agree(self.found, "jit against eager", arrays(got), arrays(mode.eager), self.tolerance)

    def gradients(self, seeds: int) -> Agreement:
        """The hand rule against reverse and forward mode, its linearity, and its own derivative."""
        found, mode, errors = self.found, self.mode, Agreement()
        # A rule that is jax.vjp itself is not judged by it.
        by_hand = mode.layer.rule == "hand" or isinstance(mode.layer, Combinator)
        gradients, cotangents, before = [], [], len(found.lines)
        for seed in range(seeds if self.program.differentiable else 0):
            if len(found.lines) > before:
                break
            dy = normal_like(SEED + seed, mode.y)
            tangents = normal_like(2 * SEED + seed, mode.leaves)
            with found.step("differentiation"):
                results = self.program(dy, tangents)
                gradient = mode.floating(results["manual"])
                gradients.append(gradient)
                cotangents.append(dy)
                at, tolerances = (tangents, jax.tree.leaves(dy)), (self.tolerance, self.second_tolerance)
                error = mode.agree_with_oracles(gradient, results, *at, *tolerances)
                errors = errors.worst(error if by_hand else Agreement(forward=error.forward))
        if len(gradients) > 1:
            with found.step("linearity"):
                a, b = 0.7, -1.9
                dy = jax.tree.map(lambda p, q: a * np.asarray(p) + b * np.asarray(q), *cotangents[:2])
                got = mode.floating(self.program(dy)["manual"])
                expected = [a * np.asarray(one) + b * np.asarray(two) for one, two in zip(*gradients[:2], strict=True)]
                what = "backward of a combination of output gradients against the combination of their backwards"
                mode.agree(what, got, expected, self.tolerance)
        return errors

    def inside(self) -> None:
        """The gradient inside combinators that run any layer, here and on kinks."""
        mode = self.mode
        kinks = rounded({"params": mode.params, "x": mode.x})
        for place, at in (("", {}), (" on kinks", kinks)) if self.program.differentiable else ():
            with self.found.step(f"gradients{place}"):
                results = self.program(mode.dy, **at)
                parts = {"backward": (mode.floating(results["manual"]), results["automatic"])}
                parts |= {f"inside {name}": results[name] for name in INSIDE if name in results}
                before = len(self.found.lines)
                for name, (ours, theirs) in parts.items():
                    finite = all(np.isfinite(leaf).all() for leaf in theirs)
                    if len(self.found.lines) == before and (not place or finite):
                        what, floor = f"{name}{place} against jax.vjp", CANCELLED if place else 0.0
                        mode.agree(what, ours, theirs, self.tolerance, floor=floor)

    def precision(self, factor: float) -> None:
        """In narrow dtypes the hand rule is about as exact as ``jax.vjp``: at most ``factor`` times as far off."""
        mode, program = self.mode, self.program
        if not (program.differentiable and program.dtypes):
            return
        point = bfloat16_values({"params": mode.params, "state": mode.state, "x": mode.x})
        draws = [program(bfloat16_values(normal_like(SEED + draw, mode.y)), **point) for draw in range(DRAWS)]
        for dtype in program.dtypes:
            if all(dtype in draw for draw in draws):  # else it could not be traced, which is reported
                exact = [draw["automatic"] for draw in draws]
                mode.agree_narrow(dtype, [draw[dtype] for draw in draws], exact, factor)

    def mapped(self) -> None:
        """Under ``vmap``, two batches are what each is alone."""
        mode = self.mode
        with self.found.step("under vmap"):
            stacked = pair((mode.x, mode.dy))
            run = jax.vmap(mode.round_trip, in_axes=(None, None, 0, None, 0))
            got = jax.jit(run)(mode.params, mode.state, stacked[0], mode.key, stacked[1])
            x, dy = jax.tree.map(lambda leaf: leaf[1], stacked)
            agree_mapped(self.found, got, (mode.eager, self.program(dy, x=x)["manual"]), self.tolerance)

    def samples(self, *, required: bool) -> bool:
        """Under ``vmap``, sample by sample, the outputs and gradients of a batch come out; says if the outputs do."""
        mode = self.mode

        def one(x: Any, dy: Any) -> dict[str, Any]:
            single_x, single_dy = jax.tree.map(lambda leaf: leaf[None], (x, dy))
            return mode.round_trip(mode.params, mode.state, single_x, mode.key, single_dy)

        trial = Violations("")
        with trial.step("sample by sample"):
            got = jax.jit(jax.vmap(one))(mode.x, mode.dy)
            merged = {part: jax.tree.map(lambda leaf: leaf.squeeze(1), got[part]) for part in ("y", "dx")}
            ours, theirs = arrays(merged["y"]), arrays(mode.y)
            agree(trial, "outputs sample by sample against the batch", ours, theirs, self.tolerance)
            if not trial.lines:
                summed = jax.tree.map(lambda leaf: np.asarray(leaf).sum(0), got["dparams"])
                ours = arrays({"dparams": summed, "dx": merged["dx"]})
                theirs = arrays({part: mode.eager[part] for part in ("dparams", "dx")})
                agree(self.found, "gradients sample by sample against the batch", ours, theirs, self.tolerance)
        for line in trial.lines if required else ():
            self.found.add(line)
        return not trial.lines

    def differences(self, tolerance: float) -> float:
        """The hand rule against five-point differences; not for parameters inside ``Frozen``, which are constants, nor
        where a slope is no derivative: NaN, if nothing is compared."""
        mode, frozen = self.mode, frozen_layers(self.mode.layer)
        if not self.program.differentiable or is_straight_through(mode.layer):
            return np.nan
        moving = [name for name in mode.names if not lies_in(name, [join("dparams", layer) for layer in frozen])]

        def outputs(leaves: list, params: Any, state: Any, x: Any, key: Any) -> list:
            still, rebuild = floating_leaves({"dparams": params, "dx": x})
            moved = dict(zip(mode.names, still, strict=True)) | dict(zip(moving, leaves, strict=True))
            return mode.outputs(state, key, rebuild)(list(moved.values()))

        gradient = mode.named(mode.floating(mode.eager))
        with self.found.step("finite differences"):
            return agree_finite(
                self.found,
                outputs,
                {name: leaf for name, leaf in zip(mode.names, mode.leaves, strict=True) if name in moving},
                {name: gradient[name] for name in moving},
                jax.tree.leaves(mode.dy),
                tolerance,
                (mode.params, mode.state, mode.x, mode.key),
            )
        return np.inf
