"""Dropout of the entries of kernels (connections)."""

import dataclasses

import jax

from fnn.combinators.kernels import kernels_of, with_leaves
from fnn.combinators.reparameterized import Reparameterized
from fnn.layer import Cache, Params, State, is_training, named_key, required_key
from fnn.layers.random.dropout import Dropout, drops


@dataclasses.dataclass(frozen=True)
class DropConnect(Reparameterized, name="drop_connect"):
    """In training, sets a fraction ``rate`` of the entries of the inner layer's kernels to 0.

    Forward:   W' = m ⊙ W / (1 − rate),  m ~ Bernoulli(1 − rate),  for every kernel W inside;  y = f(x; W')
    Backward:  the inner backward for dx and dW',  then dW = m ⊙ dW' / (1 − rate)

    Params, State: the inner ones unchanged; a kernel is a parameter named ``kernel`` or ``*_kernel``
    Cache:   ``inner``: the inner cache; in training ``transform``: each kernel's ``mask`` m, boolean, by path

    Each kernel has one mask for the whole batch, drawn like that of ``Dropout`` from a key derived from its path. The
    inner layer gets a separate key, so that nested drop connects draw different masks.

    Errors: ``ValueError`` for a rate outside [0, 1), for training without a key and for an inner layer without kernels.

    >>> import jax.numpy as jnp
    >>> from fnn.layers import Dense
    >>> layer, params = DropConnect(Dense(1), 0.5), {"kernel": jnp.ones((6, 1)), "bias": jnp.zeros(1)}
    >>> layer.apply(params, {}, jnp.eye(6), train=True, key=jax.random.key(0))[0].ravel().tolist()
    [2.0, 2.0, 0.0, 0.0, 2.0, 2.0]

    Source: Wan et al. 2013, with scaling in training instead of their approximation in inference.
    """

    rate: float

    def __post_init__(self) -> None:
        super().__post_init__()
        Dropout(self.rate)  # raises for a rate outside [0, 1)

    @property
    def _dropout(self) -> Dropout:
        return Dropout(self.rate)

    def own(self, params: Params) -> Params:
        kernels_of(self, params)  # raises if there are none to drop
        return params

    def inner_key(self, key: jax.Array | None) -> jax.Array | None:
        return named_key(key, "inner")

    def reparameterize(
        self, params: Params, state: State, *, train: bool, key: jax.Array | None
    ) -> tuple[Params, State, Cache]:
        if not drops(self.rate) or not is_training(train):
            return params, {}, {}
        key, masked, cache = required_key(self, key), {}, {}
        for path, kernel in kernels_of(self, params).items():
            masked[path], _, cache[path] = self._dropout.forward({}, {}, kernel, train=True, key=named_key(key, path))
        return with_leaves(params, masked), {}, cache

    def transpose(self, cache: Cache, dparams: Params) -> Params:
        kernels = kernels_of(self, dparams) if cache else {}
        return with_leaves(dparams, {path: self._dropout.backward(cache[path], dw)[1] for path, dw in kernels.items()})
