"""What the norms and the clipped mean of the examples' gradients are, beyond the rows of the table."""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr

import fnn
from tests import compiled
from tests.comparing import close, same
from tests.rules import alone

pytestmark = pytest.mark.usefixtures("strict_numerics")

KEY = jax.random.key(0)


def drawn(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def labels(seed: int, classes: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, classes, shape)


def start(objective: fnn.Objective, inputs: Any) -> tuple[Any, Any]:
    params, state = compiled.start(objective, KEY, inputs)
    return jax.tree.map(lambda leaf: leaf + 0.1 * jnp.asarray(drawn(leaf.size, *leaf.shape), leaf.dtype), params), state


def classifier() -> tuple[fnn.Objective, Any, tuple]:
    objective = fnn.Objective(fnn.Serial(fnn.Dense(4), fnn.Tanh(), fnn.Dense(3)), fnn.CrossEntropy())
    batch = drawn(1, 5, 2), labels(2, 3, 5)
    return objective, start(objective, batch[0])[0], batch


# ---- by numbers worked by hand


def test_the_norm_of_a_dense_layer_is_that_of_its_input_times_that_of_its_delta():
    objective = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    batch = np.array([[3.0, 4.0], [0.0, 1.0]]), np.array([[1.0], [-2.0]])
    found = compiled.per_example_norms(objective, {"kernel": jnp.zeros((2, 1))}, {}, batch)
    close(found.norms, np.array([10.0, 4.0]))  # |2 (0 − t)| ‖x‖
    close(found.value, (1 + 4) / 2)
    close(found.aux.outputs, np.zeros((2, 1)))


def test_a_symbol_that_occurs_twice_in_an_example_adds_up():
    model = fnn.Serial(fnn.Embedding(3, 1), fnn.Lambda(lambda x: x.sum(1)))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    batch = np.array([[0, 0, 1], [0, 1, 2]]), np.array([[1.0], [1.0]])
    params = {"embedding_0": {"embedding": jnp.zeros((3, 1))}}
    found = compiled.per_example_norms(objective, params, {}, batch)
    close(found.norms, np.sqrt([2.0**2 * (2**2 + 1), 2.0**2 * 3]))


@pytest.mark.full
def test_an_index_outside_the_table_has_no_gradient():
    objective = fnn.Objective(fnn.Embedding(3, 2), alone.Energy())
    batch = jnp.array([[0, 7], [-1, 2]]), jnp.zeros((2, 1))
    found = jax.jit(lambda params: fnn.per_example_norms(objective, params, {}, batch).leaves)(
        {"embedding": jnp.zeros((3, 2))}
    )
    phases = np.cos(np.arange(4.0)).reshape(2, 2)
    close(found["embedding"], np.array([np.linalg.norm(phases[0]), np.linalg.norm(phases[1])]))


# ---- what an example's gradient is


@pytest.mark.full
def test_the_weight_of_an_example_cancels_and_a_weight_of_zero_leaves_no_gradient():
    objective, params, batch = classifier()
    plain = compiled.per_example_norms(objective, params, {}, batch)
    weighted = compiled.per_example_norms(objective, params, {}, (*batch, np.array([3.0, 1.0, 0.5, 0.0, 2.0])))
    close(weighted.norms, plain.norms * np.array([1.0, 1, 1, 0, 1]))


@pytest.mark.full
@pytest.mark.parametrize("weights", [None, np.array([3.0, 1.0, 0.5, 0.0, 2.0])], ids=["plain", "weighted"])
def test_the_value_is_that_of_the_objective_on_the_batch(weights: Any):
    objective, params, batch = classifier()
    objective = dataclasses.replace(objective, penalties=(fnn.L2(0.1),))
    batch = batch if weights is None else (*batch, weights)
    value, aux = objective(params, {}, batch)
    found = compiled.per_example_norms(objective, params, {}, batch)
    close((found.value, found.aux.outputs), (value, aux.outputs))
    close(compiled.clipped_gradients(objective, params, {}, batch, max_norm=1.0)[0][0], value)


@pytest.mark.full
def test_a_batch_without_any_weight_has_the_value_zero():
    objective, params, batch = classifier()
    close(compiled.per_example_norms(objective, params, {}, (*batch, np.zeros(5))).value, 0.0)


@pytest.mark.full
def test_every_example_draws_the_same_random_numbers():
    objective = fnn.Objective(fnn.Serial(fnn.Dropout(0.5), fnn.Dense(1)), fnn.MeanSquaredError())
    batch = np.ones((6, 8)), np.ones((6, 1))
    params, _ = start(objective, batch[0])
    norms = compiled.per_example_norms(objective, params, {}, batch, key=KEY).norms
    close(norms, jnp.full(6, norms[0]))
    assert norms[0] != compiled.per_example_norms(objective, params, {}, batch, train=False).norms[0]


@pytest.mark.full
def test_a_penalty_counts_in_full_in_every_example_and_at_parameters_that_nothing_else_moves():
    model = fnn.Serial(fnn.Frozen(fnn.Dense(3)), fnn.Dense(2))
    objective = fnn.Objective(model, fnn.MeanSquaredError(), (fnn.L2(0.3), fnn.L1(0.1, paths="*/bias")))
    batch = drawn(1, 4, 2), drawn(2, 4, 2)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)


