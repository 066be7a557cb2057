"""``check_optimizer``: an optimiser, or one transformation of a chain, through its whole contract."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fnn.errors import describe, is_floating
from fnn.gradients.arrays import arrays, cast, normal_like, shapes
from fnn.layer import wide_dtype
from fnn.optim.declared import rules_of
from fnn.optim.transform import apply_updates, update
from fnn.paths import named_leaves
from fnn.testing.comparison import close
from fnn.testing.inputs import bfloat16_values
from fnn.testing.of_gradients import OfGradients
from fnn.testing.structure import alike, alike_compiled, identical, watched
from fnn.testing.violations import Violations, check_value

STEPS = 3
"""Steps of which a run consists."""

SIZES = {"zero gradients": 0.0, "gradients of 1e-30": 1e-30, "gradients of 1e10": 1e10}
"""Where updates must stay finite: in float32 the squares of the second are 0, those of the third are 1e20."""


def check_optimizer(
    optimizer: Any,
    params: Any = None,
    *,
    dtypes: Iterable[str] = ("bfloat16", "float64"),
    tolerance: float = 1e-4,
) -> None:
    """Runs an optimiser through its whole contract; raises one ``AssertionError`` that lists every violation.

    ``optimizer`` is anything with ``init`` and ``update`` as ``fnn/optim/transform.py`` states them: of fnn, of optax
    or one's own. ``params`` is a pytree of floating leaves, taken to float32; the default has a kernel, that of a
    convolution, a vector, a scalar and empty subtrees. The gradients are those of Σ log cosh(w − target).

    Checked:

    - A dataclass prints without memory addresses, hashes, and equals its copy (one that holds an array, itself).
    - ``init`` is pure and depends on shapes and dtypes alone; no two leaves of the first state and the params share an
      array, so that a compiled step can be given all of them to overwrite.
    - ``update`` takes the extras ``value``, ``grad``, ``weight``, ``value_fn`` and ``reports``, is pure and alters no
      argument. The updates have the structure, shapes and dtypes of the params, and so has the next state those of the
      state, weak types included. A rule that the optimiser declares reports as if the gradients were all there is.
    - eager = jit, steps one by one = steps in ``lax.scan``, two runs alone = both under ``vmap``, to ``tolerance``.
    - Gradients of 0, of 1e-30 and of 1e10 make no update infinite or NaN, and no leaf of the state that was finite.
    - In each of ``dtypes``: updates of that dtype, and floating leaves of the state that are at least float32; in
      one that is narrower, the first update that of float32, but for rounding.

    Those of optax that keep an accumulator in the dtype of the params violate the last: ``adam``, ``sgd`` with
    momentum, ``rmsprop``, ``lion`` and most others. In bfloat16 a decay of 0.999 is 1, so their averages forget
    nothing. ``dtypes=()`` stands aside from it. The rest they pass, but for ``lbfgs`` (one array twice, and it refuses
    ``weight``), ``sm3`` (no rule for a scalar) and ``contrib.prodigy`` (the params' own arrays in its state).

    >>> import fnn
    >>> check_optimizer(fnn.optim.sgd(0.1))
    """
    params = _default() if params is None else params
    for path, leaf in named_leaves(params).items():
        if not is_floating(leaf):
            raise TypeError(f"check_optimizer: expected params with floating leaves, got {describe(leaf)} at {path!r}")
    found = Violations(_printed(optimizer))
    check_value(found, optimizer)
    missing = [name for name in ("init", "update") if not callable(getattr(optimizer, name, None))]
    for name in missing:
        found.add(f"{name}: expected a function, got {getattr(optimizer, name, None)!r}")
    if not missing:
        with jax.enable_x64(False):
            params = cast(bfloat16_values(params), jnp.float32)
            run = _Run(found, optimizer, params, tolerance)
            if run.contract() and run.compiles():
                run.together()
                run.extremes()
            run.dtypes(tuple(dtypes))
    found.finish()


def _printed(optimizer: Any) -> str:
    try:
        return repr(optimizer)
    except Exception:  # which is a violation, for check_value to report
        return type(optimizer).__name__


def _default() -> Any:
    draw = np.random.default_rng(0).standard_normal
    encoder = {"conv": {"kernel": draw((2, 2, 3, 4))}, "bias": draw(4), "nothing": None}
    return {"encoder": encoder, "head": ({"kernel": draw((4, 3)), "scale": draw(())}, {})}


class _Run:
    """The checks of one optimiser from one set of parameters."""

    def __init__(self, found: Violations, optimizer: Any, params: Any, tolerance: float) -> None:
        self.found, self.optimizer, self.params, self.tolerance = found, optimizer, params, tolerance
        self.target = jax.tree.map(np.asarray, normal_like(1, params))
        self.one = jnp.ones((), jnp.float32)
        self.compiled = jax.jit(self.step)
        self.state: Any = None
        self.first: tuple[Any, Any] | None = None

    def step(self, params: Any, state: Any, size: jax.Array, *, extras: bool = True) -> tuple[Any, Any]:
        """Updates and next state, for the gradients of size · Σ log cosh(w − target)."""

        def away(params: Any) -> Any:
            return jax.tree.map(lambda w, t: w.astype(size.dtype) - jnp.asarray(t, size.dtype), params, self.target)

        def value_fn(params: Any) -> jax.Array:
            values = [(jnp.logaddexp(x, -x) - np.log(2).astype(x.dtype)).sum() for x in jax.tree.leaves(away(params))]
            return size * sum(values, jnp.zeros((), size.dtype))

        # Rounded to what bfloat16 holds, so that every dtype has the same gradients.
        slopes = jax.tree.map(lambda x: jax.lax.reduce_precision(size * jnp.tanh(x), 8, 7), away(params))
        grads = jax.tree.map(lambda slope, w: slope.astype(w.dtype), slopes, params)
        given = {"value": value_fn(params), "grad": grads, "weight": 8 * jnp.ones_like(size), "value_fn": value_fn}
        given["reports"] = {rule: rule(OfGradients(grads)) for rule in rules_of(self.optimizer)}
        unaltered = watched((params, state, grads))
        result = update(self.optimizer, grads, state, params, **(given if extras else {}))
        self.found.expect(unaltered(), "update: it alters its arguments in place; return new containers")
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(f"expected the pair (updates, opt_state), got {describe(result)}")
        return result

    def contract(self) -> bool:
        """``init`` and ``update`` eagerly; says whether they are pure and keep structures, shapes and dtypes."""
        found, init, sound = self.found, self.optimizer.init, False
        with found.step("init"):
            unaltered = watched(self.params)
            self.state = init(self.params)
            found.expect(unaltered(), "init: it alters the params in place; return new containers")
            with found.step(what := "init under jax.eval_shape"):
                alike_compiled(found, what, jax.eval_shape(init, self.params), self.state)
            sound = identical(found, "init a second time", init(self.params), self.state)
            _expect_unshared(found, {"params": self.params, "opt_state": self.state})
            self.first = self.first_update()
        if self.first is None:
            return False
        sound &= alike(found, "updates", self.first[0], self.params)
        with found.step(what := "opt_state after update"):
            sound &= alike_compiled(found, what, self.first[1], self.state)
        with found.step(what := "update a second time"):
            return identical(found, what, self.step(self.params, self.state, self.one), self.first) and sound
        return False

    def first_update(self) -> tuple[Any, Any] | None:
        """The first update; where it raises, the line says whether the extras alone are in the way."""
        try:
            return self.step(self.params, self.state, self.one)
        except Exception as error:
            without = Violations("update without extras")
            with without.step("update"):
                self.step(self.params, self.state, self.one, extras=False)
            extras = (
                ""
                if without.lines
                else " with the extras value, grad, weight, value_fn and reports, though not without"
            )
            with self.found.step(f"update{extras}"):
                raise error
            return None

    def compiles(self) -> bool:
        """jit against eager, and a run of single steps, which the rest is held against."""
        with self.found.step("under jit"):
            got = self.compiled(self.params, self.state, self.one)
            close(self.found, "jit against eager", got, self.first, self.tolerance)
            self.after = self.several(self.params)
            return True
        return False

    def several(self, params: Any) -> tuple[Any, Any]:
        """Params and state after a run of single steps."""
        state = self.optimizer.init(params)
        for _ in range(STEPS):
            updates, state = self.compiled(params, state, self.one)
            params = apply_updates(params, updates)
        return params, state

    def together(self) -> None:
        """Steps in ``lax.scan`` and two runs under ``vmap``, against single ones."""

        def next_step(carry: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
            updates, state = self.step(*carry, self.one)
            return (apply_updates(carry[0], updates), state), None

        def each(start: Any, params: Any, state: Any) -> tuple[Any, Any]:
            return self.optimizer.init(start), self.step(params, state, self.one)

        found = self.found
        with found.step("under lax.scan"):
            got = jax.jit(lambda *carry: jax.lax.scan(next_step, carry, length=STEPS)[0])(self.params, self.state)
            close(found, "steps in lax.scan against single ones", got, self.after, self.tolerance)
        with found.step("under vmap"):
            other = jax.tree.map(lambda w: -w / 2, self.params)
            rows = [(self.params, *self.after), (other, *self.several(other))]
            alone = [(self.optimizer.init(start), self.compiled(*run, self.one)) for start, *run in rows]
            got = jax.jit(jax.vmap(each))(*_stacked(rows))
            close(found, "two runs under vmap against each alone", got, _stacked(alone), self.tolerance)

    def extremes(self) -> None:
        """Finite updates and states, from the first state and from that after a run."""
        exempt = {path for path, leaf in arrays({"opt_state": self.state}).items() if not np.isfinite(leaf).all()}
        for what, size in SIZES.items():
            wrong: set[str] = set()
            for params, state in ((self.params, self.state), self.after):
                for _ in range(2):
                    updates, state = self.compiled(params, state, size * self.one)
                    leaves = arrays({"opt_state": state, "updates": updates})
                    wrong |= {path for path, leaf in leaves.items() if not np.isfinite(leaf).all()} - exempt
            self.found.expect(not wrong, f"{what}: expected finite numbers in {', '.join(sorted(wrong))}")

    def dtypes(self, dtypes: tuple[str, ...]) -> None:
        """Params in other dtypes: what comes out, and the first update by value where the dtype is narrow."""
        found = self.found
        for dtype in dtypes:
            with jax.enable_x64(dtype == "float64"), found.step(dtype):
                before, size = len(found.lines), jnp.ones((), wide_dtype(dtype))
                params = shapes(self.params, dtype)
                state = jax.eval_shape(self.optimizer.init, params)
                updates, after = jax.eval_shape(self.step, params, state, size)
                alike(found, f"{dtype}, updates", updates, params)
                alike_compiled(found, f"{dtype}, opt_state after update", after, state)
                low = {p: x for p, x in named_leaves(state).items() if is_floating(x) and x.dtype.itemsize < 4}
                which = f"{describe([*low.values()])} at {', '.join(low)}"
                found.expect(not low, f"{dtype}, opt_state: expected floating leaves of at least float32, got {which}")
                if self.first is not None and wide_dtype(dtype) != dtype and len(found.lines) == before:
                    narrow = cast(self.params, dtype)
                    ours = cast(self.compiled(narrow, self.optimizer.init(narrow), size)[0], "float32")
                    what = f"{dtype}, the first update against that of float32"
                    close(found, what, ours, self.first[0], float(jnp.finfo(dtype).eps))


def _expect_unshared(found: Violations, tree: Any) -> None:
    seen: dict[int, str] = {}
    for path, leaf in named_leaves(tree).items():
        first = seen.setdefault(id(leaf), path) if isinstance(leaf, jax.Array) else path
        found.expect(first == path, f"init: {first} and {path} are one array, which cannot be donated twice; copy it")


def _stacked(trees: Any) -> Any:
    """Trees of one structure as one, with a new first axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
