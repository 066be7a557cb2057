import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fnn import optim
from tests.comparing import close


def updates_of(optimizer, grads, params):
    return optimizer.update(grads, optimizer.init(params), params)[0]


def test_the_first_step_of_a_factored_matrix_by_hand():
    # g² = [[1, 4], [9, 36]] + [[3, 0], [0, 0]]: row means 4 and 22.5, column means 6.5 and 20, mean of rows 13.25.
    g = jnp.array([[2.0, 2.0], [3.0, 6.0]])
    params = {"kernel": jnp.ones((2, 2))}
    optimizer = optim.adafactor(None, 2, multiply_by_parameter_scale=False, clipping_threshold=None)
    opt_state = optimizer.init(params)
    updates, opt_state = optimizer.update({"kernel": g}, opt_state, params)
    second = np.outer([4.0, 22.5], [6.5, 20.0]) / 13.25
    np.testing.assert_allclose(updates["kernel"], -g / np.sqrt(second), rtol=1e-6)
    np.testing.assert_allclose(opt_state.squares["kernel"]["rows"], [4.0, 22.5], rtol=1e-6)
    np.testing.assert_allclose(opt_state.squares["kernel"]["columns"], [6.5, 20.0], rtol=1e-6)


def test_the_second_step_of_a_vector_by_hand():
    # β = 1 − 2^(−1) at the second step: v = (4 + 16)/2 = 10, u = 4/√10, clipped to 1, times 0.5 · rms(w) = 1; at the
    # first u = −1 came to the mean.
    optimizer = optim.adafactor(0.5, decay_rate=1.0, momentum=0.75)
    w = jnp.array([2.0])
    _, opt_state = optimizer.update(jnp.array([-2.0]), optimizer.init(w), w)
    updates, opt_state = optimizer.update(jnp.array([4.0]), opt_state, w)
    np.testing.assert_allclose(opt_state.squares, [10.0], rtol=1e-6)
    np.testing.assert_allclose(updates, [-(0.75 * -0.25 + 0.25)], rtol=1e-6)


def test_a_leaf_of_zeros_moves_by_the_smallest_scale():
    updates = updates_of(optim.adafactor(1.0), jnp.array([3.0, -3.0]), jnp.zeros(2))
    np.testing.assert_allclose(updates, [-1e-3, 1e-3], rtol=1e-6)


def test_the_decay_is_outside_the_rate_and_keeps_to_its_paths():
    params = {"bias": jnp.array([2.0]), "kernel": jnp.array([2.0])}
    updates = updates_of(optim.adafactor(0.0, weight_decay_rate=0.25), params, params)
    np.testing.assert_array_equal((updates["bias"], updates["kernel"]), ([0.0], [-0.5]))


@pytest.mark.full
def test_leaves_of_any_rank_agree_with_optax(random):
    shapes = [(3, 4), (4, 3), (3, 3), (2, 3, 4), (4, 2, 3), (3, 2, 5, 4), (7,), ()]

    def draw():
        return {str(shape): np.asarray(random(*shape)) for shape in shapes}

    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        ours, theirs = optim.adafactor(0.1, 3), optax.adafactor(0.1, 3, decay_rate=np.float64(0.8))
        params = draw()
        our_step, our_state = jax.jit(ours.update), ours.init(params)
        their_step, their_state = jax.jit(theirs.update), theirs.init(params)
        for _ in range(3):
            grads = draw()
            one, our_state = our_step(grads, our_state, params)
            with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                other, their_state = their_step(grads, their_state, params)
            close(one, other, rtol=1e-12, atol=0.0)


def test_what_is_factored_takes_the_memory_of_a_row_and_a_column():
    params = {"bias": jnp.zeros(200), "kernel": jnp.zeros((128, 200)), "small": jnp.zeros((127, 200))}
    sizes = jax.tree.map(jnp.size, optim.adafactor().init(params).squares)
    assert sizes == {"bias": 200, "kernel": {"rows": 128, "columns": 200}, "small": 127 * 200}
    assert jnp.size(optim.adafactor(factored=False).init(params).squares["kernel"]) == 128 * 200


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="adafactor needs the params"):
        optim.adafactor(0.1).update(jnp.ones(2), optim.adafactor(0.1).init(jnp.ones(2)))
    with pytest.raises(ValueError, match="min_dim_size_to_factor is at least 1, got 0"):
        optim.adafactor(0.1, 0)
    with pytest.raises(TypeError, match=r"decay_offset is an integer, got 0\.5"):
        optim.adafactor(0.1, decay_offset=0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="clipping_threshold is a number greater than 0, got 0"):
        optim.adafactor(0.1, clipping_threshold=0)
    with pytest.raises(ValueError, match="matches none of the paths"):
        optim.adafactor(0.1, weight_decay_rate=0.1).init({"bias": jnp.ones(1)})


def test_up_to_the_offset_every_step_is_a_first_one():
    # t − offset was 0 at the first step of a new state, 0^−0.8 is ∞, and the squares NaN for ever.
    params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    grads = [{"kernel": jnp.full((2, 3), 2.0 + i), "bias": jnp.full(3, -1.0 - i)} for i in range(4)]
    late, plain = optim.adafactor(0.1, 2, decay_offset=2), optim.adafactor(0.1, 2)
    opt_state, first = late.init(params), plain.init(params)
    for i, each in enumerate(grads):
        updates, opt_state = late.update(each, opt_state, params)
        if i < 3:  # t = 1, 2, 3: β = 0, the squares are those of this step
            alone, first_state = plain.update(each, first, params)
            close(updates, alone, rtol=1e-6)
            close(opt_state.squares, first_state.squares, rtol=1e-6)
        else:  # t − offset = 2
            expected, _ = plain.update(each, first_state, params)
            close(updates, expected, rtol=1e-6)


def test_one_row_of_large_gradients_among_zeros_moves_and_the_others_stay():
    params, g = jnp.ones((4, 4)), np.zeros((4, 4), np.float32)
    g[1] = 1e5, -1e5, 1e5, 2e5
    optimizer = optim.adafactor(0.1, 2)
    updates, opt_state = optimizer.update(jnp.asarray(g), optimizer.init(params), params)
    moved = np.asarray(updates)
    assert (moved[[0, 2, 3]] == 0).all()
    np.testing.assert_allclose(moved[1], [-0.1, 0.1, -0.1, -0.1], rtol=1e-5)  # rank 1: the sign, of rms 1/2
    assert np.isfinite(jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(opt_state.squares)])).all()
