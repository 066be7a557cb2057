"""The checker of optimisers, tested by planting faults: each must be caught and named."""

import dataclasses
import importlib
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.errors import is_concrete
from fnn.layer import wide_dtype
from fnn.optim import Optimizer
from fnn.testing import check_optimizer
from tests.optim.test_values import CALLS, made

optax: Any = importlib.import_module("optax")


# ---- right ones


class State(NamedTuple):
    count: Any
    mean: Any


class Momentum:
    """A right optimiser for faults to be planted in; a plain object."""

    def init(self, params: Any) -> State:
        return State(jnp.zeros((), jnp.int32), jax.tree.map(lambda w: jnp.zeros(w.shape, wide_dtype(w.dtype)), params))

    def update(self, grads: Any, state: State, params: Any = None) -> tuple[Any, State]:
        mean = jax.tree.map(lambda m, g: 0.875 * m + g.astype(m.dtype), state.mean, grads)
        return self.updates(mean, grads), State(state.count + 1, mean)

    def updates(self, mean: Any, grads: Any) -> Any:
        return jax.tree.map(lambda m, g: (-0.125 * m).astype(g.dtype), mean, grads)


@pytest.mark.full
def test_a_right_optimiser_passes():
    assert check_optimizer(Momentum()) is None


@pytest.mark.full
@jax.numpy_dtype_promotion("standard")
def test_one_of_optax_passes():
    check_optimizer(optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)))
    check_optimizer(optax.adam(0.1), dtypes=())


@pytest.mark.full
@jax.numpy_dtype_promotion("standard")
def test_one_of_optax_that_accumulates_in_bfloat16_is_told():
    message = caught(
        optax.adam(0.1), "bfloat16, opt_state: expected floating leaves of at least float32, got (bfloat16"
    )
    assert message.count("\n") == 1


def test_params_of_ones_own_and_none_at_all():
    check_optimizer(Momentum(), {"table": np.ones((2, 3)), "nothing": ()}, dtypes=())
    check_optimizer(Momentum(), {})
    with pytest.raises(TypeError, match=r"expected params with floating leaves, got int64\[2\] at 'table'"):
        check_optimizer(Momentum(), {"table": np.ones(2, np.int64)})


REPRESENTATIVES = {
    "adam(0.001, b1=0.8)",
    "groups({'encoder/*': None, '*': adam(0.1)}, show=False)",
    "schedule_free_sgd(learning_rate=0.1)",
}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(call, marks=() if call in REPRESENTATIVES else pytest.mark.full)
        for call in CALLS
        if isinstance(made(call), Optimizer)
    ],
)
def test_every_optimiser_passes(call: str):
    check_optimizer(made(call))


def test_representatives_are_in_the_table():
    assert set(CALLS) >= REPRESENTATIVES


@pytest.mark.full
@pytest.mark.parametrize("number", [jnp.asarray, np.asarray], ids=["jax", "numpy"])
def test_one_that_holds_an_array_passes(number: Any):
    check_optimizer(optim.sgd(number(np.float32(0.1))), dtypes=())


# ---- faults


def caught(optimizer: Any, *lines: str, **options: Any) -> str:
    """The message of the checker, which must fail and say each of these lines' parts."""
    with pytest.raises(AssertionError) as raised:
        check_optimizer(optimizer, **options)
    message = str(raised.value)
    for line in lines:
        assert line in message
    return message


def planted(*lines: str, dtypes: tuple[str, ...] = (), **methods: Any) -> str:
    """The message for ``Momentum`` with these methods instead."""
    return caught(type("Faulty", (Momentum,), methods)(), *lines, dtypes=dtypes)


@pytest.mark.full
def test_something_that_is_no_optimiser():
    caught(object(), "init: expected a function, got None", "update: expected a function, got None")
    caught(optim.adam, "init: expected a function", "update: expected a function")


@pytest.mark.full
def test_an_init_that_raises():
    def init(self, params):
        return {name: jnp.zeros(leaf.shape) for name, leaf in params.items()}

    planted("init: raised AttributeError", init=init)


