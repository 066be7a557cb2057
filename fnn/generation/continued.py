"""A prompt and what a model writes after it, as one scan over single steps.

At step t every row is given its token t, and the model's logits say what token t + 1 may be: within the prompt that is
known, after it it is drawn. So a row of m tokens is continued from step m on, while longer ones are still read. All
rows stand at the same position, and none sees padding (fnn/sequences/stepwise.py).

The scan has T + length − 1 steps: the last new token is not given to the model.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.calls import start_of, step_of
from fnn.errors import describe, is_floating, located
from fnn.generation.sampling import NO_TOKEN, Sampling, drawn_tokens
from fnn.layer import Layer, Params, State
from fnn.objective import Objective


def continued(
    model: Layer | Objective,
    params: Params,
    state: State,
    prompt: jax.Array,
    lengths: jax.Array,
    key: jax.Array | None,
    how: Sampling | None,
    *,
    length: int,
    stop: tuple[int, ...],
) -> jax.Array:
    """The ``length`` tokens (N, length) that follow the first ``lengths`` (N,) tokens of each row of ``prompt`` (N, T).

    Row n draws its token i with the key folded with n and then i, so that it depends on no other row's length. Rows
    whose length is not in [1, T] are ``NO_TOKEN``, and so is a row from the first token on that cannot be decided.
    """
    layer = model.model if isinstance(model, Objective) else model
    rows, size = prompt.shape
    steps = size + length - 1
    keys = None if key is None else jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))
    with located("", layer, params, "started with the parameters"):
        cache = start_of(layer, rows, length=steps, params=params, state=state)

    def step(carry: tuple, each: tuple) -> tuple[tuple, jax.Array]:
        (cache, token, ended), (t, shown) = carry, each
        with located("", layer, token):
            outputs, cache = step_of(layer, params, cache, token, state=state)
        logits = model.loss.predictions(outputs) if isinstance(model, Objective) else outputs
        _check_logits(logits, rows, stop)
        number = t + 1 - lengths
        own = None if keys is None else jax.vmap(jax.random.fold_in)(keys, jnp.maximum(number, 0))
        drawn = drawn_tokens(logits, own, how)
        new: Any = jnp.where(ended, token, drawn)  # the token that ended a row fills it
        new = jnp.where(number < 0, shown, new)
        last = jnp.stack([new == each for each in (NO_TOKEN, *stop)]).any(0)
        return (cache, new, ended | (last & (number >= 0))), new

    shown = jnp.concatenate((prompt[:, 1:], jnp.zeros((rows, length), prompt.dtype)), 1)
    start = cache, prompt[:, 0], jnp.zeros(rows, bool)
    _, tokens = lax.scan(step, start, (jnp.arange(steps, dtype=lengths.dtype), shown.T))
    places = lengths[:, None] - 1 + jnp.arange(length, dtype=lengths.dtype)[None]
    found = jnp.take_along_axis(tokens.T, jnp.clip(places, 0, steps - 1), 1)
    return jnp.where(((lengths >= 1) & (lengths <= size))[:, None], found, NO_TOKEN)


def _check_logits(logits: Any, rows: int, stop: tuple[int, ...]) -> None:
    if getattr(logits, "ndim", 0) != 2 or logits.shape[0] != rows or not is_floating(logits):
        raise ValueError(
            f"generate needs a model that makes logits (N, V) of every step, got {describe(logits)} of {rows} tokens"
        )
    if any(token >= logits.shape[1] for token in stop):
        raise ValueError(f"stop lies in [0, {logits.shape[1]}), the tokens that the model may write, got {list(stop)}")
