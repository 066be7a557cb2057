"""What a checkpoint promises: the same bits back, in a format that others read, and no tree that does not fit."""

import json
import re
import string
import tracemalloc

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import strategies

from fnn.checkpoint import tensor_file
from fnn.checkpoint.file import load, read_metadata, save
from fnn.layer import Static
from fnn.paths import path_of
from tests.checkpoint.stored_trees import DTYPES, assert_same, random_array

NAMES = strategies.text(string.ascii_letters + '_0é☃ ."\\', min_size=1, max_size=6)
LEAVES = strategies.builds(
    random_array,
    strategies.sampled_from(DTYPES),
    strategies.lists(strategies.integers(0, 3), max_size=3).map(tuple),
    strategies.integers(0, 1000),
)
TREES = strategies.recursive(
    strategies.dictionaries(NAMES, LEAVES, max_size=4),
    lambda inner: strategies.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


class TestRoundTrip:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    @pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,), (2, 0, 3)], ids=str)
    def test_every_dtype_and_shape_comes_back_bit_for_bit(self, path, dtype, shape):
        with jax.enable_x64(True):
            array = random_array(dtype, shape)
            array = np.asarray(array).reshape(shape)
            tree = {"numpy": array, "jax": jnp.asarray(array)}
            save(path, tree)
            assert_same(load(path, tree), tree)
            shapes = jax.eval_shape(lambda: {"numpy": jnp.zeros(shape, dtype), "jax": jnp.zeros(shape, dtype)})
            assert_same(load(path, shapes), jax.tree.map(jnp.asarray, tree))

    def test_numbers_come_back_as_the_type_that_like_has(self, path):
        tree = {"a": True, "b": -3, "c": 0.1, "d": np.float64(0.1), "e": np.int8(4), "f": float("nan")}
        save(path, tree)
        restored = load(path, like=tree)
        assert {name: type(leaf) for name, leaf in restored.items()} == {n: type(leaf) for n, leaf in tree.items()}
        assert_same(restored, tree)
        as_arrays = load(path, like={name: np.asarray(leaf) for name, leaf in tree.items()})
        assert all(isinstance(leaf, np.ndarray) and leaf.shape == () for leaf in as_arrays.values())

    def test_a_tree_may_be_of_any_structure(self, path):
        array = jnp.ones(2)
        for tree in [array, [array, (array, None)], {"a": Static(3), "b": {}, "c": [array]}, {}, None, Static("x")]:
            save(path, tree)
            assert_same(load(path, like=tree), tree)

    def test_memory_order_and_views_do_not_matter(self, path):
        array = np.arange(24.0).reshape(2, 3, 4)
        tree = {"fortran": np.asfortranarray(array), "view": array[::-1, :, 1::2], "transposed": array.T}
        tree |= {
            "strided": np.arange(9.0)[1::3],
            "reversed": np.arange(4)[::-1],
            "repeated": np.broadcast_to(1.5, (2, 3)),
        }
        save(path, tree)
        restored = load(path, like=tree)
        for name, leaf in tree.items():
            np.testing.assert_array_equal(restored[name], leaf)

    @pytest.mark.parametrize("implementation", ["threefry2x32", "rbg", "unsafe_rbg"])
    def test_random_keys_come_back_typed(self, path, implementation):
        key = jax.random.key(3, impl=implementation)
        tree = {"key": key, "keys": jax.random.split(key, 5)}
        save(path, tree)
        for like in (tree, jax.eval_shape(lambda: tree)):
            restored = load(path, like)
            assert_same(restored, tree)
            assert jax.random.key_impl(restored["key"]) == implementation
            assert jax.random.bits(restored["keys"][2]) == jax.random.bits(tree["keys"][2])

    def test_restored_arrays_can_be_donated(self, path):
        tree = {"x": jnp.ones(4096)}
        save(path, tree)
        doubled = jax.jit(lambda tree: jax.tree.map(lambda x: 2 * x, tree), donate_argnums=0)(load(path, tree))
        np.testing.assert_array_equal(doubled["x"], 2 * np.ones(4096, np.float32))

    @hypothesis.given(tree=TREES)
    @hypothesis.settings(max_examples=60, deadline=None)
    def test_any_nested_dict_comes_back(self, tmp_path_factory, tree):
        path = tmp_path_factory.getbasetemp() / "random.safetensors"
        save(path, tree)
        assert_same(load(path, like=tree), tree)

    def test_64_bit_arrays_are_never_narrowed(self, path):
        with jax.enable_x64(True):
            tree = {"a": jnp.full(2, 0.1), "b": jnp.arange(3), "c": jnp.ones(2, jnp.float32)}
            save(path, tree)
            assert_same(load(path, tree), tree)
        for like in (tree, {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in tree.items()}):
            with pytest.raises(
                ValueError, match=r"would narrow to 32 bits: a, b; load it under jax.enable_x64\(True\)"
            ):
                load(path, like)
        arrays = jax.tree.map(np.asarray, tree)
        assert_same(load(path, arrays), arrays)

    def test_the_files_bytes_depend_on_the_content_alone(self, tmp_path):
        a, b = np.ones(2), np.zeros(3, np.int8)
        first = save(tmp_path / "first", {"a": a, "b": b}, {"x": 1})
        second = save(tmp_path / "second", {"b": b, "a": a}, {"x": 1})
        assert first.read_bytes() == second.read_bytes()


