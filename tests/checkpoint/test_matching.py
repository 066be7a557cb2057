"""Loading what was saved under other paths, or into a tree that is not quite the one saved."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fnn.checkpoint.file import PartialLoad, load, save
from tests.comparing import same


@pytest.fixture
def tree(random):
    tree = {
        "body": {"dense_0": {"bias": random(3), "kernel": random(2, 3)}, "dense_1": {"bias": random(3)}},
        "bodywork": random(1),
        "head": {"bias": random(2)},
    }
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), tree)


@pytest.fixture
def path(tmp_path, tree):
    return save(tmp_path / "model.safetensors", tree)


def zeros(tree):
    return jax.tree.map(np.zeros_like, tree)


def fit_of(warning):
    assert isinstance(warning.message, PartialLoad)
    assert warning.message.fit is not None
    return warning.message.fit


class TestRename:
    def renames(self, path, rename, expected):
        """All at once, and every leaf where it belongs."""
        same(load(path, zeros(expected), rename=rename), expected)

    def test_a_subtree(self, path, tree):
        """And not what merely starts with the same letters."""
        body, head, bodywork = tree["body"], tree["head"], tree["bodywork"]
        self.renames(path, {"body": "encoder"}, {"encoder": body, "head": head, "bodywork": bodywork})
        self.renames(path, {"body": "a/b"}, {"a": {"b": body}, "head": head, "bodywork": bodywork})

    def test_an_array(self, path, tree):
        body = {"dense_0": tree["body"]["dense_0"], "dense_1": {"offset": tree["body"]["dense_1"]["bias"]}}
        self.renames(path, {"body/dense_1/bias": "body/dense_1/offset"}, tree | {"body": body})

    def test_the_longer_path_applies(self, path, tree):
        body = {"first": tree["body"]["dense_0"], "x": {"bias": tree["body"]["dense_1"]["bias"]}}
        rest = {"bodywork": tree["bodywork"], "head": tree["head"]}
        for rename in ({"body": "", "body/dense_0": "first", "body/dense_1": "x"},) * 2:
            self.renames(path, rename, rest | body)
            self.renames(path, dict(reversed(rename.items())), rest | body)

    def test_two_change_places_and_each_path_is_renamed_once(self, path, tree):
        dense_0, dense_1 = tree["body"]["dense_0"], tree["body"]["dense_1"]
        rename = {"body/dense_0": "body/dense_1", "body/dense_1": "body/dense_0"}
        self.renames(path, rename, tree | {"body": {"dense_0": dense_1, "dense_1": dense_0}})
        rename = {"body/dense_0": "body/dense_1", "body/dense_1": "body/dense_2"}
        self.renames(path, rename, tree | {"body": {"dense_1": dense_0, "dense_2": dense_1}})

    def test_the_root(self, path, tree, tmp_path):
        self.renames(path, {"": "all"}, {"all": tree})
        self.renames(
            path, {"": "all", "head": "head"}, {"all": {k: tree[k] for k in ("body", "bodywork")}, "head": tree["head"]}
        )
        save(tmp_path / "one", tree["head"]["bias"])
        self.renames(tmp_path / "one", {"": "head/bias"}, {"head": tree["head"]})
        save(tmp_path / "below", {"head": tree["head"]})
        self.renames(tmp_path / "below", {"head": ""}, tree["head"])
        self.renames(tmp_path / "below", {"head/bias": ""}, tree["head"]["bias"])

    def test_what_is_not_there_cannot_be_renamed(self, path, tree):
        for source in ("bod", "body/", "body/dense_2", "encoder", "body/dense_0/bias/x"):
            for strict in (True, False):
                with pytest.raises(
                    ValueError, match=f"has nothing at '{source}' to rename; it holds body/dense_0/bias, "
                ):
                    load(path, tree, rename={source: "x"}, strict=strict)

    def test_two_things_at_one_path(self, path, tree):
        expected = r"the same path: head/bias \(from body/dense_1/bias, head/bias\)$"
        with pytest.raises(ValueError, match=expected):
            load(path, tree, rename={"body/dense_1": "head"}, strict=False)

    def test_the_rest_is_compared_after_renaming(self, path, tree):
        with pytest.raises(ValueError, match=r"missing in the file: head/bias; only in the file: foot/bias$"):
            load(path, tree, rename={"head": "foot"})

    @pytest.mark.parametrize("rename", [["body"], {"body": 3}, {3: "body"}], ids=str)
    def test_a_renaming_is_a_dict_of_paths(self, path, tree, rename):
        with pytest.raises(TypeError, match="rename is a dict from paths in the file to paths in the tree, got "):
            load(path, tree, rename=rename)


class TestPartial:
    def test_what_fits_is_loaded_and_the_rest_is_told(self, path, tree):
        like = {
            "body": {
                "dense_0": {"bias": np.zeros(3, np.float32), "kernel": np.zeros((3, 3), np.float32)},
                "dense_1": {"bias": jnp.zeros(3, jnp.bfloat16)},
            },
            "head": jax.tree.map(jnp.zeros_like, tree["head"]),
            "tail": {"bias": np.ones(4)},
        }
        with pytest.warns(PartialLoad, match=r"fills 2 of 5 leaves") as warned:
            restored = load(path, like, strict=False)
        expected = {
            "body": like["body"] | {"dense_0": like["body"]["dense_0"] | {"bias": tree["body"]["dense_0"]["bias"]}}
        }
        same(restored, like | expected | {"head": tree["head"]})
        # What is kept is the leaf of like itself.
        assert restored["tail"]["bias"] is like["tail"]["bias"]
        assert restored["body"]["dense_1"]["bias"] is like["body"]["dense_1"]["bias"]
        assert isinstance(restored["head"]["bias"], jax.Array)
        (warning,) = warned
        assert warning.filename == __file__
        assert str(warning.message).splitlines() == [
            f"checkpoint {path} fills 2 of 5 leaves of the tree",
            "  kept, not in the file      tail/bias",
            "  kept, dtype differs        body/dense_1/bias: float32[3] in the file, bfloat16[3] wanted",
            "  kept, shape differs        body/dense_0/kernel: float32[2,3] in the file, float32[3,3] wanted",
            "  in the file, not used      bodywork",
        ]
        fit = fit_of(warning)
        assert fit.loaded == ("body/dense_0/bias", "head/bias")
        assert (fit.missing, fit.unused) == (("tail/bias",), ("bodywork",))
        assert (len(fit.other_dtype), len(fit.other_shape)) == (1, 1)

    def test_no_word_if_all_fits(self, path, tree):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            same(load(path, zeros(tree), strict=False), tree)
        assert warned == []

    def test_a_renamed_part(self, path, tree):
        like = {"encoder": zeros(tree["body"]), "decoder": np.ones(2)}
        with pytest.warns(PartialLoad, match="fills 3 of 4 leaves") as warned:
            restored = load(path, like, strict=False, rename={"body": "encoder"})
        same(restored, {"encoder": tree["body"], "decoder": like["decoder"]})
        assert fit_of(warned[0]).unused == ("bodywork", "head/bias")

    def test_nothing_fits(self, path):
        like = {"a": 1, "b": [np.ones(3)]}
        with pytest.warns(PartialLoad, match="fills 0 of 2 leaves"):
            assert load(path, like, strict=False) == like

    def test_a_shape_has_no_value_to_keep(self, path, tree):
        shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, tree))
        like = shapes | {
            "tail": jax.ShapeDtypeStruct((3,), np.float32),
            "head": {"bias": jax.ShapeDtypeStruct((5,), np.float32)},
        }
        with pytest.raises(
            ValueError, match=r"does not fill head/bias, tail, where the tree .* has a shape but no value"
        ) as error:
            load(path, like, strict=False)
        assert "kept, shape differs        head/bias: float32[2] in the file, float32[5] wanted" in str(error.value)
        del like["tail"]
        with pytest.warns(PartialLoad, match="fills 4 of 5 leaves"):
            load(path, like | {"head": {"bias": np.ones(5, np.float32)}}, strict=False)

    def test_random_keys_and_numbers(self, tmp_path):
        path = save(tmp_path / "model", {"key": jax.random.key(3), "other": jax.random.key(4), "step": 7, "rate": 0.5})
        like = {"key": jax.random.key(0), "other": jax.random.key(0, impl="rbg"), "step": 0, "rate": 1}
        with pytest.warns(PartialLoad, match="rate: float64.. in the file, int64.. wanted"):
            restored = load(path, like, strict=False)
        assert (restored["step"], restored["rate"]) == (7, 1)
        assert restored["key"] == jax.random.key(3)
        assert restored["other"] is like["other"]

    def test_nothing_is_narrowed(self, tmp_path):
        path = save(tmp_path / "model", {"a": np.ones(2), "b": np.ones(2)})
        with pytest.raises(ValueError, match="would narrow to 32 bits: a;"):
            load(path, {"a": jax.ShapeDtypeStruct((2,), np.float64), "b": np.ones(3)}, strict=False)

    def test_a_damaged_file_is_refused_before_anything_is_compared(self, path, tree):
        content = path.read_bytes()
        for old, new in [(b"head/bias", b"heat/bias"), (b'"F32","shape":[2]', b'"I32","shape":[2]')]:
            assert content.count(old) == 1
            path.write_bytes(content.replace(old, new))
            for strict in (True, False):
                with pytest.raises(ValueError, match="is damaged: its checksum does not match its content"):
                    load(path, tree, strict=strict)
