from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn import optim

PARAMS = {"bias": jnp.ones(2), "kernel": jnp.ones((2, 2))}
RANGES = [
    (optim.sgd, "learning_rate", -0.1, "learning_rate is a finite number of at least 0, got -0.1"),
    (optim.sgd, "learning_rate", float("nan"), "learning_rate is a finite number of at least 0, got nan"),
    (optim.sgd, "learning_rate", float("inf"), "learning_rate is a finite number of at least 0, got inf"),
    (optim.sgd, "learning_rate", 1e39, "but 1e.39 rounds to inf in float32"),
    (lambda momentum: optim.sgd(0.1, momentum=momentum), "momentum", 1.0, r"momentum is a number in \[0, 1\), got 1.0"),
    (lambda b1: optim.adam(0.1, b1), "b1", 1, r"b1 is a number in \[0, 1\), got 1"),
    (lambda b1: optim.adam(0.1, b1), "b1", -0.5, r"b1 is a number in \[0, 1\), got -0.5"),
    (lambda b2: optim.adamw(0.1, b2=b2), "b2", 0.99999999, r"b2 is a number in \[0, 1\), but 0.99999999 rounds to 1.0"),
    (lambda eps: optim.adam(0.1, eps=eps), "eps", -1e-8, "eps is a finite number of at least 0, got -1e-08"),
    (lambda eps: optim.adam(0.1, eps_root=eps), "eps_root", -1, "eps_root is a finite number of at least 0, got -1"),
    (lambda strength: optim.adamw(0.1, weight_decay=strength), "weight_decay", -1, "weight_decay is a finite number"),
    (optim.decay_weights, "strength", -1.0, "strength is a finite number of at least 0, got -1.0"),
    (optim.clip_by_global_norm, "max_norm", 0, "max_norm is a number greater than 0, got 0"),
    (optim.clip_by_global_norm, "max_norm", np.float32(-1), "max_norm is a number greater than 0, got"),
]


@pytest.mark.parametrize(("make", "name", "value", "message"), RANGES)
def test_a_number_out_of_its_range_is_refused(make, name, value, message):
    with pytest.raises(ValueError, match=message):
        make(value)
    with pytest.raises(ValueError, match=message):
        optim.set_hyperparams(make(0.5).init(PARAMS), **{name: value})