@pytest.mark.full
def test_an_init_with_a_memory():
    counter = itertools.count()

    def init(self, params):
        return Momentum.init(self, params)._replace(count=jnp.asarray(next(counter), jnp.int32))

    planted("init a second time: expected the same bits, count differ", init=init)


@pytest.mark.full
def test_an_init_that_looks_at_values():
    def init(self, params):
        start = 1 if params["encoder"]["bias"].sum() > 0 else 2
        return Momentum.init(self, params)._replace(count=jnp.asarray(start, jnp.int32))

    planted("init under jax.eval_shape: raised TracerBoolConversionError", init=init)


@pytest.mark.full
def test_an_init_that_alters_its_argument():
    def init(self, params):
        params["encoder"]["bias"] = params["encoder"]["bias"] + 0
        return Momentum.init(self, params)

    planted("init: it alters the params in place", init=init)


@pytest.mark.full
def test_one_array_twice_in_a_state():
    class Twice(NamedTuple):
        one: Any
        other: Any

    def init(self, params):
        zero = jnp.zeros(())
        return Twice(zero, zero)

    def update(self, grads, state, params=None):
        return grads, state

    planted("init: opt_state/one and opt_state/other are one array", init=init, update=update)
    message = planted(
        "init: opt_state/encoder/bias and params/encoder/bias are one array",
        init=lambda self, params: params,
        update=update,
    )
    assert "4 violations" in message


@pytest.mark.full
def test_a_result_that_is_no_pair():
    line = "update: raised TypeError: expected the pair (updates, opt_state), got "
    planted(f"{line}None", update=lambda self, grads, state, params=None: None)
    planted(f"{line}(int32[]", update=lambda self, grads, state, params=None: (state.count, state.count, state.count))


@pytest.mark.full
def test_an_update_of_another_shape_or_dtype():
    def scalars(self, mean, grads):
        return jax.tree.map(lambda m: -m.sum(), mean)

    planted("updates, encoder/bias: expected float32[4], got float32[]", updates=scalars)

    def narrow(self, mean, grads):
        return jax.tree.map(lambda m: -m.astype(jnp.float16), mean)

    planted("updates, head/0/scale: expected float32[], got float16[]", updates=narrow)


@pytest.mark.full
def test_empty_subtrees_that_are_lost():
    def updates(self, mean, grads):
        moved = Momentum.updates(self, mean, grads)
        return {"encoder": moved["encoder"], "head": moved["head"][:1]}

    planted("updates: expected the structure PyTreeDef", updates=updates)


@pytest.mark.full
def test_extras_that_are_refused():
    def update(self, grads, state, params=None, **extra):
        return Momentum.update(self, grads, state, params, **extra)

    planted(
        "update with the extras value, grad, weight, value_fn and reports, though not without: raised TypeError",
        update=update,
    )


@pytest.mark.full
def test_an_update_that_raises():
    def update(self, grads, state, params=None):
        raise ValueError("no params\nand more")

    message = planted("- update: raised ValueError: no params", update=update)
    assert "extras" not in message


@pytest.mark.full
def test_a_state_that_changes_its_dtype():
    def update(self, grads, state, params=None):
        updates, state = Momentum.update(self, grads, state, params)
        return updates, state._replace(count=state.count.astype(jnp.float32))

    planted("opt_state after update, count: expected int32[], got float32[]", update=update)


@pytest.mark.full
def test_a_state_that_changes_its_structure():
    def update(self, grads, state, params=None):
        updates, state = Momentum.update(self, grads, state, params)
        return updates, tuple(state)

    planted("opt_state after update", update=update)


@pytest.mark.full
def test_a_state_that_becomes_weakly_typed():
    class Rate(NamedTuple):
        rate: Any

    def update(self, grads, state, params=None):
        return jax.tree.map(lambda g: -state.rate * g, grads), Rate(jnp.maximum(0.1, 0.2))

    planted(
        "opt_state after update: expected the same weak types, rate differ",
        init=lambda self, params: Rate(jnp.full((), 0.1, jnp.float32)),
        update=update,
    )


