"""The slope of λ‖w‖², and w ← w − η d − λ w against a penalty and against decoupled decay."""

import jax
import jax.numpy as jnp
import numpy as np

import fnn
from experiments.optimisation import literal_listings as printed
from experiments.optimisation.literal_listings import Array
from experiments.optimisation.literal_right import LINEAR


def penalty_slopes(w: Array, strength: float) -> dict[str, float]:
    """The slope along w over ‖w‖² of λ‖w‖², by central differences, and of fnn's L2(λ), by its rule; both over λ."""
    with jax.enable_x64(True):
        rule = fnn.L2(strength)
        own = np.asarray(rule.backward(rule.forward({"kernel": jnp.asarray(w)})[1])["kernel"])
    along = (np.sum(np.square(1.001 * w)) - np.sum(np.square(0.999 * w))) / 0.002
    return {"‖w‖²": float(along / (w @ w)), "L2": float(own @ w / (w @ w) / strength)}


def decays(x: Array, y: Array, *, rate: float, strength: float, steps: int) -> dict[str, list[float]]:
    """How far w ← w − η d − λ w ends from a penalty of strength λ/η, over ‖w‖, and fnn's decoupled decay from it.

    The direction d is the gradient, or Adam's.
    """
    penalised = fnn.Objective(LINEAR.model, LINEAR.loss, (fnn.L2(strength / rate),))
    chain, scaled = fnn.optim.chain, fnn.optim.scale_by_learning_rate(rate)
    decays = (
        chain(fnn.optim.decay_weights(strength / rate), scaled),
        fnn.optim.adamw(rate, weight_decay=strength / rate),
    )
    cases = {
        "descent": (printed.decoupled, fnn.optim.sgd(rate), decays[0]),
        "Adam": (printed.adam_decoupled, fnn.optim.adam(rate), decays[1]),
    }

    @jax.jit
    def run(x: jax.Array, y: jax.Array, w: jax.Array) -> dict[str, jax.Array]:
        def trained(objective: fnn.Objective, optimizer: fnn.optim.Optimizer) -> jax.Array:
            def step(carry: tuple, _: None) -> tuple:
                params, state = carry
                grads = objective.value_and_grad(params, {}, (x, y))[1]
                updates, state = optimizer.update(grads, state, params)
                return (fnn.optim.apply_updates(params, updates), state), None

            params = {"kernel": w}
            return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[0][0]["kernel"]

        found = {}
        for name, (listing, penalty, decoupled) in cases.items():
            literal = listing(lambda w: 2 * x.T @ (x @ w - y) / len(y), w, rate, strength, steps)
            others = trained(penalised, penalty), trained(LINEAR, decoupled)
            found[name] = jnp.stack([jnp.linalg.norm(each - literal) / jnp.linalg.norm(literal) for each in others])
        return found

    with jax.enable_x64(True):
        found = run(jnp.asarray(x), jnp.asarray(y)[:, None], jnp.ones((x.shape[1], 1)))
        return {name: np.asarray(each).tolist() for name, each in found.items()}
