"""The NNX half of ``as_flax``: a module that holds the arrays of a layer as variables of NNX."""

import functools
from typing import Any

import jax

from fnn.calls import init_of
from fnn.interop.hosted import library, run
from fnn.layer import Layer


@functools.cache
def nnx_module() -> Any:
    """The class of NNX modules that hold a layer; made when it is first asked for, since fnn never imports flax."""
    nnx = library("as_flax", "flax.nnx", "flax>=0.12")

    class FnnLayer(nnx.Module):
        """A layer of fnn with its hand rule; see ``fnn.interop.as_flax``."""

        def __init__(self, layer: Layer, x: Any, *, rngs: Any) -> None:
            params, state = init_of(layer, rngs.params(), x)
            self.layer = layer
            self.params = nnx.data(jax.tree.map(nnx.Param, params))
            self.state = nnx.data(jax.tree.map(nnx.BatchStat, state))
            self.rngs = nnx.data(rngs["dropout"].fork() if "dropout" in rngs or "default" in rngs else None)

        def __call__(self, x: Any, *, train: bool = False, rngs: Any = None) -> Any:
            def key() -> jax.Array | None:
                if rngs is not None:
                    return rngs.dropout()
                return None if self.rngs is None else self.rngs()

            params, state = held(self.params), held(self.state)
            keys_come = "the stream dropout: make the module with rngs=nnx.Rngs(params=0, dropout=1)"
            y, new_state = run(self.layer, params, state, x, train=train, key=key, keys_come=keys_come)
            if train:
                jax.tree.map(lambda variable, new: variable.set_value(new), self.state, new_state, is_leaf=is_variable)
            return y

    def is_variable(node: Any) -> bool:
        return isinstance(node, nnx.Variable)

    def held(variables: Any) -> Any:
        return jax.tree.map(lambda variable: variable.get_value(), variables, is_leaf=is_variable)

    return FnnLayer
