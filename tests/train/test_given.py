"""Hyper-parameters of a run: every one is read, or the run says which is not and what to write."""

import copy
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn.train.given import Given, made

OBJECTIVE = fnn.Objective(fnn.Dense(1), fnn.MeanSquaredError())
SGD = fnn.optim.sgd(0.1)
X = jnp.linspace(-1, 1, 8)[:, None]


def train(objective: Any = OBJECTIVE, optimizer: Any = SGD) -> Any:
    run = fnn.make_train(objective, optimizer, epochs=1, batch_size=8)
    return lambda *hyperparams: jax.eval_shape(run, jax.random.key(0), (X, X), *hyperparams)


def by_both(h: dict) -> Any:
    return fnn.optim.sgd(h["rate"], momentum=h["momentum"])


def test_values_that_nothing_reads_are_refused():
    for unread in (0.1, jnp.ones(3), (0.1, 0.2)):
        with pytest.raises(ValueError, match=r"nothing in a run depends on hyperparams: .* as lambda rate: fnn\.optim"):
            train()(unread)
    with pytest.raises(ValueError, match=r"on the hyper-parameter 'rate': give make_train .* \(used: none\)"):
        train()({"rate": 0.1})
    words = r"on the hyper-parameter 'decay': .* that uses hyperparams\['decay'\] \(used: momentum, rate\)"
    with pytest.raises(ValueError, match=words):
        train(optimizer=by_both)({"rate": 0.1, "decay": 0.2, "momentum": 0.9})
    with pytest.raises(ValueError, match="on the hyper-parameter 'momentum'"):
        train(optimizer=lambda h: fnn.optim.sgd(h["rate"] if "momentum" in h else 0.1))({"rate": 0.1, "momentum": 0.9})


def test_no_values_are_nothing_to_read():
    for nothing in ((), (None,), ({},)):
        assert train()(*nothing).epochs_run.shape == ()


def test_a_value_that_is_not_given_is_asked_for():
    words = r"reads the hyper-parameter 'momentum', which is not given \(given: rate\); add it to the dict of hyper"
    with pytest.raises(KeyError, match=words):
        train(optimizer=by_both)({"rate": 0.1})


@pytest.mark.parametrize(
    "read",
    [
        by_both,
        lambda h: fnn.optim.sgd(h.get("rate"), momentum=h.get("momentum", 0.9)),
        lambda h: fnn.optim.sgd(h.pop("rate"), **h),
        lambda h: fnn.optim.sgd(sum(h.values())),
        lambda h: fnn.optim.sgd(sum(value for _, value in h.items())),
        lambda h: fnn.optim.sgd(sum(h[name] for name in h)),
        lambda h: by_both(h.copy()),
        lambda h: by_both(dict(h)),
        lambda h: by_both({**h}),
        lambda h: by_both(h | {"decay": 0.1}),
        lambda h: by_both({"decay": 0.1} | h),
        lambda h: by_both(copy.copy(h)),
        lambda h: by_both(jax.tree.map(lambda value: 2 * value, h)),
        lambda h: jax.jit(lambda h: h["rate"] + h["momentum"])(h) is None or SGD,
    ],
)
def test_a_dict_can_be_read_in_any_way(read):
    given = {"rate": jnp.array(0.1), "momentum": jnp.array(0.9)}
    made_objective, _, check = made(OBJECTIVE, read, given)
    check(lambda: pytest.fail("all are read already"))
    assert made_objective is OBJECTIVE
    assert set(given) == {"rate", "momentum"}


@pytest.mark.full
@pytest.mark.parametrize("jit", [False, True])
def test_a_schedule_may_read_one_in_the_steps_alone(jit):
    def optimizer(h):
        return fnn.optim.sgd(lambda step: jnp.where(step < h["steps"], h["rate"], 0.0))

    run = fnn.make_train(OBJECTIVE, optimizer, epochs=1, batch_size=8)
    run = jax.jit(run) if jit else run
    assert run(jax.random.key(0), (X, X), {"steps": 3, "rate": 0.1}).epochs_run == 1
    with pytest.raises(ValueError, match="on the hyper-parameter 'decay'"):
        run(jax.random.key(0), (X, X), {"steps": 3, "rate": 0.1, "decay": 0.1})


def test_the_objective_may_read_some_and_the_optimizer_others():
    objective = lambda h: fnn.Objective(fnn.Dense(1), fnn.Huber(h["delta"]))  # noqa: E731
    made_objective, optimizer, _ = made(objective, lambda h: fnn.optim.sgd(h["rate"]), {"delta": 2.0, "rate": 0.5})
    assert (made_objective.loss, optimizer) == (fnn.Huber(2.0), fnn.optim.sgd(0.5))


class Pair(NamedTuple):
    rate: float


@dataclasses.dataclass(frozen=True)
class Options:
    rate: float


@pytest.mark.parametrize("given", [0.1, Pair(0.1), Options(0.1), [0.1]])
def test_anything_else_is_handed_over_as_it_is(given):
    seen = []
    made(OBJECTIVE, lambda h: seen.append(h) or SGD, given)
    assert seen[0] is given


def test_what_is_neither_made_nor_a_function_is_refused():
    with pytest.raises(TypeError, match="expected an objective and an optimizer, or functions of hyperparams, got 3"):
        made(OBJECTIVE, 3, None)
    with pytest.raises(TypeError, match="is taken for a function of hyperparams: call train"):
        made(OBJECTIVE, fnn.optim.sgd, None)


def test_it_is_a_dict_to_jax_and_fresh_on_the_other_side():
    given = Given({"rate": 1.0, "decay": 2.0})
    assert jax.tree.leaves(given) == jax.tree.leaves(dict(given)) == [2.0, 1.0]
    paths = [[each for each, _ in jax.tree_util.tree_flatten_with_path(tree)[0]] for tree in (given, dict(given))]
    assert paths[0] == paths[1]
    assert (given.read, jax.tree.map(lambda value: value, given).read) == ({"rate", "decay"}, set())
