"""Guards against wrong results from XLA:CPU; ``import fnn`` calls ``guard()`` before anything else.

From jaxlib 0.10 on, XLA:CPU compiles groups of operations with the YNNPACK library, and some of these kernels are
wrong. With E of shape (5, 60, 60), ``jit(lambda E, c: sum((E @ full_like(E, c)) * E, -1))`` gives NaN or 1e30
in 0.10.2 and 0.12.0.1, differently at each call, and a gradient is silently wrong in the same way. 0.9.2 is right, and
so are later versions once XLA is told not to build such groups:

    XLA_FLAGS=--xla_cpu_experimental_ynn_fusion_type=

``guard`` adds this flag to the environment when all of the following hold, so that subprocesses inherit it:

- jaxlib is 0.10 or newer, and it and every installed plugin know the flag (XLA *aborts* at a flag it does not know);
- ``XLA_FLAGS`` does not contain the flag yet: the user's choice and other flags are kept;
- the environment variable ``FNN_KEEP_XLA_FLAGS`` is unset, empty or ``0``: set it to ``1`` to turn the guard off;
- JAX has not started its backend, which is when XLA reads its flags (importing JAX does not start it).

If the CPU backend has already started, it is too late to set the flag, and one ``RuntimeWarning`` says what to do. The
flag affects CPUs only. ``python -m fnn doctor`` tests whether this machine computes correctly.
"""

import enum
import functools
import importlib.metadata
import importlib.util
import mmap
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jaxlib.version

FLAG = "xla_cpu_experimental_ynn_fusion_type"
SETTING = f"--{FLAG}="
SWITCH = "FNN_KEEP_XLA_FLAGS"


class Outcome(enum.Enum):
    """What the guard did, and why."""

    SET = f"added {SETTING} to XLA_FLAGS"
    UNAFFECTED = "nothing: jaxlib is older than 0.10 and needs no flag"
    SWITCHED_OFF = f"nothing: {SWITCH} is set"
    KEPT = "nothing: XLA_FLAGS names the flag already"
    FILE = "nothing: XLA_FLAGS is the name of a file, which fnn does not change"
    UNKNOWN = "nothing: this jaxlib, or an installed plugin, does not know the flag"
    STARTED = "nothing, too late: JAX had started its CPU backend before fnn was imported"
    ELSEWHERE = "nothing: JAX runs on another device than the CPU"


@functools.cache
def guard() -> Outcome:
    """Sets the flag or warns, as described at the top of this file; later calls return the outcome of the first."""
    version, flags = jaxlib.version.__version__, os.environ.get("XLA_FLAGS", "").strip()
    outcome = decide(version, flags, switched_off(), flag_known, started_backend)
    if outcome is Outcome.SET:
        os.environ["XLA_FLAGS"] = f"{flags} {SETTING}".lstrip()
    elif outcome is Outcome.STARTED:
        # Level 3 is the line that imports fnn: fnn/__init__.py calls this function.
        warnings.warn(
            (
                f"jaxlib {version} computes some sums and gradients wrongly on CPU, and JAX had started"
                f" before fnn was imported, so fnn could not set the flag that prevents it. Import fnn before the first"
                f" JAX computation, or set XLA_FLAGS={SETTING} before Python starts; {SWITCH}=1 silences this warning"
            ),
            RuntimeWarning,
            stacklevel=3,
        )
    elif outcome is Outcome.FILE:
        warnings.warn(
            (
                f"jaxlib {version} computes some sums and gradients wrongly on CPU. XLA_FLAGS is the name of"
                f" a file, {flags}: add the line {SETTING} to it; {SWITCH}=1 silences this warning"
            ),
            RuntimeWarning,
            stacklevel=3,
        )
    return outcome


def decide(
    version: str, flags: str, keep: bool, known: Callable[[], bool], backend: Callable[[], str | None]
) -> Outcome:
    """What to do for this jaxlib and these ``XLA_FLAGS``.

    ``known()`` says whether the flag is known, ``backend()`` gives the started backend or None; each is called only if
    its answer matters.
    """
    if not affected(version):
        return Outcome.UNAFFECTED
    if keep:
        return Outcome.SWITCHED_OFF
    if FLAG in flags or FLAG in file_of_flags(flags):
        return Outcome.KEPT
    if not known():
        return Outcome.UNKNOWN
    platform = backend()
    if platform is not None:
        return Outcome.STARTED if platform == "cpu" else Outcome.ELSEWHERE
    return Outcome.FILE if flags and not flags.startswith("-") else Outcome.SET


def affected(version: str) -> bool:
    """Whether this jaxlib uses YNNPACK by default: 0.10 and newer do."""
    release = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return release >= [0, 10]


def switched_off() -> bool:
    """Whether the user turned the guard off."""
    return os.environ.get(SWITCH, "") not in ("", "0")


def file_of_flags(flags: str) -> str:
    """The contents of the file that ``XLA_FLAGS`` names: to XLA, a value without a leading ``-`` is a file name."""
    if not flags or flags.startswith("-"):
        return ""
    try:
        return Path(flags).read_text()
    except OSError:
        return ""


@functools.cache
def flag_known() -> bool:
    """Whether every library here that reads ``XLA_FLAGS`` knows the flag.

    XLA aborts the process at an unknown flag, so the name is searched in the bytes of the libraries. A flag's name
    lies between two zero bytes; the field of the same name in a protobuf descriptor, which stays when the flag is
    removed, does not.
    """
    name = b"\0" + FLAG.encode() + b"\0"
    common = [library for library in shared_libraries(Path(jaxlib.__file__).parent) if "jax_common" in library.name]
    plugins = [library for library in plugin_libraries() if contains(library, b"XLA_FLAGS")]
    return bool(common) and all(contains(library, name) for library in (*common, *plugins))


def plugin_libraries() -> Iterator[Path]:
    """The shared libraries of the installed JAX plugins: each contains its own XLA, which reads the same flags."""
    declared = importlib.metadata.entry_points(group="jax_plugins")
    for package in {"jax_plugins", "libtpu"} | {entry.module.partition(".")[0] for entry in declared}:
        specification = importlib.util.find_spec(package)
        for folder in (specification and specification.submodule_search_locations) or ():
            yield from shared_libraries(Path(folder))


def shared_libraries(folder: Path) -> Iterator[Path]:
    """The shared libraries in a folder and its subfolders."""
    return (path for path in folder.rglob("*") if path.suffix in {".so", ".dylib", ".dll", ".pyd"} and path.is_file())


def contains(library: Path, wanted: bytes) -> bool:
    """Whether a file contains these bytes; the file is memory-mapped."""
    if not library.stat().st_size:
        return False
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
        return contents.find(wanted) >= 0


def started_backend() -> str | None:
    """The platform of JAX's default backend if it has started, else None, without starting it.

    JAX has no public query for this, but refuses to change the number of CPU devices after the start.
    """
    count = getattr(jax.config, "jax_num_cpu_devices", None)
    if count is None:
        return None
    try:
        jax.config.update("jax_num_cpu_devices", 2 if count == 1 else 1)
    except RuntimeError:
        return jax.default_backend()
    jax.config.update("jax_num_cpu_devices", count)
    return None
