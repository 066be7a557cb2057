"""What the canonical text of a value contains, and what it leaves out."""

import sys
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnn import optim
from fnn.canonical.text import canonical
from fnn.train.fingerprint import differences, fingerprint, not_comparable
from tests.train.pairs_of_runs import Noise, Pair, scaled, with_default

# ---- what cannot be compared


class Refuses:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("not this one")

    def __repr__(self):
        raise RuntimeError("nor this")


def generator():
    yield


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: scaled(threading.Lock()), "augment: 'scale', captured by scaled.<locals>.augment, is a _thread.lock"),
        (lambda: Noise(generator()), "augment: 'scale' of a Noise is a generator"),
        (lambda: {"lock": [threading.Lock()]}, "augment: an entry of a list is a _thread.lock"),
        (lambda: {"lock": threading.Lock()}, "augment: entry 'lock' is a _thread.lock"),
        (lambda: Pair(1, sys.stderr), "augment: 'second' of Pair is a"),
        (lambda: Refuses(), "augment: it is a tests.canonical.test_text.Refuses"),
    ],
)
def test_what_cannot_be_compared_is_listed(make, says):
    ours = fingerprint(augment=make())
    assert differences(ours, fingerprint(augment=make())) == []
    assert [said[: len(says)] for said in not_comparable(ours)] == [says]


def test_a_lock_is_not_a_number():
    assert differences(fingerprint(augment=scaled(threading.Lock())), fingerprint(augment=scaled(1))) != []


def test_deep_long_and_recursive_values_have_a_text():
    itself: list = [1]
    itself.append(itself)
    assert canonical(itself) == ("[1, <1 up>]", {}, [])
    deep: Any = 0
    for _ in range(3000):
        deep = [deep]
    assert canonical(deep).not_compared == ["an entry of a list, which is nested too deeply, is a list"]
    wide: Any = 0
    for _ in range(60):  # 2⁶⁰ paths
        wide = (wide, wide)
    assert canonical(wide).not_compared == [
        "an entry of a tuple, which lies beyond the limit of 100,000 values, is a tuple"
    ]

    def again(n):
        return again(n - 1)

    assert canonical(again).text.endswith("again=<1 up>>")


class Tags(set):
    pass


def test_the_order_of_a_set_or_a_dict_does_not_matter():
    functions = [scaled(1), with_default(2), with_default(3), lambda x: x, lambda x: -x, Noise, Pair]
    for kind in (Tags, frozenset, dict.fromkeys):
        assert canonical(kind(functions)) == canonical(kind(functions[::-1])) != canonical(kind(functions[1:]))
    assert canonical({"a": Noise, "b": Noise}) == canonical({"b": Noise, "a": Noise})
    tags = Tags()
    itself = Noise(tags)
    tags.add(itself)
    assert "<2 up>" in canonical(tags).text


def test_the_list_of_what_cannot_be_compared_is_cut():
    said = canonical({name: threading.Lock() for name in range(100)}).not_compared
    assert len(said) == 11
    assert said[-1] == "so are 90 more"


def test_a_deleted_array_is_listed():
    array = jnp.ones(20)
    array.delete()
    assert canonical(array).not_compared == ["it is a jaxlib._jax.ArrayImpl"]


def test_a_traced_number_is_listed():
    seen = []
    jax.jit(lambda x: seen.append(canonical(optim.sgd(x)).not_compared) or x)(0.1)
    assert seen[0][0].startswith("'learning_rate' of sgd is a jax")


# ---- plain values

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


def exactly(value):
    """The value as nested tuples that are equal if it is the same to the bit, whatever the order of a dict."""
    if isinstance(value, list | tuple):
        return type(value).__name__, tuple(map(exactly, value))
    if isinstance(value, dict):
        return "dict", frozenset((key, exactly(each)) for key, each in value.items())
    return type(value).__name__, repr(value)


@pytest.mark.full
@given(plain, plain)
def test_text_is_equal_where_plain_values_are(one, other):
    assert (canonical(one).text == canonical(other).text) == (exactly(one) == exactly(other))


@given(plain)
def test_a_copy_has_the_same_text(value):
    def copied(value):
        if isinstance(value, dict):
            return {key: copied(each) for key, each in reversed(value.items())}
        return type(value)(map(copied, value)) if isinstance(value, list | tuple) else value

    assert canonical(copied(value)) == canonical(value)


def test_numbers_are_exact():
    values = [
        1,
        1.0,
        True,
        0.0,
        -0.0,
        1j,
        "1",
        b"1",
        None,
        float("nan"),
        np.float32(1),
        np.float64(1),
        np.nextafter(1, 2),
    ]
    values += [jnp.bfloat16(1), np.array([1.0]), np.array([1]), np.array(["1"]), np.dtype(">f4"), np.dtype("<f4")]
    assert len({canonical(value).text for value in values}) == len(values)
