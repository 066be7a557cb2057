"""A layer that does not train: fixed parameters, fixed state, and a gradient that passes through."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.combinators.reparameterized import Reparameterized
from fnn.layer import Cache, Layer, Params, State
from fnn.walk import nodes


@dataclasses.dataclass(frozen=True)
class Frozen(Reparameterized, name="frozen"):
    """Runs the inner layer in inference mode, in training too, with constant parameters and state.

    Forward:   y = f(x; θ) in inference
    Backward:  dx = the inner dx in inference,  dθ = 0

    Params, State: the inner ones unchanged
    Cache:     ``inner``: the inner cache in inference, and the other entries of ``Reparameterized``
    Shapes:    those of the inner layer

    Dropout is off, batch norm uses its running statistics and does not update them, and no key is needed. Freezing
    parameters in the optimiser (``fnn.optim.groups`` with ``None``, ``fnn.optim.freeze``) does none of this. θ is a
    constant for derivatives of every order, by hand and by ``jax.grad``; under jit XLA removes the products for dθ.

    ``fit`` and ``make_train`` never update θ, even with weight decay and penalties. In your own training loop the
    optimiser only sees dθ = 0, so weight decay would still move θ: exclude it with a group,
    ``groups({"encoder/*": None, "*": adamw(1e-3)})``.

    A rule of ``backprop`` visits the layers inside as usual. Its reports are returned unchanged, except that one with
    the structure and shapes of the parameters is taken for their gradient and set to zero.

    Give the layer a name, so that its paths do not change when it is frozen:
    ``Serial(encoder=Frozen(encoder), head=Dense(2))``.

    Errors: those of the inner layer in inference: a batch norm that was never trained has no statistics, for instance.

    >>> from fnn.layers import Dense
    >>> layer, x = Frozen(Dense(1)), jnp.ones((4, 1))
    >>> params = {"bias": jnp.zeros(1), "kernel": 2 * jnp.ones((1, 1))}
    >>> y, _, cache = layer.forward(params, {}, x, train=True)
    >>> dparams, dx = layer.backward(cache, jnp.ones((4, 1)))
    >>> dparams["kernel"], dx.ravel()
    (Array([[0.]], dtype=float32), Array([2., 2., 2., 2.], dtype=float32))
    """

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        return lax.stop_gradient(params), {}, {}

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        return jax.tree.map(jnp.zeros_like, dparams)

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, new_state, cache = super().forward(params, state, x)
        return y, _kept(state, new_state), cache

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        y, new_state = super().apply(params, state, x)
        return y, _kept(state, new_state)


def frozen_layers(model: Layer) -> list[str]:
    """The paths of the ``Frozen`` layers, the outermost ones, in the order of the model.

    >>> from fnn import Dense, Serial
    >>> frozen_layers(Serial(encoder=Frozen(Serial(Dense(3))), head=Dense(2)))
    ['encoder']
    """
    return [node.path for node in nodes(model) if isinstance(node.layer, Frozen) and not node.is_in(Frozen)]


def _kept(state: State, new_state: State) -> State:
    """The old state; but a new one of another structure comes from a probe, which returns its records as state."""
    return state if jax.tree.structure(new_state) == jax.tree.structure(state) else new_state
