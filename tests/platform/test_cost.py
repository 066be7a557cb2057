"""What the guard of XLA:CPU costs, as ``fnn.doctor`` measures it."""

import importlib
import json
import subprocess
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fnn.platform import cost, xla
from fnn.platform.cost import WORKLOADS, Cost
from fnn.platform.doctor import Report, doctor

doctor_module = importlib.import_module("fnn.platform.doctor")


def test_one_process_has_the_flag_and_the_other_has_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_other=1 {xla.SETTING}")
    seen = []

    def in_new_process(environment: dict[str, str]) -> dict[str, float]:
        seen.append(environment)
        return dict.fromkeys(WORKLOADS, 2.0 if xla.SWITCH in environment else 6.0)

    monkeypatch.setattr(cost, "in_new_process", in_new_process)
    assert cost.costs() == tuple(Cost(name, 6.0, 2.0) for name in WORKLOADS)
    with_it = {"XLA_FLAGS": f"--xla_other=1 {xla.SETTING}"}
    assert seen == [{"XLA_FLAGS": "--xla_other=1", xla.SWITCH: "1"}, with_it]


@pytest.mark.full
def test_a_new_process_prints_a_time_for_every_workload():
    times = cost.in_new_process({})
    assert times.keys() == WORKLOADS.keys()
    assert min(times.values()) > 0


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch):
    def run(*arguments: Any, **options: Any) -> None:
        raise subprocess.CalledProcessError(1, "python", stderr="Traceback\nImportError: no jax\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RuntimeError, match=r"^ImportError: no jax$"):
        cost.in_new_process({})


OUTPUTS = {
    cost.batch_norm: lambda x, _: (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5),
    cost.softmax: lambda x, _: np.exp(x) / np.exp(x).sum(-1, keepdims=True),
    jnp.matmul: np.matmul,
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_what_it_says(name: str):
    operation, *shapes = WORKLOADS[name]
    lead = (1,) * (len(shapes[0]) - 2)
    x, y = (np.random.default_rng(place).standard_normal(shape[-2:]) for place, shape in enumerate(shapes))
    got = operation(*(jnp.asarray(each).reshape(*lead, *each.shape) for each in (x, y)))
    output = got[0] if isinstance(got, tuple) else got
    np.testing.assert_allclose(np.squeeze(output), OUTPUTS[operation](x, y), rtol=1e-7, atol=1e-12)


def test_its_times_are_printed_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(cost, "WORKLOADS", {"a product": (jnp.matmul, (2, 3), (3, 4))})
    cost.main()
    assert json.loads(capsys.readouterr().out).keys() == {"a product"}


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine where the guard has set its flag, and no probes."""
    monkeypatch.setattr(xla, "guard", lambda: xla.Outcome.SET)
    monkeypatch.setattr(doctor_module, "PROBES", ())
    return monkeypatch


def test_the_doctor_shows_what_the_flag_costs(guarded: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    guarded.setattr(doctor_module, "costs", lambda: (Cost("a sum", 6.0, 2.0),))
    assert doctor().costs == (Cost("a sum", 6.0, 2.0),)
    words = " ".join(capsys.readouterr().out.split("costs here")[1].split())
    assert words == "ms with it without ratio a sum 6.0 2.0 3.00"


def test_the_doctor_goes_on_where_the_cost_cannot_be_measured(guarded: pytest.MonkeyPatch):
    def costs() -> tuple[Cost, ...]:
        raise RuntimeError("no process")

    guarded.setattr(doctor_module, "costs", costs)
    report = doctor()
    assert report.environment["what that costs"] == "not measured: no process"
    assert "costs here" not in str(report)


def test_nothing_is_measured_where_there_is_no_flag(guarded: pytest.MonkeyPatch):
    guarded.setattr(xla, "guard", lambda: xla.Outcome.UNAFFECTED)
    guarded.setattr(doctor_module, "costs", lambda: pytest.fail("measured"))
    assert "costs here" not in str(doctor())
    assert "costs here" not in str(Report({}, (), ""))
