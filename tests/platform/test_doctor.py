"""The guard against XLA:CPU's miscompilations, and the doctor that measures them."""

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jaxlib.version
import numpy as np
import pytest

from fnn.__main__ import main
from fnn.platform import xla
from fnn.platform.doctor import PROBES, Case, Probe, Report, doctor, relative_error, run
from fnn.platform.xla import Outcome, decide

# A module and its function share the name fnn.doctor; this is the module.
doctor_module = importlib.import_module("fnn.platform.doctor")
AFFECTED = xla.affected(jaxlib.version.__version__)
SETS_FLAG = AFFECTED and xla.flag_known()


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a fresh Python on the CPU, without the flags of this process."""
    ours = ("XLA_FLAGS", "JAX_", xla.SWITCH)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    everything = inherited | {"PYTHONPATH": str(Path(__file__).parents[2]), "JAX_PLATFORMS": "cpu"} | environment
    return subprocess.run([sys.executable, *arguments], env=everything, capture_output=True, text=True, timeout=120)


# ---- the decision


def refuse() -> bool:
    raise AssertionError("asked needlessly")


@pytest.mark.parametrize("version", ["0.10.0", "0.10.2", "0.12.0.1", "0.11.0.dev20260101", "1.0.0"])
def test_an_affected_jaxlib_that_has_not_started_gets_the_flag(version: str):
    assert decide(version, "", False, lambda: True, lambda: None) is Outcome.SET
    assert decide(version, "--xla_other=1", False, lambda: True, lambda: None) is Outcome.SET


def test_a_jaxlib_before_0_10_is_left_alone_and_nothing_is_looked_up():
    assert decide("0.9.2", "", False, refuse, refuse) is Outcome.UNAFFECTED  # type: ignore[arg-type]


def test_the_switch_and_the_users_own_choice_come_first():
    assert decide("0.12.0", "", True, refuse, refuse) is Outcome.SWITCHED_OFF  # type: ignore[arg-type]
    chosen = f"--xla_other=1 {xla.SETTING}LIBRARY_FUSION_TYPE_DOT"
    assert decide("0.12.0", chosen, False, refuse, refuse) is Outcome.KEPT  # type: ignore[arg-type]


def test_a_flag_that_is_not_known_is_never_set():
    assert decide("0.12.0", "", False, lambda: False, lambda: None) is Outcome.UNKNOWN
    assert decide("0.12.0", "", False, lambda: False, lambda: "cpu") is Outcome.UNKNOWN


def test_a_started_backend_matters_if_it_is_a_cpu():
    assert decide("0.12.0", "", False, lambda: True, lambda: "cpu") is Outcome.STARTED
    assert decide("0.12.0", "", False, lambda: True, lambda: "gpu") is Outcome.ELSEWHERE


@pytest.mark.parametrize(("value", "off"), [("", False), ("0", False), ("1", True)])
def test_the_switch_is_off_when_empty_or_zero(monkeypatch: pytest.MonkeyPatch, value: str, off: bool):
    monkeypatch.setenv(xla.SWITCH, value)
    assert xla.switched_off() is off


# ---- what the guard does about it


@pytest.fixture
def affected(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An affected jaxlib that knows the flag and has not started, whatever is installed."""
    monkeypatch.setattr(jaxlib.version, "__version__", "0.12.0")
    monkeypatch.setattr(xla, "flag_known", lambda: True)
    monkeypatch.setattr(xla, "started_backend", lambda: None)
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv(xla.SWITCH, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("before", "after"), [("", xla.SETTING), ("--xla_other=1 ", f"--xla_other=1 {xla.SETTING}"), (xla.SETTING,) * 2]
)
def test_the_flag_is_appended_once(affected: pytest.MonkeyPatch, before: str, after: str):
    affected.setenv("XLA_FLAGS", before)
    xla.guard.__wrapped__()
    xla.guard.__wrapped__()
    assert os.environ["XLA_FLAGS"] == after


def test_nothing_is_set_where_the_flag_is_unknown_or_the_switch_is_on(affected: pytest.MonkeyPatch):
    affected.setattr(xla, "flag_known", lambda: False)
    assert xla.guard.__wrapped__() is Outcome.UNKNOWN
    affected.setattr(xla, "flag_known", lambda: True)
    affected.setenv(xla.SWITCH, "1")
    assert xla.guard.__wrapped__() is Outcome.SWITCHED_OFF
    assert "XLA_FLAGS" not in os.environ