MODELS = {
    "tied": fnn.Tied(
        fnn.Serial(
            symbols=fnn.Embedding(5, 4),
            places=fnn.PositionalEmbedding(9),
            blocks=fnn.Repeat(fnn.Remat(fnn.TransformerBlock(2, 8, causal=True, dropout=0.1)), 2),
            out=fnn.Dense(5, use_bias=False),
        ),
        {"out/kernel": "symbols/embedding"},
        transform="transpose",
    ),
    "tied by a layer": fnn.Tied(
        fnn.Serial(symbols=fnn.Embedding(5, 4), one=fnn.Dense(4), other=fnn.Dense(4), out=fnn.Dense(5)),
        {"other": "one"},
    ),
    "three in one": fnn.Tied(
        fnn.Serial(fnn.Embedding(5, 4), a=fnn.Dense(4), b=fnn.Dense(4), c=fnn.Dense(4), out=fnn.Dense(5)),
        {"b/kernel": "a/kernel", "c/kernel": "a/kernel"},
    ),
    "two heads' kernels, turned": fnn.Serial(
        fnn.Embedding(5, 4), fnn.Tied(fnn.MultiHeadAttention(2), {"key/kernel": "query/kernel"}, transform="transpose")
    ),
    "made from others that are made": fnn.Serial(
        fnn.Embedding(5, 4),
        fnn.Repeat(fnn.DropConnect(fnn.WeightNorm(fnn.Dense(4)), 0.3), 2),
        fnn.Repeat(
            fnn.Tied(
                fnn.Serial(a=fnn.WeightNorm(fnn.Dense(4)), b=fnn.Dense(4), c=fnn.Dense(4)), {"c/kernel": "b/kernel"}
            ),
            2,
        ),
        fnn.DropConnect(fnn.Repeat(fnn.Dense(4), 2), 0.3),
        fnn.Dense(5),
    ),
    "made from others": fnn.Serial(
        fnn.Embedding(5, 4),
        fnn.DropConnect(fnn.WeightNorm(fnn.Dense(4)), 0.3),
        fnn.Repeat(fnn.Serial(fnn.WeightNorm(fnn.Dense(4)), fnn.SpectralNorm(fnn.Dense(4)), fnn.Tanh()), 2),
        fnn.Dense(5),
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", MODELS)
def test_parameters_in_several_places_or_made_from_others_with_a_penalty(name: str):
    objective = fnn.Objective(MODELS[name], alone.Energy(), (fnn.L2(0.1),))
    batch = labels(3, 5, 3, 6), labels(4, 5, 3, 6)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)


@pytest.mark.full
@pytest.mark.parametrize("transform", [None, "transpose"])
def test_convolutions_that_share_a_kernel_with_a_penalty_in_another_dtype(transform: Any):
    model = fnn.Cast(
        fnn.Tied(
            fnn.Serial(a=fnn.Conv(2, 3), b=fnn.Conv(2, 3, strides=2)), {"b/kernel": "a/kernel"}, transform=transform
        ),
        "float64",
    )
    objective = fnn.Objective(model, alone.Energy(), (fnn.L2(0.1),))
    batch = drawn(1, 3, 5, 5, 2), np.zeros(3)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)
    objective = fnn.Objective(fnn.Cast(fnn.Conv(2, 2)), alone.Energy(), (fnn.L2(0.1),))
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True, tolerance=2.0**-6)


