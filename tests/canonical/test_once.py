"""Results are cached for the same value, and for no other."""

import numpy as np

from fnn.canonical.once import once_for_same

FACTOR = 1.0


def test_an_equal_value_gets_the_cached_result_until_too_many_others_came():
    made = []
    function = once_for_same(lambda value: made.append(value) or len(made), kept=2)
    assert [function((1, 2)), function((1, 2)), function("other"), function((1, 2))] == [1, 1, 2, 1]
    function("third")  # "other", which was asked for least lately, is forgotten
    assert function((1, 2)) == 1
    assert function("other") == 4


def test_everything_can_be_forgotten():
    made = []
    function = once_for_same(lambda value: made.append(value) or len(made))
    function(1)
    function.cache_clear()
    assert function(1) == 2


def test_results_of_unhashable_values_are_not_cached():
    function = once_for_same(lambda value: object())
    array = np.ones(2)
    assert function(array) is not function(array)
    assert function(1) is function(1)


def test_an_equal_value_whose_globals_changed_is_another(monkeypatch):
    made, captured = [], [1.0]
    function = once_for_same(lambda value: made.append(value) or len(made))

    def of_a_global(x):
        return FACTOR * x

    def of_a_capture(x):
        return captured[0] * x

    class OfAnAttribute:
        rate = 1.0

    value = (of_a_global, of_a_capture, own := OfAnAttribute())
    assert [function(value), function(value)] == [1, 1]
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert function(value) == 2
    captured[0] = 2.0
    assert function(value) == 3
    own.rate = 2.0
    assert [function(value), function(value)] == [4, 4]
