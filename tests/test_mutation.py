"""Planted faults are found: a few in every run, which keeps the planting itself tested, more in the slow run."""

import ast
from typing import Any

import pytest

import fnn
from fnn.testing.violations import Violations
from tools.mutation.operators import OPERATORS, mutations
from tools.mutation.run import OutOfPatience, Plan, patience, sampled
from tools.mutation.subjects import subjects
from tools.mutation.targets import Place, functions, named, planted, source

FEW = ("dense", "softmax", "mean squared error", "L2", "relu", "test_a_nan_that_weighs_nothing_has_no_gradient")


@pytest.mark.full
def test_a_few_faults_in_layers_a_loss_and_a_penalty():
    plan = Plan(subjects(lambda name: name in FEW))
    faults = [fault for fault in plan.faults() if plan.asked(fault.place)]
    chosen = sampled(faults, 5, seed=8)
    outcome = plan.run(chosen)
    assert outcome.good, "\n".join(map(str, (*outcome.survivors, *outcome.errors)))
    assert len(outcome.killed) + len(outcome.equivalent) == 5


@pytest.mark.slow
def test_a_sample_of_all_faults():
    plan = Plan(subjects())
    outcome = plan.run(sampled(plan.faults(), 40, seed=0))
    assert outcome.good, "\n".join(map(str, (*outcome.survivors, *outcome.errors)))


def test_a_row_that_takes_too_long_is_stopped_even_if_it_catches_what_goes_wrong():
    found = Violations("a row")

    def endless() -> None:
        with found.step("backward"):
            while True:
                pass

    with pytest.raises(OutOfPatience), patience(0.05):
        endless()
    assert not found.lines


def test_a_planted_fault_is_removed_again():
    place = Place("layers/linear/dense.py", "Dense.backward")
    before = fnn.Dense.backward.__code__
    with planted(place, next(mutations(source(place))).planted(source(place))):
        assert fnn.Dense.backward.__code__ is not before
    assert fnn.Dense.backward.__code__ is before
    assert functions()[place] is fnn.Dense.backward


def test_every_derivative_is_a_target():
    places = {"layers/linear/dense.py": "Dense.backward", "losses/margin.py": "SignedMargin.terms_backward"}
    places |= {"layers/activation/sigmoids.py": "Tanh.derivative", "penalties.py": "L2.slope"}
    assert {Place(*place) for place in places.items()} <= named()


def test_a_rewriting_may_be_identified_by_the_code_around_it():
    function: Any = ast.parse("def f():\n    return g(a[0]) + h(a[0])").body[0]
    readings = [list(each.readings(function)) for each in mutations(function) if each.after == "1"]
    assert [reading[:3] for reading in readings] == [
        [("0", "1"), ("a[0]", "a[1]"), ("g(a[0])", "g(a[1])")],
        [("0", "1"), ("a[0]", "a[1]"), ("h(a[0])", "h(a[1])")],
    ]


EXCHANGED = ("tn,tf->nf", "nt,ft->nf", "nt,tf->fn")

# Source, and what one operator makes of it.
REWRITINGS = [
    ("dropped term", "a - b", {"a", "b"}),
    ("flipped sign", "a + -b", {"a - -b", "a + b"}),
    ("× for ÷", "a * b", {"a / b"}),
    ("dropped factor", "a / b", {"a"}),
    ("transposed", "a.T @ b", {"a @ b", "b @ a.T"}),
    ("transposed", "jnp.einsum('nt,tf->nf', a, b)", {f"jnp.einsum('{s}', a, b)" for s in EXCHANGED}),
    ("missing sum", "a.sum(0)", {"a.mean(0)", "__first_of__(a, 0)"}),
    ("integer", "a[0]", {"a[1]", "a[-1]"}),
    ("float", "0.5 * a", {"1.0 * a"}),
    ("wrong selection", "jnp.where(c, a, b)", {"jnp.where(c, b, a)", "a", "b"}),
    ("comparison", "a <= b", {"a < b", "a > b"}),
    ("wrong key", "c['x'] + c['y']", {"c['y'] + c['y']", "c['x'] + c['x']"}),
    ("flipped option", "f(a, reverse=True)", {"f(a, reverse=False)"}),
    ("dropped call", "jnp.exp(a)", {"a"}),
    ("dropped cast", "a.astype(d)", {"a"}),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "before", "after"), REWRITINGS)
def test_operator(operator: str, before: str, after: set[str]):
    function = ast.parse(f"def f():\n    return {before}").body[0]
    made = [each for each in mutations(function) if each.operator == operator]  # type: ignore[arg-type]
    assert {ast.unparse(each.planted(function).body[0].value) for each in made} == after  # type: ignore
    assert operator in {*OPERATORS, "wrong key"}