@pytest.mark.full
def test_a_state_that_is_no_array():
    planted(
        "init under jax.eval_shape: raised TypeError",
        init=lambda self, params: State("none yet", {}),
        update=lambda *arguments: arguments[1:3],
    )


@pytest.mark.full
def test_an_update_with_a_memory():
    counter = itertools.count()

    def updates(self, mean, grads):
        rate = float(next(counter))
        return jax.tree.map(lambda m: rate * m, mean)

    planted("update a second time: expected the same bits", updates=updates)


@pytest.mark.full
def test_an_update_that_alters_its_arguments():
    def grads_too(self, grads, state, params=None):
        grads["encoder"]["bias"] = 2 * grads["encoder"]["bias"]
        return Momentum.update(self, grads, state, params)

    planted("update: it alters its arguments in place", update=grads_too)

    def counted(self, grads, state, params=None):
        state["count"] = state["count"] + 1
        return grads, state

    planted(
        "update: it alters its arguments in place",
        init=lambda self, params: {"count": jnp.zeros((), jnp.int32)},
        update=counted,
    )


@pytest.mark.full
def test_an_update_that_looks_at_values():
    def updates(self, mean, grads):
        sign = -1 if grads["encoder"]["bias"].sum() > 0 else -2
        return jax.tree.map(lambda m: sign * m, mean)

    planted("under jit: raised TracerBoolConversionError", updates=updates)


def test_an_update_that_is_another_when_compiled():
    def updates(self, mean, grads):
        rate = -0.2 if is_concrete(mean["encoder"]["bias"]) else -0.1
        return jax.tree.map(lambda m: rate * m, mean)

    planted("jit against eager, 0/encoder/bias: relative error 5.0e-01", updates=updates)


@pytest.mark.full
def test_an_update_that_counts_in_python_when_traced():
    """The compiled step is one program whatever the count, so that it is right for the first step alone."""
    traces = itertools.count()

    def updates(self, mean, grads):
        rate = -1.0 if is_concrete(mean["encoder"]["bias"]) else -float(1 + next(traces))
        return jax.tree.map(lambda m: rate * m, mean)

    message = planted("steps in lax.scan against single ones", updates=updates)
    assert "jit against eager" not in message


@pytest.mark.full
def test_an_update_that_mixes_what_vmap_keeps_apart():
    @jax.custom_batching.custom_vmap
    def centred(x: Any) -> Any:
        return x

    @centred.def_vmap
    def _(size: int, batched: list, x: Any) -> tuple[Any, bool]:
        return x + x.mean(0, keepdims=True), True

    def updates(self, mean, grads):
        return jax.tree.map(centred, mean)

    planted("two runs under vmap against each alone, 1/0/encoder/bias", updates=updates)


@pytest.mark.full
@pytest.mark.parametrize(
    ("rule", "sizes"),
    [
        (lambda g: jnp.where(abs(g) < 1e-20, jnp.nan, g), {"zero gradients", "gradients of 1e-30"}),
        (lambda g: g / jnp.sqrt(jnp.sum(g * g)), {"zero gradients", "gradients of 1e-30"}),
        (lambda g: jnp.where(g == 0, 0, g / jnp.sqrt(jnp.sum(g * g))), {"gradients of 1e-30"}),
        (lambda g: g * g**4 / (1 + g**4), {"gradients of 1e10"}),
    ],
)
def test_updates_that_are_not_finite(rule: Any, sizes: set[str]):
    def updates(self, mean, grads):
        return jax.tree.map(rule, grads)

    message = planted(updates=updates)
    for each in ("zero gradients", "gradients of 1e-30", "gradients of 1e10"):
        assert (f"{each}: expected finite numbers in updates/encoder/bias" in message) == (each in sizes)
    assert "in opt_state" not in message