class TestFormat:
    def test_the_safetensors_library_reads_the_file(self, path):
        tree = {"layer": {dtype.name: random_array(dtype, (2, 3)) for dtype in DTYPES if "float8" not in dtype.name}}
        tree |= {"empty": np.zeros((0, 2)), "scalar": np.array(2.5), 'é/"☃': np.ones(1, np.int8)}
        save(path, tree, {"epoch": 3})
        expected = {path_of(key): leaf for key, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
        with safetensors.safe_open(path, framework="np") as file:
            assert set(file.keys()) == set(expected)
            for name, leaf in expected.items():
                assert_same(np.asarray(file.get_tensor(name)).reshape(leaf.shape), leaf)
            assert json.loads(file.metadata()["fnn_checkpoint"])["metadata"] == {"epoch": 3}

    def test_every_array_is_aligned_to_its_items(self, path):
        save(path, {str(n): random_array(dtype, (3,)) for n, dtype in enumerate(DTYPES)})
        content = path.read_bytes()
        length = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:length])
        for n, dtype in enumerate(DTYPES):
            start, stop = (length + offset for offset in header[str(n)]["data_offsets"])
            assert start % dtype.itemsize == 0
            assert content[start:stop] == random_array(dtype, (3,)).tobytes()

    def test_saving_and_loading_hold_few_copies(self, path):
        tree = {"large": np.ones((1, 2**22, 1), np.float32), "small": np.ones(2**18, np.float32)}
        size = sum(leaf.nbytes for leaf in tree.values())
        tracemalloc.start()
        try:
            save(path, tree)
            assert tracemalloc.get_traced_memory()[1] < 0.1 * size
            tracemalloc.reset_peak()
            restored = load(path, tree)
            assert tracemalloc.get_traced_memory()[1] < 1.2 * size
            # So aligned, JAX on CPU takes the memory over: a load into JAX arrays makes no second copy either.
            assert all(leaf.ctypes.data % 64 == 0 for leaf in restored.values())
        finally:
            tracemalloc.stop()

    def test_the_bytes_are_those_that_the_safetensors_library_writes(self, path):
        """But for the checksum, which it does not know; escapes, order, padding and empty arrays included."""
        for count in range(8):
            tree = {f"{dtype}_{n}": random_array(dtype, (n, 2)) for dtype in tensor_file.CODES for n in range(3)}
            tree |= {'é/"☃\\\n\x01\x7f' + "x" * count: np.ones(1, np.int8), "scalar": np.array(2.5)}
            content = save(path, tree, {"é": [1, None]}).read_bytes()
            with safetensors.safe_open(path, framework="np") as file:
                notes = file.metadata()
            assert safetensors.numpy.save(tree, notes) == content

    def test_keys_that_are_one_in_json_are_one(self, path):
        save(path, {"a": 1}, {1: "first", "1": "second"})  # pyright: ignore[reportArgumentType]
        assert read_metadata(path) == {"1": "second"}

    def test_more_metadata_than_a_header_holds(self, path, monkeypatch):
        monkeypatch.setattr(tensor_file, "HEADER_LIMIT", 1000)
        with pytest.raises(
            ValueError, match=r"the paths and the metadata take .* but a checkpoint has room for 1000; store"
        ):
            save(path, {"a": 1}, {"text": "x" * 1000})
        assert list(path.parent.iterdir()) == []

    @pytest.mark.parametrize("metadata", [None, {}, {"é☃\ud800": [1, 2.5, None, {"nested": [True, '\n"\\']}]}])
    def test_metadata_comes_back(self, path, metadata):
        save(path, {}, metadata)
        assert read_metadata(path) == (metadata or {})

    def test_metadata_keeps_infinities_and_passes_through_json(self, path):
        save(path, {}, {"best": float("inf"), "shape": (1, 2), "map": {3: "key"}})
        assert read_metadata(path) == {"best": float("inf"), "shape": [1, 2], "map": {"3": "key"}}

    @pytest.mark.parametrize(
        "value", [np.float32(1), np.ones(2), {1, 2}, b"bytes", object()], ids=lambda value: type(value).__name__
    )
    def test_metadata_that_is_not_json_is_refused(self, path, value):
        with pytest.raises(TypeError, match="the metadata is written as JSON: Object of type"):
            save(path, {}, {"value": value})
        assert not path.exists()

    def test_metadata_is_a_dict(self, path):
        with pytest.raises(TypeError, match="the metadata is a dict, got list"):
            save(path, {}, [1])  # pyright: ignore[reportArgumentType]