def test_a_started_cpu_backend_warns_and_says_what_to_do(affected: pytest.MonkeyPatch):
    affected.setattr(xla, "started_backend", lambda: "cpu")
    message = f"Import fnn before the first JAX computation, or set XLA_FLAGS={xla.SETTING} before Python starts"
    with pytest.warns(RuntimeWarning, match=message):
        xla.guard.__wrapped__()
    assert "XLA_FLAGS" not in os.environ


def test_a_file_of_flags_is_not_broken_by_appending_to_its_name(affected: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "flags"
    affected.setenv("XLA_FLAGS", str(file))
    with pytest.warns(RuntimeWarning, match=f"add the line {xla.SETTING} to it"):
        xla.guard.__wrapped__()
    file.write_text(f"--xla_other=1\n{xla.SETTING}\n")
    assert xla.guard.__wrapped__() is Outcome.KEPT
    assert os.environ["XLA_FLAGS"] == str(file)


# ---- what the guard asks


def test_the_flag_counts_as_known_where_its_name_stands_between_zeros(tmp_path: Path):
    name = xla.FLAG.encode()
    library = tmp_path / "library.so"
    for contents, known in [(b"", False), (b"\n$" + name + b"\x18", False), (b"help\0" + name + b"\0help", True)]:
        library.write_bytes(contents)
        assert xla.contains(library, b"\0" + name + b"\0") is known


def test_a_plugin_that_reads_flags_but_does_not_know_this_one_vetoes_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    jaxlib_folder, plugin = tmp_path / "jaxlib", tmp_path / "jax_plugins" / "other" / "plugin.so"
    jaxlib_folder.mkdir()
    monkeypatch.setattr(jaxlib, "__file__", str(jaxlib_folder / "__init__.py"))
    monkeypatch.syspath_prepend(tmp_path)
    known = xla.flag_known.__wrapped__
    assert not known(), "no library, nothing known"
    (jaxlib_folder / "libjax_common.so").write_bytes(b"XLA_FLAGS\0" + xla.FLAG.encode() + b"\0")
    assert known()
    plugin.parent.mkdir(parents=True)
    plugin.write_bytes(b"reads no flags")
    assert known()
    plugin.write_bytes(b"XLA_FLAGS")
    assert not known()
    plugin.write_bytes(b"XLA_FLAGS\0" + xla.FLAG.encode() + b"\0")
    assert known()


def test_asking_for_the_backend_leaves_the_configuration_as_it_was():
    jax.devices()
    before = doctor_module.setting("jax_num_cpu_devices")
    assert xla.started_backend() == jax.default_backend()
    assert doctor_module.setting("jax_num_cpu_devices") == before


# ---- fresh processes


@pytest.mark.full
def test_a_fresh_process_and_its_children_get_the_flag_beside_the_users_own():
    program = """if True:
        import json, os, subprocess, sys, jax
        import fnn.platform.xla
        from fnn.platform.xla import guard, started_backend
        outcomes = [guard().name, guard().name]
        started = started_backend()
        child = [sys.executable, "-c", "import os; print(os.environ.get('XLA_FLAGS'))"]
        inherited = subprocess.run(child, capture_output=True, text=True).stdout.strip()
        flags = os.environ["XLA_FLAGS"]
        print(json.dumps([outcomes, flags, inherited, started, jax.device_count(), started_backend()]))
    """
    own = "--xla_cpu_enable_fast_math=false"
    done = python("-W", "error::RuntimeWarning", "-c", program, XLA_FLAGS=own, JAX_NUM_CPU_DEVICES="2")
    assert done.returncode == 0, done.stderr
    outcomes, flags, inherited, started, devices, backend = json.loads(done.stdout)
    assert (
        outcomes
        == [("SET" if SETS_FLAG else "UNKNOWN" if xla.affected(jaxlib.version.__version__) else "UNAFFECTED")] * 2
    )
    assert flags == inherited == (f"{own} {xla.SETTING}" if SETS_FLAG else own)
    # The guard did not start JAX, and the user's number of devices survived its question.
    assert (started, devices, backend) == (None, 2, "cpu")


@pytest.mark.full
def test_a_process_whose_backend_has_started_is_warned_once():
    program = "import jax, os; jax.devices(); import fnn.platform.xla; {0}; {0}; print(os.environ.get('XLA_FLAGS'))"
    done = python("-W", "always", "-c", program.format("fnn.platform.xla.guard()"))
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
    assert done.stderr.count("RuntimeWarning") == SETS_FLAG
    assert ("Import fnn before the first JAX computation" in done.stderr) is SETS_FLAG


@pytest.mark.full
@pytest.mark.parametrize("strict", [False, True])
def test_every_probe_passes_from_the_command_line(strict: bool):
    modes = {"JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict", "JAX_NUMPY_RANK_PROMOTION": "raise"}
    done = python("-m", "fnn", "doctor", **(modes if strict else {}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every probe passed." in done.stdout
    assert "FAILED" not in done.stdout
    assert (xla.SETTING in done.stdout) is SETS_FLAG


@pytest.mark.full
def test_without_the_flag_the_doctor_exits_with_1_and_says_what_to_do():
    done = python("-m", "fnn", "doctor", **{xla.SWITCH: "1"})
    if not AFFECTED:
        assert done.returncode == 0, done.stdout + done.stderr
        return
    if done.returncode == 0 and jaxlib.version.__version__ not in ("0.10.2", "0.12.0.1"):
        pytest.skip("this jaxlib passes without the flag")
    assert done.returncode == 1, done.stderr
    assert "FAILED" in done.stdout
    assert f'export XLA_FLAGS="$XLA_FLAGS {xla.SETTING}"' in done.stdout
    assert f"unset {xla.SWITCH}" in " ".join(done.stdout.split())


def test_the_command_alone_prints_its_help(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    assert "doctor" in capsys.readouterr().out


# ---- the probes and the report


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_a_probe_sees_a_wrong_result(probe):
    def planted() -> Case:
        case = probe()
        return case._replace(expected=jax.tree.map(lambda x: 1.05 * np.asarray(x), case.expected))

    result = run(planted)
    assert not result.passed
    assert not result.error <= 0.04, "NaN counts as wrong too"
    assert not result.message


def test_one_wrong_call_in_many_is_seen(monkeypatch: pytest.MonkeyPatch):
    errors = iter([0.0] * 7 + [float("nan")] + [0.0] * 100)
    monkeypatch.setattr(doctor_module, "relative_error", lambda result, expected: next(errors))
    assert not run(PROBES[0]).passed


def test_the_relative_error_is_that_of_the_worst_leaf():
    expected = {"a": np.array([3.0, 4.0]), "b": np.array(2.0)}
    assert relative_error({"a": np.array([3.0, 4.5]), "b": np.array(2.0)}, expected) == pytest.approx(0.1)
    assert np.isnan(relative_error({"a": np.array([3.0, np.nan]), "b": np.array(3.0)}, expected))
    with pytest.raises(ValueError, match=r"shape \(2,\) where \(\) was expected"):
        relative_error({"a": np.array([3.0, 4.0]), "b": np.array([2.0, 2.0])}, expected)


def right() -> Case:
    return Case(lambda x: 2 * x, (np.ones(3, np.float32),), 2 * np.ones(3))


def wrong() -> Case:
    return right()._replace(expected=np.ones(3))


def nearly() -> Case:
    return right()._replace(expected=2 * np.ones(3) + 1e-7, exact=True)


def broken() -> Case:
    raise OverflowError("planted")


@pytest.fixture
def quiet():
    """The guard may warn in this process, if another test module has started JAX before fnn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


@pytest.mark.usefixtures("quiet")
def test_a_planted_fault_makes_the_report_and_the_exit_code_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(doctor_module, "PROBES", (right, wrong, nearly, broken))
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("FAILED") == 3
    assert "broken raised OverflowError: planted" in printed
    assert "What to do" in printed


@pytest.mark.usefixtures("quiet")
def test_the_report_is_printed_once_and_returned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(doctor_module, "PROBES", (right,))
    report = doctor()
    assert report.ok
    assert report.advice == ""
    assert repr(report) == "Report(ok=True, 1 of 1 probes passed)"
    assert capsys.readouterr().out.count("Every probe passed.") == 1
    assert {"jax", "jaxlib", "numpy", "devices", "XLA_FLAGS", "fnn's guard"} <= report.environment.keys()
    assert report.environment["jaxlib"] in str(report)
    assert report.probes[0].name == "right"


def test_a_report_shows_values_as_they_are():
    report = Report({"XLA_FLAGS": "[bold]"}, (Probe("one", False, float("nan"), 0.1),), "What to do: nothing")
    assert "[bold]" in str(report)
    assert "nan" in str(report)
    assert not report.ok


def test_a_package_that_is_not_installed_is_reported_as_such():
    assert doctor_module.installed("jaxlib") == importlib.metadata.version("jaxlib")
    assert doctor_module.installed("no-such-package-of-fnn") == "not installed"


def test_the_advice_is_another_jaxlib_where_the_flag_does_not_help(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XLA_FLAGS", xla.SETTING)
    assert "pip install jax==0.9.2 jaxlib==0.9.2" in doctor_module.advice()