@pytest.mark.full
def test_a_state_that_is_not_finite():
    class Best(NamedTuple):
        best: Any
        ratio: Any

    def init(self, params):
        return Best(jnp.full((), jnp.inf, jnp.float32), jnp.zeros((), jnp.float32))

    def update(self, grads, state, params=None, *, value):
        return grads, Best(state.best, value / value)

    message = planted("zero gradients: expected finite numbers in opt_state/ratio", init=init, update=update)
    assert "opt_state/best" not in message  # which is infinite from the start


# ---- other dtypes


@pytest.mark.full
def test_an_accumulator_in_bfloat16():
    def init(self, params):
        return State(jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))

    message = planted(
        "bfloat16, opt_state: expected floating leaves of at least float32, got (bfloat16[4], ",
        "at mean/encoder/bias, mean/encoder/conv/kernel, ",
        init=init,
        dtypes=("bfloat16", "float64"),
    )
    assert "1 violation" in message


@pytest.mark.full
def test_updates_that_stay_in_float32():
    def updates(self, mean, grads):
        return jax.tree.map(lambda m: -m.astype(jnp.float32), mean)

    planted(
        "bfloat16, updates, encoder/bias: expected bfloat16[4], got float32[4]",
        "float64, updates, encoder/bias: expected float64[4], got float32[4]",
        updates=updates,
        dtypes=("bfloat16", "float64"),
    )


@pytest.mark.full
def test_arithmetic_in_bfloat16():
    def updates(self, mean, grads):
        return jax.tree.map(lambda g: g - jnp.asarray(0.999, g.dtype) * g, grads)

    planted(
        "bfloat16, the first update against that of float32, encoder/bias: relative error 1.0e+00, allowed 8e-03",
        updates=updates,
        dtypes=("bfloat16",),
    )


# ---- optimisers that are dataclasses


@dataclasses.dataclass(frozen=True)
class Scale:
    """A right one."""

    rate: Any = 0.5

    def init(self, params: Any) -> tuple:
        return ()

    def update(self, grads: Any, state: tuple, params: Any = None) -> tuple[Any, tuple]:
        return jax.tree.map(lambda g: -jnp.asarray(self.rate, g.dtype) * g, grads), state


@pytest.mark.full
def test_a_right_dataclass_passes():
    check_optimizer(Scale())


@pytest.mark.full
def test_a_dataclass_that_prints_an_address():
    caught(Scale(Ellipsis), "update: raised")
    message = caught(optim.sgd(Schedule()), "repr: expected no memory address, got sgd(<tests.testing.test_testing_opt")
    assert "1 violation" in message


class Schedule:
    def __call__(self, count: Any) -> Any:
        return 0.1


@pytest.mark.full
def test_a_dataclass_that_cannot_print():
    class Silent(Scale):
        def __repr__(self) -> str:
            raise RuntimeError("not today")

    caught(Silent(), "Silent: 1 violation", "repr: raised RuntimeError: not today")


@pytest.mark.full
def test_a_dataclass_that_cannot_be_hashed():
    caught(Scale(jnp.asarray(0.5, jnp.float32)), "hash: raised TypeError: unhashable type")

    @dataclasses.dataclass
    class Mutable:
        init: Any = Scale().init
        update: Any = Scale().update

    caught(Mutable(), "hash: raised TypeError: unhashable type: 'Mutable'")


@pytest.mark.full
def test_a_dataclass_that_is_not_equal_to_itself_or_to_its_copy():
    class Unequal(Scale):
        def __eq__(self, other: object) -> bool:
            return False

        __hash__ = Scale.__hash__

    caught(Unequal(), "equal to itself: expected True", "a copy: expected an equal optimiser")

    @dataclasses.dataclass(frozen=True, eq=False)
    class Alone:
        init = Scale.init
        update = Scale.update
        rate: float = 0.5

    message = caught(Alone(), "a copy: expected an equal optimiser, or one made again is compiled again")
    assert "1 violation" in message
