"""What is remembered for equal values."""

import numpy as np

from fnn.values import once_for_equal


def test_an_equal_value_gets_what_the_first_got_until_too_many_others_came():
    made = []
    function = once_for_equal(lambda value: made.append(value) or len(made), kept=2)
    assert [function((1, 2)), function((1, 2)), function("other"), function((1, 2))] == [1, 1, 2, 1]
    function("third")  # "other", which was asked for least lately, is forgotten
    assert function((1, 2)) == 1
    assert function("other") == 4


def test_everything_can_be_forgotten():
    made = []
    function = once_for_equal(lambda value: made.append(value) or len(made))
    function(1)
    function.cache_clear()
    assert function(1) == 2


def test_what_cannot_be_hashed_is_made_anew():
    function = once_for_equal(lambda value: object())
    array = np.ones(2)
    assert function(array) is not function(array)
    assert function(1) is function(1)
