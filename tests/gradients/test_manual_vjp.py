"""``with_manual_vjp`` puts the hand rule where ``jax.grad`` looks for a derivative."""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from tests.comparing import close, same
from tests.drawing import drawn

pytestmark = pytest.mark.usefixtures("strict_numerics")

BLOCK = fnn.Serial(fnn.Dense(5, use_bias=False), fnn.BatchNorm(), fnn.Relu(), fnn.Dropout(0.3), fnn.Dense(2))
X = drawn("six samples", 6, 3)


@dataclasses.dataclass(frozen=True)
class Marked(fnn.Layer):
    """The identity whose hand rule is wrong on purpose: its gradient is ten times too large."""

    def forward(self, params, state, x, *, train=False, key=None):
        return 1 * x, state, {}

    def backward(self, cache, dy):
        return {}, 10 * dy


def gradients(layer, x, **options):
    params, state = layer.init(jax.random.key(1), x)

    def loss(params, x):
        return (layer.apply(params, state, x, **options)[0] ** 2).sum()

    return jax.jit(jax.grad(loss, (0, 1)))(params, x)


def test_jax_grad_goes_through_the_hand_rule():
    assert gradients(fnn.with_manual_vjp(Marked()), X)[1] == pytest.approx(np.asarray(20 * X))
    assert gradients(Marked(), X)[1] == pytest.approx(np.asarray(2 * X))


def test_a_wrapped_layer_inside_a_model_keeps_its_hand_rule_under_jax_grad():
    model = fnn.Serial(fnn.Residual(fnn.with_manual_vjp(Marked())))
    # y = x + x, d(Σ y²)/dx = 2y (1 + 10)
    assert gradients(model, X)[1] == pytest.approx(np.asarray(44 * X))


@pytest.mark.full
def test_the_gradient_of_a_trained_block_is_the_automatic_one():
    options = {"train": True, "key": jax.random.key(2)}
    mine, automatic = (gradients(layer, X, **options) for layer in (fnn.with_manual_vjp(BLOCK), BLOCK))
    close(jax.tree.leaves(mine), jax.tree.leaves(automatic), rtol=1e-10, atol=1e-13)


def test_it_works_under_jit_and_vmap_and_with_integer_inputs():
    model = fnn.with_manual_vjp(fnn.Serial(fnn.Embedding(7, 4), fnn.Dense(3)))
    tokens = np.arange(10).reshape(2, 5) % 7
    params, state = model.init(jax.random.key(0), tokens)

    def loss(params, tokens):
        return (model.apply(params, state, tokens)[0] ** 2).sum()

    one_by_one = [jax.jit(jax.grad(loss))(params, row) for row in tokens]
    together = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(params, tokens)
    close(together, jax.tree.map(lambda *each: np.stack(each), *one_by_one))


@pytest.mark.full
def test_the_wrapper_changes_neither_parameters_nor_outputs():
    wrapped = fnn.with_manual_vjp(BLOCK)
    params, state = BLOCK.init(jax.random.key(0), X)
    same(wrapped.init(jax.random.key(0), X), (params, state))
    options = {"train": True, "key": jax.random.key(2)}
    same(wrapped.apply(params, state, X, **options), BLOCK.apply(params, state, X, **options))


def test_there_is_no_forward_mode():
    with pytest.raises(TypeError, match="custom_vjp"):
        jax.jvp(lambda x: fnn.with_manual_vjp(fnn.Tanh()).apply({}, {}, x)[0], (X,), (X,))


def test_it_takes_a_layer():
    with pytest.raises(TypeError, match="ManualVjp is made of layers"):
        fnn.with_manual_vjp(cast(Any, jnp.tanh))
