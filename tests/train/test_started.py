"""A compiled run that starts from parameters and state which it is given."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn

X = jnp.linspace(-1, 1, 24)[:, None]
DATA = (X, jnp.sin(3 * X))
OBJECTIVE = fnn.Objective(
    fnn.Serial(fnn.Dense(4, use_bias=False), fnn.BatchNorm(), fnn.Tanh(), fnn.Dense(1)), fnn.MeanSquaredError()
)
KEY = jax.random.key(3)
START = OBJECTIVE.init(jax.random.key(11), X)
TRAIN = fnn.make_train(OBJECTIVE, fnn.optim.adam(1e-2), epochs=2, batch_size=8)


def close(ours, theirs):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


def test_it_is_the_run_of_fit_from_there():
    params, state = START
    ours = jax.jit(lambda params, state: TRAIN(KEY, DATA, params=params, state=state))(params, state)
    fitted = fnn.fit(
        OBJECTIVE,
        fnn.optim.adam(1e-2),
        DATA,
        epochs=2,
        batch_size=8,
        key=KEY,
        params=params,
        state=state,
        progress=False,
    )
    close((ours.params, ours.state), (fitted.params, fitted.state))
    fresh = jax.jit(TRAIN)(KEY, DATA)
    assert not np.allclose(fresh.params["dense_0"]["kernel"], ours.params["dense_0"]["kernel"], atol=1e-2)


def test_starts_map_over_networks():
    starts = jax.vmap(lambda key: OBJECTIVE.init(key, X))(jax.random.split(jax.random.key(0), 3))
    run = jax.jit(jax.vmap(lambda params, state: TRAIN(KEY, DATA, params=params, state=state)))
    together = run(*starts)
    alone = jax.jit(lambda params, state: TRAIN(KEY, DATA, params=params, state=state))
    for place in range(3):
        start, mapped = (jax.tree.map(lambda leaf, i=place: leaf[i], tree) for tree in (starts, together[:2]))
        close(mapped, alone(*start)[:2])


def test_what_cannot_be_a_start_is_refused():
    params, state = START
    with pytest.raises(ValueError, match="give params and state together"):
        TRAIN(KEY, DATA, params=params)
    with pytest.raises(ValueError, match="give params and state together"):
        TRAIN(KEY, DATA, state=state)
    with pytest.raises(TypeError, match="params"):
        TRAIN(KEY, DATA, params=[1, 2], state=state)  # pyright: ignore[reportArgumentType]
    wrong = {**params, "dense_0": {**params["dense_0"], "kernel": jnp.ones((2, 4))}}
    with pytest.raises(ValueError, match="kernel") as raised:
        TRAIN(KEY, DATA, params=wrong, state=state)
    assert "dense_0" in str(raised.value) + "".join(getattr(raised.value, "__notes__", []))
