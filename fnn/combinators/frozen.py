"""A layer that does not train: fixed parameters, fixed state, and a gradient that passes through."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from fnn.combinators.reparameterized import Reparameterized
from fnn.layer import Cache, Layer, Params, State
from fnn.paths import SEPARATOR
from fnn.walk import nodes


@dataclasses.dataclass(frozen=True)
class Frozen(Reparameterized, name="frozen"):
    """Runs the inner layer as in inference, in training too; its parameters have no gradient, its state stays.

    Forward:   y = f(x; θ) in inference
    Backward:  dx = the inner dx in inference,  dθ = 0

    Params, State: the inner ones unchanged
    Cache:     ``inner``: the inner cache in inference, and what ``Reparameterized`` keeps
    Shapes:    those of the inner layer

    Dropout is off, batch norm takes its running statistics and leaves them alone, and no key is needed. To freeze
    parameters by an optimiser (``fnn.optim.groups`` with ``None``, ``fnn.optim.freeze``) does none of these. θ is a
    constant for derivatives of every order, by hand and by ``jax.grad``; under jit XLA removes the products for dθ.

    ``fit`` and ``make_train`` take no step of θ, whatever weight decay and penalties say. In a loop of your own dθ = 0
    is all that an optimiser is told, and what is made from the parameters themselves moves them: leave them out by a
    group, ``groups({"encoder/*": None, "*": adamw(1e-3)})``.

    A rule of ``backprop`` visits the layers inside as ever. Its reports come out as they are, but for one with the
    structure and the shapes of the parameters, which is taken for their gradient and becomes zeros.

    Name the layer, and its paths are the same with and without: ``Serial(encoder=Frozen(encoder), head=Dense(2))``.

    Errors: those of the inner layer in inference: a batch norm that was never trained, say, has no statistics yet.

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
    """The paths of the layers that are ``Frozen``, the outermost ones, in the order of the model.

    >>> from fnn import Dense, Serial
    >>> frozen_layers(Serial(encoder=Frozen(Serial(Dense(3))), head=Dense(2)))
    ['encoder']
    """
    return [node.path for node in nodes(model) if isinstance(node.layer, Frozen) and not node.is_in(Frozen)]


def lies_in(path: str, layers: Iterable[str]) -> bool:
    """Whether a path leads into one of the layers of these paths.

    >>> lies_in("encoder/dense_0/bias", ["encoder"]), lies_in("encoder_2/bias", ["encoder"]), lies_in("bias", [""])
    (True, False, True)
    """
    return any(not layer or path == layer or path.startswith(f"{layer}{SEPARATOR}") for layer in layers)


def _kept(state: State, new_state: State) -> State:
    """The old state; a new one of another structure is no layer's but a probe's, which hands out what it saw by it."""
    return state if jax.tree.structure(new_state) == jax.tree.structure(state) else new_state
