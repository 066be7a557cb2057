import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim
from fnn.optim.accumulators import increment
from fnn.optim.transform import update
from tests.comparing import close

OPTIMIZERS = {
    "sgd": lambda rate: optim.sgd(rate),
    "momentum": lambda rate: optim.sgd(rate, momentum=0.5),
    "nesterov": lambda rate: optim.sgd(rate, momentum=0.5, nesterov=True),
    "adam": lambda rate: optim.adam(rate),
    "adamw": lambda rate: optim.adamw(rate, weight_decay=0.1),
    "clipped": lambda rate: optim.chain(optim.clip_by_global_norm(1.0), optim.momentum(rate)),
    "adafactor": lambda rate: optim.adafactor(rate, 2, momentum=0.9, weight_decay_rate=0.1),
    "muon": lambda rate: optim.muon(rate, weight_decay=0.1),
    "schedule free": lambda rate: optim.schedule_free_adamw(rate, weight_decay=0.1),
    "l-bfgs": lambda rate: optim.lbfgs(rate, 3),
    "decayed": lambda rate: optim.chain(optim.decay_weights(0.1), optim.sgd(rate)),
}
PARAMS = {"bias": jnp.array([0.5, -1.0]), "kernel": jnp.array([[1.0, 2.0], [3.0, -4.0]]), "nothing": {}, "none": None}


def loss(params):
    return sum(jnp.sum((leaf - 1) ** 2) for leaf in jax.tree.leaves(params))


def step(optimizer, carry, _=None):
    params, opt_state = carry
    updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
    return (optim.apply_updates(params, updates), opt_state), None


def one_step(optimizer, params, grads):
    before = optimizer.init(params)
    updates, after = optimizer.update(grads, before, params)
    return before, updates, after, optim.apply_updates(params, updates)


def run(optimizer, params, steps=5):
    carry = (params, optimizer.init(params))
    return jax.lax.scan(functools.partial(step, optimizer), carry, None, length=steps)[0][0]


def states(opt_state):
    return jax.tree.leaves(opt_state, is_leaf=lambda node: hasattr(node, "_fields"))


def types(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.weak_type), tree)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_steps_equal_eager_ones_and_compile_once(name):
    optimizer = OPTIMIZERS[name](0.1)
    eager = compiled = (PARAMS, optimizer.init(PARAMS))
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def compiled_step(carry):
        return step(optimizer, carry)[0]

    for _ in range(4):
        eager = step(optimizer, eager)[0]
        assert types(eager[1]) == types(compiled[1])
        compiled = compiled_step(compiled)
    close(eager, compiled, rtol=1e-6, atol=1e-6)
    assert {int(state.count) for state in states(compiled[1])} == {4}


# The quick proof: moments, a rule with decisions of its own, and one that keeps parameters.
IN_A_BATCH = ("adamw", "l-bfgs", "schedule free")


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in IN_A_BATCH else pytest.mark.full) for name in OPTIMIZERS]
)
def test_a_batch_of_learning_rates_equals_separate_runs(name):
    rates = np.array([0.0, 0.01, 0.1], np.float32)
    one_run = jax.jit(lambda rate: run(OPTIMIZERS[name](rate), PARAMS))
    separate = jax.tree.map(lambda *leaves: np.stack(leaves), *(one_run(rate) for rate in rates))
    batch = jax.vmap(one_run)(rates)
    close(batch, separate, rtol=1e-5, atol=1e-6)
    alone = run(OPTIMIZERS[name](0.1), PARAMS)  # a rate that is a number, not a tracer
    close(jax.tree.map(lambda leaf: leaf[2], batch), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    ("param_dtype", "grad_dtype"),
    [("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16"), ("float16", "float32")],
)
def test_updates_have_the_dtype_of_the_params_and_states_are_a_fixed_point(name, param_dtype, grad_dtype):
    params = jax.tree.map(lambda leaf: leaf.astype(param_dtype), PARAMS)
    grads = jax.tree.map(lambda leaf: leaf.astype(grad_dtype), PARAMS)
    with jax.numpy_dtype_promotion("strict"):
        before, updates, after, moved = jax.eval_shape(
            functools.partial(one_step, OPTIMIZERS[name](0.1)), params, grads
        )
    assert types(before) == types(after)
    assert types(updates) == types(params) == types(moved)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float64_params_are_updated_in_float64(name):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), PARAMS)
        before, updates, after, _ = jax.eval_shape(functools.partial(one_step, OPTIMIZERS[name](0.1)), params, params)
        assert types(before) == types(after)
        assert {leaf.dtype for leaf in jax.tree.leaves(updates)} == {np.dtype("float64")}
        assert {value.dtype for value in jax.eval_shape(optim.hyperparams, after).values()} == {np.dtype("float64")}


