"""A method that nobody calls, named nearly as one of its contract, is refused where its class is defined."""

# A row is a line.

import dataclasses
import types

import pytest

import fnn
from fnn.combinators.wrapper import Wrapper


class Plain:
    """A base of a user's own: nothing is known of its names."""


def defined(base: type, names: dict[str, object]) -> type:
    return types.new_class("Mine", (base,), {}, lambda body: body.update(names))


def method(self, *arguments):
    return arguments


NOT_CALLED = [
    (fnn.Layer, "foward", "did you mean forward"),
    (fnn.Layer, "forwards", "did you mean forward"),
    (fnn.Layer, "backwards", "did you mean backward"),
    (fnn.Layer, "aply", "did you mean apply"),
    (fnn.Layer, "Init", "did you mean init"),
    (fnn.Layer, "with_childs", "did you mean with_children"),
    (fnn.Layer, "kinks", "did you mean kinks_at"),
    (Wrapper, "conect", "did you mean connect"),
    (fnn.Loss, "term", "did you mean terms"),
    (fnn.Loss, "term_backward", "did you mean terms_backward"),
    (fnn.Loss, "kink_at", "did you mean kinks_at"),
    (fnn.MeanSquaredError, "slopes", "did you mean slope"),
    (fnn.Metric, "updates", "did you mean update"),
    (fnn.Metric, "vlaue", "did you mean value"),
    (fnn.L2, "slop", "did you mean slope"),
    (fnn.L2, "kink_at", "did you mean kinks_at"),
    (fnn.augment.Augmentation, "do_nothing", "did you mean does_nothing"),
    (fnn.Callback, "on_epoch_end", "the hooks of a callback are on_start, on_steps, on_epoch, on_end"),
    (fnn.Callback, "on_improvement", "the hooks of a callback"),
    (fnn.Callback, "onEpoch", "the hooks of a callback"),
    (fnn.Callback, "epoch_ends", "the hooks of a callback"),
    (fnn.Callback, "after_epoch", "the hooks of a callback"),
    (fnn.Callback, "trainBegin", "the hooks of a callback"),
    (fnn.Callback, "batch_end", "the hooks of a callback"),
]


@pytest.mark.parametrize(("base", "name", "words"), NOT_CALLED, ids=lambda each: getattr(each, "__name__", None))
def test_a_misspelt_method_is_refused_at_its_definition(base: type, name: str, words: str):
    with pytest.raises(TypeError, match=rf"Mine\.{name} is called by nobody: {words}"):
        defined(base, {name: method})
    with pytest.raises(TypeError, match=rf"Mine\.{name} is called by nobody"):
        defined(base, {name: property(method)})


@pytest.mark.parametrize("name", ["higher_is_beter", "greater_is_better", "lower_is_better", "higherIsBetter"])
def test_a_metric_that_misspells_its_direction_is_refused(name: str):
    with pytest.raises(TypeError, match=rf"Mine\.{name} is never read: set higher_is_better"):
        defined(fnn.Metric, {name: False})
    assert not defined(fnn.Metric, {"higher_is_better": False}).higher_is_better


OWN = [
    (fnn.Layer, ("unfold", "weights", "reset", "_foward", "call", "as_text", "sinks", "links")),
    (fnn.Loss, ("distance", "scores", "_term")),
    (fnn.Metric, ("counts", "of_class", "plot")),
    (fnn.Callback, ("write", "epoch_summary", "start", "one_epoch", "save_epoch", "plot_steps", "_on_epoch_end")),
    (Plain, ("foward", "on_epoch_end")),
]


@pytest.mark.parametrize(("base", "names"), OWN, ids=[row[0].__name__ for row in OWN])
def test_a_helper_of_ones_own_is_allowed(base: type, names: tuple[str, ...]):
    assert set(names) <= set(vars(defined(base, dict.fromkeys(names, method))))


def test_a_method_that_the_class_calls_itself_is_a_helper_whatever_its_name():
    class Report(fnn.Callback):
        def on_improvement(self, run):
            return run

        def on_epoch(self, run):
            return [self.on_improvement(each) for each in [run]]

    class Listed(Report):
        def on_improvement(self, run):
            return [run]

    assert Listed().on_epoch(1) == [[1]]  # type: ignore[arg-type]


def test_fields_are_no_methods():
    @dataclasses.dataclass(frozen=True)
    class Values(fnn.Metric):
        values: object = method
        updates: int = 3

    assert Values().updates == 3


WRONG_SIGNATURES = [
    (fnn.Callback, "on_epoch", lambda self, epoch, logs: None, r"called with \(run\), but takes \(self, epoch, logs\)"),
    (fnn.Callback, "on_end", lambda self: None, r"called with \(run\), but takes \(self\)"),
    (
        fnn.Metric,
        "update",
        lambda self, outputs, targets: 0,
        r"called with \(outputs, targets, weights\), but takes \(self, outputs, targets\)",
    ),
    (fnn.Metric, "value", lambda self: 0, r"called with \(sums\), but takes \(self\)"),
    (
        fnn.Loss,
        "terms",
        lambda self, prediction: 0,
        r"called with \(prediction, target\), but takes \(self, prediction\)",
    ),
    (
        fnn.Loss,
        "forward",
        lambda self, prediction, target: 0,
        r"called with \(prediction, target, weights\), but takes",
    ),
    (
        fnn.Loss,
        "kinks_at",
        lambda self, prediction: None,
        r"called with \(prediction, target\), but takes \(self, prediction\)",
    ),
    (fnn.L2, "slope", lambda self: 0, r"called with \(w\), but takes \(self\)"),
    (fnn.augment.Augmentation, "one", lambda self, image: 0, r"called with \(key, image\), but takes \(self, image\)"),
]


@pytest.mark.parametrize(
    ("base", "name", "function", "words"), WRONG_SIGNATURES, ids=[row[1] for row in WRONG_SIGNATURES]
)
def test_a_method_that_takes_other_arguments_is_refused_at_its_definition(base, name, function, words):
    with pytest.raises(TypeError, match=rf"Mine\.{name} is {words}"):
        defined(base, {name: function})
    defined(base, {name: lambda self, *arguments, more=3: None})


HELPERS = [
    (fnn.Layer, ("forward_fn", "apply_fn", "apply_", "children_of", "rules", "length_after")),
    (fnn.Layer, ("backward", "backwards")),
    (fnn.Loss, ("weights", "checked", "selected", "count", "terms_of")),
    (fnn.Metric, ("value", "values", "merged", "checks", "update_fn")),
]


@pytest.mark.parametrize(("base", "names"), HELPERS)
def test_a_helper_with_a_name_of_more_words_or_beside_what_it_helps_is_none(base: type, names: tuple[str, ...]):
    assert defined(base, dict.fromkeys(names, method))
