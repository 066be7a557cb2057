"""What one run has compiled serves every run with equal parts."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

pytestmark = pytest.mark.full

X = np.linspace(-1, 1, 20, dtype=np.float32)[:, None]
ARRAYS = {"data": (X, 3 * X), "batch_size": 8, "validation": (X, 3 * X)}
BATCHES = {"data": [(X[:8], X[:8]), (X[8:16], X[8:16])], "validation": [(X[:8], X[:8])]}
NAMES: list[str] = []


@jax.monitoring.register_event_duration_secs_listener
def _listen(event: str, duration_secs: float, **details: Any) -> None:
    del duration_secs
    if event == "/jax/core/compile/backend_compile_duration":
        NAMES.append(details.get("fun_name", "?"))


@contextlib.contextmanager
def compiling() -> Iterator[list[str]]:
    """The names of the programs that are compiled inside."""
    seen, before = [], len(NAMES)
    yield seen
    seen.extend(NAMES[before:])


def objective(features: int = 4) -> fnn.Objective:
    model = fnn.Serial(fnn.Dense(features), fnn.BatchNorm(), fnn.Relu(), fnn.Dense(1))
    return fnn.Objective(model, fnn.MeanSquaredError(), (fnn.L2(1e-3),))


def run(given: dict[str, Any], features: int = 4, rate: float = 0.1, seed: int = 0) -> tuple[Any, dict]:
    """A whole run, and an evaluation, of which every part is made anew."""
    optimizer = fnn.optim.chain(fnn.optim.clip_by_global_norm(1.0), fnn.optim.adam(fnn.optim.cosine(rate, 100), b1=0.8))
    options = {"epochs": 3, "key": jax.random.key(seed), "progress": False, "metrics": (fnn.R2(),), **given}
    result = fnn.fit(objective(features), optimizer, early_stopping=fnn.EarlyStopping(2), **options)
    scores = fnn.evaluate(objective(features), result.params, result.state, given["validation"], metrics=(fnn.R2(),))
    return result, scores


@pytest.mark.parametrize("given", [ARRAYS, BATCHES], ids=["arrays", "batches"])
def test_a_second_run_of_equal_parts_compiles_nothing(given: dict[str, Any]):
    with compiling() as first:
        before = run(given)
    with compiling() as second:
        after = run(given)
    assert len(first) >= 3  # it is counted at all
    assert second == []
    for one, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(one, other)
    with compiling() as third:
        run(given, seed=1)  # the key is an argument
    assert third == []


@pytest.mark.parametrize("change", [{"features": 5}, {"rate": 0.2}], ids=str)
def test_another_model_or_optimiser_is_another_program(change: dict[str, Any]):
    (before, _), (after, _) = run(ARRAYS), run(ARRAYS, **change)
    assert not np.array_equal(before.history["loss"], after.history["loss"])
    with compiling() as again:
        run(ARRAYS, **change)
        run(ARRAYS)
    assert again == []


@dataclasses.dataclass(frozen=True)
class Scaled(fnn.Layer):
    """Not as layers should be: it holds an array, so it cannot be hashed, and compares to nothing."""

    factor: np.ndarray

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple[Any, Any]:
        return jnp.asarray(self.factor) * x, state


def test_a_model_that_cannot_be_hashed_is_compiled_for_each_run():
    losses = []
    for factor in (1.0, 3.0):
        made = fnn.Objective(fnn.Serial(Scaled(np.full(1, factor, np.float32)), fnn.Dense(1)), fnn.MeanSquaredError())
        options = {"epochs": 1, "batch_size": 20, "key": jax.random.key(0), "progress": False}
        losses.append(fnn.fit(made, fnn.optim.sgd(0.0), (X, 3 * X), **options).history["loss"])
    assert losses[0] != losses[1]


def test_what_was_compiled_can_be_let_go_of():
    run(ARRAYS, features=5)
    fnn.clear_compiled()
    with compiling() as again:
        run(ARRAYS, features=5)
    assert {"jit(steps)", "jit(scores)"} <= set(again)


SCALE = 1.0


def test_what_a_layer_reads_from_outside_is_read_anew(monkeypatch):
    def scaled(x):
        return SCALE * x

    def losses():
        model = fnn.Serial(fnn.Lambda(scaled), fnn.Dense(1))
        parts = fnn.Objective(model, fnn.MeanSquaredError())
        result = fnn.fit(
            parts, fnn.optim.sgd(0.1), (X, X), epochs=1, batch_size=8, key=jax.random.key(0), progress=False
        )
        scores = fnn.evaluate(parts, result.params, result.state, (X, X))
        value, _ = parts(result.params, result.state, (X, X))
        np.testing.assert_allclose(scores["loss"], value, rtol=1e-5)
        return result.history["loss"]

    before = losses()
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    assert losses() != before


def test_an_optimiser_of_ones_own_that_was_changed_is_another():
    class Descent:
        rate = 0.1

        def init(self, params):
            return ()

        def update(self, grads, opt_state, params=None):
            return jax.tree.map(lambda g: -self.rate * g, grads), opt_state

    def kernel(optimizer):
        return fnn.fit(
            objective(), optimizer, (X, X), epochs=1, batch_size=8, key=jax.random.key(0), progress=False
        ).params["dense_0"]["kernel"]

    optimizer = Descent()
    before = kernel(optimizer)
    optimizer.rate = 0.0
    assert (kernel(optimizer) != before).any()