class TestRefusedTrees:
    @pytest.mark.parametrize(
        ("leaf", "message"),
        [
            ("text", "arrays, numbers and random keys, got str at 'a/0'"),
            (2j, "got complex at 'a/0'"),
            (object(), "got object at 'a/0'"),
            (np.array([object()]), r"does not hold dtype\('O'\) \(at 'a/0'\)"),
            (np.ones(2, np.complex128), "does not hold dtype.'complex128'. .at 'a/0'."),
            (np.ones(2, ">f4"), "does not hold dtype.'>f4'. .* in little-endian order"),
            (jnp.ones(2, jnp.int4), "does not hold dtype.int4."),
        ],
        ids=lambda value: None,
    )
    def test_leaves_that_the_format_does_not_hold(self, path, leaf, message):
        with pytest.raises(TypeError, match=message):
            save(path, {"a": [leaf]})
        assert list(path.parent.iterdir()) == []

    def test_integers_beyond_64_bits(self, path):
        save(path, {"a": 2**63 - 1, "b": -(2**63)})
        assert load(path, {"a": 0, "b": 0}) == {"a": 2**63 - 1, "b": -(2**63)}
        with pytest.raises(ValueError, match=f"the integer at 'a' does not fit into 64 bits: {2**63}"):
            save(path, {"a": 2**63})

    def test_two_leaves_of_one_path(self, path):
        tree = {"a/b": 1, "a": {"b": 2}, "c": [3], "c/0": 4, "d": 5}
        with pytest.raises(ValueError, match="several leaves of the tree have the same path: a/b, c/0;"):
            save(path, tree)
        save(path, {"a": {"b": 2}})
        with pytest.raises(ValueError, match="have the same path: a/b, c/0;"):
            load(path, like=tree)

    def test_the_reserved_path(self, path):
        with pytest.raises(ValueError, match="'__metadata__', which the safetensors format reserves"):
            save(path, {"__metadata__": 1})

    def test_a_path_that_is_no_text(self, path):
        with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
            save(path, {"\ud800": 1})
        assert list(path.parent.iterdir()) == []

    def test_a_key_without_a_named_implementation(self, path, monkeypatch):
        key = jax.random.key(0)
        monkeypatch.setattr(jax.random, "key_impl", lambda _: object())
        with pytest.raises(TypeError, match="the random key at 'key' has an implementation without a name, <object"):
            save(path, {"key": key})

    def test_a_deleted_array_leaves_the_previous_file(self, path, tree):
        save(path, tree)
        deleted = jnp.ones(3)
        deleted.delete()
        with pytest.raises(RuntimeError, match="deleted"):
            save(path, tree | {"z": deleted})
        assert_same(load(path, tree), tree)
        assert list(path.parent.iterdir()) == [path]


