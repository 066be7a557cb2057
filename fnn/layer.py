"""The contract of every layer. Read this file first.

A layer is a frozen dataclass that holds configuration only: numbers, strings, functions, other layers. It is
hashable, comparable, printable, never holds an array and never changes. Everything it does is a pure function:

    params, state     = layer.init(key, x)                                x: arrays or ShapeDtypeStructs, batch first
    y, state, cache   = layer.forward(params, state, x, train=…, key=…)   the one forward computation
    dparams, dx       = layer.backward(cache, dy)                         its vector-Jacobian product, derived by hand
    y, state          = layer.apply(params, state, x, train=…, key=…)     forward without its cache

``params`` and ``state`` are nested dicts of arrays, ``{}`` if there are none. The gradient of ``foo`` is ``dfoo``:
``dparams`` has the structure, shapes and dtypes of ``params``; ``dx`` has the structure of ``x`` with ``None`` at every
leaf that is not floating (indices, masks, keys), and so ``dy`` has the structure of ``y``. State has no gradient.

The ``cache`` is a dict of the least that ``backward`` needs, under documented names. Its leaves are arrays; a static
value (train or not, a shape) is stored as ``Static(value)``. Configuration is read from ``self`` and not cached.

``jax.grad`` through ``apply`` is the *automatic* gradient and never goes through a hand rule: the two check each other.
A layer whose author writes only ``apply`` works everywhere: its backward is then ``jax.vjp`` of ``apply``.

A layer with kinks or ties counts the inputs at them in ``kinks_at``: the slope there is a convention, which
``compare_gradients`` reports (fnn/corners.py).

For sequences with their lengths, ``(x, lengths)``, a model carries the lengths from layer to layer; each layer declares
in ``over_time`` how it treats the time steps (fnn/sequences/over_time.py). ``start`` and ``step`` run a layer over one
step after another (fnn/sequences/stepwise.py).

Axes:  N batch   T time   H W height, width   C channels   D features in   F features out   V vocabulary
"""

import dataclasses
import re
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self, get_args, overload

import jax
import jax.numpy as jnp
from jax.core import Tracer

from fnn.corners import Kinks
from fnn.errors import describe, is_floating, returned
from fnn.guards.elsewhere import check_call
from fnn.guards.inputs import refuse_shapes
from fnn.guards.spelling import check_spelling
from fnn.sequences.stepwise import Stepwise
from fnn.values import called