@pytest.mark.full
def test_a_loss_that_multiplies_by_its_kernel_itself():
    objective = fnn.Objective(fnn.Serial(fnn.Embedding(5, 4), fnn.SwiGLU(3)), fnn.LinearCrossEntropy(5, chunk=4))
    batch = labels(3, 5, 3, 6), labels(4, 5, 3, 6)
    params, state = start(objective, batch[0])
    alone.check(objective, params, state, batch, key=KEY, train=True)
    assert compiled.per_example_norms(objective, params, state, batch).aux.outputs.shape == (3, 6, 5)  # logits


@pytest.mark.full
def test_sequences_with_lengths_and_a_memory_with_a_mask():
    objective = fnn.Objective(fnn.Serial(fnn.LSTM(3), fnn.Dense(2)), fnn.CrossEntropy())
    batch = (drawn(1, 4, 5, 2), np.array([5, 2, 1, 4])), labels(2, 2, 4, 5)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)
    objective = fnn.Objective(fnn.MultiHeadAttention(2), fnn.MeanSquaredError())
    batch = (drawn(1, 3, 5, 4), drawn(2, 3, 6, 4), drawn(3, 3, 6) > -1), drawn(4, 3, 5, 4)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)


@pytest.mark.parametrize("steps", [1, 2, 40], ids=["one row", "by inner products of rows", "in full"])
def test_both_forms_of_a_norm(steps: int):
    objective = fnn.Objective(fnn.Dense(4), fnn.MeanSquaredError())
    batch = drawn(1, 7, steps, 6), drawn(2, 7, steps, 4)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)


@pytest.mark.full
def test_half_precision_inside_keeps_the_norms():
    objective = fnn.Objective(fnn.Cast(fnn.Serial(fnn.Dense(16), fnn.Tanh(), fnn.Dense(3))), fnn.CrossEntropy())
    batch = drawn(1, 5, 8), labels(2, 3, 5)
    alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True, tolerance=2.0**-7)


# ---- layers of one's own


@dataclasses.dataclass(frozen=True)
class Doubled(fnn.Dense):
    """A subclass of a layer that is known, with a backward of its own, and a field named as a method of others."""

    fold: int = 2

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
        y, state, cache = super().forward(params, state, x, train=train, key=key)
        return 2 * y, state, cache

    def backward(self, cache: Any, dy: Any) -> tuple:
        return super().backward(cache, 2 * dy)


@pytest.mark.full
def test_a_subclass_with_a_backward_of_its_own_is_asked_itself():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(3), Doubled(2)), alone.Energy())
    batch = drawn(1, 4, 3), np.zeros(4)
    with pytest.warns(UserWarning, match=r"in doubled_0: the gradients of Doubled\(features=2\) are formed in full"):
        alone.check(objective, *start(objective, batch[0]), batch, key=KEY, train=True)


