"""The two players of a generative adversarial network, and their training."""

from typing import Any

import jax
import jax.numpy as jnp

import fnn
from fnn.layer import Params

PIXELS, CODE, WIDTH, SLOPE = 64, 16, 128, 0.2
"""Pixels of a digit, random numbers behind a sample, units of a hidden layer, and the slope of the leaky ReLUs."""

LOSS = fnn.BinaryCrossEntropy()


def generator() -> fnn.Layer:
    """From random numbers to pixels between 0 and 1."""
    hidden = fnn.Dense(WIDTH), fnn.Relu(), fnn.Dense(WIDTH), fnn.Relu()
    return fnn.Serial(*hidden, fnn.Dense(PIXELS), fnn.Sigmoid())


def discriminator() -> fnn.Layer:
    """From pixels to the logit of being real."""
    hidden = fnn.Dense(WIDTH), fnn.LeakyRelu(SLOPE), fnn.Dense(WIDTH), fnn.LeakyRelu(SLOPE)
    return fnn.Serial(*hidden, fnn.Dense(1))


def players() -> tuple[fnn.Objective, fnn.Objective]:
    """What each minimises: the discriminator on images, and the generator on random numbers, through the other."""
    both = fnn.Serial(generator=generator(), discriminator=discriminator())
    return fnn.Objective(discriminator(), LOSS), fnn.Objective(both, LOSS)


def judged_batch(real: Any, made: Any) -> tuple[jax.Array, jax.Array]:
    """Real and generated images with their labels, 1 and 0."""
    labels = jnp.concatenate([jnp.ones((len(real), 1)), jnp.zeros((len(made), 1))])
    return jnp.concatenate([real, made]), labels


def gradients(params: Params, real: Any, codes: Any) -> tuple[dict[str, jax.Array], Params]:
    """The losses of both players, and the gradient of each with respect to its own parameters.

    The discriminator's loss is E −log D(x) + E −log(1 − D(G(z))), which is ln 4 if it guesses: twice the mean over
    both halves of its batch. The generator's is E −log D(G(z)); its gradient comes back through the discriminator.
    """
    discriminating, generating = players()
    made, _ = generator().apply(params["generator"], {}, codes)
    batch = judged_batch(real, made)
    (judging, _), of_discriminator = discriminating.value_and_grad(params["discriminator"], {}, batch)
    fooled = codes, jnp.ones((len(codes), 1))
    (fooling, _), of_both = generating.value_and_grad(params, {}, fooled)
    return {"discriminator": 2 * judging, "generator": fooling}, {
        "generator": of_both["generator"],
        "discriminator": of_discriminator,
    }


def trained(key: jax.Array, x: jax.Array, optimizer: Any, *, steps: int, moments: int, batch_size: int) -> Params:
    """The parameters of both players at equally spaced moments (moments + 1, …), from the start on."""
    _, generating = players()
    start, draws = jax.random.split(key)
    params, _ = generating.init(start, jax.ShapeDtypeStruct((1, CODE), jnp.float32))

    def step(carry: tuple, key: jax.Array) -> tuple[tuple, None]:
        params, opt_state = carry
        rows, codes = jax.random.split(key)
        real = x[jax.random.randint(rows, (batch_size,), 0, len(x))]
        _, gradient = gradients(params, real, jax.random.normal(codes, (batch_size, CODE)))
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        return (fnn.optim.apply_updates(params, updates), opt_state), None

    def stretch(carry: tuple, keys: jax.Array) -> tuple[tuple, Params]:
        carry, _ = jax.lax.scan(step, carry, keys)
        return carry, carry[0]

    keys = jax.random.split(draws, (moments, steps // moments))
    _, later = jax.lax.scan(stretch, (params, optimizer.init(params)), keys)
    return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), params, later)


def losses(params: Params, real: Any, codes: Any) -> dict[str, jax.Array]:
    """The losses of both players, as ``gradients`` has them."""
    discriminating, generating = players()
    made, _ = generator().apply(params["generator"], {}, codes)
    judging, _ = discriminating(params["discriminator"], {}, judged_batch(real, made))
    fooling, _ = generating(params, {}, (codes, jnp.ones((len(codes), 1))))
    return {"discriminator": 2 * judging, "generator": fooling}


def lowered(params: Params, real: Any, codes: Any, rate: float) -> tuple[dict[str, jax.Array], jax.Array]:
    """The losses of both players, and how each changes (2,) by a step of this rate along its own gradient alone."""
    before, slopes = gradients(params, real, codes)

    def change(name: str) -> jax.Array:
        moved = jax.tree.map(lambda leaf, slope: leaf - rate * slope, params[name], slopes[name])
        return losses({**params, name: moved}, real, codes)[name] - before[name]

    return before, jnp.stack([change("discriminator"), change("generator")])