Params = dict[str, Any]
State = dict[str, Any]
Cache = dict[str, Any]
OverTime = Literal["each step", "zeros", "lengths", "mixed"]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Static:
    """A hashable value in a pytree of arrays: a node without leaves, which jit, vmap and scan leave unchanged."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Layer(Stepwise):
    """The base of all layers; the contract is at the top of this file.

    To write a layer, define a frozen dataclass with ``apply``, or with ``forward`` and ``backward``, and with ``init``
    if it has parameters or state:

    >>> @dataclasses.dataclass(frozen=True)
    ... class Double(Layer):
    ...     def forward(self, params, state, x, *, train=False, key=None):
    ...         return 2 * x, state, {}
    ...     def backward(self, cache, dy):
    ...         return {}, 2 * dy
    >>> Double().apply({}, {}, jnp.ones(2))
    (Array([2., 2.], dtype=float32), {})

    A method whose name is a near miss of one of these (``foward``) raises ``TypeError`` when its class is defined.
    """

    snake_name: ClassVar[str] = "layer"
    """The class's name in parameter paths, which checkpoints depend on: ``class Dense(Layer, name="dense")``."""

    over_time: ClassVar[OverTime | None] = None
    """How the layer treats the steps of ``(x, lengths)``: see fnn/sequences/over_time.py."""

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        check_spelling(cls, "a layer", aside=("rule", "lengths_after", "start", "step", "why_no_step"))
        kind = vars(cls).get("over_time")
        if isinstance(kind, str) and kind not in get_args(OverTime):
            raise TypeError(f"{cls.__name__}.over_time is one of {list(get_args(OverTime))} or None, got {kind!r}")
        if name is None and "snake_name" in vars(cls):
            return  # the class is re-created by a decorator (slots=True), or declares its name itself
        cls.snake_name = name or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()
        # The dataclass decorator keeps a __repr__ defined in the class itself, but not an inherited one.
        cls.__repr__ = cls.__repr__

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Comparison ignores attributes that are not fields: jit would take one layer for another.
        own = vars(cls)
        if "__dataclass_fields__" not in own and ("__init__" in own or own.get("__annotations__")):
            raise TypeError(
                f"{cls.__name__} is not a frozen dataclass: write @dataclasses.dataclass(frozen=True) above the class,"
                f" and its options as fields (features: int) instead of an __init__"
            )
        if args or kwargs:
            check_call(cls, args, kwargs)
        return super().__new__(cls)

    def __call__(self, *inputs: Any) -> Any:
        """Raises ``TypeError``: a layer holds no parameters. Elementwise activations can be called on an array."""
        raise TypeError(
            f"{type(self).__name__} holds no parameters, so it cannot be called: write y, state = layer.apply(params,"
            f" state, x), with params, state = layer.init(key, x)"
        )

    def __repr__(self) -> str:
        """The constructor call, with fields at their defaults left out and functions by their names."""
        return called(self)

    def _repr_html_(self) -> str:
        # Imported here: what shows a layer is made of layers.
        from fnn.describe.html import html_model

        return html_model(self)

    def init(self, key: jax.Array, x: Any) -> tuple[Params, State]:
        """Parameters and state for inputs like ``x`` (arrays or shapes); none by default."""
        refuse_shapes(x)
        return {}, {}

    def forward(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State, Cache]:
        """The output, the new state and the cache for ``backward``."""
        if type(self).apply is Layer.apply:
            raise NotImplementedError(f"{type(self).__name__} defines neither forward nor apply")
        y, new_state = returned(self, "apply", "(y, state)", self.apply(params, state, x, train=train, key=key))
        return y, new_state, {"params": params, "state": state, "x": x, "key": key, "train": Static(train)}

    def backward(self, cache: Cache, dy: Any) -> tuple[Params, Any]:
        """The gradients ``(dparams, dx)`` of ``sum(dy · y)``: by the hand rule of the class (``rule`` is "hand"), or by
        ``jax.vjp`` of ``apply`` if the class has none ("auto")."""
        if type(self).forward is not Layer.forward:
            raise NotImplementedError(f"{type(self).__name__} defines forward without its backward")
        params, with_params = floating_leaves(cache["params"])
        inputs, with_inputs = floating_leaves(cache["x"])

        def outputs(params: list, inputs: list) -> list:
            y, _ = self.apply(
                with_params(params), cache["state"], with_inputs(inputs), train=cache["train"].value, key=cache["key"]
            )
            return floating_leaves(y)[0]

        _, vjp = jax.vjp(outputs, params, inputs)
        dparams, dx = vjp(jax.tree.leaves(dy))
        return with_params(dparams, lambda leaf: jnp.zeros_like(leaf)), with_inputs(dx, lambda leaf: None)

    def apply(
        self, params: Params, state: State, x: Any, *, train: bool = False, key: jax.Array | None = None
    ) -> tuple[Any, State]:
        """The output and the new state."""
        y, new_state, _ = self.forward(params, state, x, train=train, key=key)
        return y, new_state

    def lengths_after(self, lengths: Any, steps: int) -> Any:
        """The output's lengths, from those of an input of ``steps`` steps; ``None`` if the output has no time axis."""
        return lengths

    def kinks_at(self, x: Any) -> Kinks | None:
        """How many entries of a NumPy x are at a kink or tie, ``(count, total, words)``; ``None`` without kinks."""
        return None

    def children(self) -> dict[str, "Layer"]:
        """The layers inside, by name. The name is the path segment that a child adds, ``""`` if it adds none."""
        return {}

    def with_children(self, children: dict[str, "Layer"]) -> Self:
        """This layer with other layers inside, under the same names."""
        if children:
            raise ValueError(f"{self!r} has no children, got {sorted(children)}")
        return self

    @property
    def rule(self) -> Literal["hand", "auto"]:
        """Whether ``backward`` was derived by hand or comes from ``jax.vjp``."""
        return "auto" if type(self).backward is Layer.backward else "hand"


