"""What finds a planted fault: rows of the table, each checked against the automatic gradient without compiling.

The outputs, caches and automatic gradients of a row are computed once, without a fault; then only its backward runs,
operation by operation (``jax.disable_jit``), so that one row checks one fault in about a millisecond. Every row checks
the same things as in the full proof, and rows of the quick proof come first:

    its gradient        ``tests/test_cases.py``; for a loss, the second derivative too
    on kinks and ties   ``tests/test_cases.py``, ``tests/test_kinks.py``: inputs at multiples of one half
    in other shapes     ``tests/test_output_gradient.py``: errors for a dy of another shape than y
    in other dtypes     ``tests/test_cases.py``: float32 and bfloat16 are kept
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fnn.errors import is_floating
from fnn.gradients import oracles
from fnn.gradients.arrays import arrays, cast, gradient_like, normal_like, shapes
from fnn.layer import Layer, floating_leaves
from fnn.losses import Loss
from fnn.penalties import Penalty
from fnn.testing.comparison import agree
from fnn.testing.inputs import rounded
from fnn.testing.structure import alike
from fnn.testing.violations import Violations
from tests import test_backprop, test_kinks, test_memory
from tests.cases import LAYERS, LOSSES, PENALTIES, QUICK, ROWS
from tests.combinators import test_graph
from tests.guards import test_bad_input
from tests.layers.activation import test_activations
from tests.losses import test_ctc, test_extremes, test_losses
from tests.points import Point, answers, drawn_point
from tools.mutation.targets import Calls, Place

TOLERANCE, SECOND_TOLERANCE = 1e-12, 1e-10
DTYPES = ("float32", "bfloat16")
BRANCHES = ("cpu", "default")
"""The branches of ``lax.platform_dependent`` that are run: the code for other devices is checked too."""

TESTS = (
    test_activations.test_at_infinity_a_gate_is_open_or_shut,
    test_activations.test_an_infinite_gradient_above_the_kink_is_none_of_the_slope,
    test_bad_input.test_indices_out_of_range_have_no_gradient_inside_jit,
    test_memory.test_remat_runs_forward_again_behind_a_barrier_that_the_gradient_passes_too,
    test_losses.test_a_nan_that_weighs_nothing_has_no_gradient,
    test_losses.test_a_sure_label_without_focus_is_that_of_cross_entropy,
    test_losses.test_a_weight_an_entry_is_one_of_its_mean_and_of_its_variance,
    test_losses.test_a_class_that_does_not_exist_has_no_gradient_by_its_log_sum_either,
    test_ctc.test_a_sequence_that_weighs_nothing_may_be_anything,
    test_extremes.test_where_the_label_cannot_be_the_focal_loss_has_the_slope_of_cross_entropy,
    test_extremes.test_a_negative_that_is_infinitely_far_away_pushes_nothing,
    test_backprop.test_a_rule_is_asked_at_every_layer_that_is_not_a_combinator_last_to_first,
    test_backprop.test_a_report_inside_repeat_is_stacked_only_if_it_is_like_the_parameters,
    test_backprop.test_a_combinators_report_is_what_above_makes_of_that_of_its_layers,
    test_backprop.test_a_feed_forward_network_folds_over_its_layers,
    test_graph.test_an_output_without_a_gradient_counts_as_one_of_zeros,
    test_graph.test_gradients_that_are_not_those_of_the_outputs,
)
"""Tests of what no row checks; they run unchanged."""

Check = Callable[[Violations], None]


@dataclasses.dataclass
class Subject:
    """A row or a test: the functions that it runs, and its checks, made at the first use.

    ``quick`` says whether it is in the quick proof.
    """

    name: str
    kind: str
    make: Callable[[], list[Check]]
    forward: set[Place]
    backward: set[Place]
    quick: bool = True

    @functools.cached_property
    def checks(self) -> list[Check]:
        return self.make()

    def fault(self) -> str:
        """What is wrong with the library in its present state, or an empty string."""
        with jax.disable_jit():
            for check in self.checks:
                found = Violations(self.name)
                with found.step("backward"):
                    check(found)
                if found.lines:
                    return found.lines[0]
        return ""


def subjects(wanted: Callable[[str], bool] = lambda name: True) -> list[Subject]:
    """A subject for every row of the table and of the kinks, the cheapest first."""
    found = []
    layers = [(case.name, case.layer, case.input()) for case in LAYERS if wanted(case.name)]
    layers += [(name, layer, x) for name, (layer, x, _) in test_kinks.LAYERS.items() if wanted(name)]
    for name, layer, x in layers:
        found.append(_subject(name, type(layer).__name__, _layer_run(layer, x), _layer_checks(layer, x)))
    for case in LOSSES:
        if wanted(case.name):
            batch = case.batch()
            run, checks = _loss_run(case.loss, batch), _loss_checks(case.loss, batch)
            found.append(_subject(case.name, type(case.loss).__name__, run, checks))
    penalties = [(case.name, case.penalty, case.params()) for case in PENALTIES if wanted(case.name)]
    penalties += [(name, each, {"kernel": w}) for name, (each, w, _) in test_kinks.PENALTIES.items() if wanted(name)]
    for name, penalty, params in penalties:
        run, checks = _penalty_run(penalty, params), _penalty_checks(penalty, params)
        found.append(_subject(name, type(penalty).__name__, run, checks))
    on_kinks = (test_kinks.test_loss, test_kinks.test_a_loss_on_a_kink_raises_no_false_alarm)
    kinks = [_kink(test, name) for test in on_kinks for name in test_kinks.LOSSES]
    found += [_test_subject(test) for test in (*TESTS, *kinks) if wanted(test.__name__)]
    return sorted(found, key=lambda subject: len(subject.forward | subject.backward))


@contextmanager
def branch(*names: str) -> Iterator[None]:
    """Makes ``lax.platform_dependent`` run the branches of these names and return the result of the last."""
    original = lax.platform_dependent

    def chosen(*operands: Any, default: Callable | None = None, **branches: Callable) -> Any:
        return [branches.get(name, default)(*operands) for name in names][-1]  # type: ignore[misc]

    lax.platform_dependent = chosen
    try:
        yield
    finally:
        lax.platform_dependent = original


def _subject(name: str, kind: str, run: Callable[[Calls], None], make: Callable[[], list[Check]]) -> Subject:
    calls = Calls()
    with jax.disable_jit(), branch(*BRANCHES), calls.traced():
        run(calls)
    return Subject(name, kind, make, **calls.found, quick=name in QUICK or name not in {row.name for row in ROWS})


def _kink(test: Callable[[str], None], name: str) -> Callable[[], None]:
    def on_kink() -> None:
        test(name)

    on_kink.__name__ = f"{test.__name__}[{name}]"
    on_kink.pytestmark = getattr(test, "pytestmark", [])  # type: ignore[attr-defined]
    return on_kink


def _test_subject(test: Callable[[], None]) -> Subject:
    calls = Calls()
    calls.phase = "backward"
    with calls.traced():
        test()

    def check(found: Violations) -> None:
        with jax.disable_jit(False):
            test()

    marks = (*getattr(test, "pytestmark", ()), *np.atleast_1d(getattr(inspect.getmodule(test), "pytestmark", ())))
    quick = all(mark.name != "full" for mark in marks)
    return Subject(test.__name__, "", lambda: [check], set(), calls.found["backward"], quick)


# ---- layers


def _layer_run(layer: Layer, x: Any) -> Callable[[Calls], None]:
    def run(calls: Calls) -> None:
        key, shape = jax.random.key(0), shapes(cast(x, jnp.float64))
        with jax.disable_jit(False):
            params, state = jax.eval_shape(layer.init, key, shape)

        def both(params: Any, state: Any, x: Any) -> Any:
            for train in (False, True):
                calls.phase = "forward"
                y, _, cache = layer.forward(params, state, x, train=train, key=key)
                calls.phase = "backward"
                layer.backward(cache, gradient_like(y))
            calls.phase = "forward"
            return ()

        jax.eval_shape(both, params, state, shape)

    return run


def _layer_checks(layer: Layer, x: Any) -> Callable[[], list[Check]]:
    def make() -> list[Check]:
        checks: list[Check] = []
        for train in (False, True):
            point = drawn_point(layer, x, train=train)
            checks.append(_gradient_check(point))
        for train in (False, True):
            corner = drawn_point(layer, rounded(x), train=train)
            corner = dataclasses.replace(corner, params=rounded(corner.params))
            checks += _if_sound(lambda corner=corner: _gradient_check(corner))
        checks += [_shape_check(layer, x)]
        return [*checks, *(_dtype_check(dataclasses.replace(point, train=train)) for train in (False, True))]

    return make


def _gradient_check(point: Point) -> Check:
    dy = point.output_gradient()

    def everything(params: Any, state: Any, x: Any, key: jax.Array) -> Any:
        cache = point.layer.forward(params, state, x, train=point.train, key=key)[2]
        return cache, point.gradients(params, state, x, key, dy)[1]

    with jax.disable_jit(False):
        cache, automatic = jax.jit(everything)(*point.arguments)
    expected = arrays(automatic)

    def check(found: Violations) -> None:
        for name in BRANCHES:
            with branch(name):
                dparams, dx = point.layer.backward(cache, dy)
            good = alike(found, "dparams", dparams, point.params)
            good &= all(is_floating(leaf) or not leaf.any() for leaf in jax.tree.leaves(dparams))
            found.expect(good, "dparams")
            if not (alike(found, "dx", dx, gradient_like(point.x)) and good):
                return
            got = arrays({"dparams": dparams, "dx": dx})
            agree(found, "gradient", {path: got[path] for path in expected}, expected, TOLERANCE)

    return check


def _shape_check(layer: Layer, x: Any) -> Check:
    with jax.disable_jit(False):
        expected = answers(layer, x, train=True)

    def check(found: Violations) -> None:
        with jax.disable_jit(False):
            found.expect(answers(layer, x, train=True) == expected, "an output gradient of another shape")

    return check


def _dtype_check(point: Point) -> Check:
    def check(found: Violations) -> None:
        for dtype in DTYPES:
            params, state, x = (shapes(tree, dtype) for tree in (point.params, point.state, point.x))
            state = jax.eval_shape(point.layer.init, point.key, x)[1]

            def both(params: Any, state: Any, x: Any) -> Any:
                y, _, cache = point.layer.forward(params, state, x, train=point.train, key=point.key)
                return point.layer.backward(cache, gradient_like(y))

            dparams, dx = jax.eval_shape(both, params, state, x)
            alike(found, f"{dtype}, dparams", dparams, params)
            alike(found, f"{dtype}, dx", dx, gradient_like(x))

    return check


def _if_sound(make: Callable[[], Check]) -> list[Check]:
    """The check, skipped where the row is out of range or a value is not finite."""
    try:
        check = make()
        found = Violations("")
        check(found)
    except Exception:
        return []
    return [] if found.lines else [check]


# ---- losses and penalties


def _loss_run(loss: Loss, batch: tuple) -> Callable[[Calls], None]:
    def run(calls: Calls) -> None:
        prediction, target = batch[:2]

        def both(prediction: Any, target: Any) -> Any:
            calls.phase = "forward"
            loss(prediction, target)
            loss.weight(prediction, target)
            cache = loss.forward(prediction, target)[1]
            calls.phase = "backward"
            loss.backward(cache)
            calls.phase = "forward"
            return ()

        jax.eval_shape(both, *shapes(cast((prediction, target), jnp.float64)))

    return run


def _loss_checks(loss: Loss, batch: tuple) -> Callable[[], list[Check]]:
    def check_at(prediction: Any, target: Any, weights: Any) -> Check:
        dvalue = 1.7
        with jax.disable_jit(False):

            def everything(prediction: Any) -> Any:
                cache = loss.forward(prediction, target, weights)[1]
                leaves, rebuild = floating_leaves(prediction)
                gradient = jax.grad(lambda leaves: dvalue * loss(rebuild(leaves), target, weights))(leaves)
                return cache, rebuild(gradient, lambda leaf: None)

            cache, automatic = jax.jit(everything)(prediction)
        expected = arrays(automatic)

        def check(found: Violations) -> None:
            got = loss.backward(cache, dvalue)
            if alike(found, "dprediction", got, gradient_like(prediction)):
                agree(found, "gradient", arrays(got), expected, TOLERANCE)

        return check

    def derivative_at(prediction: Any, target: Any, weights: Any) -> Check:
        leaves, rebuild = floating_leaves(prediction)
        tangents = normal_like(200, leaves)

        def automatic(leaves: list) -> list:
            return jax.grad(lambda leaves: loss(rebuild(leaves), target, weights))(leaves)

        def by_hand(leaves: list) -> list:
            return jax.tree.leaves(loss.backward(loss.forward(rebuild(leaves), target, weights)[1]))

        with jax.disable_jit(False):
            expected = arrays(jax.jit(lambda leaves: oracles.forward(automatic, leaves, tangents))(leaves))

        def check(found: Violations) -> None:
            got = arrays(oracles.forward(by_hand, leaves, tangents))
            agree(found, "the derivative of the gradient", got, expected, SECOND_TOLERANCE)

        return check

    def make() -> list[Check]:
        batches = [batch, (rounded(batch[0]), rounded(batch[1]), *batch[2:])]
        checks: list[Check] = []
        for place, each in enumerate(batches):
            prediction, target, *rest = cast(each, jnp.float64)
            examples = jax.tree.leaves(prediction)[0].shape[0]
            drawn = jnp.asarray(np.random.default_rng(5).uniform(0.5, 1.5, examples))
            for weights in (*rest, None, drawn)[:2]:
                made = functools.partial(check_at, prediction, target, weights)
                checks += _if_sound(made) if place else [made()]
        prediction, target, *rest = cast(batch, jnp.float64)
        return [*checks, dtype_check, derivative_at(prediction, target, *(rest or [None]))]

    def dtype_check(found: Violations) -> None:
        for dtype in DTYPES:
            prediction, target = shapes(batch[:2], dtype)

            def both(prediction: Any, target: Any) -> Any:
                return loss.backward(loss.forward(prediction, target)[1])

            gradient = jax.eval_shape(both, prediction, target)
            alike(found, f"{dtype}, dprediction", gradient, gradient_like(prediction))

    return make


def _penalty_run(penalty: Penalty, params: Any) -> Callable[[Calls], None]:
    def run(calls: Calls) -> None:
        def both(params: Any) -> Any:
            calls.phase = "forward"
            cache = penalty.forward(params)[1]
            calls.phase = "backward"
            penalty.backward(cache)
            calls.phase = "forward"
            return ()

        jax.eval_shape(both, shapes(cast(params, jnp.float64)))

    return run


def _penalty_checks(penalty: Penalty, params: Any) -> Callable[[], list[Check]]:
    def check_at(params: Any) -> Check:
        cache, dvalue = penalty.forward(params)[1], 1.7
        expected = arrays(jax.grad(lambda params: dvalue * penalty(params))(params))

        def check(found: Violations) -> None:
            got = penalty.backward(cache, dvalue)
            if alike(found, "dparams", got, params):
                agree(found, "gradient", arrays(got), expected, TOLERANCE)

        return check

    def make() -> list[Check]:
        points = [cast(each, jnp.float64) for each in (params, rounded(params))]
        return [check_at(each) for each in points]

    return make
