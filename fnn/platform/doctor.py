"""Does this machine compute correctly? Versions and devices, and probes compared with NumPy in float64.

``fnn.doctor()`` prints a report and returns it; ``python -m fnn doctor`` also exits with 1 if a probe fails. A probe is
a computation that training relies on; XLA:CPU is known to get two of them wrong (see xla.py). Probes run on the default
device in float32. Their operands are arguments, so that XLA cannot compute the answer while it compiles, and each runs
twenty times, since one of those two goes wrong only now and then. Where fnn has set the flag that keeps XLA:CPU right,
the report also says what that costs here (cost.py).
"""

import dataclasses
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import jax
import jaxlib.version
import numpy as np

from fnn.describe.rendering import as_text, spelled
from fnn.platform import xla
from fnn.platform.cost import Cost, costs
from fnn.platform.probes import PROBES, Case
from fnn.platform.version import __version__

REPETITIONS = 20


@dataclasses.dataclass(frozen=True)
class Probe:
    """The result of a probe. ``error`` is the largest ``|got − expected| / |expected|`` over leaves and repetitions, in
    Euclidean norms; NaN if any value was. ``message`` is the exception, if one was raised. ``seconds`` includes
    compilation."""

    name: str
    passed: bool
    error: float
    seconds: float
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """The findings of ``doctor``: ``print(report)`` shows them all, ``report.ok`` says whether every probe passed.

    ``costs`` are times with the flag of fnn's guard and without it, empty where the guard has set none."""

    environment: dict[str, str]
    probes: tuple[Probe, ...]
    advice: str
    costs: tuple[Cost, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every probe passed."""
        return all(probe.passed for probe in self.probes)

    # doctor() has already printed the report, so at a prompt its value takes one line.
    def __repr__(self) -> str:
        return f"Report(ok={self.ok}, {sum(probe.passed for probe in self.probes)} of {len(self.probes)} probes passed)"

    def __str__(self) -> str:
        return as_text(self, width=110)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        yield from spelled(console, options, self._page())

    def _page(self) -> Any:
        # Imported here so that importing fnn does not import rich.
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        environment = Table.grid(padding=(0, 2))
        for name, value in self.environment.items():
            environment.add_row(Text(name, "dim"), Text(value))
        probes = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("probe", "", "relative error", "seconds"):
            probes.add_column(heading, justify="right" if heading in ("relative error", "seconds") else "left")
        for probe in self.probes:
            verdict = Text("passed", "green") if probe.passed else Text("FAILED", "bold red")
            probes.add_row(Text(probe.name), verdict, f"{probe.error:.1e}", f"{probe.seconds:.2f}")
        raised = [Text(f"{probe.name} raised {probe.message}") for probe in self.probes if probe.message]
        verdict = Text("Every probe passed.", "green") if self.ok else Text(self.advice, "bold red")
        parts = [environment, Text(), probes, Text(), *raised, verdict]
        if self.costs:
            times = Table(box=None, padding=(0, 2, 0, 0))
            times.add_column("what the guard's flag costs here")
            for heading in ("ms with it", "without", "ratio"):
                times.add_column(heading, justify="right")
            for cost in self.costs:
                ratio = cost.with_flag / cost.without_flag
                times.add_row(cost.workload, f"{cost.with_flag:.1f}", f"{cost.without_flag:.1f}", f"{ratio:.2f}")
            parts += [Text(), times]
        return Group(*parts)


def doctor() -> Report:
    """Prints the versions, devices and flags in use and whether the probes pass; returns the same as a ``Report``."""
    from rich.console import Console

    facts = environment()
    probes = tuple(run(probe) for probe in PROBES)
    measured: tuple[Cost, ...] = ()
    if xla.guard() is xla.Outcome.SET:
        try:
            measured = costs()
        except RuntimeError as error:
            facts["what that costs"] = f"not measured: {error}"
    report = Report(facts, probes, "" if all(probe.passed for probe in probes) else advice(), measured)
    Console().print(report)
    return report


def run(probe: Callable[[], Case]) -> Probe:
    """Runs one probe twenty times and keeps the largest error; an exception fails the probe, not the report."""
    start, passed, error, message = time.perf_counter(), False, float("nan"), ""
    try:
        case = probe()
        compiled = jax.jit(case.operation)
        error = float(np.max([relative_error(compiled(*case.operands), case.expected) for _ in range(REPETITIONS)]))
        passed = error <= (0 if case.exact else tolerance())
    except Exception as exception:
        message = f"{type(exception).__name__}: {exception}"
    return Probe(probe.__name__.replace("_", " "), passed, error, time.perf_counter() - start, message)


def relative_error(result: Any, expected: Any) -> float:
    """The largest ``|result − expected| / |expected|`` over the leaves; NaN if one of them is NaN."""
    leaves, treedef = jax.tree.flatten(result)
    pairs = zip(leaves, treedef.flatten_up_to(expected), strict=True)
    errors = []
    for got, wanted in pairs:
        got, wanted = np.asarray(got, np.float64), np.asarray(wanted, np.float64)
        if got.shape != wanted.shape:
            raise ValueError(f"the result has shape {got.shape} where {wanted.shape} was expected")
        errors.append(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))
    return float(np.max(errors))


def tolerance() -> float:
    """What rounding explains: float32 on CPU; elsewhere, or by a setting, products may be TF32 or bfloat16."""
    exact = jax.default_backend() == "cpu" and setting("jax_default_matmul_precision") is None
    return 1e-4 if exact else 1e-2


def environment() -> dict[str, str]:
    """The versions, devices and settings that affect results."""
    guarded = xla.guard()  # before the lines below start the backend
    devices = [f"{device.platform}:{device.id} {device.device_kind}" for device in jax.devices()]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPUs": f"{usable} usable of {os.cpu_count()}",
        **{name: installed(name) for name in ("jax", "jaxlib", "numpy")},
        "fnn": __version__,
        "default backend": jax.default_backend(),
        "devices": ", ".join(devices),
        "x64": "on" if setting("jax_enable_x64") else "off",
        "matmul precision": str(setting("jax_default_matmul_precision") or "default"),
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") or "not set",
        "fnn's guard": guarded.value,
    }


def setting(name: str) -> Any:
    """The current value of one of JAX's settings, context managers included."""
    return getattr(jax.config, name)


def installed(name: str) -> str:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def advice() -> str:
    """What to do when a probe fails: set the flag if it is unset and may help, else use another jaxlib."""
    unset = xla.SETTING not in os.environ.get("XLA_FLAGS", "").split()
    if jax.default_backend() == "cpu" and xla.affected(jaxlib.version.__version__) and unset and xla.flag_known():
        return (
            f"This jaxlib is known to give wrong results on CPU, and training silently goes wrong. What to do: unset"
            f" {xla.SWITCH} and import fnn before the first JAX computation, or set the flag before Python starts:"
            f'\n\n    export XLA_FLAGS="$XLA_FLAGS {xla.SETTING}"\n\nand run `python -m fnn doctor` again.'
        )
    return (
        "With these versions, flags and devices, training silently goes wrong: do not use them. What to do: try without"
        " your own flags, then another version of jaxlib (on CPU, 0.9.2 passes every probe: pip install jax==0.9.2"
        " jaxlib==0.9.2), and report this page at https://github.com/jax-ml/jax/issues."
    )
