"""A fingerprint is other for another run, and the same for the same one: made again, and in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import fnn
from fnn.train.fingerprint import KEPT, data_digest, differences, fingerprint, not_comparable
from tests.train.pairs_of_runs import PAIRS, X, Y, of_lambda, printed, scaled

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("case", PAIRS)
def test_another_run_differs_in_the_part_that_is_named(case):
    part, one, other = PAIRS[case]
    found = differences(fingerprint(**{part: one()}, epochs=3), fingerprint(**{part: other()}, epochs=3))
    assert len(found) == 1
    assert found[0].startswith(f"{part}: ")
    for make in (one, other):
        ours = fingerprint(**{part: make()})
        assert differences(json.loads(json.dumps(ours)), fingerprint(**{part: make()})) == []
        assert not_comparable(ours) == []


@pytest.mark.full
def test_another_process_writes_the_same():
    script = "import json; from tests.train.pairs_of_runs import printed; print(json.dumps(printed()))"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "123"}
    lines = subprocess.check_output([sys.executable, "-W", "ignore", "-c", script], env=environment, cwd=ROOT)
    theirs, ours = json.loads(lines.splitlines()[-1]), printed()
    assert [case for case in ours if theirs[case] != ours[case]] == []


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("momentum", "optimizer: momentum(0.1), now nesterov(0.1)"),
        ("schedule", "optimizer: sgd(cosine(0.001, 1000)), now sgd(cosine(0.001, 2000))"),
        ("default", "augment: <with_default.<locals>.<lambda>; defaults=(1,)>, now"),
        ("lambda", "model: the code of <lambda> differs"),
        ("validation data", "validation: the values of targets differ"),
        ("no validation data", "validation: 60 samples of inputs float32[3], targets float32[1], now None"),
        ("tail", "data: the values of inputs differ"),
        ("samples", "data: 60 samples of inputs float32[3], targets float32[1], now 62 samples of"),
        ("list", "data: the values of targets differ"),
    ],
)
def test_a_difference_reads_well(case, says):
    part, one, other = PAIRS[case]
    says = says.replace("<lambda>", PAIRS["lambda"][1]().layers[1].fn.__qualname__) if case == "lambda" else says
    assert differences(fingerprint(**{part: one()}), fingerprint(**{part: other()}))[0].startswith(says)


def test_a_long_difference_is_cut_around_the_place():
    def deep(features):
        return fnn.Serial(*[fnn.Dense(4)] * 30, fnn.Dense(features), *[fnn.Dense(4)] * 30)

    (found,) = differences(fingerprint(model=deep(4)), fingerprint(model=deep(5)))
    assert "Dense(features=4), Dense(features=5), Dense(features=4)" in found
    assert len(found) < 300
    long = ["ab" * KEPT] * KEPT
    (found,) = differences(fingerprint(setting=long), fingerprint(setting=[*long, 1]))
    assert found.startswith(f"setting: they differ after the first {KEPT} characters")


def test_a_part_that_one_run_lacks_is_a_difference():
    assert differences(fingerprint(), fingerprint(epochs=3)) == ["epochs: nothing, now 3"]
    assert differences(fingerprint(epochs=3), fingerprint()) == ["epochs: 3, now nothing"]


def test_another_format_cannot_be_compared():
    old = {"data": 4069045141, "shuffle": True}
    assert differences(old, fingerprint())[0].startswith("the fingerprint: format None, now 2")


def test_code_of_another_python_is_listed_and_not_compared():
    one, other = (fingerprint(model=of_lambda(function), key=1) for function in (abs, abs))
    assert differences(one, other) == not_comparable(other, one) == []
    pair = [fingerprint(model=PAIRS["lambda"][which]()) for which in (1, 2)]
    old = pair[0] | {"python": "3.9"}
    assert differences(old, pair[1]) == []
    (said,) = not_comparable(pair[1], old)
    assert said.startswith("model: the code of ")
    assert said.endswith(f"comes from another Python, saved by Python 3.9, now {pair[1]['python']}")
    assert differences({"python": "3.9"} | old | fingerprint(model=of_lambda(jnp.sin)), pair[1]) != []


def test_the_metadata_stay_small():
    ours = fingerprint(data=data_digest((X, Y)), setting=["x" * 50] * 10_000, augment=scaled(np.zeros(10**6)))
    assert len(json.dumps(ours)) < 4 * KEPT


def test_the_words_for_the_first_batch_say_so():
    assert data_digest((X, Y), first=True).shown.startswith("batches, the first one 60 samples of")
    assert data_digest([(X, Y), (X, Y)]).shown.startswith("2 batches, together 120 samples of")
    assert data_digest(((X, {"a": Y}), Y)).shown.startswith("60 samples of inputs/0 float32[3],")
