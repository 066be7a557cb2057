"""``check_layer``: a layer through the whole contract of ``fnn/layer.py``."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from fnn.calls import checked_apply, checked_init
from fnn.errors import is_floating
from fnn.gradients.arrays import cast, shapes
from fnn.layer import Layer
from fnn.paths import SEPARATOR, named_leaves
from fnn.testing.comparison import Agreement
from fnn.testing.derivatives import Derivatives
from fnn.testing.inputs import moved
from fnn.testing.mode import Mode
from fnn.testing.structure import alike, identical
from fnn.testing.violations import Violations, check_record

STEPS = 3
"""Training steps before a state is taken for one that training returns."""


def check_layer(
    layer: Layer,
    x: Any,
    *,
    key: jax.Array | None = None,
    train: bool | Iterable[bool] = (False, True),
    dtypes: Iterable[str] = ("float32", "bfloat16"),
    per_example: bool | None = None,
    finite: bool = True,
    forward_mode: bool = True,
    second: bool = True,
    inside: bool = True,
    perturbation: float = 0.25,
    precision: float = 2.0,
    seeds: int = 3,
    tolerance: float = 1e-12,
    finite_tolerance: float = 1e-8,
    second_tolerance: float = 1e-10,
) -> Agreement:
    """Runs a layer through the whole contract; raises one ``AssertionError`` that lists every violation.

    ``x`` is an input, batch first with at least two samples: an array or a pytree of them. Its floating leaves are
    taken to float64. The parameters are those of ``init`` plus normal noise of standard deviation ``perturbation``, so
    that no zero or one hides a fault, and the state is the one after three training steps.

    Checked in each mode of ``train``: purity, the cache, the structure, shapes and dtypes of everything that comes
    out; eager = jit = vmap; the state a fixed point under scan; the gradient of random cotangents (one per seed)
    against ``jax.vjp`` and ``jax.jvp`` through ``apply`` and against five-point differences; its linearity; the
    derivative of the backward itself against that of the automatic gradient; the gradient inside ``Remat``, and inside
    ``Residual`` and ``Repeat`` where the layer keeps the shape of its input, also at multiples of one half, where most
    kinks are. Where both modes compute the same, once.

    ``per_example`` says whether the layer treats samples alone in inference, so that a batch equals its samples one by
    one; with ``None`` that is found out from the outputs and then asked of the gradients. ``finite=False`` stands
    aside from differences: for inputs on a kink. None are taken of parameters inside ``Frozen``, and none where a layer
    has a straight-through slope (an attribute ``straight_through`` that is true). ``forward_mode=False`` stands aside
    from ``jax.jvp``, for a layer whose ``apply`` has reverse mode only. ``second=False`` leaves out the derivative of
    the backward, and ``inside=False`` the gradient inside other combinators: for further options of a class that has
    passed with them, since these take half of the time. What comes back is NaN for an oracle that stood
    aside, and for ``jax.vjp`` where the layer has no rule by hand, so that its backward is ``jax.vjp`` itself.

    ``dtypes`` are those that must be kept, beside float64; in them the gradient in training may be ``precision`` times
    as far from that of float64 as ``jax.vjp`` is, and two units in the last place further. On kinks ``apply`` is to be
    written so that ``jax.grad`` has the slope that the hand rule has: ``where(x > 0, x, 0)``, since ``maximum(x, 0)``
    has slope ½ at 0.

    >>> import fnn, jax.numpy as jnp
    >>> check_layer(fnn.Dense(2), jnp.ones((3, 4))).reverse < 1e-12
    True
    """
    found = Violations(repr(layer))
    key = jax.random.key(0) if key is None else key
    asked = {"forward_mode": forward_mode, "second": second, "inside": inside}
    modes, dtypes = (train,) if isinstance(train, bool) else tuple(train), tuple(dtypes)
    agreement, programs = Agreement(), set()
    with jax.enable_x64(True):
        x = cast(x, jnp.float64)
        _check_configuration(found, layer)
        made = _check_init(found, layer, key, x)
        if made is not None:
            params, state = moved(made[0], perturbation, 1), made[1]
            if True in modes and jax.tree.leaves(state):
                with found.step("training steps before the checks"):
                    state = _trained(found, layer, params, state, x, key)
            checks: list[Mode] = []
            for mode in modes:
                found.mode = f"train={mode}"
                check = Mode(found, layer, params, state, x, key, mode)
                if check.contract():
                    check.dtypes(dtypes)
                    program = check.program()
                    if program is None or program not in programs:
                        programs.add(program)
                        checks.append(check)
            rounded = next((check for check in checks if check.train), checks[-1] if checks else None)
            for check in checks:
                found.mode = f"train={check.train}"
                check.tracing()
                narrow = dtypes if check is rounded else ()
                values = Derivatives(check, tolerance, second_tolerance, dtypes=narrow, **asked)
                if not values.compiled():
                    continue
                agreement = agreement.worst(values.gradients(seeds))
                values.inside()
                values.precision(precision)
                alone = not check.train and per_example is not False
                if not (alone and values.samples(required=per_example is True)):
                    values.mapped()
                if finite:
                    agreement = agreement.worst(Agreement(finite=values.differences(finite_tolerance)))
            found.mode = ""
    found.finish()
    return agreement


def _check_configuration(found: Violations, layer: Layer) -> None:
    check_record(found, layer)
    children = layer.children()
    for name, child in children.items():
        good = isinstance(name, str) and SEPARATOR not in name and isinstance(child, Layer)
        found.expect(good, f"children: expected layers by names without {SEPARATOR!r}, got {name!r}: {child!r}")
    with found.step("with_children(children())"):
        again = layer.with_children(children)
        equal = again == layer and hash(again) == hash(layer)
        found.expect(equal, f"with_children(children()): expected an equal layer, got {again!r}")


def _check_init(found: Violations, layer: Layer, key: jax.Array, x: Any) -> tuple[Any, Any] | None:
    with found.step("init"):
        made = checked_init(layer, key, x)
        params, state = made
        good = [_check_nested(found, kind, tree) for kind, tree in (("params", params), ("state", state))]
        for path, leaf in named_leaves(params).items() if all(good) else ():
            found.expect(
                not is_floating(leaf) or leaf.dtype == jnp.float64,
                f"init, params/{path}: expected float64 for an input of float64, got {leaf.dtype}",
            )
        if all(good):
            identical(found, "init a second time with the same key", layer.init(key, x), made)
            with found.step("init from shapes"):
                identical(found, "init from shapes", layer.init(key, shapes(x)), made)
            with found.step("init under tracing"):
                traced = jax.eval_shape(lambda key: layer.init(key, shapes(x)), key)
                alike(found, "init under tracing", traced, shapes(made))
            return params, state
    return None


def _check_nested(found: Violations, kind: str, tree: Any) -> bool:
    if isinstance(tree, dict):
        return all(
            found.expect(
                isinstance(name, str) and SEPARATOR not in name,
                f"init, {kind}: expected names without {SEPARATOR!r}, got {name!r}",
            )
            and (isinstance(part, jax.Array) or _check_nested(found, kind, part))
            for name, part in tree.items()
        )
    return found.expect(False, f"init, {kind}: expected a nested dict of arrays, got {type(tree).__name__}")


def _trained(found: Violations, layer: Layer, params: Any, state: Any, x: Any, key: jax.Array) -> Any:
    start = state
    for step in range(STEPS):
        inputs = moved(x, 0.3, 10 + step)
        _, state = checked_apply(layer, params, state, inputs, train=True, key=jax.random.fold_in(key, step))
        if not alike(found, "state after a step", state, start):
            return start
    return state
