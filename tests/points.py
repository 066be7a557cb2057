"""A layer at one point, where its gradient is asked for: what the tests of gradients outside ``check_layer`` share.

Parameters are drawn, not initialised: compiling an initialiser for every shape takes longer than all that is done with
what comes out, and at the zeros and ones of ``init`` a fault may hide.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import is_floating
from fnn.gradients import oracles
from fnn.gradients.arrays import cast, normal_like, shapes
from fnn.layer import Layer
from fnn.testing.mode import Mode
from fnn.testing.violations import Violations

SCALE = 0.5
"""The standard deviation of drawn parameters: large enough that no factor is near 1 and no term near 0."""

REFUSAL = "expected the gradient of an output of shape"
"""What ``fnn.errors.output_gradient`` says."""

STEPS = 3
"""Training steps before a state is taken for one that training returns."""


@contextlib.contextmanager
def strict() -> Iterator[None]:
    """float64, no silent promotion of dtypes, none of ranks: for what runs outside pytest."""
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


@dataclasses.dataclass(frozen=True, eq=False)
class Point:
    """Everything that a layer's forward takes."""

    layer: Layer
    params: Any
    state: Any
    x: Any
    key: jax.Array
    train: bool

    @property
    def arguments(self) -> tuple[Any, Any, Any, jax.Array]:
        return self.params, self.state, self.x, self.key

    def gradients(self, params: Any, state: Any, x: Any, key: jax.Array, dy: Any) -> tuple[dict, dict, tuple]:
        """The gradient by hand and by ``jax.vjp``, leaf by leaf, and what ``backward`` returned, as a pure function."""
        mode = Mode(Violations(""), self.layer, params, state, x, key, self.train)
        out = mode.round_trip(params, state, x, key, dy)
        manual = mode.floating(out)
        function, cotangents = mode.outputs(state, key, mode.rebuild), jax.tree.leaves(dy)
        automatic = oracles.reverse(function, mode.leaves, cotangents) if mode.leaves and cotangents else []
        ours = dict(zip(mode.names, manual, strict=True)) if automatic else {}
        return ours, dict(zip(mode.names, automatic, strict=False)), (out["dparams"], out["dx"])

    def output(self, params: Any, state: Any, x: Any, key: jax.Array) -> Any:
        """y, as a pure function."""
        return self.layer.apply(params, state, x, train=self.train, key=key)[0]

    def output_gradient(self, seed: int = 100) -> Any:
        """A random dy."""

        return normal_like(seed, jax.eval_shape(self.output, *self.arguments))


def drawn_point(
    layer: Layer, x: Any, *, train: bool, trained: bool = True, seed: int = 1, dtype: str = "float64"
) -> Point:
    """Parameters drawn, the state the one after some training steps; the floating leaves of x taken to a dtype.

    With ``trained=False`` nothing is compiled: the state is drawn too, of positive numbers.
    """
    key, x = jax.random.key(0), cast(x, dtype)
    params, state = jax.eval_shape(layer.init, key, shapes(x))
    if all(map(is_floating, jax.tree.leaves(params))):
        params = jax.tree.map(lambda noise: SCALE * noise, normal_like(seed, params))
    else:
        params = jax.jit(lambda key: layer.init(key, x)[0])(key)
    if not trained:
        state = _positive(seed, state)
    elif jax.tree.leaves(state):
        state = _trained_state(layer, params, x, key)
    return Point(layer, params, state, x, key, train)


def _positive(seed: int, state: Any) -> Any:
    draw = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(draw.uniform(1, 3, leaf.shape).astype(leaf.dtype)), state)


def _trained_state(layer: Layer, params: Any, x: Any, key: jax.Array) -> Any:
    def step(state: Any, x: Any, key: jax.Array) -> Any:
        return layer.apply(params, state, x, train=True, key=key)[1]

    state, compiled = jax.jit(lambda key: layer.init(key, x)[1])(key), jax.jit(step)
    for count in range(STEPS):
        noise = normal_like(10 + count, x)
        moved = jax.tree.map(lambda leaf, n: leaf if n is None else leaf + 0.3 * n, x, noise)
        state = compiled(state, moved, jax.random.fold_in(key, count))
    return state


def answers(layer: Layer, x: Any, *, train: bool) -> dict[tuple[int, ...], str]:
    """What becomes of output gradients of the shapes that broadcast to y and are not y's.

    ``refused``, in the words of ``output_gradient``; ``raised``, by whatever met the shape first; ``broadcast``, if a
    gradient of the parameters or of the shape of x comes out; ``handed on``, if nothing but a dx of another shape does.
    """

    def run(params: Any, state: Any, x: Any, key: jax.Array) -> tuple[Any, Any]:
        y, _, cache = layer.forward(params, state, x, train=train, key=key)
        return y, cache

    key, inputs = jax.random.key(0), shapes(cast(x, jnp.float64))
    params, state = jax.eval_shape(layer.init, key, inputs)
    y, cache = jax.eval_shape(run, params, state, inputs, key)
    if not isinstance(y, jax.ShapeDtypeStruct) or not is_floating(y):
        return {}
    found = {}
    for axis in range(y.ndim):
        wrong = tuple(1 if each == axis else size for each, size in enumerate(y.shape))
        if wrong == y.shape:
            continue
        try:
            dparams, dx = jax.eval_shape(layer.backward, cache, jax.ShapeDtypeStruct(wrong, y.dtype))
        except Exception as error:
            found[wrong] = "refused" if REFUSAL in str(error) else "raised"
        else:
            whole = jax.tree.map(jnp.shape, dx) == jax.tree.map(jnp.shape, inputs)
            found[wrong] = "broadcast" if whole or jax.tree.leaves(dparams) else "handed on"
    return found