@dataclasses.dataclass(frozen=True)
class Counts(fnn.Layer):
    """Parameters that are not floating, and a list of them, beside one that is."""

    def init(self, key: Any, x: Any) -> tuple[dict, dict]:
        return {"a count": jnp.array(3), "list": [jnp.ones(2), key], "w": jnp.ones((x.shape[-1], 2))}, {}

    def apply(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
        return x @ params["w"] * params["a count"].astype(x.dtype) + params["list"][0][None], state


@pytest.mark.full
def test_parameters_that_are_not_floating_have_no_norm():
    objective = fnn.Objective(Counts(), fnn.MeanSquaredError())
    batch = drawn(1, 4, 3), drawn(2, 4, 2)
    params, state = objective.init(KEY, batch[0])
    with pytest.warns(UserWarning, match="the model: the gradients of Counts"):
        found = fnn.per_example_norms(objective, params, state, batch)
    with pytest.warns(UserWarning, match="the model: the gradients of Counts"):
        _, grads = fnn.clipped_gradients(objective, params, state, batch, max_norm=1e3)
    assert list(found.leaves) == ["list/0", "w"]
    delta = np.asarray(2 / 2 * (found.aux.outputs - batch[1]))
    close(found.leaves["list/0"], np.linalg.norm(delta, axis=1))
    close(found.leaves["w"], 3 * np.linalg.norm(batch[0], axis=1) * np.linalg.norm(delta, axis=1))
    close(grads["w"], 3 * batch[0].T @ delta / 4)
    assert grads["a count"].dtype == params["a count"].dtype


# ---- the clipped mean


def test_without_a_norm_above_the_limit_it_is_the_gradient_of_the_batch():
    objective, params, batch = classifier()
    (value, aux), grads = objective.value_and_grad(params, {}, batch)
    found = compiled.clipped_gradients(objective, params, {}, batch, max_norm=1e6)
    close(found, ((value, aux), grads))


@pytest.mark.full
def test_it_has_the_structure_and_dtypes_of_the_parameters():
    objective = fnn.Objective(fnn.Serial(fnn.Repeat(fnn.Dense(3), 2), fnn.WeightNorm(fnn.Dense(2))), alone.Energy())
    batch = drawn(1, 4, 3).astype(np.float32), np.zeros(4)
    params, _ = compiled.start(objective, KEY, batch[0])
    _, grads = compiled.clipped_gradients(objective, params, {}, batch, max_norm=0.1)
    chex.assert_trees_all_equal_shapes_and_dtypes(grads, params)


def test_no_example_moves_it_by_more_than_twice_the_limit():
    objective, params, batch = classifier()
    other = (np.concatenate([batch[0][:-1], 1e3 * np.ones((1, 2))]), batch[1])
    one, two = (compiled.clipped_gradients(objective, params, {}, each, max_norm=0.1)[1] for each in (batch, other))
    moved = jnp.sqrt(sum(jnp.vdot(a - b, a - b) for a, b in zip(*map(jax.tree.leaves, (one, two)), strict=True)))
    assert moved <= 2 * 0.1 / 5 * (1 + 1e-12)


@pytest.mark.full
def test_examples_without_a_gradient_leave_the_derivatives_of_norms_finite():
    objective, params, batch = classifier()
    batch = (*batch, np.array([1.0, 0.0, 1.0, 1.0, 1.0]))

    def both(params: Any) -> jax.Array:
        _, grads = fnn.clipped_gradients(objective, params, {}, batch, max_norm=0.1)
        return fnn.per_example_norms(objective, params, {}, batch).norms.sum() + grads["dense_0"]["bias"].sum()

    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(both)(params)))


@pytest.mark.full
def test_a_norm_that_overflows_makes_the_mean_nan_and_drops_no_example():
    objective = fnn.Objective(fnn.Dense(1, use_bias=False), fnn.MeanSquaredError())
    x = np.array([[1e10], [1.0]], np.float32)
    _, grads = compiled.clipped_gradients(
        objective, {"kernel": jnp.zeros((1, 1), jnp.float32)}, {}, (x, x), max_norm=1.0
    )
    assert np.isnan(grads["kernel"]).all()


@pytest.mark.full
def test_a_limit_may_be_traced_and_one_out_of_range_gives_nan():
    objective, params, batch = classifier()
    run = jax.jit(lambda limit: fnn.clipped_gradients(objective, params, {}, batch, max_norm=limit)[1])
    close(run(0.1), fnn.clipped_gradients(objective, params, {}, batch, max_norm=0.1)[1])
    assert all(np.isnan(leaf).all() for leaf in jax.tree.leaves(run(-1.0)))
    with pytest.raises(ValueError, match=r"max_norm is a number greater than 0, got 0"):
        fnn.clipped_gradients(objective, params, {}, batch, max_norm=0)
    with pytest.raises(ValueError, match=r"max_norm is a scalar, got the shape \(2,\)"):
        fnn.clipped_gradients(objective, params, {}, batch, max_norm=np.array([0.1, 0.2]))


