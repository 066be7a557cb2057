"""The template runs as it is, and its rule can say no."""

import pytest

pytestmark = pytest.mark.full


def test_every_width_learns_the_sine(run):
    assert list(run.figures["errors"]) == ["2", "8", "32"]
    # The root mean square of sin(3x) itself is about 0.7.
    assert all(0 < error < 0.5 for errors in run.figures["errors"].values() for error in errors)


def test_its_rule_can_say_the_opposite(run):
    for errors, words in (([3, 2, 1], "holds"), ([3, 1, 2], "does not hold"), ([2, 2, 1], "does not hold")):
        changed = {str(place): [error] for place, error in enumerate(errors)}
        assert run.verdict("More hidden units", errors=changed) == words