class TestRefusedLikes:
    def test_other_paths(self, path, tree):
        save(path, tree)
        expected = r"missing in the file: dense_1/bias; only in the file: dense_0/kernel, step$"
        with pytest.raises(ValueError, match=f"differ from those of the tree to load into: {expected}"):
            load(path, like={"dense_0": {"bias": tree["dense_0"]["bias"]}, "dense_1": {"bias": jnp.ones(3)}})
        with pytest.raises(ValueError, match="missing in the file: other; only in the file: none"):
            load(path, like=tree | {"other": 1})
        with pytest.raises(ValueError, match="missing in the file: none; only in the file: step"):
            load(path, like={"dense_0": tree["dense_0"]})

    def test_many_paths_are_cut(self, path):
        save(path, {})
        with pytest.raises(
            ValueError, match="missing in the file: 0, 1, 10, 11, 12, 13, 14, 2, 3, 4, 5, 6, … 3 more; only"
        ):
            load(path, like=[0] * 15)

    @pytest.mark.parametrize("shape", [(3, 2), (6,), (1, 2, 3), (2, 4)])
    def test_other_shapes(self, path, tree, shape):
        save(path, tree)
        like = tree | {"dense_0": {"kernel": jnp.zeros(shape), "bias": tree["dense_0"]["bias"]}}
        wanted = re.escape(f"float32[{','.join(map(str, shape))}] wanted")
        with pytest.raises(ValueError, match=rf"dense_0/kernel: float32\[2,3\] in the file, {wanted}"):
            load(path, like)

    def test_other_dtypes(self, path, tree):
        save(path, tree)
        like = {"dense_0": {"kernel": jnp.zeros((2, 3), jnp.int32), "bias": jnp.zeros(3, jnp.float16)}, "step": 7.0}
        with pytest.raises(
            TypeError, match=r"nothing is cast: .*bias: bfloat16.*kernel: float32.*step: int64"
        ) as error:
            load(path, like)
        assert "dense_0/kernel: float32[2,3] in the file, int32[2,3] wanted" in str(error.value)

    def test_other_kinds_of_random_key(self, path):
        save(path, {"key": jax.random.key(0)})
        with pytest.raises(
            TypeError, match=r"threefry2x32 key as uint32\[2\] in the file, rbg key as uint32\[4\] wanted"
        ):
            load(path, {"key": jax.random.key(0, impl="rbg")})
        with pytest.raises(TypeError, match=r"threefry2x32 key as uint32\[2\] in the file, uint32\[2\] wanted"):
            load(path, {"key": jnp.zeros(2, jnp.uint32)})
        with pytest.raises(ValueError, match=r"the shapes in checkpoint .* differ from"):
            load(path, {"key": jax.random.split(jax.random.key(0))})


def test_what_is_ignored_in_the_file_need_not_be_asked_for(tmp_path):
    path = save(tmp_path / "run", {"params": {"w": jnp.ones(2)}, "opt_state": {"mu": jnp.zeros(2)}, "count": 3})
    like = {"params": {"w": jnp.zeros(2)}}
    for ignore in ("*", ("opt_state/*", "count")):
        assert load(path, like=like, ignore=ignore)["params"]["w"].tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"only in the file: count$"):
        load(path, like=like, ignore="opt_state/*")
    with pytest.raises(ValueError, match=r"missing in the file: params/v"):
        load(path, like={"params": {"v": jnp.zeros(2)}}, ignore="*")
