"""Reversible blocks: the gradient, what is kept for it, and the memory that it takes."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import fnn
from fnn.backprop import own_backward
from fnn.combinators.handed import Handed
from fnn.errors import describe
from fnn.testing import check_layer
from tests.comparing import close
from tests.compiled import shape_of

KEY = jax.random.key(0)
WIDTH = 4


def branch(width: int = WIDTH) -> fnn.Layer:
    return fnn.Serial(fnn.LayerNorm(), fnn.Dense(width), fnn.Tanh(), fnn.Dropout(0.2), fnn.Dense(width))


def even(width: int) -> fnn.Layer:
    """Without noise."""
    return fnn.Serial(fnn.LayerNorm(), fnn.Dense(width), fnn.Tanh(), fnn.Dense(width))


def small(width: int) -> fnn.Reversible:
    return fnn.Reversible(
        fnn.Serial(fnn.Dense(width), fnn.Dropout(0.2), fnn.Tanh()), fnn.Serial(fnn.BatchNorm(), fnn.Dense(width))
    )


def block(width: int = WIDTH) -> fnn.Reversible:
    return fnn.Reversible(branch(width), fnn.Serial(fnn.BatchNorm(), branch(width)))


def both(model: fnn.Layer, x: Any, dy: Any) -> tuple[Any, Any]:
    """Output, new state and gradients in training, by hand and by ``jax.vjp``."""
    params, state = jax.jit(model.init)(KEY, x)

    @jax.jit
    def run(params: Any, state: Any, x: Any, dy: Any) -> tuple[Any, Any]:
        y, new_state, cache = model.forward(params, state, x, train=True, key=KEY)
        by_hand = y, new_state, model.backward(cache, dy)

        def apply(params: Any, x: Any) -> Any:
            return model.apply(params, state, x, train=True, key=KEY)

        y, vjp, new_state = jax.vjp(apply, params, x, has_aux=True)
        return by_hand, (y, new_state, vjp(dy))

    return run(params, state, x, dy)


@pytest.mark.usefixtures("strict_numerics")
def test_through_fifty_blocks_with_noise_and_statistics_the_gradient_is_that_of_jax(random: Any):
    x, dy = random(8, 2 * WIDTH), random(8, 2 * WIDTH)
    by_hand, automatic = both(fnn.Repeat(block(), 50), x, dy)
    close(by_hand, automatic, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize(
    "model",
    [
        fnn.Serial(fnn.Dense(8), fnn.Reversible(fnn.Dense(4), fnn.Tanh()), small(4), fnn.Dense(3)),
        pytest.param(
            fnn.Repeat(fnn.Serial(fnn.Reversible(fnn.Dense(4), fnn.Tanh()), small(4)), 3), marks=pytest.mark.full
        ),
        pytest.param(
            fnn.Serial(
                fnn.Dense(8),
                fnn.Serial(small(4), small(4)),
                fnn.Repeat(small(4), 2),
                fnn.Serial(small(4)),
                fnn.Dense(3),
            ),
            marks=pytest.mark.full,
        ),
        pytest.param(fnn.Repeat(fnn.Repeat(small(4), 2), 2), marks=pytest.mark.full),
        pytest.param(
            fnn.Serial(fnn.Frozen(fnn.Repeat(small(4), 2)), fnn.Remat(small(4)), small(4)), marks=pytest.mark.full
        ),
    ],
    ids=["in Serial", "Serial in Repeat", "Repeat in Serial", "Repeat in Repeat", "in Frozen and Remat"],
)
def test_chains_of_blocks_keep_the_contract(model: fnn.Layer, random: Any):
    # In bfloat16 an input computed again is off by more than check_layer allows: the docstring says by how much.
    check_layer(model, random(6, 8), dtypes=("float32",), train=True, second=False, inside=False)


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.parametrize("n", [2, 5])
def test_a_chain_keeps_the_output_of_its_last_block_alone(n: int):
    x = shape_of(3, 2 * WIDTH)

    def kept(model: fnn.Layer) -> list[Any]:
        params, state = jax.eval_shape(model.init, KEY, x)
        _, _, cache = jax.eval_shape(lambda p, s, x: model.forward(p, s, x, train=True, key=KEY), params, state, x)
        return [leaf for leaf in jax.tree.leaves(cache) if leaf.shape[-2:] == x.shape]

    assert [describe(leaf) for leaf in kept(fnn.Repeat(block(), n))] == [describe(x)]
    assert [describe(leaf) for leaf in kept(fnn.Serial(*[block() for _ in range(n)]))] == [describe(x)]
    assert [describe(leaf) for leaf in kept(fnn.Repeat(fnn.Serial(block(), block()), n))] == [describe(x)]


def temporary(model: fnn.Layer, by_hand: bool = True) -> int:
    """Bytes that forward and backward need, compiled, beside their arguments and results."""
    x = shape_of(512, 64, dtype=jnp.float32)
    params, state = jax.eval_shape(model.init, KEY, x)

    def run(params: Any, state: Any, x: Any, dy: Any) -> Any:
        if by_hand:
            y, _, cache = model.forward(params, state, x, train=True, key=KEY)
            return y, model.backward(cache, dy)
        y, vjp = jax.vjp(lambda params, x: model.apply(params, state, x, train=True, key=KEY)[0], params, x)
        return y, vjp(dy)

    analysis: Any = jax.jit(run).lower(params, state, x, x).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
def test_memory_does_not_grow_with_depth():
    def blocks(n: int) -> fnn.Layer:
        return fnn.Repeat(fnn.Reversible(branch(32), branch(32)), n)

    shallow = temporary(blocks(2))
    keys = 16 * 2  # two words a layer and two for each child
    assert temporary(blocks(32)) <= shallow + 64 * keys
    assert temporary(fnn.with_manual_vjp(blocks(32)), by_hand=False) <= 1.5 * shallow
    assert temporary(blocks(32), by_hand=False) > 5 * shallow
    few, many = (temporary(fnn.Serial(*[fnn.Reversible(even(32), even(32))] * n)) for n in (4, 8))
    assert many <= few
    assert temporary(fnn.Serial(*[fnn.Residual(even(64))] * 8)) > 4 * many


@pytest.mark.usefixtures("strict_numerics")
def test_a_rule_sees_the_layers_inside_with_the_cache_that_they_had(random: Any):
    model, x = fnn.Repeat(fnn.Reversible(fnn.Tanh(), fnn.Serial(fnn.Dense(2), fnn.Tanh())), 3), random(4, 4)
    params, state = model.init(KEY, x)
    y, _, cache = model.forward(params, state, x)

    def seen(path: str, layer: fnn.Layer, cache: Any, dy: Any) -> Any:
        return cache.get("x"), layer.backward(cache, dy)[1]

    found, dx = fnn.backprop(model, cache, y, seen)
    close(dx, model.backward(cache, y)[1])
    inputs, now = [], x
    for i in range(3):
        y1 = now[:, :2] + jnp.tanh(now[:, 2:])
        inputs.append(y1)
        dense = {name: leaf[i] for name, leaf in params["g"]["dense_0"].items()}
        now = jnp.concatenate([y1, now[:, 2:] + jnp.tanh(y1 @ dense["kernel"] + dense["bias"][None])], 1)
    close(now, y)
    close(found["g"]["dense_0"], jnp.stack(inputs))


@pytest.mark.usefixtures("strict_numerics")
@pytest.mark.full
@pytest.mark.parametrize("f", [fnn.GRU(2), fnn.Serial(fnn.Dense(2), fnn.Tanh())], ids=["lengths", "each step"])
def test_with_lengths_beside_x_the_gradient_is_right_too(f: fnn.Layer, random: Any):
    x = random(3, 4, 4)
    lengths = jnp.array([4, 1, 2])
    model = fnn.Repeat(fnn.Serial(fnn.Reversible(f, fnn.Dense(2)), fnn.Reversible(f, f)), 2)
    model = fnn.Serial(model, fnn.Reversible(f, f), fnn.GlobalAvgPool())
    params, state = model.init(KEY, (x, lengths))
    dy = random(3, 4)

    @jax.jit
    def run(params: Any, x: Any, dy: Any) -> tuple[Any, Any]:
        _, _, cache = model.forward(params, state, (x, lengths))
        dparams, (dx, none) = model.backward(cache, dy)
        assert none is None
        _, vjp = jax.vjp(lambda params, x: model.apply(params, state, (x, lengths))[0], params, x)
        return (dparams, dx), vjp(dy)

    close(*run(params, x, dy))


@pytest.mark.full
def test_gradients_are_compared_and_costs_counted_through_blocks():
    model = fnn.Serial(fnn.Dense(4), blocks=fnn.Repeat(fnn.Reversible(branch(2), fnn.Tanh()), 2), head=fnn.Dense(2))
    objective = fnn.Objective(model, fnn.MeanSquaredError())
    x = jax.random.normal(KEY, (6, 3))
    params, state = objective.init(KEY, x)
    report = fnn.compare_gradients(objective, params, state, (x, jnp.ones((6, 2))), key=KEY)
    assert report.ok, str(report)
    rows = {row.path: row for row in fnn.summary(model, x).rows}
    assert (rows["blocks/f/dense_0"].times, rows["blocks/g"].output) == (2, "float32[6,2]")
    plain = {row.path: row for row in fnn.summary(fnn.Repeat(fnn.Residual(branch(2)), 2), x[:, :2]).rows}
    again = rows["blocks/f/dense_0"].backward_flops - plain["dense_0"].backward_flops
    assert again == plain["dense_0"].forward_flops


@pytest.mark.parametrize(
    ("layer", "x", "words"),
    [
        (
            fnn.Reversible(fnn.Tanh(), fnn.Tanh()),
            (2, 3),
            r"into two halves, so that its length must be even, got float32\[2,3\]",
        ),
        (
            fnn.Reversible(fnn.Tanh(), fnn.Tanh()),
            (4,),
            r"into two halves, so that its length must be even, got float32\[4\]",
        ),
        (fnn.Reversible(fnn.Dense(3), fnn.Tanh()), (2, 4), r"got float32\[2,2\] into f and float32\[2,3\] out"),
        (fnn.Reversible(fnn.Tanh(), fnn.Dense(3)), (2, 4), r"got float32\[2,2\] into g and float32\[2,3\] out"),
    ],
)
def test_what_cannot_be_split_or_added_raises(layer: fnn.Layer, x: tuple, words: str):
    with pytest.raises(ValueError, match=words):
        layer.init(KEY, jnp.ones(x, jnp.float32))


def test_a_block_is_made_of_layers():
    with pytest.raises(TypeError, match="Reversible is made of layers, got None"):
        fnn.Reversible(fnn.Tanh(), None)  # pyright: ignore[reportArgumentType]


def test_a_combinator_that_says_it_inverts_defines_what_it_keeps():
    with pytest.raises(NotImplementedError, match="Residual does not define without_output"):
        fnn.Residual(fnn.Tanh()).without_output({})
    assert not fnn.Serial().inverts
    assert not fnn.Serial(block(), fnn.Tanh()).inverts


def test_a_block_is_given_its_output_and_gives_its_input():
    layer, x = fnn.Reversible(fnn.Tanh(), fnn.Tanh()), jnp.array([[0.5, -1.0]])
    y, _, cache = layer.forward({}, {}, x)
    _, found = layer.fold(layer.without_output(cache), Handed(y, y), own_backward)
    close(found.y, x, rtol=1e-6)
    close(found.dy, layer.backward(cache, y)[1], rtol=1e-6)