def test_a_state_made_without_x64_stays_what_it_is_with_it():
    optimizer = optim.adam(optim.cosine(0.1, 10))
    opt_state = optimizer.init(jnp.ones(2))
    with jax.enable_x64(True):
        updates, after = optimizer.update(jnp.ones(2, jnp.float32), opt_state, jnp.ones(2, jnp.float32))
    assert types(opt_state) == types(after)
    assert updates.dtype == jnp.float32


def test_without_params_updates_have_the_dtype_of_the_gradients():
    for make in (optim.sgd, optim.momentum, optim.adam):
        optimizer = make(0.1)
        updates, _ = optimizer.update(jnp.ones(2, jnp.bfloat16), optimizer.init(jnp.ones(2)))
        assert updates.dtype == jnp.bfloat16


def test_bfloat16_moments_do_not_stand_still():
    # In bfloat16 0.999 is 1: the second moment would be stuck at 0 and the first update infinite.
    optimizer = optim.adam(0.5)
    params = jnp.zeros(1, jnp.bfloat16)
    updates, opt_state = optimizer.update(jnp.array([2.0], jnp.bfloat16), optimizer.init(params), params)
    assert float(updates[0]) == -0.5
    assert opt_state[0].nu.dtype == jnp.float32
    np.testing.assert_allclose(opt_state[0].nu, 0.004, rtol=1e-4)


def test_every_state_counts_first():
    params = {"kernel": jnp.ones((2, 2))}
    for make in OPTIMIZERS.values():
        _, _, opt_state, _ = jax.eval_shape(functools.partial(one_step, make(0.1)), params, params)
        assert {state._fields[:2] for state in states(opt_state)} == {("count", "hyperparams")}


def test_the_count_does_not_wrap():
    largest = jnp.iinfo(jnp.int32).max
    assert increment(jnp.array(3)) == 4
    assert increment(jnp.array(largest)) == largest


def test_chain_passes_extras_params_and_updates_along():
    seen = {}

    def watching(name):
        def update(grads, opt_state, params=None, **extra):
            seen[name] = (params, extra)
            return jax.tree.map(lambda g: 2 * g, grads), opt_state

        return optim.Optimizer(lambda params: (), update)

    def plain(grads, opt_state, params=None):
        seen["plain"] = params
        return grads, opt_state

    def picky(grads, opt_state, params=None, *, value):
        seen["picky"] = (params, value)
        return grads, opt_state

    nothing = lambda params: ()  # noqa: E731
    optimizer = optim.chain(
        watching("first"), optim.Optimizer(nothing, plain), optim.Optimizer(nothing, picky), watching("last")
    )
    updates, _ = update(optimizer, jnp.array(1.0), optimizer.init(None), "params", value=3, weight=8)
    assert updates == 4
    assert seen["first"] == seen["last"] == ("params", {"value": 3, "weight": 8})
    assert seen["plain"] == "params"
    assert seen["picky"] == ("params", 3)


def test_update_calls_what_has_no_signature_with_three_arguments():
    class Foreign:
        __signature__ = "not a signature"

        def __call__(self, grads, opt_state, params):
            return -grads, opt_state

    assert update(optim.Optimizer(lambda params: (), Foreign()), 2.0, (), None, value=1) == (-2.0, ())


def test_an_empty_chain_changes_nothing():
    assert optim.chain().update(3.0, optim.chain().init(None)) == (3.0, ())


def test_chain_refuses_what_is_no_optimiser():
    with pytest.raises(TypeError, match=r"chain, number 1: expected an optimizer, .* a constructor such as adam first"):
        optim.chain(optim.sgd(0.1), optim.adam)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("name", "wrapped"),
    {
        "accumulate": lambda: optim.accumulate(optim.adam, 2),
        "the group '*' (which may be None)": lambda: optim.groups({"*": optim.adam}),
        "lookahead": lambda: optim.lookahead(optim.adam),
        "skip_nonfinite": lambda: optim.skip_nonfinite(optim.adam),
    }.items(),
)
def test_so_does_everything_that_wraps_one(name, wrapped):
    with pytest.raises(
        TypeError, match=rf"^{re.escape(name)}: expected an optimizer, .* got <class .fnn.optim.adam.adam"
    ):
        wrapped()


