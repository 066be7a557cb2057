"""What layers with a kernel and a bias share: y = (a linear map of x) + b."""

from typing import Any, Protocol

import jax

from fnn.errors import parameter
from fnn.initializers import Initializer
from fnn.layer import Params, named_key
from fnn.layers._rows import sum_of_rows


class KernelAndBias(Protocol):
    """The fields that such a layer has."""

    @property
    def features(self) -> int: ...
    @property
    def use_bias(self) -> bool: ...
    @property
    def kernel_init(self) -> Initializer: ...
    @property
    def bias_init(self) -> Initializer: ...


def init_affine(layer: KernelAndBias, key: jax.Array, kernel_shape: tuple[int, ...], dtype: Any) -> Params:
    """``kernel`` of that shape and, if the layer has one, ``bias`` (F,)."""
    params = {"kernel": layer.kernel_init(named_key(key, "kernel"), kernel_shape, dtype)}
    if layer.use_bias:
        params["bias"] = layer.bias_init(named_key(key, "bias"), (layer.features,), dtype)
    return params


def add_bias(layer: KernelAndBias, params: Params, y: jax.Array) -> jax.Array:
    """y + b along the last axis, or y if the layer has no bias."""
    if not layer.use_bias:
        return y
    bias = parameter(params, "bias", (layer.features,), y.dtype)
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def affine_gradients(layer: KernelAndBias, dkernel: Any, dy: jax.Array) -> Params:
    """dparams, from the kernel's gradient and db = Σ dy over all leading axes."""
    return {"kernel": dkernel, "bias": sum_of_rows(dy)} if layer.use_bias else {"kernel": dkernel}
