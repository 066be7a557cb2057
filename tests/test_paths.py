"""Names, paths and globs."""

import jax.numpy as jnp
import pytest

from fnn.paths import check_name, join, map_named, matches, named_leaves, path_of, select

PATHS = [
    "bias",
    "kernel",
    "encoder/dense_0/bias",
    "encoder/dense_0/kernel",
    "encoder/lstm_0/recurrent_kernel",
    "head/kernel",
    "head/kernels",
    "head/colonel",
]


def test_join_leaves_out_empty_names():
    assert join("", "encoder", "", "dense_0", "kernel") == "encoder/dense_0/kernel"
    assert join() == join("", "") == ""
    assert join("a/b", "c") == "a/b/c"


@pytest.mark.parametrize("name", ["", "a/b", "/", 3, None])
def test_a_bad_name_is_refused(name: object):
    with pytest.raises(ValueError, match=r"a name is a non-empty string without '/' and without \*, \? and \[, got"):
        check_name(name)  # type: ignore[arg-type]


def test_a_good_name_comes_back():
    assert check_name("dense_0") == "dense_0"


@pytest.mark.parametrize(
    ("glob", "selected"),
    [
        ("*", PATHS),
        ("*/bias", ["bias", "encoder/dense_0/bias"]),
        ("bias", ["bias"]),
        ("encoder/*", PATHS[2:5]),
        ("encoder/*/bias", ["encoder/dense_0/bias"]),
        ("*/dense_?/bias", ["encoder/dense_0/bias"]),
        ("*/dense_[12]/bias", []),
        ("*/dense_[01]/bias", ["encoder/dense_0/bias"]),
        ("*/kernel", ["kernel", "encoder/dense_0/kernel", "encoder/lstm_0/recurrent_kernel", "head/kernel"]),
        ("kernel", ["kernel"]),
        ("encoder/kernel", []),
        ("encoder/*/kernel", ["encoder/dense_0/kernel", "encoder/lstm_0/recurrent_kernel"]),
        ("head/kernel", ["head/kernel"]),
        ("*/kernels", ["head/kernels"]),
        ("*kernel", ["kernel", "encoder/dense_0/kernel", "encoder/lstm_0/recurrent_kernel", "head/kernel"]),
        ("Head/*", []),
    ],
)
def test_what_a_glob_selects(glob: str, selected: list[str]):
    assert [path for path in PATHS if matches(glob, path)] == selected


def test_select_keeps_the_order_of_the_paths_and_no_path_twice():
    assert select(("head/*", "*/bias", "bias"), PATHS) == [
        "bias",
        "encoder/dense_0/bias",
        "head/kernel",
        "head/kernels",
        "head/colonel",
    ]
    assert select("*/bias", iter(PATHS)) == ["bias", "encoder/dense_0/bias"]
    assert select((), PATHS) == []


def test_a_glob_that_selects_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"the glob '\*/scale' matches none of the paths \[bias, kernel, "):
        select(("*/bias", "*/scale"), PATHS)
    with pytest.raises(ValueError, match=r"matches none of the paths \[\]"):
        select("*", [])


def test_a_long_list_of_paths_is_cut_in_the_message():
    with pytest.raises(ValueError, match=r"p11, … 18 more\]"):
        select("*/scale", [f"p{i}" for i in range(30)])


def test_named_leaves_of_a_nested_tree():
    tree = {"dense_0": {"kernel": 1, "bias": 2}, "empty": {}, "none": None, "pair": (3, [4])}
    assert named_leaves(tree) == {"dense_0/bias": 2, "dense_0/kernel": 1, "pair/0": 3, "pair/1/0": 4}
    assert named_leaves(jnp.ones(2)).keys() == {""}


def test_map_named_gives_the_path_and_keeps_the_structure():
    tree = {"a": {"kernel": 1}, "b": (2, None)}
    assert map_named(lambda path, leaf: f"{path}={leaf}", tree) == {"a": {"kernel": "a/kernel=1"}, "b": ("b/0=2", None)}
    assert map_named(lambda path, one, other: one + other, tree, tree) == {"a": {"kernel": 2}, "b": (4, None)}
    assert path_of(()) == ""
