"""Two layers in a wiring that can be inverted, so that no activation need be kept."""

import dataclasses
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
from jax import lax

from fnn.backprop import Call, Combinator, Visit, add_gradients, entry, nest
from fnn.calls import forward_of
from fnn.combinators.first import first_member, with_first_member
from fnn.combinators.handed import Handed, gradient_of, output_of
from fnn.combinators.named import check_layer_type, check_same_names
from fnn.errors import describe, floating_array, is_floating, output_gradient
from fnn.layer import Cache, Layer, Params, State, Static, named_key
from fnn.sequences.over_time import of_children


@dataclasses.dataclass(frozen=True)
class Reversible(Combinator, name="reversible"):
    """A residual block of two halves whose backward computes its input again from its output.

    Forward:   x = (x₁, x₂), the halves of the last axis;  y₁ = x₁ + f(x₂),  y₂ = x₂ + g(y₁),  y = (y₁, y₂)
    Backward:  x₂ = y₂ − g(y₁),  dx₁ = dy₁ + J_gᵀ dy₂ at y₁,
               x₁ = y₁ − f(x₂),  dx₂ = dy₂ + J_fᵀ dx₁ at x₂,  each with the caches of this second run

    Params, State: those of each under ``f`` and ``g``. The second run has the old state and the same key.
    Cache:     ``params``, ``state``, ``key``, unchanged; ``train`` Static; ``y``, but for a block in front of another
    Shapes:    f and g keep the shape and dtype of a half. For a tuple (x, …), such as (x, mask), x is split, f gets
               (x₂, …) and g (y₁, …), and the other members pass through.
    Memory:    ``Repeat(Reversible(f, g), n)``, and n blocks in a row in a ``Serial``, keep one output, that of the last
               block, whatever n is; the cost is one more forward pass. XLA on a CPU may draw the masks of all dropouts
               in a ``Serial`` at once; in a ``Repeat`` it cannot. With lengths beside x every block keeps its output,
               unless all of its layers treat each step alone; so does a block inside a wrapper in a ``Repeat``: write
               ``Cast(Repeat(Reversible(f, g), n))``.
    Accuracy:  x is computed again up to rounding, which grows from block to block. After 50 blocks of LayerNorm, Dense,
               Gelu, Dense the gradient is 4e-6 from that of float64 in float32 (1e-6 by ``jax.grad``), and 0.13 in
               bfloat16 (0.02): half precision suits short chains only. An input on a kink may come back beside it.

    One array is split, rather than a pair passed on, so that a block stands wherever an array does: behind a
    convolution, in ``Repeat`` and ``Residual``, in front of a norm.

    ``jax.grad`` of ``apply`` is plain automatic differentiation and keeps every activation; inside
    ``fnn.with_manual_vjp`` it has the memory of the hand rule.

    Errors: ``ValueError`` for a last axis of odd length, and for f or g that change the shape or dtype of a half.

    >>> from fnn.layers import Tanh
    >>> block = Reversible(Tanh(), Tanh())
    >>> y, _, cache = block.forward({}, {}, jnp.array([[0.0, 1.0]]))
    >>> dparams, dx = block.backward(cache, jnp.ones((1, 2)))
    >>> y, sorted(cache)
    (Array([[0.7615942, 1.642015 ]], dtype=float32), ['key', 'params', 'state', 'train', 'y'])

    Source: Gomez et al. 2017 (RevNet), §3.2 and algorithm 1.
    """

    f: Layer
    g: Layer

    over_time: ClassVar[Any] = property(of_children)

    def __post_init__(self) -> None:
        for child in self.children().values():
            check_layer_type(self, child)

    def children(self) -> dict[str, Layer]:
        return {"f": self.f, "g": self.g}

    def with_children(self, children: dict[str, Layer]) -> Self:
        check_same_names(self, children)
        return type(self)(**children)

    @property
    def inverts(self) -> bool:
        return True

    def without_output(self, cache: Cache) -> Cache:
        return {name: part for name, part in cache.items() if name != "y"}

    def connect(self, x: Any, call: Call) -> tuple[Any, Cache]:
        x = jax.tree.map(jnp.asarray, x)
        x1, x2 = _halves(first_member(x))
        change, _ = call("f", self.f, with_first_member(x, x2))
        y1 = x1 + _change("f", change, x2)
        change, _ = call("g", self.g, with_first_member(x, y1))
        return with_first_member(x, _joined(y1, x2 + _change("g", change, y1))), {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        y, new_state, _ = super().forward(params, state, x, train=train, key=key)
        return y, new_state, {"params": params, "state": state, "key": key, "train": Static(train), "y": y}

    def fold(self, cache: Cache, dy: Any, visit: Visit) -> tuple[Any, Any]:
        # The barrier is that of Remat: XLA must not merge the second run with the first and keep what that computed.
        inputs = (cache["params"], cache["state"], output_of(cache, dy), cache["key"])
        (params, state, y, key), dout = lax.optimization_barrier((inputs, gradient_of(dy)))
        reports, others = {}, with_first_member(dout, None) if isinstance(dout, tuple) else None

        def back(name: str, child: Layer, half: jax.Array, other: jax.Array, dother: jax.Array) -> tuple:
            """Takes the change that a child made to the other half back, and its gradient to this one."""
            nonlocal others
            change, _, kept = forward_of(
                child,
                entry(params, name),
                entry(state, name),
                with_first_member(y, half),
                train=cache["train"].value,
                key=named_key(key, name),
            )
            reports[name], dinput = visit(name, child, kept, _gradient_like(change, dother))
            others = add_gradients(others, with_first_member(dinput, None))
            return other - first_member(change), first_member(dinput)

        y1, y2 = _halves(first_member(y))
        dy1, dy2 = _halves(output_gradient(first_member(dout), first_member(y).shape))
        x2, change = back("g", self.g, y1, y2, dy2)
        dx1 = dy1 + change
        x1, change = back("f", self.f, x2, y1, dx1)
        dx = with_first_member(others, _joined(dx1, dy2 + change))
        report = nest({name: reports[name] for name in ("f", "g")})
        return report, Handed(with_first_member(y, _joined(x1, x2)), dx) if isinstance(dy, Handed) else dx


def _halves(x: Any) -> tuple[jax.Array, jax.Array]:
    x = floating_array(x)
    if x.ndim < 2 or x.shape[-1] % 2:
        raise ValueError(
            f"Reversible splits the last axis of a batch into two halves, so that its length must be even, got"
            f" {describe(x)}; put a layer in front that makes it even, such as Dense or Conv"
        )
    middle = x.shape[-1] // 2
    return x[..., :middle], x[..., middle:]


def _joined(first: jax.Array, second: jax.Array) -> jax.Array:
    return lax.concatenate((first, second), first.ndim - 1)


def _change(name: str, y: Any, half: jax.Array) -> jax.Array:
    if describe(first_member(y)) != describe(half):
        raise ValueError(
            f"in Reversible(f, g) both keep the shape and dtype of a half, got {describe(half)} into {name} and"
            f" {describe(first_member(y))} out"
        )
    return first_member(y)


def _gradient_like(y: Any, dfirst: jax.Array) -> Any:
    """The gradient of an output of which only the first member is used."""
    zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf) if is_floating(leaf) else None, y)
    return with_first_member(zeros, dfirst)
