"""The gradient of a convolution's kernel: an image that slides over deltas."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jax import lax

from fnn.layers.conv._sums import exchange, gather, kernel_gradient
from fnn.layers.conv._windows import Windows, views
from fnn.rules._in_full import square_in_full
from fnn.rules._sums import inner, over_blocks, scaled, square_of
from fnn.rules.outer import Outer
from fnn.rules.whole import Whole


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["image", "over"], meta_fields=["windows", "groups", "turned"]
)
@dataclasses.dataclass(frozen=True)
class Slid:
    """G[k, c, f] = Σ_n Σ_o u[n, o·s + k·d − p, c] v[n, o, f], the gradient of a convolution's kernel.

    u is the ``image`` (…, n, *spatial, C) and v what is ``over`` its windows (…, n, *spatial', F). ``turned``: the
    kernel has inputs and outputs exchanged, as that of ``ConvTranspose``. As ``Outer``, of the windows unfolded;
    ⟨G, p⟩ is the inner product of u, convolved with p, and v.
    """

    image: jax.Array
    over: jax.Array
    windows: Windows
    groups: int
    turned: bool = False

    def array(self) -> jax.Array:
        def one(image: jax.Array, over: jax.Array) -> jax.Array:
            return kernel_gradient(image, over, self.windows, self.groups, turned=self.turned)

        return over_blocks(one, self.image.ndim - self._leading)(self.image, self.over)

    def square(self) -> jax.Array:
        places, channels = math.prod(self.windows.window), self.image.shape[-1] // self.groups
        features = self.over.shape[-1] // self.groups
        rows = self.over.shape[self._leading] * math.prod(self.windows.out)
        if rows * (places * channels + features) <= places * channels * features:
            return self.unfolded().square()
        return square_in_full(self, lambda made: made.unfolded().array())

    def along(self, p: jax.Array) -> jax.Array:
        dtype = max(p.dtype, self.image.dtype, key=lambda dtype: dtype.itemsize)

        def one(p: jax.Array, image: jax.Array) -> jax.Array:
            kernel = exchange(p, self.groups) if self.turned else p
            return gather(image, kernel, self.windows, self.groups)

        made = over_blocks(one, p.ndim - self._leading)(p.astype(dtype), self.image.astype(dtype))
        return inner(made, self.over)

    def rounding(self) -> jax.Array:
        rows = self.over.size // self.over.shape[-1]
        return rows * math.prod(self.windows.window) * square_of(self.image) * square_of(self.over)

    def summed(self, c: jax.Array, axis: str) -> "Slid":
        image, over = (
            lax.all_gather(each, axis, axis=self._leading, tiled=True) for each in (self.image, scaled(self.over, c))
        )
        return dataclasses.replace(self, image=image, over=over)

    def transposed(self) -> "Slid | Whole":
        """G with its last two axes, inputs and outputs, exchanged."""
        if self.groups == 1:
            return dataclasses.replace(self, turned=not self.turned)
        return Whole(self.array()).transposed()

    def unfolded(self) -> Outer:
        """The same as ``Outer``, with one block a group: (…, G, n · windows, window · C/G) and (…, G, …, F/G)."""

        def one(image: jax.Array, over: jax.Array) -> tuple[jax.Array, jax.Array]:
            seen = jnp.stack(list(views(image, self.windows, 0)), -2)  # (n, *spatial', window, C)
            seen = seen.reshape(-1, seen.shape[-2], self.groups, seen.shape[-1] // self.groups)
            left = seen.transpose(2, 0, 1, 3).reshape(self.groups, len(seen), -1)
            return left, over.reshape(len(seen), self.groups, -1).swapaxes(0, 1)

        left, right = over_blocks(one, self.image.ndim - self._leading)(self.image, self.over)
        return Outer(left, right, (left.shape[-1], right.shape[-1]))

    @property
    def _leading(self) -> int:
        return self.image.ndim - len(self.windows.window) - 2
