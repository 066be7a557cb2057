"""Training on the text and testing: two networks, and the kinds of feed-forward part."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.sequences.characters_networks import (
    KINDS,
    LARGE,
    RATES,
    SMALL,
    bits_of,
    chosen_feed_forward,
    feed_forward_parameters,
    held_out_windows,
    learn,
    starts_of,
    transformer,
    units_of,
)
from experiments.study import seeds_of


def trained(
    name: str, model: fnn.Layer, train: np.ndarray, test: np.ndarray, seeds: range, steps: int
) -> tuple[Any, Any, tuple]:
    """The test bits (seeds, N), the loss by twentieth of the training, parameters and state of the first seed."""
    windows = held_out_windows(test, LARGE.window)
    starts = [starts_of(seed, steps, LARGE, len(train)) for seed in seeds]

    @jax.jit
    def one(key: jax.Array, starts: jax.Array, train: jax.Array, windows: jax.Array) -> tuple:
        params, state, losses = learn(model, RATES[name], LARGE.window, key, train, starts)
        return bits_of(model, params, state, windows), losses, (params, state)

    # One after another: mapped over the seeds, the program takes longer to compile.
    found = [one(*each, train, windows) for each in zip(seeds_of(seeds.start, len(seeds)), starts, strict=True)]
    bits, losses = (np.array([each[place] for each in found], np.float64) for place in (0, 1))
    twentieths = [[part.mean() for part in np.array_split(each, 20)] for each in losses]
    return bits, twentieths, found[0][2]


def compared_kinds(names: tuple[str, ...], train: np.ndarray, test: np.ndarray, seeds: range, steps: int) -> dict:
    """The hidden units, the parameters and the mean test bits (seeds) of each kind."""
    windows = held_out_windows(test, SMALL.window)
    gates = {name: KINDS[name] for name in names}
    kinds = {name: (gate, gated, units_of(SMALL.width, gated)) for name, (gate, gated) in gates.items()}
    starts = np.stack([starts_of(seed, steps, SMALL, len(train)) for seed in seeds])

    def one(kind: jax.Array, key: jax.Array, starts: jax.Array, train: jax.Array, windows: jax.Array) -> jax.Array:
        model = transformer(SMALL, chosen_feed_forward(SMALL.width, *kind), 1)
        params, state, _ = learn(model, RATES["kinds"], SMALL.window, key, train, starts)
        return bits_of(model, params, state, windows).mean()

    over_seeds = jax.vmap(one, in_axes=(None, 0, 0, None, None))
    program = jax.jit(jax.vmap(over_seeds, in_axes=(0, None, None, None, None)))
    keys = seeds_of(seeds.start, len(seeds))
    found = program(jnp.array(list(kinds.values())), keys, starts, train, windows)
    return {
        name: {
            "units": units,
            "parameters": feed_forward_parameters(SMALL.width, units, gated),
            "bits": bits,
        }
        for (name, (_, gated, units)), bits in zip(kinds.items(), np.asarray(found, np.float64).tolist(), strict=True)
    }