def test_a_foreign_state_is_refused():
    optimizer = optim.chain(optim.sgd(0.1), optim.sgd(0.1))
    with pytest.raises(TypeError, match=r"expected the state of a chain of 2 .* got tuple of 1"):
        optimizer.update(PARAMS, optim.sgd(0.1).init(PARAMS), PARAMS)
    with pytest.raises(TypeError, match=r"expected the state of a chain of 2 .* got dict"):
        optimizer.update(PARAMS, {}, PARAMS)
    with pytest.raises(TypeError, match=r"expected the ScaleByAdamState .* got ScaleByLearningRateState"):
        optim.scale_by_adam().update(PARAMS, optim.scale_by_learning_rate(0.1).init(PARAMS), PARAMS)
    with pytest.raises(TypeError, match="learning_rate is a number in this optimiser but not in this state"):
        optim.sgd(0.1).update(PARAMS, optim.sgd(optim.constant(0.1)).init(PARAMS), PARAMS)
    with pytest.raises(
        TypeError, match="learning_rate is driven by a schedule in this optimiser but not in this state"
    ):
        optim.sgd(optim.constant(0.1)).update(PARAMS, optim.sgd(0.1).init(PARAMS), PARAMS)
    with pytest.raises(TypeError, match="strength is a number in this optimiser but not in this state"):
        optim.decay_weights(0.1).update(PARAMS, optim.decay_weights(0.1, name="weight_decay").init(PARAMS), PARAMS)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_gradients_of_another_structure_are_refused_by_path(name):
    optimizer = OPTIMIZERS[name](0.1)
    opt_state = optimizer.init(PARAMS)
    with pytest.raises(TypeError, match=r"the gradients differ in structure from the .* no leaf at 'bias'"):
        optimizer.update(PARAMS | {"bias": None}, opt_state, PARAMS)
    with pytest.raises(TypeError, match="an extra leaf at 'none/deep'"):
        optimizer.update(PARAMS | {"none": {"deep": jnp.ones(1)}}, opt_state, PARAMS)
    with pytest.raises(ValueError, match=r"the gradients at 'bias' have shape \(3,\), the .* \(2,\)"):
        optimizer.update(PARAMS | {"bias": jnp.ones(3)}, opt_state, PARAMS)
    with pytest.raises(TypeError, match=r"the gradient at 'bias' is int32\[2\]; an optimiser takes floating leaves"):
        optimizer.update(PARAMS | {"bias": jnp.ones(2, jnp.int32)}, opt_state, PARAMS)


def test_gradients_are_held_against_the_state_where_there_are_no_params():
    for optimizer in (optim.momentum(0.1), optim.adam(0.1)):
        with pytest.raises(TypeError, match="structure from the optimiser state: they have no leaf at 'bias'"):
            optimizer.update({"kernel": PARAMS["kernel"]}, optimizer.init({k: PARAMS[k] for k in ("bias", "kernel")}))


def test_integer_params_are_refused():
    optimizer = optim.sgd(0.1)
    params = {"table": jnp.arange(3)}
    with pytest.raises(TypeError, match=r"the parameter at 'table' is int32\[3\]"):
        optimizer.update({"table": jnp.ones(3)}, optimizer.init(params), params)


def test_containers_of_another_type_are_refused():
    with pytest.raises(TypeError, match="in the types of their containers"):
        optim.sgd(0.1).update([jnp.ones(1)], optim.sgd(0.1).init((jnp.ones(1),)), (jnp.ones(1),))


def test_any_pytree_of_params_will_do():
    optimizer = optim.adam(0.5)
    for params in (jnp.ones(2), [jnp.ones(2), (jnp.ones(1), None)], {}, np.ones(2, np.float32)):
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        expected = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), params)
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-6), optim.apply_updates(params, updates), expected
        )


def test_apply_updates_keeps_dtypes_and_rounds_once():
    params = {"low": jnp.array([1.0], jnp.bfloat16), "full": jnp.array([1.0])}
    updates = {"low": jnp.array([0.006]), "full": jnp.array([0.5], jnp.bfloat16)}
    with jax.numpy_dtype_promotion("strict"):
        moved = optim.apply_updates(params, updates)
    assert types(moved) == types(params)
    assert moved["low"].astype(jnp.float32) == 1.0078125  # the neighbour of 1 in bfloat16
    assert moved["full"] == 1.5


def test_apply_updates_refuses_other_structures_and_shapes():
    with pytest.raises(TypeError, match="the updates differ in structure from the params: they have no leaf at 'b'"):
        optim.apply_updates({"a": jnp.ones(1), "b": jnp.ones(1)}, {"a": jnp.ones(1)})
    with pytest.raises(ValueError, match=r"the updates at 'a' have shape \(\), the params \(2,\)"):
        optim.apply_updates({"a": jnp.ones(2)}, {"a": jnp.ones(())})