def floating_leaves(tree: Any) -> tuple[list, Callable[..., Any]]:
    """The floating leaves of a pytree, and a function that rebuilds the tree with new ones.

    The function takes the new leaves and, optionally, a function of the leaves that are not floating (default: keep).
    """
    leaves, treedef = jax.tree.flatten(tree)
    chosen = [is_floating(leaf) for leaf in leaves]

    def rebuild(new: list, otherwise: Callable[[Any], Any] = lambda leaf: leaf) -> Any:
        rest = iter(new)
        return treedef.unflatten([next(rest) if c else otherwise(leaf) for c, leaf in zip(chosen, leaves, strict=True)])

    return [leaf for c, leaf in zip(chosen, leaves, strict=True) if c], rebuild


@overload
def named_key(key: jax.Array, name: str) -> jax.Array: ...
@overload
def named_key(key: None, name: str) -> None: ...
def named_key(key: jax.Array | None, name: str) -> jax.Array | None:
    """The key of a child or parameter: it depends on the name alone, not on the siblings."""
    if key is not None and jnp.ndim(key) == 0 and not jnp.issubdtype(jnp.asarray(key).dtype, jax.dtypes.prng_key):
        raise TypeError("expected a random key, got a number; write jax.random.key(0)")
    if key is None or not name:
        return key
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


def float_dtype(x: Any) -> Any:
    """The dtype of parameters for an input: the input's if floating, else JAX's default (for indices, say).

    Without x64 a float64 array becomes float32, as everywhere in JAX; a float64 ``ShapeDtypeStruct`` raises.
    """
    if not is_floating(x):
        return jnp.zeros(()).dtype
    available = jax.dtypes.canonicalize_dtype(x.dtype)
    if available != x.dtype and isinstance(x, jax.ShapeDtypeStruct):
        raise ValueError(f"{x.dtype} is not available; switch it on with jax.config.update('jax_enable_x64', True)")
    return available


def is_training(train: Any) -> bool:
    """Returns ``train`` as a bool, or raises if it is traced: it must be known while the program is traced."""
    if isinstance(train, Tracer):
        raise TypeError(
            "train must be a Python bool, because it decides what a layer computes, got a traced value; make it static:"
            " jax.jit(model.apply, static_argnames='train')"
        )
    if isinstance(train, str):
        raise TypeError(f"train is True or False, got {train!r}")
    return bool(train)


def required_key(layer: Layer, key: jax.Array | None) -> jax.Array:
    """Returns the key, or raises if there is none: fnn never makes one up."""
    if key is None:
        raise ValueError(
            f"{layer!r} is random in training and needs a key: apply(…, train=True, key=jax.random.key(0))"
        )
    return key


def state_entry(state: State, name: str, shape: tuple[int, ...]) -> jax.Array:
    """Returns ``state[name]``, or raises: the caller must pass the state that init or the last step returned."""
    if not isinstance(state, dict) or name not in state:
        found = sorted(state) if isinstance(state, dict) else type(state).__name__
        raise ValueError(
            f"expected a state {name!r}, found {found}; pass the state that init or the last step returned"
        )
    if jnp.shape(state[name]) != shape:
        raise ValueError(f"state {name!r} has shape {describe(state[name])} where this input needs {shape}")
    return state[name]


def wide_dtype(dtype: Any) -> Any:
    """The dtype to accumulate in: float32 for 16-bit floats, else the dtype itself."""
    return jnp.float32 if jnp.dtype(dtype).itemsize < 4 else dtype