@pytest.mark.full
def test_it_runs_under_vmap_and_operation_by_operation():
    objective, params, batch = classifier()
    found = fnn.clipped_gradients(objective, params, {}, batch, max_norm=0.1)[1]
    two = jax.vmap(lambda limit: fnn.clipped_gradients(objective, params, {}, batch, max_norm=limit)[1])
    close(jax.tree.map(lambda leaf: leaf[0], two(jnp.array([0.1, 0.2]))), found)


# ---- states


@pytest.mark.full
def test_a_state_that_no_example_changes_is_returned():
    objective = fnn.Objective(fnn.Serial(fnn.SpectralNorm(fnn.Dense(3)), fnn.BatchNorm()), alone.Energy())
    x = drawn(1, 4, 2)
    params, state = compiled.start(objective, KEY, x)
    _, trained = objective(params, state, (x, np.zeros(4)), train=True)
    found = compiled.per_example_norms(objective, params, trained.state, (x, np.zeros(4)), train=False)
    same(found.aux.state, trained.state)


@dataclasses.dataclass(frozen=True)
class Remembers(fnn.Layer):
    """Keeps the last sum that it saw."""

    def init(self, key: Any, x: Any) -> tuple[dict, dict]:
        return {}, {"sum": jnp.zeros(())}

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> tuple:
        return x, {"sum": x.sum()}, {}

    def backward(self, cache: Any, dy: Any) -> tuple:
        return {}, dy


def test_a_state_that_differs_from_example_to_example_is_refused_by_its_path():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(2), Remembers()), alone.Energy())
    batch = drawn(1, 4, 2), np.zeros(4)
    params, state = objective.init(KEY, batch[0])
    with pytest.raises(ValueError, match="the state 'remembers_0/sum' changes with the example"):
        fnn.per_example_norms(objective, params, state, batch)


# ---- what is refused


def test_a_batch_norm_in_training_is_refused_by_its_path_with_what_to_use():
    objective = fnn.Objective(fnn.Serial(fnn.Dense(2), body=fnn.Serial(fnn.BatchNorm())), alone.Energy())
    batch = drawn(1, 4, 2), np.zeros(4)
    params, state = objective.init(KEY, batch[0])
    for tool in (fnn.per_example_norms, fnn.gradient_noise_scale):
        with pytest.raises(ValueError, match=r"in body/batch_norm_0: BatchNorm\(\).*GroupNorm or LayerNorm, Frozen"):
            tool(objective, params, state, batch)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((drawn(1, 4, 2), labels(1, 3, 5)), r"one leading axis of N examples, got \(float64\[4,2\], int64\[5\]\)"),
        ((drawn(1, 0, 2), labels(1, 3, 0)), "the batch is empty"),
        (drawn(1, 4, 2), "a batch is"),
    ],
)
def test_a_batch_without_one_number_of_examples(batch: Any, message: str):
    objective, params, _ = classifier()
    with pytest.raises((ValueError, TypeError), match=message):
        fnn.per_example_norms(objective, params, {}, batch)


def test_labels_and_weights_that_the_objective_refuses_are_refused():
    objective, params, batch = classifier()
    for tool in (fnn.per_example_norms, fnn.gradient_noise_scale):
        with pytest.raises(ValueError, match=r"labels lie in \[0, 3\), got"):
            tool(objective, params, {}, (batch[0], np.array([0, 1, 2, -3, 0])))
        with pytest.raises(ValueError, match="weights are at least 0"):
            tool(objective, params, {}, (*batch, np.array([1.0, 1, 1, -1, 1])))


def test_a_model_in_the_place_of_an_objective_is_refused():
    objective, params, batch = classifier()
    with pytest.raises(TypeError, match="expected an Objective, got Serial"):
        fnn.per_example_norms(objective.model, params, {}, batch)  # type: ignore[arg-type]