@pytest.mark.parametrize("value", ["fast", None, True, [0.1], 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="learning_rate is a number or a schedule step -> value, got"):
        optim.sgd(value)
    with pytest.raises(TypeError, match="learning_rate is a number or a scalar array, got"):
        optim.set_hyperparams(optim.sgd(0.1).init(PARAMS), learning_rate=value)


def test_arrays_that_are_no_real_scalar_are_refused():
    with pytest.raises(ValueError, match=r"learning_rate is one number, got an array of shape \(2,\); use jax.vmap"):
        optim.sgd(jnp.array([0.1, 0.2]))
    with pytest.raises(TypeError, match="learning_rate is a real number, got an array of bool"):
        optim.sgd(jnp.array(True))
    with pytest.raises(ValueError, match=r"the schedule of learning_rate returns one number, got .* \(2,\)"):
        optim.sgd(lambda step: jnp.ones(2)).init(PARAMS)


def test_numbers_of_every_kind_are_stored_alike():
    ones: list[Any] = [1, 1.0, np.float64(1), np.float32(1), np.int64(1), np.array(1), jnp.array(1), jnp.array(1.0)]
    for value in ones:
        stored = optim.hyperparams(optim.sgd(value).init(PARAMS))["learning_rate"]
        assert (stored, stored.dtype, stored.weak_type) == (1, jnp.float32, False)


def test_tracers_pass_where_numbers_are_checked():
    rate = jax.jit(lambda rate: optim.hyperparams(optim.adam(rate, b1=-rate).init(PARAMS)))(-2.0)
    assert (rate["learning_rate"], rate["b1"]) == (-2, 2)


def test_hyperparams_are_found_at_any_depth():
    class Outer(NamedTuple):
        count: Any
        hyperparams: dict
        inner: Any

    adamw = optim.chain(optim.chain(optim.clip_by_global_norm(2.0)), optim.adamw(0.5, 0.75, 0.5, 0.25, 0.125))
    opt_state = [Outer(jnp.array(0), {"alpha": jnp.array(0.0625)}, {"deep": adamw.init(PARAMS), "none": None})]
    found = optim.hyperparams(opt_state)
    assert {name: float(value) for name, value in found.items()} == {
        "alpha": 0.0625,
        "max_norm": 2.0,
        "b1": 0.75,
        "b2": 0.5,
        "eps": 0.25,
        "eps_root": 0.125,
        "weight_decay": np.float32(1e-4),
        "learning_rate": 0.5,
    }
    changed = optim.set_hyperparams(opt_state, alpha=3.0, max_norm=4, learning_rate=jnp.array(0.25))
    assert optim.hyperparams(changed) == found | {"alpha": 3.0, "max_norm": 4.0, "learning_rate": 0.25}
    assert jax.tree.structure(changed) == jax.tree.structure(opt_state)
    assert optim.hyperparams(opt_state) == found  # the state given is left alone
    with pytest.raises(ValueError, match="alpha is a number, got nan"):
        optim.set_hyperparams(opt_state, alpha=float("nan"))


def test_a_name_that_occurs_twice_is_read_and_set_by_position():
    optimizer = optim.chain(optim.sgd(0.5), optim.chain(optim.clip_by_global_norm(1.0), optim.sgd(0.25)))
    opt_state = optimizer.init(PARAMS)
    assert list(optim.hyperparams(opt_state)) == ["0/0/learning_rate", "max_norm", "1/1/0/learning_rate"]
    changed = optim.set_hyperparams(opt_state, **{"1/1/0/learning_rate": 2.0})
    assert optim.hyperparams(changed) == {"0/0/learning_rate": 0.5, "max_norm": 1.0, "1/1/0/learning_rate": 2.0}
    with pytest.raises(ValueError, match=r"no hyper-parameter 'learning_rate' .* there are \['0/0/learning_rate', "):
        optim.set_hyperparams(opt_state, learning_rate=2.0)


def test_a_name_of_the_root_and_of_one_inside_are_told_apart():
    class Outer(NamedTuple):
        count: Any
        hyperparams: dict
        inner: Any

    state = Outer(jnp.array(0), {"decay": jnp.array(0.5)}, Outer(jnp.array(0), {"decay": jnp.array(0.25)}, None))
    assert optim.hyperparams(optim.set_hyperparams(state, decay=1.0)) == {"decay": 1.0, "inner/decay": 0.25}
    assert optim.hyperparams(optim.set_hyperparams(state, **{"inner/decay": 1.0})) == {"decay": 0.5, "inner/decay": 1.0}


def test_an_unknown_name_is_refused():
    opt_state = optim.sgd(0.1).init(PARAMS)
    with pytest.raises(ValueError, match=r"no hyper-parameter 'rate' in this optimiser state; there are \['learning_"):
        optim.set_hyperparams(opt_state, rate=0.1)
    assert optim.hyperparams({"a": jnp.ones(1)}) == {}


def test_setting_one_changes_the_next_step_without_compiling_it_again():
    traces = []
    optimizer = optim.chain(optim.clip_by_global_norm(100.0), optim.sgd(0.5))

    @jax.jit
    def step(grads, opt_state):
        traces.append(1)
        return optimizer.update(grads, opt_state)

    updates, opt_state = step(PARAMS, optimizer.init(PARAMS))
    np.testing.assert_array_equal(updates["bias"], -0.5)
    for value in (2, 2.0, np.float64(2), jnp.array(2.0), jnp.array(2)):
        changed = optim.set_hyperparams(opt_state, learning_rate=value)
        np.testing.assert_array_equal(step(PARAMS, changed)[0]["bias"], -2.0)
    assert len(traces) == 1


def test_hyperparams_can_be_set_inside_a_compiled_function():
    optimizer = optim.sgd(0.5)
    opt_state = optimizer.init(PARAMS)
    updates = jax.jit(
        lambda rate, opt_state: optimizer.update(PARAMS, optim.set_hyperparams(opt_state, learning_rate=rate))[0]
    )(0.25, opt_state)
    np.testing.assert_array_equal(updates["bias"], -0.25)


def test_a_batched_state_takes_one_number_or_one_each():
    opt_state = jax.vmap(lambda rate: optim.sgd(rate).init(PARAMS))(jnp.array([0.1, 0.2]))
    each = optim.set_hyperparams(opt_state, learning_rate=jnp.array([1, 2]))
    np.testing.assert_array_equal(optim.hyperparams(each)["learning_rate"], [1.0, 2.0])
    both = optim.set_hyperparams(opt_state, learning_rate=3)
    np.testing.assert_array_equal(optim.hyperparams(both)["learning_rate"], [3.0, 3.0])
    with pytest.raises(ValueError, match=r"learning_rate is one number, got an array of shape \(3,\)"):
        optim.set_hyperparams(opt_state, learning_rate=jnp.ones(3))


def test_a_scheduled_value_is_the_one_last_used_and_cannot_be_set():
    optimizer = optim.adamw(lambda step: 1.0 / (step + 1), weight_decay=optim.constant(0.5))
    opt_state = optimizer.init(PARAMS)
    assert optim.hyperparams(opt_state)["learning_rate"] == 1
    for used in (1, 1 / 2, 1 / 3):
        updates, opt_state = jax.jit(optimizer.update)(PARAMS, opt_state, PARAMS)
        np.testing.assert_allclose(updates["bias"], -used, rtol=1e-6)
        np.testing.assert_allclose(updates["kernel"], -1.5 * used, rtol=1e-6)
        np.testing.assert_allclose(optim.hyperparams(opt_state)["learning_rate"], used, rtol=1e-6)
    for name in ("learning_rate", "weight_decay"):
        with pytest.raises(ValueError, match=f"{name} is driven by a schedule, which would overwrite 0.1"):
            optim.set_hyperparams(opt_state, **{name: 0.1})
    assert optim.hyperparams(optim.set_hyperparams(opt_state, b1=0.5))["b1"] == 0.5


def test_a_state_restored_as_numpy_goes_on():
    optimizer = optim.adam(optim.cosine(0.1, 10))
    _, opt_state = optimizer.update(PARAMS, optimizer.init(PARAMS), PARAMS)
    restored = jax.tree.map(np.asarray, opt_state)
    updates, _ = optimizer.update(PARAMS, restored, PARAMS)
    expected, _ = optimizer.update(PARAMS, opt_state, PARAMS)
    jax.tree.map(np.testing.assert_array_equal, updates, expected)
    assert optim.hyperparams(optim.set_hyperparams(restored, eps=0.5))["eps"] == 0.5
