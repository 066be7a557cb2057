"""Packed caches: the same gradient, fewer bytes, and what they save."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.combinators.packings import Bits
from tests.comparing import same

KEY = jax.random.key(0)
NETWORK = fnn.Serial(
    fnn.Conv(4, 3),
    fnn.BatchNorm(),
    fnn.Relu(),
    fnn.MaxPool((2, 3)),
    fnn.LeakyRelu(0.1),
    fnn.MaxPool(2),
    fnn.Flatten(),
    fnn.Dense(6),
    fnn.Maxout(3),
    fnn.Dropout(0.4),
    fnn.Repeat(fnn.Serial(fnn.Dense(2), fnn.HardTanh(), fnn.Relu6()), 2),
)


def gradients(model: fnn.Layer, x: Any, *, seed: int = 1) -> tuple[Any, Any]:
    """Forward and backward in training, operation by operation."""
    params, state = model.init(KEY, x)
    y, state, cache = model.forward(params, state, x, train=True, key=KEY)
    dy = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(seed), leaf.shape, leaf.dtype), y)
    return (y, state, model.backward(cache, dy)), cache


def size(cache: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(cache) if leaf.dtype != KEY.dtype)


@pytest.mark.full
def test_the_gradient_has_the_same_bits():
    x = jax.random.normal(KEY, (3, 6, 8, 2))
    plain, whole = gradients(NETWORK, x)
    packed, kept = gradients(fnn.Pack(NETWORK), x)
    same(packed, plain)
    assert size(kept) < 0.75 * size(whole)


@pytest.mark.parametrize(
    "layer",
    [
        fnn.Relu(),
        fnn.Relu6(),
        fnn.LeakyRelu(-0.5),
        fnn.HardTanh(),
        fnn.HardSigmoid(),
        fnn.Softshrink(0.5),
        fnn.Softshrink(0.0),
    ],
    ids=repr,
)
def test_an_activation_of_two_slopes_needs_one_bit_an_entry_also_on_its_corners_and_for_nan(layer: fnn.Layer):
    x = jnp.asarray([[-jnp.inf, -6, -3, -1, -0.5, -0.0, 0, 0.5, 1, 3, 6, jnp.inf, jnp.nan]])
    plain, _ = gradients(layer, x)
    packed, cache = gradients(fnn.Pack(layer), x)
    same(packed, plain)
    assert size(cache) == 2  # bytes, for 13 entries


@pytest.mark.parametrize(
    ("layer", "x", "bytes_"),
    [
        (fnn.MaxPool(2), (1, 4, 4, 1), 1),  # four winners of four
        (fnn.MaxPool((2, 1)), (1, 4, 4, 1), 1),  # eight of two
        (fnn.MaxPool(3), (1, 6, 6, 1), 2),  # four of nine
        (fnn.MaxPool(5), (1, 10, 10, 1), 4),  # four of twenty-five: a byte each, as before
        (fnn.MaxPool(2), (1, 8, 1), 1),  # four of two
        (fnn.Maxout(5), (2, 10), 2),  # four of five
        (fnn.Maxout(1), (2, 4), 1),
    ],
)
def test_a_winner_needs_as_many_bits_as_there_are_choices(layer: fnn.Layer, x: tuple, bytes_: int):
    plain, _ = gradients(layer, jax.random.normal(KEY, x))
    packed, cache = gradients(fnn.Pack(layer), jax.random.normal(KEY, x))
    same(packed, plain)
    assert size(cache) == bytes_


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (8,), (3, 3), (2, 5, 2)])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_bits_come_back_as_they_were(shape: tuple, bits: int):
    x = jax.random.randint(KEY, shape, 0, 2**bits).astype(jnp.bool_ if bits == 1 else jnp.int32)
    packed = Bits.of(x, bits)
    same(packed.array(), x)
    assert packed.bytes.size == -(-x.size * bits // 8)


# ---- bfloat16


def test_only_the_entries_that_are_named_are_rounded():
    model, x = fnn.Serial(fnn.Dense(4), fnn.Gelu(), head=fnn.Dense(2)), jax.random.normal(KEY, (5, 3))

    def kept(globs: Any) -> dict[str, str]:
        _, cache = gradients(fnn.Pack(model, bfloat16=globs), x)
        return {
            f"{layer}/{name}": str(jax.tree.leaves(entry)[0].dtype)
            for layer, entries in cache.items()
            for name, entry in entries.items()
        }

    names = {"dense_0/x", "dense_0/kernel", "gelu_0/x", "head/x", "head/kernel"}
    assert {name for name, dtype in kept("*/x").items() if dtype == "bfloat16"} == {"dense_0/x", "gelu_0/x", "head/x"}
    assert {name for name, dtype in kept(["gelu_*/x"]).items() if dtype == "bfloat16"} == {"gelu_0/x"}
    assert {name for name in kept(()) if name in names} == names
    (plain, packed) = (gradients(each, x)[0][2] for each in (model, fnn.Pack(model, bfloat16="*/x")))
    for one, other in zip(jax.tree.leaves(packed), jax.tree.leaves(plain), strict=True):
        assert one.dtype == other.dtype
        assert 0 < np.linalg.norm(one - other) <= 2**-8 * np.linalg.norm(other) or np.array_equal(one, other)


def test_a_glob_that_names_no_entry_raises_with_those_that_there_are():
    model = fnn.Pack(fnn.Serial(fnn.Dense(4), fnn.Gelu()), bfloat16=("*/x", "relu_0/y"))
    with pytest.raises(ValueError, match=r"the glob 'relu_0/y' matches none of the paths \[dense_0/.*gelu_0/x\]"):
        gradients(model, jnp.ones((2, 3)))


def test_bfloat16_is_a_glob_or_several():
    with pytest.raises(TypeError, match=r"bfloat16 names entries of caches by globs such as '\*/x', got \(True,\)"):
        fnn.Pack(fnn.Gelu(), bfloat16=(True,))  # pyright: ignore[reportArgumentType]


# ---- layers of one's own


@dataclasses.dataclass(frozen=True)
class Sign(fnn.Layer):
    """Multiplies by the signs of x, which are constants for its gradient; it caches more than it needs."""

    def forward(self, params: Any, state: Any, x: Any, *, train: bool = False, key: Any = None) -> Any:
        return jnp.abs(x), state, {"signs": jnp.sign(x)}

    def backward(self, cache: Any, dy: Any) -> Any:
        return {}, cache["signs"] * dy


OWN = fnn.Packing(
    lambda layer, cache: {"negative": cache["signs"] < 0},
    lambda layer, packed: {"signs": jnp.where(packed["negative"], -1.0, 1.0)},
)


def test_a_layer_of_ones_own_is_packed_as_it_says():
    x = jax.random.normal(KEY, (4, 4))
    model = fnn.Serial(fnn.Dense(4), Sign())
    plain, _ = gradients(model, x)
    packing = fnn.Pack(model, packings={Sign: OWN})
    packed, cache = gradients(packing, x)
    same(packed, plain)
    assert size(cache["sign_0"]) == 2
    assert hash(packing) == hash(fnn.Pack(model, packings={Sign: OWN}))
    assert size(gradients(fnn.Pack(model), x)[1]["sign_0"]) == 64


def test_packings_are_by_class():
    for packings in ({"relu": OWN}, {Sign: None}, {Sign(): OWN}):
        with pytest.raises(TypeError, match=r"packings are a dict \{class of a layer: fnn.Packing\(pack, unpack\)\}"):
            fnn.Pack(fnn.Relu(), packings=packings)  # pyright: ignore[reportArgumentType]


# ---- what else looks at caches


def test_a_rule_sees_the_layers_with_their_caches_unpacked():
    x = jax.random.normal(KEY, (3, 6, 8, 2))
    found: dict[str, dict[str, Any]] = {}
    for name, model in (("plain", NETWORK), ("packed", fnn.Pack(NETWORK))):
        params, state = model.init(KEY, x)
        y, _, cache = model.forward(params, state, x, train=True, key=KEY)
        seen = found.setdefault(name, {})

        def rule(path: str, layer: fnn.Layer, cache: Any, dy: Any, seen: Any = seen) -> Any:
            seen[path] = layer, jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), cache)
            return layer.backward(cache, dy)

        fnn.backprop(model, cache, y, rule)
    assert found["packed"] == found["plain"]


def test_the_summary_shows_the_bytes_that_are_left():
    def rows(model: fnn.Layer) -> dict[str, int]:
        return {row.path: row.cache_bytes for row in fnn.summary(model, jax.ShapeDtypeStruct((8, 16), "float32")).rows}

    model = fnn.Serial(fnn.Dense(16), fnn.Repeat(fnn.Serial(fnn.Gelu(), fnn.Relu(), fnn.Dropout(0.5)), 3))
    plain, packed, rounded = rows(model), rows(fnn.Pack(model)), rows(fnn.Pack(model, bfloat16="*/x"))
    entries, kernel = 8 * 16, 4 * 16 * 16
    assert plain == {
        "dense_0": 4 * entries + kernel,
        "repeat_0/gelu_0": 3 * 4 * entries,
        "repeat_0/relu_0": 3 * 4 * entries,
        "repeat_0/dropout_0": 3 * entries,
    }
    assert packed == {**plain, "repeat_0/relu_0": 3 * entries // 8, "repeat_0/dropout_0": 3 * entries // 8}
    assert rounded == {**packed, "dense_0": 2 * entries + kernel, "repeat_0/gelu_0": 3 * 2 * entries}


def temporary(model: fnn.Layer) -> int:
    """Bytes that forward and backward need, compiled, beside their arguments and results."""
    x = jax.ShapeDtypeStruct((1024, 256), jnp.float32)
    params, state = jax.eval_shape(model.init, KEY, x)

    def run(params: Any, state: Any, x: Any, dy: Any) -> Any:
        y, _, cache = model.forward(params, state, x, train=True, key=KEY)
        return y, model.backward(cache, dy)

    analysis: Any = jax.jit(run).lower(params, state, x, x).compile().memory_analysis()
    return analysis.temp_size_in_bytes


@pytest.mark.full
@pytest.mark.skipif(jax.default_backend() != "cpu", reason="the figures are those of XLA on CPU")
@pytest.mark.usefixtures("users_compilation")
def test_memory_is_saved_in_repeat_and_none_where_the_next_layer_keeps_the_same_array():
    block = fnn.Serial(fnn.Dense(256), fnn.Relu(), fnn.Dropout(0.5))
    deep = fnn.Repeat(block, 16)
    assert temporary(fnn.Pack(deep)) <= 0.6 * temporary(deep)
    plain = fnn.Serial(*[each for _ in range(4) for each in (fnn.Dense(256), fnn.Relu())])
    assert temporary(fnn.Pack(plain)) >= 0.95 * temporary(plain)