@pytest.mark.full
def test_outputs_that_do_not_depend_on_the_example_are_those_of_all():
    model = fnn.Serial(fnn.Dense(2), fnn.Lambda(lambda x: jnp.zeros((len(x), 3))))
    objective = fnn.Objective(model, fnn.CrossEntropy())
    batch = drawn(1, 4, 2), labels(2, 3, 4)
    params, state = compiled.start(objective, KEY, batch[0])
    found = compiled.per_example_norms(objective, params, state, batch)
    close((found.aux.outputs, found.norms), (np.zeros((4, 3)), np.zeros(4)))


# ---- memory


def memory(function: Any, *arguments: Any) -> int:
    analysis: Any = jax.jit(function).lower(*arguments).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.usefixtures("users_compilation")
def test_of_a_perceptron_they_take_a_fiftieth_of_the_memory_of_the_gradients():
    layers = [fnn.Dense(512), fnn.Relu(), fnn.Dense(512), fnn.Relu(), fnn.Dense(10)]
    objective = fnn.Objective(fnn.Serial(*layers), fnn.CrossEntropy())
    batch = jax.ShapeDtypeStruct((512, 784), np.float32), jax.ShapeDtypeStruct((512,), np.int32)
    params, _ = jax.eval_shape(objective.init, KEY, batch[0])

    def ours(params: Any, batch: tuple) -> Any:
        return fnn.per_example_norms(objective, params, {}, batch)[2:]

    def clipped(params: Any, batch: tuple) -> Any:
        return fnn.clipped_gradients(objective, params, {}, batch, max_norm=1.0)[1]

    def by_gradients(params: Any, batch: tuple) -> Any:
        return alone.norms(alone.gradients(objective, params, {}, batch, None, True))

    whole = memory(by_gradients, params, batch)
    assert memory(ours, params, batch) <= whole / 50
    assert memory(clipped, params, batch) <= whole / 50


@pytest.mark.full
@pytest.mark.parametrize("kind", ["convolutions", "transformer", "recurrent"])
def test_no_program_holds_an_array_of_every_examples_gradients(kind: str):
    examples, model, inputs = {
        "convolutions": (
            64,
            fnn.Serial(fnn.Conv(64, 3), fnn.Relu(), fnn.Conv(64, 3), fnn.GlobalAvgPool(), fnn.Dense(10)),
            jax.ShapeDtypeStruct((64, 8, 8, 3), np.float32),
        ),
        "transformer": (
            48,
            fnn.Serial(fnn.Embedding(500, 64), fnn.Repeat(fnn.TransformerBlock(4, 256), 2), fnn.Dense(10)),
            jax.ShapeDtypeStruct((48, 8), np.int32),
        ),
        "recurrent": (
            64,
            fnn.Serial(fnn.LSTM(64), fnn.GRU(64, return_sequences=False), fnn.Dense(10)),
            jax.ShapeDtypeStruct((64, 8, 16), np.float32),
        ),
    }[kind]
    objective = fnn.Objective(model, alone.Energy())
    batch = inputs, jax.ShapeDtypeStruct((examples,), np.float32)
    params, state = jax.eval_shape(objective.init, KEY, inputs)
    largest = max(leaf.size for leaf in jax.tree.leaves(params))

    def run(params: Any, state: Any, batch: tuple) -> Any:
        norms = fnn.per_example_norms(objective, params, state, batch)[2:]
        return norms, fnn.clipped_gradients(objective, params, state, batch, max_norm=1.0)[1]

    sizes = {
        variable.aval.shape: variable.aval.size for variable in variables(jax.make_jaxpr(run)(params, state, batch))
    }
    too_large = {shape for shape, size in sizes.items() if size >= examples * largest}
    assert not too_large


def variables(closed: Any) -> list[Any]:
    """All variables of a program and of those inside it."""
    found: list[Any] = []
    for eqn in closed.jaxpr.eqns:
        found += [each for each in eqn.outvars if hasattr(each.aval, "size")]
        for value in jax.tree.leaves(eqn.params, is_leaf=lambda each: hasattr(each, "jaxpr") or hasattr(each, "eqns")):
            if hasattr(value, "jaxpr"):
                found += variables(value)
            elif hasattr(value, "eqns"):
                found += variables(ClosedJaxpr(value, []))
    return found
